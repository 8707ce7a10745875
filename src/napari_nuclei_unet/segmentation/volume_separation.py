"""From the nucleus maps of all slices to nuclei that are one object in the volume."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..arrays.relabel import consecutive_ids
from .distance import MAX_REACH, measure_capped_distance
from .left_out import MIN_COUNTED_PROBABILITY
from .watershed import SeparationParams, label_summits

# What follows was chosen by experiment (docs/decisions/0015-volumes.md).
# Thresholds of a plane are shifted: what is out of focus is seen weakly, in many slices, and a
# nucleus is the mean over all of its sections.
THRESHOLD_SHIFT, CONFIDENCE_SHIFT = 0.1, -0.08
# The relief is the distance to the edge in radii of a typical nucleus, up to this many.
MAX_RELIEF = 1.5
# Smoothing of the relief, in typical diameters.
SMOOTHING_SHARE = 0.05
# Dynamics of the relief for that of a plane: the second where a nucleus has many slices, in which
# texture makes summits, the first where it has few, in which neighbours leave low saddles only.
DYNAMICS_RATIOS, SLICES_PER_NUCLEUS = (0.14, 0.37), (10, 25)
# Of the volume of a typical nucleus; less is a fragment.
MIN_VOLUME_SHARE = 0.1
# Where a section has less than this share of the light of the brightest, the nucleus has ended:
# at a pole, half of what the microscope gathers is from outside.
MIN_LIGHT_SHARE = 0.5
# Where the nuclei of a slice have less than this share of their light in both slices beside, the
# slice is dim, not they.
DIM_SLICE_SHARE = 0.75
# Nuclei with a smaller share of the contrast of a typical one are dust, or light of others.
MIN_CONTRAST_SHARE = 0.2
# Sections of a smaller share of the largest are not looked at for the brightest.
MIN_PEAK_AREA_SHARE = 0.5
# Light is measured in every second pixel of a row and of a column.
LIGHT_STRIDE = 2
# Slices that are further apart than this many diameters share no nucleus.
MAX_STEP_DIAMETERS = 1.0


@dataclass(frozen=True, eq=False)
class VolumeMaps:
    """What is known of the voxels of a volume, or of a part with all of its slices.

    Attributes
    ----------
    nucleus : ndarray, shape (Z, Y, X), uint8
        Probability of nucleus, of which 255 is 1.
    light : ndarray, shape (Z, ceil(Y / 2), ceil(X / 2)), uint8
        Normalised brightness of every second pixel of a row and of a column.
    step : float
        Distance between slices in pixels.
    """

    nucleus: NDArray[np.uint8]
    light: NDArray[np.uint8]
    step: float


@dataclass(frozen=True)
class VolumeSeparation:
    """How nuclei are separated in a volume.

    Attributes
    ----------
    threshold, confidence : float, 0 to 1
        As in ``SeparationParams``, shifted for volumes.
    dynamics : float
        Of the relief, in radii of a typical nucleus.
    diameter : float
        Of a typical nucleus, in pixels of the maps.
    minimum_voxels : float
        Smaller nuclei are removed.
    """

    threshold: float
    confidence: float
    dynamics: float
    diameter: float
    minimum_voxels: float

    @classmethod
    def of(
        cls,
        params: SeparationParams,
        diameter: float,
        maps: VolumeMaps,
        smallest_area: int | None,
    ) -> VolumeSeparation:
        """Convert the parameters of planes.

        Parameters
        ----------
        params : SeparationParams
        diameter : float
            Of a typical nucleus in pixels of the maps.
        maps : VolumeMaps
            Those that are separated: of a thin stack, no nucleus is whole.
        smallest_area : int or None
            Cross section, in such pixels, of the smallest nucleus; None: a tenth of the volume of
            a typical nucleus is the least.
        """
        smallest, width = MIN_VOLUME_SHARE * _ball_volume(diameter), diameter
        if smallest_area is not None:
            width = 2 * math.sqrt(smallest_area / math.pi)
            smallest = _ball_volume(width)
        height = len(maps.nucleus) * maps.step
        disk = math.pi / 4 * width**2 * height * (1 if smallest_area else MIN_VOLUME_SHARE)
        return cls(
            threshold=min(params.threshold + THRESHOLD_SHIFT, 0.99),
            confidence=max(params.confidence + CONFIDENCE_SHIFT, 0.0),
            dynamics=(1 - params.separation)
            * float(np.interp(diameter / maps.step, SLICES_PER_NUCLEUS, DYNAMICS_RATIOS)),
            diameter=diameter,
            minimum_voxels=min(smallest, disk) / maps.step,
        )


def _ball_volume(diameter: float) -> float:
    return math.pi / 6 * diameter**3


def separate_volume(maps: VolumeMaps, params: VolumeSeparation) -> NDArray[np.int32]:
    """Convert the maps of a volume to labels, with one id for all sections of a nucleus.

    Parts of the mask are separated by a watershed on the distance to the edge, measured with the
    distance between slices. Then sections are removed that have less than half of the light of
    the brightest section of their nucleus: they are out of focus.

    Parameters
    ----------
    maps : VolumeMaps
    params : VolumeSeparation

    Returns
    -------
    ndarray, shape (Z, Y, X), int32
        0 is background; the nuclei are 1..n without gaps.
    """
    mask = maps.nucleus > round(params.threshold * 255)
    if maps.step > MAX_STEP_DIAMETERS * params.diameter:
        labels = _separate_slices(mask, maps.step, params)
    else:
        labels = _separate(mask, maps.step, params)
    labels = _keep_likely(labels, maps.nucleus, params)
    return _drop_dim(labels, maps.light)


def estimate_step(nucleus: NDArray[np.uint8]) -> float | None:
    """Estimate the distance between slices in pixels from the shape of nuclei.

    Through bodies that lie in all directions, straight lines run equally far in every direction
    (Underwood 1970, Quantitative Stereology): how many voxels they cross along Z and along X
    gives the ratio of both distances.

    Parameters
    ----------
    nucleus : ndarray, shape (Z, Y, X), uint8
        Probability of nucleus, of which 255 is 1.

    Returns
    -------
    float or None
        None where most lines through nuclei do not end in the volume, along Z or along X.
    """
    mask = nucleus > round(MIN_COUNTED_PROBABILITY * 255)
    across, along = (_mean_run(np.moveaxis(mask, axis, -1)) for axis in (2, 0))
    return None if across is None or along is None else across / along


def _mean_run(mask: NDArray[np.bool_]) -> float | None:
    """Compute the mean length of runs along the last axis, without those at its ends.

    None, if these are most of all runs: what is left would be the short ones.
    """
    lines = mask.reshape(-1, mask.shape[-1]).view(np.int8)
    change = np.diff(lines, axis=1)
    starts, ends = np.nonzero(change > 0), np.nonzero(change < 0)
    # a run from the first voxel has an end only, and one to the last voxel only a start
    inner_ends = ends[1][~_is_first(ends[0]) | (lines[ends[0], 0] == 0)]
    inner_starts = starts[1][~_is_first(starts[0][::-1])[::-1] | (lines[starts[0], -1] == 0)]
    cut = np.count_nonzero(lines[:, 0]) + np.count_nonzero(lines[:, -1])
    if inner_starts.size != inner_ends.size or inner_starts.size <= cut:
        return None
    return float((inner_ends - inner_starts).mean())


def _is_first(lines: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return which entries are the first of their line."""
    return np.append(True, lines[1:] != lines[:-1])[: len(lines)]


def _separate(mask: NDArray[np.bool_], step: float, params: VolumeSeparation) -> NDArray[np.int32]:
    """Label the parts of a mask, and separate those that have more than one summit."""
    radius = params.diameter / 2
    reach = min(max(math.ceil(MAX_RELIEF * radius), 1), MAX_REACH)
    relief = measure_capped_distance(mask, step, reach)
    relief /= np.float32(radius)
    smoothing = SMOOTHING_SHARE * params.diameter
    along_z = min(smoothing / step, len(mask))  # more is the same, and takes for ever
    relief = ndimage.gaussian_filter(relief, (along_z, smoothing, smoothing))
    relief[~mask] = 0
    return label_summits(relief, mask, params.dynamics)


def _separate_slices(
    mask: NDArray[np.bool_], step: float, params: VolumeSeparation
) -> NDArray[np.int32]:
    """Separate slice by slice: they are so far apart that no nucleus is in two of them."""
    labels = np.zeros(mask.shape, np.int32)
    count = 0
    for section, into in zip(mask, labels, strict=True):
        found = _separate(section[None], step, params)[0]
        into[...] = np.where(found > 0, found + count, 0)
        count = max(count, int(into.max(initial=0)))
    return labels


def _keep_likely(
    labels: NDArray[np.int32], nucleus: NDArray[np.uint8], params: VolumeSeparation
) -> NDArray[np.int32]:
    """Remove what is too small or too doubtful as a whole; the rest is 1..n."""
    n = int(labels.max(initial=0)) + 1
    voxels = np.bincount(labels.ravel(), minlength=n)
    counted = (labels > 0) & (nucleus > round(MIN_COUNTED_PROBABILITY * 255))
    ids = labels[counted]
    seen = np.bincount(ids, minlength=n)
    total = np.bincount(ids, nucleus[counted], minlength=n)
    likely = (voxels >= params.minimum_voxels) & (total >= params.confidence * 255 * seen)
    likely &= (seen > 0) | (params.confidence == 0)
    likely[0] = False
    return consecutive_ids(likely)[labels]


def _drop_dim(labels: NDArray[np.int32], light: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Remove nuclei of little contrast, and sections with too little of that of their nucleus."""
    n = int(labels.max(initial=0)) + 1
    if n == 1:
        return labels
    contrast, area = _measure_contrast(labels, light, n)
    contrast = contrast / _find_dimming(contrast, area)[:, None]
    wide = area >= MIN_PEAK_AREA_SHARE * area.max(axis=0)
    brightest = np.where(wide, contrast, -np.inf).max(axis=0)
    keeps = (contrast >= MIN_LIGHT_SHARE * brightest) | (area == 0)
    bright = brightest >= MIN_CONTRAST_SHARE * np.median(brightest[1:])
    bright[0], keeps[:, 0] = False, True
    ids = consecutive_ids(bright)
    for section, kept in zip(labels, keeps, strict=True):
        section[...] = np.where(kept, ids, 0)[section]
    return labels


def _measure_contrast(
    labels: NDArray[np.int32], light: NDArray[np.uint8], n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute how much brighter than the ground, or darker, sections are; and their areas."""
    area, total = np.zeros((len(labels), n)), np.zeros((len(labels), n))
    for z, (section, shown) in enumerate(zip(labels, light, strict=True)):
        ids = section[::LIGHT_STRIDE, ::LIGHT_STRIDE].ravel()
        area[z] = np.bincount(ids, minlength=n)
        total[z] = np.bincount(ids, shown.ravel(), minlength=n)
    ground = float(_median(light[labels[:, ::LIGHT_STRIDE, ::LIGHT_STRIDE] == 0]))
    contrast = np.divide(total, area, out=np.full(area.shape, ground), where=area > 0) - ground
    dark = np.sum(contrast[:, 1:] * area[:, 1:]) < 0  # nuclei on bright ground
    return (-contrast if dark else contrast), area


def _find_dimming(contrast: NDArray[np.float64], area: NDArray[np.float64]) -> NDArray[np.float64]:
    """Find slices in which nuclei are dimmer than in both slices beside, as no nucleus ends.

    A lamp flickers, or slices are taken forwards and backwards.

    Returns
    -------
    ndarray, shape (Z,)
        Share of the light that slices have; 1 where they are as bright as others.
    """
    dimming = np.ones(len(area))
    beside = np.minimum(contrast[:-2], contrast[2:])
    known = (area[:-2] > 0) & (area[1:-1] > 0) & (area[2:] > 0) & (beside > 0)
    known[:, 0] = False
    for z, (nuclei, dimmer) in enumerate(zip(known, beside, strict=True), 1):
        if nuclei.any():
            share = float(np.median(contrast[z, nuclei] / dimmer[nuclei]))
            dimming[z] = share if 0 < share < DIM_SLICE_SHARE else 1
    return dimming


def _median(values: NDArray[np.uint8]) -> int:
    counts = np.cumsum(np.bincount(values, minlength=256))
    return int(np.searchsorted(counts, counts[-1] / 2))
