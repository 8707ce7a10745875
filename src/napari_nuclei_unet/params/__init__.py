"""Parameters: the only place of a default, a bound, a label and a help text."""

from .names import PARAMETER_LABELS, with_changes
from .segment import DEVICES, SegmentParams
from .train import TrainParams

__all__ = ["DEVICES", "PARAMETER_LABELS", "SegmentParams", "TrainParams", "with_changes"]
