// Fiji and ImageJ: open an image, and its nuclei in the ROI manager.
// Made by: nuclei-unet segment images/ --out results/ --save rois
// Without questions: ImageJ -batch open_nuclei.ijm "images/a.tif|results/"
arguments = split(getArgument(), "|");
if (arguments.length == 2) {
    image = arguments[0];
    results = arguments[1];
} else {
    image = File.openDialog("Image");
    results = getDirectory("Folder of results");
}
open(image);
name = File.getNameWithoutExtension(image);
if (endsWith(toLowerCase(name), ".ome")) name = substring(name, 0, lengthOf(name) - 4);
rois = results + File.separator + name + "_rois.zip";
if (!File.exists(rois)) exit("No nuclei: " + rois + " does not exist");
roiManager("reset");
roiManager("open", rois);
roiManager("show all without labels");
print(roiManager("count") + " nuclei");
