"""Results for other programs, and models for them."""

from .result import Result
from .save import FORMATS, save

__all__ = ["FORMATS", "Result", "save"]
