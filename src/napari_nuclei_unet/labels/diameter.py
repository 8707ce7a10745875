"""How large nuclei are: in labels, in the size map of a network, and what is typical."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# The size map goes from 0 to 1 for diameters from the smallest up by so many doublings.
SMALLEST_DIAMETER, DOUBLINGS = 4.0, 6.0
LIKELY = 0.5
# Fewer pixels than this that are likely nucleus tell nothing about size.
FEW_PIXELS = 20


def diameters_of(labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Diameter of the circle with each id's area, in pixels; 0 where an id does not occur."""
    return np.asarray((4 / np.pi * np.bincount(labels.ravel())) ** 0.5, np.float64)


def size_of(diameter: NDArray[np.floating]) -> NDArray[np.float64]:
    """Size as the network learns it: 0 for diameters up to 4 px, 1 from 256 px on."""
    steps = np.log2(np.maximum(diameter, SMALLEST_DIAMETER) / SMALLEST_DIAMETER)
    return np.minimum(steps / DOUBLINGS, 1.0)


def diameter_of(size: NDArray[np.floating]) -> NDArray[np.float64]:
    """Turn :func:`size_of` back into pixels."""
    return np.asarray(SMALLEST_DIAMETER * 2.0 ** (DOUBLINGS * size), np.float64)


def typical_diameter(nucleus: NDArray[np.floating], size: NDArray[np.floating]) -> float | None:
    """Median diameter of the nuclei in predicted maps, every nucleus counted once.

    A nucleus has as many pixels as the square of its diameter; dividing by that makes one vote
    of them, without separating nuclei first.

    Parameters
    ----------
    nucleus, size : ndarray, shape (Y, X), floating, values 0 to 1
        Maps of a network, as ``core.learning.targets`` defines them. Only where a nucleus is
        likely, the size counts.

    Returns
    -------
    float or None
        In pixels; None where there is next to no nucleus.
    """
    found = np.sort(diameter_of(size[nucleus > LIKELY].astype(np.float64)))
    if found.size < FEW_PIXELS:
        return None
    votes = np.cumsum(found**-2)
    return float(found[np.searchsorted(votes, votes[-1] / 2)])
