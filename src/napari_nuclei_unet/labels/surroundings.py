"""Measurements of what lies around nuclei: rings of cytoplasm, and other nuclei."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .cells import find_rings
from .intensities import STATISTICS, compute_intensities, is_intensity_column
from .run_lengths import encode_run_lengths

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

RING_PREFIX, RATIO_PREFIX = "ring_", "nucleus_to_ring"
RING_AREA_COLUMN = "ring_area"
NEIGHBOUR_COLUMNS = ("nearest_distance", "nearest_distance_um", "neighbours")


@dataclass(frozen=True)
class Distances:
    """How far around nuclei is measured.

    Attributes
    ----------
    ring : float or None
        Width of the ring around each nucleus; None: there is none.
    neighbours : float or None
        Distance between centres up to which nuclei are neighbours; None: they are not counted.
    micrometers : (float, float) or None
        Size of a pixel along Y and X, if both distances are in micrometers; None: in pixels.
    """

    ring: float | None = None
    neighbours: float | None = None
    micrometers: tuple[float, float] | None = None

    @property
    def spacing(self) -> tuple[float, float]:
        """Size of a pixel in the unit of the distances."""
        return self.micrometers or (1.0, 1.0)


def list_measured_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns of intensities, rings and neighbours; no text, such as classes of them."""
    return [name for name in table.select_dtypes("number") if _is_measured(str(name))]


def _is_measured(name: str) -> bool:
    return (
        name in (RING_AREA_COLUMN, *NEIGHBOUR_COLUMNS)
        or name.startswith(RATIO_PREFIX)
        or is_intensity_column(name.removeprefix(RING_PREFIX))
    )


def drop_unnamed_channel(known: pd.DataFrame, measured: pd.DataFrame) -> pd.DataFrame:
    """Return what is known of nuclei without the columns of a channel that had no name.

    They cannot be told from those of channels with names, if there are such in ``measured``.
    """
    unnamed = {f"{statistic}_intensity" for statistic in STATISTICS}
    if not any(is_intensity_column(name) for name in set(measured) - unnamed):
        return known
    if RING_AREA_COLUMN in measured:
        unnamed |= {RING_PREFIX + name for name in unnamed} | {RATIO_PREFIX}
    return known.drop(columns=[name for name in unnamed if name in known])


def measure_surroundings(
    table: pd.DataFrame,
    labels: NDArray[np.integer],
    image: NDArray[np.generic] | None,
    channels: Sequence[str],
    distances: Distances,
) -> pd.DataFrame:
    """Return the table of a plane with columns of rings and neighbours.

    Parameters
    ----------
    table : pandas.DataFrame
        As from :func:`~napari_nuclei_unet.labels.regionprops.measure`, of the whole plane.
    labels : ndarray, shape (Y, X), integer
    image : ndarray, shape (Y, X) or (Y, X, C), or None
        None: rings have an area only.
    channels : sequence of str, length C
    distances : Distances
    """
    if distances.ring is not None:
        around = measure_rings(
            find_rings(labels, distances.ring, distances.spacing), image, channels
        )
        table = add_ring_ratios(table.merge(around, on="label", how="left"))
        table[RING_AREA_COLUMN] = table[RING_AREA_COLUMN].fillna(0).astype(np.int64)
    if distances.neighbours is not None:
        centroids = table[["centroid_y", "centroid_x"]].to_numpy() * distances.spacing
        near = measure_neighbours(centroids, distances.neighbours)
        if distances.micrometers is not None:
            near = near.rename(columns={"nearest_distance": "nearest_distance_um"})
        table = table.join(near)
    return table


def measure_rings(
    rings: NDArray[np.integer], image: NDArray[np.generic] | None, channels: Sequence[str] = ()
) -> pd.DataFrame:
    """Measure the intensities of rings.

    Parameters
    ----------
    rings : ndarray, shape (Y, X), integer
        As from :func:`~napari_nuclei_unet.labels.cells.find_rings`.
    image : ndarray, shape (Y, X) or (Y, X, C), or None
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
    columns = {} if image is None else compute_intensities(runs, rings, image, channels)
    named = {RING_PREFIX + name: values for name, values in columns.items()}
    return pd.DataFrame({"label": runs.ids, RING_AREA_COLUMN: runs.area, **named})


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
        ratios[f"{RATIO_PREFIX}{ends}"] = inside / around.where(around > 0)
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
