"""Results for other programs, and models for them."""

from napari_nuclei_unet.export.result import Result
from napari_nuclei_unet.export.save import FORMATS, save

__all__ = ["FORMATS", "Result", "save"]
