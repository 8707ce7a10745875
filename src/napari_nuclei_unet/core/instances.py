"""From the maps that a network predicts to separated nuclei."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import relabel_sequential, watershed


def separate(
    maps: NDArray[np.floating], threshold: float, separation: float, minimum_area: int
) -> NDArray[np.int32]:
    """Turn predicted maps into labels by a watershed from one seed per nucleus.

    Seeds are the parts of the predicted distance, less the predicted border, that rise above
    ``separation``; they flood the nucleus mask downhill from the nuclei's centres. A part of
    the mask without a seed is a nucleus of its own.

    Parameters
    ----------
    maps : ndarray, shape (3, Y, X), floating, values 0 to 1
        Nucleus, border and distance, as ``core.learning.targets`` defines them.
    threshold : float, 0 to 1
        Where the nucleus map is above, there is a nucleus.
    separation : float, 0 to 1
        Height of a seed. Higher separates more.
    minimum_area : int
        Smaller nuclei, in pixels, are removed.

    Returns
    -------
    ndarray, shape (Y, X), int32
        0 is background; the nuclei are 1..n without gaps, each 4-connected.
    """
    nucleus, border, distance = maps
    mask = nucleus > threshold
    height = distance - border
    seeds, _ = ndimage.label((height > separation) & mask)
    unseeded = _components_without(mask, seeds)
    seeds[unseeded > 0] = unseeded[unseeded > 0] + seeds.max()
    labels = watershed(-height, seeds, mask=mask)
    return drop_small(labels, minimum_area)


def _components_without(mask: NDArray[np.bool_], seeds: NDArray[np.int32]) -> NDArray[np.int32]:
    parts, n = ndimage.label(mask)
    seeded = np.zeros(n + 1, bool)
    seeded[parts[seeds > 0]] = True
    parts[seeded[parts]] = 0
    return parts


def drop_small(labels: NDArray[np.integer], minimum_area: int) -> NDArray[np.int32]:
    """Remove small nuclei and number the rest 1..n in reading order of their ids.

    Parameters
    ----------
    labels : ndarray, integer
    minimum_area : int
        In pixels.

    Returns
    -------
    ndarray, same shape, int32
    """
    area = np.bincount(labels.ravel())
    small = area < minimum_area
    small[0] = True
    kept = np.where(small[labels], 0, labels)
    return relabel_sequential(kept)[0].astype(np.int32, copy=False)
