"""Tracking: nuclei of a time series, linked by LapTrack."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..labels.centroids import Nuclei, locate_nuclei

# A nucleus: its frame, and its row among the nuclei of that frame.
Node: TypeAlias = tuple[int, int]

# Each daughter has at most this share of her mother's area; otherwise a nucleus that comes into
# view beside another would pass for its daughter.
MAX_DAUGHTER_AREA_RATIO = 0.9
# In LapTrack's count, 2 is a gap of one frame.
MAX_FRAME_STEP = 2


@dataclass(frozen=True, eq=False)
class Tracks:
    """Tracks of nuclei over time.

    Attributes
    ----------
    data : ndarray, shape (n, 4), float64
        Track id, frame, y, x in pixels; sorted by track and frame, as napari's Tracks layer
        takes it. Ids are 1..n in order of first appearance.
    graph : dict
        For each daughter of a division the track of her mother: ``{daughter: [mother]}``.
    ids : list of ndarray, int32
        For each frame a table from its labels to tracks; 0 stays 0.
    """

    data: NDArray[np.float64]
    graph: dict[int, list[int]]
    ids: list[NDArray[np.int32]]

    def relabel(self, frame: int, labels: NDArray[np.integer]) -> NDArray[np.int32]:
        """Relabel the nuclei of a frame with the ids of their tracks.

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
        relabelled = table[labels]
        if ((relabelled == 0) & (labels != 0)).any():
            raise ValueError(f"frame {frame} has labels that were not tracked")
        return relabelled


def track_nuclei(frames: Iterable[NDArray[np.integer]], distance: float | None = None) -> Tracks:
    """Link the nuclei of a time series by their centroids.

    LapTrack (Fukai and Kawaguchi 2023, doi:10.1093/bioinformatics/btac799) solves two linear
    assignments (Jaqaman et al. 2008, doi:10.1038/nmeth.1237): nuclei of neighbouring frames are
    linked so that the sum of squared distances is least; then gaps of one frame are closed, and
    a track may begin as the daughter of a nucleus of the frame before, but only if she and her
    sister are both smaller than the mother.

    Parameters
    ----------
    frames : iterable of ndarray, shape (Y, X), integer
        0 is background, else the id of a nucleus, preferably 1..n. They are read one by one; only
        positions and areas of the nuclei are kept.
    distance : float, above 0, optional
        Largest movement of a nucleus between two detections, and from mother to daughter, in
        pixels. None: the median diameter of all nuclei, as one that moves further cannot be told
        from its neighbour where nuclei touch.

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
    lap_track = _import_laptrack()
    located = [locate_nuclei(labels) for labels in frames]
    if not any(map(len, located)):
        return Tracks(np.zeros((0, 4)), {}, [np.zeros(1, np.int32) for _ in located])
    cutoff = (distance or _typical_diameter(located)) ** 2
    linker = lap_track(
        cutoff=cutoff,
        gap_closing_cutoff=cutoff,
        gap_closing_max_frame_count=MAX_FRAME_STEP,
        splitting_cutoff=cutoff,
        alternative_cost_percentile=100,  # else the longest tenth, most divisions, is rejected
    )
    links = linker.predict([nuclei.centres for nuclei in located]).edges
    return _number_tracks(located, _find_mothers(located, links))


def _import_laptrack() -> Any:
    try:  # optional dependency
        from laptrack import LapTrack
    except ImportError:
        raise UserError(
            "Linking nuclei over time needs LapTrack: install it with "
            "pip install 'napari-nuclei-unet[track]'."
        ) from None
    return LapTrack


def _typical_diameter(frames: Sequence[Nuclei]) -> float:
    areas = np.concatenate([nuclei.areas for nuclei in frames])
    return float(np.median(np.sqrt(4 / np.pi * areas)))


def _find_mothers(frames: Sequence[Nuclei], links: Iterable[tuple[Node, Node]]) -> dict[Node, Node]:
    """Find the predecessor of each nucleus; of unlikely divisions only the nearer child stays."""
    children: dict[Node, list[Node]] = {}
    for (frame, row), (later, other) in links:
        children.setdefault((int(frame), int(row)), []).append((int(later), int(other)))
    mothers = {}
    for mother, daughters in children.items():
        area, centre = _area_and_centre(frames, mother)
        pairs = (_area_and_centre(frames, child) for child in daughters)
        areas, centres = zip(*pairs, strict=True)
        if len(daughters) > 1 and max(areas) > MAX_DAUGHTER_AREA_RATIO * area:
            distances = [float(np.linalg.norm(position - centre)) for position in centres]
            daughters = [daughters[int(np.argmin(distances))]]
        mothers.update(dict.fromkeys(daughters, mother))
    return mothers


def _area_and_centre(frames: Sequence[Nuclei], node: Node) -> tuple[int, NDArray[np.float64]]:
    frame, row = node
    return int(frames[frame].areas[row]), frames[frame].centres[row]


def _number_tracks(frames: Sequence[Nuclei], mothers: dict[Node, Node]) -> Tracks:
    """Assign numbers to tracks by frame: an only child continues a track, others begin new ones."""
    child_counts: dict[Node, int] = {}
    for mother in mothers.values():
        child_counts[mother] = child_counts.get(mother, 0) + 1
    numbers: dict[Node, int] = {}
    graph: dict[int, list[int]] = {}
    n = 0
    for node in ((frame, row) for frame, nuclei in enumerate(frames) for row in range(len(nuclei))):
        mother_node = mothers.get(node)
        if mother_node is not None and child_counts[mother_node] == 1:
            numbers[node] = numbers[mother_node]
            continue
        n += 1
        numbers[node] = n
        if mother_node is not None:
            graph[n] = [numbers[mother_node]]
    rows = [(track, node[0], *frames[node[0]].centres[node[1]]) for node, track in numbers.items()]
    data = np.array(rows, np.float64)
    return Tracks(data[np.lexsort((data[:, 1], data[:, 0]))], graph, _id_tables(frames, numbers))


def _id_tables(frames: Sequence[Nuclei], numbers: dict[Node, int]) -> list[NDArray[np.int32]]:
    tables = []
    for frame, nuclei in enumerate(frames):
        table = np.zeros(int(nuclei.ids.max(initial=0)) + 1, np.int32)
        table[nuclei.ids] = [numbers[frame, row] for row in range(len(nuclei))]
        tables.append(table)
    return tables
