"""Loading of what the first click needs, in a thread and without stalling the window."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from napari.utils.transforms import Affine

from ...errors import UserError
from ...labels.threads import set_wait_policy
from ...memory import require_network_memory
from ...network.loading import load_torch
from ...params import SegmentParams
from ...provenance.record import Provenance
from ..common.job import start_in_background

# The largest of torch's libraries; the others follow it, or are small.
LIBRARY_NAMES = {"linux": "libtorch_cpu.so", "darwin": "libtorch_cpu.dylib"}


@cache
def start_warm_up() -> None:
    """Load torch, and what napari needs for its first labels; once, in a thread."""
    set_wait_policy()  # other programs, and a second window, are not slowed down
    _define_units()
    start_in_background(_warm_up)


def _define_units() -> None:
    """Have pint define its units, which takes 0.2 s, before a thread does.

    Meanwhile a layer that is opened in another thread would fail: 'pixel' is not defined.
    """
    Affine(ndim=2)


def _warm_up() -> None:
    try:
        require_network_memory()
        _load_torch_library()
        load_torch()
    except UserError:  # the first click says it
        return
    # imported as the first click will
    from ...segmentation import segment  # noqa: F401

    _create_labels()
    Provenance(model="", params=SegmentParams()).to_json()  # makes its converter


def _load_torch_library() -> None:
    """Load torch's largest library by a foreign call, which lets other threads run meanwhile.

    ``import torch`` would load it too, but hold the interpreter for some 300 ms.
    """
    spec, name = find_spec("torch"), LIBRARY_NAMES.get(sys.platform)
    if spec is None or spec.origin is None or name is None:
        return
    load = ctypes.CDLL(None).dlopen
    load.restype = ctypes.c_void_p
    # where it fails, the import that follows says why
    load(os.fsencode(Path(spec.origin).parent / "lib" / name), os.RTLD_NOW | os.RTLD_GLOBAL)


def _create_labels() -> None:
    """Create a small labels layer: numba, which napari colours it with, loads with the first."""
    import numpy as np
    from napari.layers import Labels

    Labels(np.zeros((2, 2), np.int32))
