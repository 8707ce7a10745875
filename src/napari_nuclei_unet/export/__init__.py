"""Results for other programs: tables, outlines for QuPath and ImageJ, labels with pixel size."""

from napari_nuclei_unet.export.result import Result
from napari_nuclei_unet.export.save import FORMATS, save

__all__ = ["FORMATS", "Result", "save"]
