"""Measurements of what lies around nuclei: rings of cytoplasm, and other nuclei."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .intensities import compute_intensities
from .run_lengths import encode_run_lengths

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

RING_PREFIX = "ring_"


def measure_rings(
    rings: NDArray[np.integer], image: NDArray[np.generic], channels: Sequence[str] = ()
) -> pd.DataFrame:
    """Measure the intensities of rings.

    Parameters
    ----------
    rings : ndarray, shape (Y, X), integer
        As from :func:`~napari_nuclei_unet.labels.cells.find_rings`.
    image : ndarray, shape (Y, X) or (Y, X, C)
    channels : sequence of str, length C
        As in :func:`~napari_nuclei_unet.labels.regionprops.measure`.

    Returns
    -------
    pandas.DataFrame
        A row for each nucleus with a ring: ``label``, ``ring_area`` in pixels, and the columns of
        intensities, such as ``ring_mean_intensity``.
    """
    # libraries are imported when they are needed: who only writes a table waits for none
    import pandas as pd

    runs = encode_run_lengths(rings)
    columns = compute_intensities(runs, rings, image, channels)
    named = {RING_PREFIX + name: values for name, values in columns.items()}
    return pd.DataFrame({"label": runs.ids, "ring_area": runs.area, **named})


def add_ring_ratios(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with ``nucleus_to_ring``, the ratio of the means, for each channel.

    Parameters
    ----------
    table : pandas.DataFrame
        Has means of nuclei and rings. Where the ring is missing or dark, the ratio is NaN.
    """
    mean = "mean_intensity"
    ratios = {}
    for name in [name for name in table if name.startswith(RING_PREFIX + mean)]:
        inside, around = table[name.removeprefix(RING_PREFIX)], table[name]
        ends = name.removeprefix(RING_PREFIX + mean)
        ratios[f"nucleus_to_ring{ends}"] = inside / around.where(around > 0)
    return table.assign(**ratios)


def measure_neighbours(centroids: NDArray[np.floating], distance: float) -> pd.DataFrame:
    """Measure how near other nuclei are, from centre to centre.

    Parameters
    ----------
    centroids : ndarray, shape (n, 2), floating
    distance : float
        Up to which nuclei are neighbours, in the unit of the centroids.

    Returns
    -------
    pandas.DataFrame
        A row for each nucleus, in their order: ``nearest_distance``, NaN where there is no other,
        and ``neighbours``, the number within the distance.
    """
    import pandas as pd
    from scipy.spatial import KDTree

    count = len(centroids)
    if count < 2:
        return pd.DataFrame(
            {"nearest_distance": np.full(count, np.nan), "neighbours": np.zeros(count, np.int64)}
        )
    tree = KDTree(centroids)
    nearest, _ = tree.query(centroids, k=[2])
    within = tree.query_ball_point(centroids, distance, return_length=True)
    return pd.DataFrame(
        {"nearest_distance": nearest[:, 0], "neighbours": np.asarray(within, np.int64) - 1}
    )
