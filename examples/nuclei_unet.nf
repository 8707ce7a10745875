// Segment the nuclei of one image.
process NUCLEI_UNET {
    tag "${meta.id}"
    label 'process_medium'
    container 'napari-nuclei-unet:latest' // packaging/Dockerfile

    input:
    tuple val(meta), path(image)

    output:
    tuple val(meta), path("*_labels.ome.tif"), emit: labels
    tuple val(meta), path("*_nuclei.csv")    , emit: nuclei
    path "versions.yml"                      , emit: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    """
    export OMP_NUM_THREADS=${task.cpus}
    nuclei-unet segment '${image}' --out . ${args}

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        napari-nuclei-unet: \$(python -c 'import napari_nuclei_unet as n; print(n.__version__)')
    END_VERSIONS
    """
}
