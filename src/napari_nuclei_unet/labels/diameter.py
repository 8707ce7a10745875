"""How large nuclei are: in labels, in the size map of a network, and what is typical."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# The size map goes from 0 to 1 for diameters from the smallest up by so many doublings.
MIN_MAP_DIAMETER, DIAMETER_DOUBLINGS = 4.0, 6.0
MIN_NUCLEUS_PROBABILITY = 0.5
# Fewer pixels than this that are likely nucleus tell nothing about size.
MIN_NUCLEUS_PIXELS = 20


def equivalent_diameters(labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Diameter of the circle with each id's area, in pixels; 0 where an id does not occur."""
    return np.asarray((4 / np.pi * np.bincount(labels.ravel())) ** 0.5, np.float64)


def diameter_to_size(diameter: NDArray[np.floating]) -> NDArray[np.float64]:
    """Size as the network learns it: 0 for diameters up to 4 px, 1 from 256 px on."""
    steps = np.log2(np.maximum(diameter, MIN_MAP_DIAMETER) / MIN_MAP_DIAMETER)
    return np.minimum(steps / DIAMETER_DOUBLINGS, 1.0)


def size_to_diameter(size: NDArray[np.floating]) -> NDArray[np.float64]:
    """Turn :func:`diameter_to_size` back into pixels."""
    return np.asarray(MIN_MAP_DIAMETER * 2.0 ** (DIAMETER_DOUBLINGS * size), np.float64)


def estimate_diameter(nucleus: NDArray[np.floating], size: NDArray[np.floating]) -> float | None:
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
    found = np.sort(size_to_diameter(size[nucleus > MIN_NUCLEUS_PROBABILITY].astype(np.float64)))
    if found.size < MIN_NUCLEUS_PIXELS:
        return None
    votes = np.cumsum(found**-2)
    return float(found[np.searchsorted(votes, votes[-1] / 2)])
