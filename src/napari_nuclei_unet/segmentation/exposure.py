"""How much a stained section is lightened: scanners expose, and stains are, differently."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

# What is brighter than this percentile of the values is ground, whatever share of a plane nuclei
# cover: the median would lighten crowded planes that are not dark.
GROUND_PERCENTILE = 75
# As bright, from black to white, this percentile is where nothing has to be done.
TYPICAL_GROUND = 0.89
# More is not lightened, and nothing is darkened: that gains nothing.
MIN_AUTOMATIC_GAMMA = 0.4
# Less than that does is not seen.
MAX_AUTOMATIC_GAMMA = 0.95
# A plane with a lower median, from black to white, has no bright ground.
MIN_BRIGHT_MEDIAN = 0.4
# Correlation of colour with brightness, at most, where dyes absorb light. Light of one colour has
# 1, as its colour is a share of its brightness; sections have -1 to 0.5, the higher the more stain.
MAX_COLOUR_CORRELATION = 0.6
# Correlation of any two channels, at least: dyes darken all of them, those of fluorescence and
# noise are independent. It is 0.6 and more in nearly all histology.
MIN_CHANNEL_CORRELATION = 0.2
# Means of so many values squared are correlated, so that noise plays less of a part.
POOLED_VALUES = 4
GAMMA_DIGITS = 3


def measure_gamma(
    sample: NDArray[np.float64], values: NDArray[np.float64], black: float, white: float
) -> float:
    """Measure by which gamma a plane is lightened, so that the network sees it as others.

    Parameters
    ----------
    sample : ndarray, shape (Y, X) or (Y, X, C), float64
        May have NaN.
    values : ndarray, any shape, float64
        Those of the sample that are measurements.
    black, white : float
        The first is lower.

    Returns
    -------
    float
        From ``MIN_AUTOMATIC_GAMMA`` to ``MAX_AUTOMATIC_GAMMA``, or 1; with few digits, so that it
        can be given again. 1 of planes without colours, which may be crowded fluorescence, and of
        fluorescence.
    """
    if not is_stained(sample, black, white):
        return 1.0
    points = np.percentile(values, [50, GROUND_PERCENTILE])
    median, ground = ((points - black) / (white - black)).tolist()
    if median < MIN_BRIGHT_MEDIAN or ground >= TYPICAL_GROUND:
        return 1.0
    gamma = math.log(TYPICAL_GROUND) / math.log(ground)
    if gamma > MAX_AUTOMATIC_GAMMA:
        return 1.0
    return round(max(gamma, MIN_AUTOMATIC_GAMMA), GAMMA_DIGITS)


def is_stained(sample: NDArray[np.float64], black: float, white: float) -> bool:
    """Return whether the colours of a sample are those of dyes in transmitted light.

    Parameters
    ----------
    sample, black, white
        As in :func:`measure_gamma`.
    """
    if sample.ndim == 2:
        return False
    whole = _fill_squares(_fill_squares(sample, 0), 1)
    height, width = (extent // POOLED_VALUES for extent in whole.shape[:2])
    squares = whole.reshape(height, POOLED_VALUES, width, POOLED_VALUES, sample.shape[2])
    with np.errstate(invalid="ignore"):  # infinity and its opposite
        pooled = squares.mean(axis=(1, 3))
    pixels = pooled[np.isfinite(pooled).all(axis=2)]
    # a root, as without it what is very dark has hardly any colour
    light = np.sqrt(np.clip((pixels - black) / (white - black), 0, 1))
    columns = np.column_stack([light, np.ptp(light, axis=1), light.mean(axis=1)])
    if len(columns) < 2 or not np.ptp(columns, axis=0).all():
        return False
    correlation = np.corrcoef(columns.T)
    is_absorbing = correlation[-1, -2] < MAX_COLOUR_CORRELATION
    return bool(is_absorbing and correlation[:-2, :-2].min() > MIN_CHANNEL_CORRELATION)


def _fill_squares(sample: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Leave out what no square holds, in the middle: a plane and its mirror image are the same."""
    rest = sample.shape[axis] % POOLED_VALUES
    middle = sample.shape[axis] // POOLED_VALUES * POOLED_VALUES // 2
    return np.delete(sample, slice(middle, middle + rest), axis) if rest else sample
