"""The dock widgets: the only part that knows napari and Qt."""

from typing import Any

from napari_nuclei_unet.widgets.segment import SegmentWidget

__all__ = ["SegmentWidget", "TrainWidget"]


def __getattr__(name: str) -> Any:
    """Load the training widget, with what draws its curves, when it is first opened."""
    if name != "TrainWidget":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from napari_nuclei_unet.widgets.train import TrainWidget

    return TrainWidget
