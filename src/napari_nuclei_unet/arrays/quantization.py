"""Values from 0 to 1 as 16-bit integers, which take half the memory of float32."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# The integer that stands for 1.
UNIT_STEPS = 65535


def quantize_unit(values: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Round values from 0 to 1 to steps of 1/65535.

    Parameters
    ----------
    values : ndarray, any shape, floating, values 0 to 1

    Returns
    -------
    ndarray, same shape, uint16
        65535 stands for 1.
    """
    steps = values * np.float32(UNIT_STEPS)
    steps += np.float32(0.5)
    return steps.astype(np.uint16)


def dequantize_unit(values: NDArray[Any]) -> NDArray[np.float32]:
    """Convert steps of 1/65535 to values from 0 to 1; others are returned as they are.

    Parameters
    ----------
    values : ndarray, any shape, uint16 or floating

    Returns
    -------
    ndarray, same shape, float32, or the floating type that was given
    """
    if values.dtype != np.uint16:
        return values
    return np.divide(values, np.float32(UNIT_STEPS), dtype=np.float32)
