"""Links between detections of a film: frame to frame and over gaps, by LapTrack."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from .detections import Detections

# How many frames in a row a nucleus may be missing.
MAX_MISSED_FRAMES = 1


def link_detections(
    found: Detections,
    active: NDArray[np.bool_],
    distance: float,
    made: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Link nuclei of neighbouring frames, and over gaps.

    Parameters
    ----------
    found : Detections
    active : ndarray, shape (n,), bool
        The rows that are linked.
    distance : float
        Largest movement, in the unit of ``found.places``.
    made : ndarray, shape (m, 2), int64
        Rows of links that are given, from earlier to later.

    Returns
    -------
    ndarray, shape (n,), int64
        Of each row that from which it comes, or -1.
    """
    rows = np.flatnonzero(active)
    mothers = np.full(len(found), -1)
    bounds = np.searchsorted(found.times[rows], np.arange(found.frames + 1))
    position = np.full(len(found), -1)
    position[rows] = np.arange(len(rows)) - bounds[found.times[rows]]
    coords = [found.places[rows[a:b]] for a, b in itertools.pairwise(bounds)]
    cutoff = distance**2
    linker = import_laptrack()(
        cutoff=cutoff,
        gap_closing_cutoff=cutoff,
        gap_closing_max_frame_count=MAX_MISSED_FRAMES + 1,
        splitting_cutoff=False,
        alternative_cost_percentile=100,  # else the longest tenth is rejected
    )
    given = [
        tuple((int(found.times[row]), int(position[row])) for row in link) for link in made.tolist()
    ]
    edges = linker.predict(coords, connected_edges=given or None).edges
    for (t, a), (u, b) in edges:
        mothers[rows[bounds[u] + b]] = rows[bounds[t] + a]
    return mothers


def import_laptrack() -> Any:
    """Import LapTrack, which is optional.

    Raises
    ------
    UserError
    """
    try:  # optional dependency
        from laptrack import LapTrack
    except ImportError:
        raise UserError(
            "Linking nuclei over time needs LapTrack: install it with "
            "pip install 'napari-nuclei-unet[track]'."
        ) from None
    return LapTrack
