"""Keys under which this plugin writes into the metadata of layers."""

from __future__ import annotations

# Marks a layer that shows errors: the ids of the result's layer, and its own.
ERRORS_KEY = "napari_nuclei_unet_errors_of"

# How ids of a labels layer were matched across planes, "join" or "link"; beside its record,
# which is replaced when a plane is written.
LINKED_IDS_KEY = "napari_nuclei_unet_followed"

# Marks the layer that shows the tracks of a labels layer.
TRACKS_KEY = "napari_nuclei_unet_tracks_of"

# Marks the shapes layer that shows the validation areas of a labels layer.
VALIDATION_AREAS_KEY = "napari_nuclei_unet_held_back_of"

# Marks the shapes layer that shows the region of a record.
REGION_KEY = "napari_nuclei_unet_region_of"

# Marks the layer that shows the probability map of an image.
PROBABILITY_KEY = "napari_nuclei_unet_probability_of"

METADATA_KEY = "napari_nuclei_unet"
