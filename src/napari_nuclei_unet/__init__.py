"""Find and separate nuclei in microscope images.

The names below are loaded when they are first used, so that importing the package needs
neither torch nor Qt.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_nuclei_unet.core.regions import Region
    from napari_nuclei_unet.engine import (
        Prediction,
        Segmentation,
        predict_plane_steps,
        retune,
        segment,
        segment_steps,
    )
    from napari_nuclei_unet.errors import UserError
    from napari_nuclei_unet.learning.finetuning import fine_tune
    from napari_nuclei_unet.learning.outcomes import FineTuned
    from napari_nuclei_unet.models import Model, available_models, load_model
    from napari_nuclei_unet.params import SegmentParams, TrainParams
    from napari_nuclei_unet.prediction import Step, run
    from napari_nuclei_unet.stacks import segment_stack

# Linux then gives large arrays in pages of 2 MB instead of 4 kB, which saves a fifth of the
# network's time. torch reads it when it makes its first array, so it is set before that.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

__all__ = [
    "FineTuned",
    "Model",
    "Prediction",
    "Region",
    "SegmentParams",
    "Segmentation",
    "Step",
    "TrainParams",
    "UserError",
    "available_models",
    "fine_tune",
    "load_model",
    "predict_plane_steps",
    "retune",
    "run",
    "segment",
    "segment_stack",
    "segment_steps",
]

_HOME = {
    "FineTuned": "learning.outcomes",
    "Model": "models",
    "Prediction": "engine",
    "Region": "core.regions",
    "SegmentParams": "params",
    "Segmentation": "engine",
    "Step": "prediction",
    "TrainParams": "params",
    "UserError": "errors",
    "available_models": "models",
    "fine_tune": "learning.finetuning",
    "load_model": "models",
    "predict_plane_steps": "engine",
    "retune": "engine",
    "run": "prediction",
    "segment": "engine",
    "segment_stack": "stacks",
    "segment_steps": "engine",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
