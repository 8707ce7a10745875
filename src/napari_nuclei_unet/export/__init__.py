"""Results for other programs, and models for them."""

from .read import read_result
from .result import Result
from .save import FORMATS, save

__all__ = ["FORMATS", "Result", "read_result", "save"]
