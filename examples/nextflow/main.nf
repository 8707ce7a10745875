// Segment each image of a folder:
//
//     nextflow run examples/nextflow --images 'images/*.tif' --out results
//
// With the container -with-docker, without running anything -stub.
include { NUCLEI_UNET } from './nuclei_unet/main'

workflow {
    NUCLEI_UNET(channel.fromPath(params.images, checkIfExists: true).map { image -> [[id: image.baseName], image] })
}
