"""Results for other programs, and models for them."""

from .border import exclude_border
from .geojson import OutlineOptions
from .into_image import save_into_image
from .read import read_result
from .remeasure import MeasureOptions, measure_result
from .result import Result
from .save import FORMATS, save

__all__ = [
    "FORMATS",
    "MeasureOptions",
    "OutlineOptions",
    "Result",
    "exclude_border",
    "measure_result",
    "read_result",
    "save",
    "save_into_image",
]
