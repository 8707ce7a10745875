"""An array of a layer that is known again, so that what belongs to it ends with it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any


class ArrayReference:
    """Refers to an array weakly, or strongly where that is impossible.

    Parameters
    ----------
    pixels : array-like
        A proxy, as a plugin gets it, stands for its array.
    """

    def __init__(self, pixels: Any) -> None:
        array = unwrap_array(pixels)
        self._get: Callable[[], Any]
        try:
            self._get = weakref.ref(array)
        except TypeError:
            self._get = lambda: array

    def get(self) -> Any:
        """Return the array, or None once it is gone."""
        return self._get()

    def is_to(self, pixels: Any) -> bool:
        """Return whether this refers to an array, and not to one that it has replaced."""
        return self._get() is unwrap_array(pixels)


def unwrap_array(pixels: Any) -> Any:
    """Return the array behind a proxy, as a plugin gets it; any other as it is."""
    return getattr(pixels, "__wrapped__", pixels)
