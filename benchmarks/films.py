"""Measure how well films are linked: synthetic ones, segmented by the shipped model.

    python benchmarks/films.py [--films 5] [--frames 24] [--seed 100] [--cache FOLDER]

Two kinds of films: small crowded nuclei that divide, and large dim ones. Nuclei move, change their
shape, round up and shine before they divide, fade for some frames, die, and enter at the rim;
there is a gradient, blur and noise. Seeds from 0 were used to choose, those from 100 to report. A
row says the share of nuclei found, F1 of links, divisions found of the true ones, and false ones.

A nucleus is found by the labels that cover more than half of it; labels that cover two find the
larger part (as in the Cell Tracking Challenge, doi:10.1038/nmeth.4473). A division is found if the
mother, and both daughters in one of their first two frames, are.
"""

import argparse
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from synthetic_films import KINDS, Film, make_film

from napari_nuclei_unet.models.model import load_model
from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.progress import run
from napari_nuclei_unet.segmentation.candidates import find_candidates
from napari_nuclei_unet.segmentation.segment import Prediction, predict_plane_steps, retune
from napari_nuclei_unet.tracking.laptrack import Tracks, track_nuclei


@dataclass(frozen=True, eq=False)
class Tracked:
    """Frames whose ids are tracks, and the mothers of daughters."""

    labels: list[np.ndarray]
    graph: dict[int, list[int]]


def predict_film(film: Film, cache: Path | None) -> list[Prediction]:
    """Return what the shipped model says of the frames."""
    path = cache and cache / f"{film.name.replace(' ', '_')}_{len(film.images)}.pickle"
    if path and path.exists():
        return pickle.loads(path.read_bytes())
    model = load_model("nuclei")
    made = [run(predict_plane_steps(image, model, SegmentParams())) for image in film.images]
    if path:
        path.write_bytes(pickle.dumps(made))
    return made


@dataclass
class Score:
    """Counts of nuclei, links and divisions; scores of films are added."""

    nuclei: int = 0
    found: int = 0
    true_links: int = 0
    links: int = 0
    right_links: int = 0
    divisions: int = 0
    right_divisions: int = 0
    false_divisions: int = 0

    def add(self, other: "Score") -> None:
        """Add the counts of another film."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def row(self) -> str:
        """Return the cells of a table."""
        f1 = 2 * self.right_links / max(1, self.true_links + self.links)
        return (f"{self.found / max(1, self.nuclei):.4f} | {f1:.4f} | "
                f"{self.right_divisions} of {self.divisions} | {self.false_divisions}")  # fmt: skip


def match(truth: np.ndarray, labels: np.ndarray) -> dict[int, int]:
    """Return the true nucleus of each label that covers more than half of one."""
    inside = truth > 0
    wide = int(labels.max(initial=0)) + 1
    pairs, overlap = np.unique(
        truth[inside].astype(np.int64) * wide + labels[inside], return_counts=True
    )
    sizes = np.bincount(truth[inside])
    best: dict[int, tuple[int, int]] = {}
    for pair, pixels in zip(pairs.tolist(), overlap.tolist(), strict=True):
        true, label = divmod(pair, wide)
        if label and pixels > sizes[true] / 2 and pixels > best.get(label, (0, 0))[1]:
            best[label] = pixels, true
    return {label: true for label, (_, true) in best.items()}


def _links(
    rows: Iterator[tuple[int, int]], mothers: dict[int, int]
) -> set[tuple[int, int, int, int]]:
    """Return links (time, name, later time, name) of nuclei (time, name), daughters' included."""
    last: dict[int, tuple[int, int]] = {}
    made = set()
    for t, name in rows:
        before = last.get(name) or last.get(mothers.get(name, -1))
        if before:
            made.add((*before, t, name))
        last[name] = t, name
    return made


def score_film(film: Film, tracked: list[np.ndarray], graph: dict[int, list[int]]) -> Score:
    """Compare labels, whose ids are tracks, with the truth."""
    mothers = {child: parents[0] for child, parents in graph.items()}
    known = [match(true, labels) for true, labels in zip(film.truth, tracked, strict=True)]
    sights = [(t, int(n)) for t, labels in enumerate(film.truth) for n in np.unique(labels) if n]
    wanted = _links(iter(sights), film.mothers)
    own = _links(
        ((t, int(n)) for t, labels in enumerate(tracked) for n in np.unique(labels) if n), mothers
    )
    as_true = {(t, known[t].get(a, -1), u, known[u].get(b, -1)) for t, a, u, b in own}
    first: dict[int, int] = {}
    for t, n in sights:
        first.setdefault(n, t)
    born = {m: first[d] for d, m in film.mothers.items() if first.get(d, 0) > 0}
    events = {m: t for m, t in born.items() if sum(film.mothers.get(n) == m for n in first) == 2}
    seen: dict[int, list[int]] = {}
    for child, mother in mothers.items():
        seen.setdefault(mother, []).append(child)
    right = {
        _event_of(track, children, tracked, known, film.mothers) for track, children in seen.items()
    }
    hit = len(right & set(events))
    # a division of which the truth sees one daughter is neither found nor false
    false = sum(
        _event_of(track, children, tracked, known, film.mothers) not in born
        for track, children in seen.items()
    )
    return Score(len(sights), sum(map(len, known)), len(wanted), len(own), len(as_true & wanted),
                 len(events), hit, false)  # fmt: skip


def _event_of(
    track: int,
    children: list[int],
    tracked: list[np.ndarray],
    known: list[dict[int, int]],
    mothers: dict[int, int],
) -> int | None:
    """Return the true mother whose division this is."""
    trues = []
    for child in children:
        for t, labels in enumerate(tracked):
            if (labels == child).any():
                near = [known[u].get(child) for u in range(t, min(t + 2, len(tracked)))]
                trues.append({mothers.get(n) for n in near if n} - {None} or {0})
                break
    shared = set.intersection(*trues) - {0} if len(trues) == 2 else set()
    for mother in shared:
        times = [t for t, labels in enumerate(tracked) if (labels == track).any()][-2:]
        if any(known[t].get(track) in (mother,) for t in times):
            return mother
    return None


def link_film(predictions: list[Prediction], is_searched: bool) -> Tracked:
    """Return labels whose ids are tracks; of a search, as `segment --track` makes them."""
    results = [retune(prediction) for prediction in predictions]
    frames = [result.labels for result in results]
    if not is_searched:
        return relabel(track_nuclei(frames), frames, [None] * len(frames))
    candidates = [find_candidates(*pair) for pair in zip(predictions, results, strict=True)]
    return relabel(track_nuclei(frames, candidates=candidates), frames, candidates)


def relabel(
    tracks: Tracks, frames: list[np.ndarray], candidates: Sequence[np.ndarray | None]
) -> Tracked:
    """Return frames with the ids of tracks."""
    pairs = enumerate(zip(frames, candidates, strict=True))
    return Tracked([tracks.relabel(t, *pair) for t, pair in pairs], tracks.graph)


def main() -> None:
    """Print a row for each kind of films, and each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=5)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--cache", type=Path)
    args = parser.parse_args()
    print("| films | nuclei found | F1 of links | divisions | false |\n|---|---|---|---|---|")
    for kind in KINDS:
        rows = {name: Score() for name in ("true labels", "links alone", "as `--track`")}
        for seed in range(args.seed, args.seed + args.films):
            film = make_film(kind, seed, args.frames)
            predictions = predict_film(film, args.cache)
            true = relabel(track_nuclei(film.truth), film.truth, [None] * len(film.truth))
            linked = (link_film(predictions, is_searched) for is_searched in (False, True))
            for row, tracked in zip(rows.values(), (true, *linked), strict=True):
                row.add(score_film(film, tracked.labels, tracked.graph))
        for name, row in rows.items():
            print(f"| {kind.name}, {name} | {row.row()} |", flush=True)


if __name__ == "__main__":
    main()
