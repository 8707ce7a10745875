"""Diameters of nuclei in labels and in the size map of a network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..arrays.quantization import dequantize_unit

# The size map goes from 0 at the smallest diameter to 1 after this many doublings.
MIN_MAP_DIAMETER, DIAMETER_DOUBLINGS = 4.0, 6.0
MIN_NUCLEUS_PROBABILITY = 0.5
# With fewer likely nucleus pixels than this no diameter is estimated.
MIN_NUCLEUS_PIXELS = 20
# What is narrower, relative to the typical nucleus, has no part in its size.
MIN_MEASURED_SHARE = 0.4


def equivalent_diameters(labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Compute the diameter of the circle with the area of each id, in pixels; 0 for unused ids."""
    return np.asarray((4 / np.pi * np.bincount(labels.ravel())) ** 0.5, np.float64)


def diameter_to_size(diameter: NDArray[np.floating]) -> NDArray[np.float64]:
    """Convert diameters to sizes as the network learns them: 0 up to 4 px, 1 from 256 px on."""
    steps = np.log2(np.maximum(diameter, MIN_MAP_DIAMETER) / MIN_MAP_DIAMETER)
    return np.minimum(steps / DIAMETER_DOUBLINGS, 1.0)


def size_to_diameter(size: NDArray[np.floating]) -> NDArray[np.float64]:
    """Convert sizes back to diameters in pixels; the inverse of :func:`diameter_to_size`."""
    return np.asarray(MIN_MAP_DIAMETER * 2.0 ** (DIAMETER_DOUBLINGS * size), np.float64)


def estimate_diameter(
    nucleus: NDArray[np.floating] | NDArray[np.uint16],
    size: NDArray[np.floating] | NDArray[np.uint16],
    by_pixel: bool = False,
) -> float | None:
    """Estimate the diameter of a typical nucleus in predicted maps.

    It is a median over nuclei, which need not be separated: the pixels of a nucleus grow with the
    square of its diameter. A nucleus counts as much as it is wide, and what is far smaller than
    the others not at all, so that micronuclei and fragments, of which there may be more than
    nuclei, hardly change it (docs/decisions/0005-size.md).

    Parameters
    ----------
    nucleus, size : ndarray, shape (Y, X), floating, values 0 to 1, or uint16 (65535 is 1)
        Maps of a network, as ``training.example.make_targets`` defines them. Size is only used
        where a nucleus is likely.
    by_pixel : bool, optional
        Return the median over pixels: in slices of a volume, that is near the diameter of the
        nuclei, as sections near their poles are small (docs/decisions/0015-volumes.md).

    Returns
    -------
    float or None
        In pixels; None where there is next to no nucleus.
    """
    likely = dequantize_unit(nucleus) > MIN_NUCLEUS_PROBABILITY
    diameters = np.sort(size_to_diameter(dequantize_unit(size[likely]).astype(np.float64)))
    if diameters.size < MIN_NUCLEUS_PIXELS:
        return None
    if by_pixel:
        return float(diameters[diameters.size // 2])
    with_fragments = _median_by_width(diameters)
    return _median_by_width(diameters[diameters >= MIN_MEASURED_SHARE * with_fragments])


def _median_by_width(diameters: NDArray[np.float64]) -> float:
    """Return the median diameter of nuclei that count as much as they are wide.

    Parameters
    ----------
    diameters : ndarray, shape (n,), float64
        Of the nucleus that each pixel lies in, sorted.
    """
    weights = np.cumsum(1 / diameters)
    return float(diameters[np.searchsorted(weights, weights[-1] / 2)])
