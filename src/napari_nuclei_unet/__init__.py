"""Find and separate nuclei in microscope images.

The names below are loaded when they are first used, so that importing the package needs
neither torch nor Qt.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_nuclei_unet.engine import Segmentation, segment, segment_steps
    from napari_nuclei_unet.errors import UserError
    from napari_nuclei_unet.models import Model, available_models, load_model
    from napari_nuclei_unet.params import SegmentParams
    from napari_nuclei_unet.prediction import Step, run

__all__ = [
    "Model",
    "SegmentParams",
    "Segmentation",
    "Step",
    "UserError",
    "available_models",
    "load_model",
    "run",
    "segment",
    "segment_steps",
]

_HOME = {
    "Model": "models",
    "SegmentParams": "params",
    "Segmentation": "engine",
    "Step": "prediction",
    "UserError": "errors",
    "available_models": "models",
    "load_model": "models",
    "run": "prediction",
    "segment": "engine",
    "segment_steps": "engine",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
