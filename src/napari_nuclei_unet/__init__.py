"""Find and separate nuclei in microscope images.

All public names are listed in ``__init__.pyi``. They are loaded when they are first used, so that
importing the package needs neither torch nor Qt.
"""

import os
from importlib.metadata import version
from typing import Any

import lazy_loader

from . import _deprecated
from .network.loading import load_torch

# Linux then gives large arrays in pages of 2 MB instead of 4 kB, which saves a fifth of the
# network's time. torch reads it when it makes its first array, so it is set before that.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

__version__ = version("napari-nuclei-unet")

# Names that load torch.
_OF_THE_NETWORK = {
    *("FineTuned", "Prediction", "Segmentation", "export_bioimage", "fine_tune", "import_bioimage"),
    *("predict_plane_steps", "retune", "segment", "segment_stack", "segment_steps"),
    "segment_volume",
}
_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name in _OF_THE_NETWORK:
        load_torch()
    return _load(name)


_deprecated.install()
