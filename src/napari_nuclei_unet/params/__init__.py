"""Parameters: the only place of a default, a bound, a label and a help text."""

from .names import PARAMETER_LABELS, RETUNED_NAMES, complete_params, with_changes
from .segment import DEVICES, SegmentParams
from .train import TrainParams

__all__ = [
    "DEVICES",
    "PARAMETER_LABELS",
    "RETUNED_NAMES",
    "SegmentParams",
    "TrainParams",
    "complete_params",
    "with_changes",
]
