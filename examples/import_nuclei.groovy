// QuPath: read the nuclei of the open image, or of every image with "Run for project".
// Made by: nuclei-unet segment images/ --out results/ --save geojson
import static qupath.lib.scripting.QP.*

def results = buildFilePath(PROJECT_BASE_DIR, 'results') // where the .geojson files are

def name = new File(getCurrentServer().getURIs().first().path).name.replaceAll(/(?i)(\.ome)?\.[^.]+$/, '')
def file = new File(results, name + '_nuclei.geojson')
if (!file.exists()) {
    print "No nuclei: $file does not exist"
    return
}
clearDetections()
importObjectsFromFile(file.path)
fireHierarchyUpdate()
print "${getDetectionObjects().size()} nuclei from ${file.name}"
