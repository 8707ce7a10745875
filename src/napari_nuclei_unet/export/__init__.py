"""Results for other programs, and models for them."""

from .geojson import OutlineOptions
from .read import read_result
from .remeasure import MeasureOptions, measure_result
from .result import Result
from .save import FORMATS, save

__all__ = [
    "FORMATS",
    "MeasureOptions",
    "OutlineOptions",
    "Result",
    "measure_result",
    "read_result",
    "save",
]
