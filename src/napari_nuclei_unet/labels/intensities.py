"""Intensities of all nuclei of a plane at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .run_lengths import RunLengths, split_into_row_bands
from .threads import map_in_threads

# Numbers of fewer bytes are exact in 64 bits of floating point.
EXACT_BYTES = 8
# Medians are computed for nuclei of about so many pixels in all at a time, to save memory.
MEDIAN_PIXELS = 2**20
STATISTICS = ("mean", "min", "max", "std", "median", "integrated")


def is_intensity_column(name: str) -> bool:
    """Return whether a column is one of the intensities of a channel."""
    return name.startswith(tuple(f"{statistic}_intensity" for statistic in STATISTICS))


def compute_intensities(
    runs: RunLengths,
    labels: NDArray[np.integer],
    image: NDArray[np.generic],
    channels: Sequence[str],
) -> dict[str, NDArray[np.float64]]:
    """Compute the intensity columns of all channels of an image."""
    if image.ndim == 2:
        return _compute_channel(runs, labels, image)
    numbers = [str(number) for number in range(image.shape[2])]
    names = channels if len(set(channels)) == len(numbers) else numbers
    measured = map_in_threads(partial(_compute_channel, runs, labels), np.moveaxis(image, 2, 0))
    columns = {
        f"{column}_{name}": values
        for name, channel in zip(names, measured, strict=True)
        for column, values in channel.items()
    }
    return {"mean_intensity": np.mean([columns[f"mean_intensity_{n}"] for n in names], 0)} | columns


def _compute_channel(
    runs: RunLengths, labels: NDArray[np.integer], channel: NDArray[np.generic]
) -> dict[str, NDArray[np.float64]]:
    """Compute the intensity columns of one channel.

    Squares of deviations are summed around the mean of each run, then around the nucleus' (Chan,
    Golub and LeVeque 1983, doi:10.1080/00031305.1983.10483115).
    """
    total, least, most, squares = np.zeros((4, runs.rows.size))
    # medians need all pixels: in the image's own type, which has them in less memory
    is_small = channel.dtype.kind in "buif" and channel.dtype.itemsize < EXACT_BYTES
    pixels = [np.zeros(0, channel.dtype if is_small else np.float64)]
    for some, values, length, at in iter_run_values(runs, labels, channel):
        total[some] = np.add.reduceat(values, at)
        least[some] = np.minimum.reduceat(values, at)
        most[some] = np.maximum.reduceat(values, at)
        pixels.append(values.astype(pixels[0].dtype))
        values -= np.repeat(total[some] / length, length)
        squares[some] = np.add.reduceat(values * values, at)
    mean = runs.mean(total)
    squares += runs.lengths * (total / runs.lengths - mean[runs.owner]) ** 2
    return {
        "mean_intensity": mean,
        "min_intensity": runs.reduce_by_nucleus(np.minimum, least),
        "max_intensity": runs.reduce_by_nucleus(np.maximum, most),
        "std_intensity": np.sqrt(runs.mean(squares)),
        "median_intensity": _compute_medians(runs, np.concatenate(pixels)),
        "integrated_intensity": runs.reduce_by_nucleus(np.add, total),
    }


def _compute_medians(runs: RunLengths, pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Compute the median of each nucleus, from the pixels of all runs in reading order."""
    length = runs.lengths[runs.order]
    begin = (np.cumsum(runs.lengths) - runs.lengths)[runs.order]
    first, medians = np.append(runs.first, length.size), np.empty(runs.ids.size)
    groups = np.flatnonzero(np.diff(np.cumsum(runs.area) // MEDIAN_PIXELS)) + 1
    for group in pairwise([0, *groups.tolist(), runs.ids.size]):
        some, nuclei = slice(*first[list(group)]), slice(*group)
        shift = begin[some] - np.cumsum(length[some]) + length[some]
        order = np.repeat(shift, length[some]) + np.arange(int(length[some].sum()))
        medians[nuclei] = _sort_and_halve(pixels[order], runs.area[nuclei])
    return medians


def _sort_and_halve(values: NDArray[Any], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the medians of groups of values, which are sorted in place."""
    stops = np.cumsum(sizes)
    first = stops - sizes
    for begin, end in zip(first.tolist(), stops.tolist(), strict=True):
        values[begin:end].sort()
    lower, upper = values[first + (sizes - 1) // 2], values[first + sizes // 2]
    return np.asarray((lower.astype(np.float64) + upper) / 2)


def iter_run_values(
    runs: RunLengths, labels: NDArray[np.integer], values: NDArray[np.generic]
) -> Iterator[tuple[slice, NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the pixel values of some runs at a time, with lengths and starts of these runs."""
    for band in split_into_row_bands(labels.shape):
        some = slice(*np.searchsorted(runs.rows, (band.start, band.stop)))
        length = runs.lengths[some]
        if length.size:
            inside = values[band][labels[band] != 0].astype(np.float64)
            inside[~np.isfinite(inside)] = 0
            yield some, inside, length, np.cumsum(length) - length
