// Segment the nuclei of one image, in the style of an nf-core module.
process NUCLEI_UNET {
    tag "$meta.id"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    container 'napari-nuclei-unet:latest' // docker build -f packaging/Dockerfile -t napari-nuclei-unet .

    input:
    tuple val(meta), path(image)

    output:
    tuple val(meta), path("*_labels.ome.tif"), emit: labels
    tuple val(meta), path("*_nuclei.csv")    , emit: nuclei
    tuple val("${task.process}"), val('napari-nuclei-unet'), eval('nuclei-unet --version'), topic: versions, emit: versions_nuclei_unet

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    """
    export OMP_NUM_THREADS=${task.cpus}
    nuclei-unet segment '${image}' --out . ${args}
    """

    stub:
    """
    touch '${image.simpleName}_labels.ome.tif' '${image.simpleName}_nuclei.csv'
    """
}
