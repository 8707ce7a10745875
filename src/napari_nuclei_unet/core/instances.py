"""From the maps that a network predicts to separated nuclei."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import h_maxima
from skimage.segmentation import relabel_sequential, watershed

# Smooths ripples of the predicted distance away, in pixels; nuclei are several times as wide.
SMOOTHING = 1.0


def separate(
    maps: NDArray[np.floating], threshold: float, separation: float, minimum_area: int
) -> NDArray[np.int32]:
    """Turn predicted maps into labels by a watershed from one seed per nucleus.

    The predicted distance is a relief with a summit in every nucleus. Summits that rise above
    the saddle to a higher one by ``1 - separation`` are seeds (h-maxima: Soille, Morphological
    Image Analysis, 2003, section 6.3.4); they flood the nucleus mask downhill (Beucher and
    Meyer 1993). A part of the mask without a seed is a nucleus of its own.

    Parameters
    ----------
    maps : ndarray, shape (3, Y, X), floating, values 0 to 1
        Nucleus, border and distance, as ``core.learning.targets`` defines them. The border
        helps the network to learn and is not used here: docs/decisions/0002-separation.md.
    threshold : float, 0 to 1
        Where the nucleus map is above, there is a nucleus.
    separation : float, 0 to 1
        How low a summit may be that still counts. Higher separates more.
    minimum_area : int
        Smaller nuclei, in pixels, are removed.

    Returns
    -------
    ndarray, shape (Y, X), int32
        0 is background; the nuclei are 1..n without gaps, each 4-connected.
    """
    mask = maps[0] > threshold
    height = ndimage.gaussian_filter(maps[2], SMOOTHING)
    summits = h_maxima(height, 1 - separation).astype(bool) & mask
    # summits of several pixels may hang together by corners; a seed must not
    seeds, _ = ndimage.label(ndimage.binary_dilation(summits) & mask)
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
