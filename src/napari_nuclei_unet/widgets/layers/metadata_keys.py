"""Keys of this plugin in the metadata of layers, and the layers that these mark."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from napari.layers import Image, Labels, Layer

if TYPE_CHECKING:
    from napari.components import ViewerModel

# Marks a layer that shows errors: the ids of the result's layer, and its own.
ERRORS_KEY = "napari_nuclei_unet_errors_of"

# Marks the layer that shows the cells around the nuclei of a labels layer.
CELLS_KEY = "napari_nuclei_unet_cells_of"

# How ids of a labels layer were matched across planes, "join" or "link"; beside its record,
# which is replaced when a plane is written.
LINKED_IDS_KEY = "napari_nuclei_unet_followed"

# What was corrected in the links of a labels layer, for when they are linked again.
LINK_CORRECTIONS_KEY = "napari_nuclei_unet_link_corrections"

# Marks the layer that shows the tracks of a labels layer; labels that were read from a file with
# their tracks have the same mark.
TRACKS_KEY = "napari_nuclei_unet_tracks_of"

# Marks the shapes layer that shows the validation areas of a labels layer.
VALIDATION_AREAS_KEY = "napari_nuclei_unet_held_back_of"

# Marks the shapes layer that shows the region of a record.
REGION_KEY = "napari_nuclei_unet_region_of"

# Marks the layer that shows the probability map of an image.
PROBABILITY_KEY = "napari_nuclei_unet_probability_of"

# Marks the layer that outlines what was found in an image and left out.
LEFT_OUT_KEY = "napari_nuclei_unet_left_out_of"

# Marks of images that show something of another one: no dock offers them.
OVERLAY_KEYS = (PROBABILITY_KEY, LEFT_OUT_KEY)

# Says that features of labels are those of a file, in pixels: the position of their first plane in
# the image, on each axis before that of the plane.
SAVED_TABLE_KEY = "napari_nuclei_unet_saved_table"

# Says which file, and which image in it, a layer shows, where napari does not know that: an image
# that was opened with its labels.
IMAGE_FILE_KEY = "napari_nuclei_unet_image_file"

# Says of labels that were read from a file which file their image is; until they are linked.
LABELS_IMAGE_KEY = "napari_nuclei_unet_labels_image"

# Says which result of the list of images labels show: the path of its labels.
RESULT_FILE_KEY = "napari_nuclei_unet_result_file"

# By column of the features of labels, the rule by which its nuclei have classes.
CLASS_RULES_KEY = "napari_nuclei_unet_class_rules"

# Names of the channels of an image, as its file has them.
CHANNEL_NAMES_KEY = "napari_nuclei_unet_channel_names"

METADATA_KEY = "napari_nuclei_unet"

# Of the name of a layer with the nuclei of an image.
LABELS_LAYER_ENDING = " nuclei"

_Layer = TypeVar("_Layer", bound=Layer)


def list_layers(viewer: ViewerModel, kind: type[_Layer], without_key: str = "") -> list[_Layer]:
    """Return the layers of a kind, without those that have a key in their metadata."""
    layers = [layer for layer in viewer.layers if isinstance(layer, kind)]
    return [layer for layer in layers if without_key not in layer.metadata]


def is_overlay(layer: Layer) -> bool:
    """Return whether a layer shows something of an image, and is none itself."""
    return any(key in layer.metadata for key in OVERLAY_KEYS)


def list_image_layers(viewer: ViewerModel) -> list[Image]:
    """Return the images that can be segmented or measured."""
    return [layer for layer in list_layers(viewer, Image) if not is_overlay(layer)]


def list_nuclei(viewer: ViewerModel) -> list[Labels]:
    """Return the labels layers whose labels are nuclei."""
    layers = list_layers(viewer, Labels, without_key=ERRORS_KEY)
    return [layer for layer in layers if CELLS_KEY not in layer.metadata]


def find_marked_layer(viewer: ViewerModel, key: str, shown: Layer) -> Layer | None:
    """Find the layer that is marked as showing something of another one."""
    mark = str(shown.unique_id)
    return next((layer for layer in viewer.layers if layer.metadata.get(key) == mark), None)
