// Fiji: open an image, and its nuclei in the ROI manager.
// Made by: nuclei-unet segment images/ --out results/ --save rois
image = File.openDialog("Image");
results = getDirectory("Folder of results");
open(image);
name = File.getNameWithoutExtension(image);
if (endsWith(name, ".ome")) name = substring(name, 0, lengthOf(name) - 4);
rois = results + name + "_labels.zip";
if (!File.exists(rois)) exit("No nuclei: " + rois + " does not exist");
roiManager("reset");
roiManager("open", rois);
roiManager("show all without labels");
print(roiManager("count") + " nuclei");
