"""Find and separate nuclei in microscope images.

The names below are loaded when they are first used, so that importing the package needs
neither torch nor Qt.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_nuclei_unet.arrays.boxes import Region
    from napari_nuclei_unet.errors import UserError
    from napari_nuclei_unet.models.model import Model, available_models, load_model
    from napari_nuclei_unet.params import SegmentParams, TrainParams
    from napari_nuclei_unet.progress import Step, run
    from napari_nuclei_unet.segmentation.segment import (
        Prediction,
        Segmentation,
        predict_plane_steps,
        retune,
        segment,
        segment_steps,
    )
    from napari_nuclei_unet.segmentation.stack import segment_stack
    from napari_nuclei_unet.training.evaluation import FineTuned
    from napari_nuclei_unet.training.finetune import fine_tune

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
    "FineTuned": "training.evaluation",
    "Model": "models.model",
    "Prediction": "segmentation.segment",
    "Region": "arrays.boxes",
    "SegmentParams": "params",
    "Segmentation": "segmentation.segment",
    "Step": "progress",
    "TrainParams": "params",
    "UserError": "errors",
    "available_models": "models.model",
    "fine_tune": "training.finetune",
    "load_model": "models.model",
    "predict_plane_steps": "segmentation.segment",
    "retune": "segmentation.segment",
    "run": "progress",
    "segment": "segmentation.segment",
    "segment_stack": "segmentation.stack",
    "segment_steps": "segmentation.segment",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
