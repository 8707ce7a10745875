"""When the compiled loops of the watershed are loaded (docs/decisions/0018-separation-speed.md)."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec
from threading import Thread
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.relabel import MAX_INT32_PIXELS
from ..memory import available_memory

# Loading pays from so many pixels on: with numba, and where something else has loaded numba.
_PIXELS_WORTH_NUMBA = 10_000_000
_PIXELS_WORTH_KERNELS = 4_000_000
# Memory that numba takes with the kernels, and beside it separating a plane, for each pixel.
_NUMBA_BYTES, _SEPARATION_BYTES_PER_PIXEL = 160_000_000, 50


class KernelChoice:
    """Chooses the compiled loops where they pay, after what this process has separated so far."""

    def __init__(self) -> None:
        self._n_pixels = 0
        self._loading: Thread | None = None

    def expect(self, n_pixels: int) -> None:
        """Begin to load the kernels in a thread, where they will pay for one more plane.

        While the network runs nobody waits for them, not even where they have to be compiled.

        Parameters
        ----------
        n_pixels : int
            Of the plane.
        """
        if self._loading is None and self._pays(self._n_pixels + n_pixels, n_pixels):
            self._loading = Thread(target=load_kernels, name="kernels of the watershed")
            self._loading.start()

    def find(self, n_pixels: int) -> ModuleType | None:
        """Return the kernels for one more plane, or None where NumPy is quicker.

        Parameters
        ----------
        n_pixels : int
            Of the plane.

        Returns
        -------
        module or None
        """
        self._n_pixels += n_pixels  # a few are lost if another thread adds too
        if self._loading is not None and self._loading.is_alive():
            return None  # compiling takes longer
        return load_kernels() if self._pays(self._n_pixels, n_pixels) else None

    def _pays(self, total: int, n_pixels: int) -> bool:
        """Return whether loading pays after so many pixels in total, and memory suffices."""
        if "numba" in sys.modules:
            return total >= _PIXELS_WORTH_KERNELS
        need = _NUMBA_BYTES + _SEPARATION_BYTES_PER_PIXEL * n_pixels
        return total >= _PIXELS_WORTH_NUMBA and need <= available_memory()


@cache
def load_kernels() -> ModuleType | None:
    """Load the compiled loops; None without numba, or where it cannot keep what it compiles.

    The first time on a computer they are compiled, which takes seconds.
    """
    if find_spec("numba") is None:
        return None
    try:
        # numba, which it imports, is optional and slow to import
        from . import watershed_kernels
    except Exception:  # whatever is the matter with numba, NumPy gives the same labels
        return None
    return watershed_kernels


# Of this process.
KERNELS = KernelChoice()


def fits_kernels(maps: NDArray[Any], relief: NDArray[Any] | None = None) -> bool:
    """Return whether the compiled loops take maps, and a relief, of such types and sizes."""
    is_compiled = maps.dtype in (np.uint16, np.float32)
    is_small = 0 < maps[0].size < MAX_INT32_PIXELS
    return is_compiled and is_small and (relief is None or relief.dtype == np.float32)
