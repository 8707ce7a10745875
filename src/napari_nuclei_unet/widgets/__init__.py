"""The dock widgets: the only part that knows napari and Qt."""

from napari_nuclei_unet.widgets.segment import SegmentWidget

__all__ = ["SegmentWidget"]
