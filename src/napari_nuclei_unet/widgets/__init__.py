"""The dock widgets: the only part that knows napari and Qt."""

from importlib import import_module
from typing import Any

from .segment.widget import SegmentWidget

__all__ = ["ManyImagesWidget", "ReviewWidget", "SegmentWidget", "TableWidget", "TrainWidget"]

_LAZY_WIDGETS = {
    "ManyImagesWidget": "many.widget",
    "ReviewWidget": "review.widget",
    "TableWidget": "table.widget",
    "TrainWidget": "train.widget",
}


def __getattr__(name: str) -> Any:
    """Load the other widgets, with what they need, when they are first opened."""
    if name not in _LAZY_WIDGETS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY_WIDGETS[name]}"), name)
