"""Nuclei of the frames of a time series, linked into tracks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.labels.centroids import Nuclei, locate_nuclei

# A nucleus in a frame: the frame, and its row among the nuclei of that frame.
Node: TypeAlias = tuple[int, int]

# Daughters are smaller than their mother: each has at most this share of her area. Otherwise a
# nucleus that comes into view beside another would pass for its daughter.
MAX_DAUGHTER_AREA_RATIO = 0.9
# LapTrack counts the frames from one sight to the next: 2 leaves one out.
MAX_FRAME_STEP = 2


@dataclass(frozen=True, eq=False)
class Tracks:
    """Where each nucleus was over time.

    Attributes
    ----------
    data : ndarray, shape (n, 4), float64
        Track id, frame, y, x in pixels; sorted by track and frame, as napari's Tracks layer
        takes it. Ids are 1..n in order of first appearance.
    graph : dict
        Of each daughter of a division the track of her mother: ``{daughter: [mother]}``.
    ids : list of ndarray, int32
        For each frame a table from its labels to tracks; 0 stays 0.
    """

    data: NDArray[np.float64]
    graph: dict[int, list[int]]
    ids: list[NDArray[np.int32]]

    def relabel(self, frame: int, labels: NDArray[np.integer]) -> NDArray[np.int32]:
        """Give the nuclei of a frame the ids of their tracks.

        Parameters
        ----------
        frame : int
        labels : ndarray, shape (Y, X), integer
            The frame, as it was tracked.

        Returns
        -------
        ndarray, shape (Y, X), int32
            0 is background, else the id of a track.

        Raises
        ------
        ValueError
            If there are labels that the tracked frame did not have.
        """
        table = self.ids[frame]
        if labels.max(initial=0) >= table.size:
            raise ValueError(f"frame {frame} has labels that were not tracked")
        made = table[labels]
        if ((made == 0) & (labels != 0)).any():
            raise ValueError(f"frame {frame} has labels that were not tracked")
        return made


def track_nuclei(frames: Iterable[NDArray[np.integer]], distance: float | None = None) -> Tracks:
    """Link the nuclei of a time series by where their centres are.

    LapTrack (Fukai and Kawaguchi 2023, doi:10.1093/bioinformatics/btac799) solves two linear
    assignments (Jaqaman et al. 2008, doi:10.1038/nmeth.1237): nuclei of neighbouring frames are
    linked so that the sum of squared distances is least; then the pieces are joined over one
    frame in which a nucleus is missing, and a track may begin as the daughter of a nucleus of
    the frame before. It is one only if she and her sister are both smaller than the mother.

    Parameters
    ----------
    frames : iterable of ndarray, shape (Y, X), integer
        0 is background, else the id of a nucleus, preferably 1..n. They are looked at one by one:
        only where the nuclei are, and their areas, is kept.
    distance : float, above 0, optional
        How far, in pixels, a nucleus may move until it is seen again, and a daughter may be from
        where her mother was. None: the median diameter of all nuclei, for one that moves further
        cannot be told from its neighbour where nuclei touch.

    Returns
    -------
    Tracks
        Without nuclei, ``data`` has no rows. Daughters have ids of their own.

    Raises
    ------
    UserError
        If LapTrack is not installed, the distance is not positive, or a label is negative.
    """
    if distance is not None and not distance > 0:
        raise UserError("The distance that a nucleus may move must be above 0 pixels.")
    lap_track = _lap_track()
    seen = [locate_nuclei(labels) for labels in frames]
    if not any(map(len, seen)):
        return Tracks(np.zeros((0, 4)), {}, [np.zeros(1, np.int32) for _ in seen])
    cutoff = (distance or _typical_diameter(seen)) ** 2
    linker = lap_track(
        cutoff=cutoff,
        gap_closing_cutoff=cutoff,
        gap_closing_max_frame_count=MAX_FRAME_STEP,
        splitting_cutoff=cutoff,
        alternative_cost_percentile=100,  # else the longest tenth, most divisions, are refused
    )
    links = linker.predict([nuclei.centres for nuclei in seen]).edges
    return _tracks(seen, _mothers(seen, links))


def _lap_track() -> Any:
    try:
        from laptrack import LapTrack
    except ImportError:
        raise UserError(
            "Linking nuclei over time needs LapTrack: install it with "
            "pip install 'napari-nuclei-unet[track]'."
        ) from None
    return LapTrack


def _typical_diameter(seen: Sequence[Nuclei]) -> float:
    areas = np.concatenate([nuclei.areas for nuclei in seen])
    return float(np.median(np.sqrt(4 / np.pi * areas)))


def _mothers(seen: Sequence[Nuclei], links: Iterable[tuple[Node, Node]]) -> dict[Node, Node]:
    """Of each nucleus the one it comes from; of unlikely divisions only the nearer stays."""
    children: dict[Node, list[Node]] = {}
    for (frame, row), (later, other) in links:
        children.setdefault((int(frame), int(row)), []).append((int(later), int(other)))
    mothers = {}
    for mother, born in children.items():
        area, centre = _area_and_centre(seen, mother)
        places = [_area_and_centre(seen, child) for child in born]
        if len(born) > 1 and max(size for size, _ in places) > MAX_DAUGHTER_AREA_RATIO * area:
            away = [float(np.linalg.norm(place - centre)) for _, place in places]
            born = [born[int(np.argmin(away))]]
        mothers.update(dict.fromkeys(born, mother))
    return mothers


def _area_and_centre(seen: Sequence[Nuclei], node: Node) -> tuple[int, NDArray[np.float64]]:
    frame, row = node
    return int(seen[frame].areas[row]), seen[frame].centres[row]


def _tracks(seen: Sequence[Nuclei], mothers: dict[Node, Node]) -> Tracks:
    """Give the tracks numbers, frame by frame: an only child goes on, others are new."""
    born: dict[Node, int] = {}
    for mother in mothers.values():
        born[mother] = born.get(mother, 0) + 1
    numbers: dict[Node, int] = {}
    graph: dict[int, list[int]] = {}
    n = 0
    for node in ((frame, row) for frame, nuclei in enumerate(seen) for row in range(len(nuclei))):
        before = mothers.get(node)
        if before is not None and born[before] == 1:
            numbers[node] = numbers[before]
            continue
        n += 1
        numbers[node] = n
        if before is not None:
            graph[n] = [numbers[before]]
    rows = [(number, node[0], *seen[node[0]].centres[node[1]]) for node, number in numbers.items()]
    data = np.array(rows, np.float64)
    return Tracks(data[np.lexsort((data[:, 1], data[:, 0]))], graph, _tables(seen, numbers))


def _tables(seen: Sequence[Nuclei], numbers: dict[Node, int]) -> list[NDArray[np.int32]]:
    tables = []
    for frame, nuclei in enumerate(seen):
        table = np.zeros(int(nuclei.ids.max(initial=0)) + 1, np.int32)
        table[nuclei.ids] = [numbers[frame, row] for row in range(len(nuclei))]
        tables.append(table)
    return tables
