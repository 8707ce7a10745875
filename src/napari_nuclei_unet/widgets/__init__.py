"""The dock widgets: the only part that knows napari and Qt."""

import re
from importlib import import_module
from typing import Any

import napari

from ..errors import UserError

__all__ = ["ManyImagesWidget", "ReviewWidget", "SegmentWidget", "TableWidget", "TrainWidget"]

_LAZY_WIDGETS = {
    "ManyImagesWidget": "many.widget",
    "ReviewWidget": "review.widget",
    "SegmentWidget": "segment.widget",
    "TableWidget": "table.widget",
    "TrainWidget": "train.widget",
}
OLDEST_NAPARI = (0, 7, 1)


def __getattr__(name: str) -> Any:
    """Load the widgets, with what they need, when they are first opened."""
    if name not in _LAZY_WIDGETS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _require_napari()
    return getattr(import_module(f"{__name__}.{_LAZY_WIDGETS[name]}"), name)


def _require_napari() -> None:
    """Raise an error in an old napari: it may have been there before, and pip leaves it."""
    installed = tuple(int(part) for part in re.findall(r"\d+", napari.__version__)[:3])
    if installed < OLDEST_NAPARI:
        oldest = ".".join(map(str, OLDEST_NAPARI))
        raise UserError(
            f"napari {napari.__version__} is too old for Nuclei U-Net, which needs {oldest} or "
            "newer: update it with pip install --upgrade napari, or in a new environment."
        )
