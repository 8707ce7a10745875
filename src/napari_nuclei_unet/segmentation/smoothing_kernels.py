"""A Gaussian filter for strips of a plane, compiled by numba; imported only where numba is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
from numpy.typing import NDArray

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compile_kernel(*signatures: str) -> Callable[[_Function], _Function]:
    """Return a decorator that compiles a function now, or loads what was compiled before.

    What is compiled lets other threads run. It is kept on disk: beside its module, or where numba
    keeps such things of a user.

    Parameters
    ----------
    *signatures : str
        Types that it is compiled for, as numba writes them.

    Returns
    -------
    callable

    Raises
    ------
    RuntimeError
        If there is no folder to keep it in.
    """
    # no fastmath: sums are rounded as SciPy rounds them
    decorator: Any = numba.njit(list(signatures), nogil=True, cache=True, error_model="numpy")
    return decorator


@compile_kernel("void(float32[::1], int64, int64, float64[::1], float64[::1])")
def _weigh(
    values: NDArray[np.float32],
    start: int,
    step: int,
    weights: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> None:
    """Write weighted sums of a run of pixels and their neighbours, added as SciPy does.

    The sum of pixel i is of ``values[start + i + j * step]``, j from -R to R; the weights are
    from the centre outwards.
    """
    n = sums.size
    centre = values[start : start + n]
    for i in range(n):
        sums[i] = centre[i] * weights[0]
    for j in range(weights.size - 1, 0, -1):
        before, after = start - j * step, start + j * step
        one, other = values[before : before + n], values[after : after + n]
        for i in range(n):
            sums[i] += (np.float64(one[i]) + np.float64(other[i])) * weights[j]


@compile_kernel("void(float32[::1], boolean[:, ::1], float64[::1], float32[:, :])")
def smooth_strip(
    distance: NDArray[np.float32],
    inside: NDArray[np.bool_],
    weights: NDArray[np.float64],
    smoothed: NDArray[np.float32],
) -> None:
    """Compute a Gaussian filter where it is needed, to the bit as ``scipy.ndimage`` does.

    Parameters
    ----------
    distance : ndarray, shape ((N + 2R) * X,)
        With R rows more at either side.
    inside : ndarray, shape (N, X)
        Where it is needed.
    weights : ndarray, shape (R + 1,)
        From the centre outwards.
    smoothed : ndarray, shape (N, X)
        Is written where ``inside`` is set.
    """
    n, width = inside.shape
    reach = weights.size - 1
    sums, line = np.empty(width), np.empty(width + 2 * reach, np.float32)
    for y in range(n):
        x = 0
        while x < width:
            if not inside[y, x]:
                x += 1
                continue
            # a run of pixels, with gaps that are not worth a new run
            start, stop = x, x + 1
            while x < width and x <= stop + 2 * reach:
                if inside[y, x]:
                    stop = x + 1
                x += 1
            first, last = max(start - reach, 0), min(stop + reach, width)
            _weigh(distance, (y + reach) * width + first, width, weights, sums[: last - first])
            for i in range(first, last):
                line[reach + i] = sums[i - first]
            for column in range(start - reach, stop + reach):
                if column < 0 or column >= width:  # the plane is mirrored at its edge
                    place = column % (2 * width)
                    line[column + reach] = line[min(place, 2 * width - 1 - place) + reach]
            _weigh(line, start + reach, 1, weights, sums[: stop - start])
            for i in range(start, stop):
                if inside[y, i]:
                    smoothed[y, i] = sums[i - start]
