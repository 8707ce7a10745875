"""Tuning of a model's thresholds, and its scores with them, as segmentation will give them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import product, zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..metrics.matching import MatchCounts, average_scores, count_annotated_matches
from ..models.model import Model
from ..params import SegmentParams
from ..progress import Step, Stop, run
from ..segmentation.device import plan_inference
from ..segmentation.normalization import Plane
from ..segmentation.scale import predict_zoomed_maps_steps
from ..segmentation.watershed import SeparationParams, separate_nuclei
from .example import Example
from .plots import ValidationPicture

THRESHOLD_GRID: dict[str, tuple[Any, ...]] = {
    "threshold": (0.5, 0.6, 0.65, 0.7, 0.8),
    "confidence": (0.0, 0.85, 0.88, 0.9, 0.92, 0.94, 0.96),
    "separation": (0.6, 0.65, 0.7, 0.75, 0.8, 0.85),
    "minimum_area": (10, 20, 30, 45),
}
# For other stains and cameras than those of the training, where a model is less confident.
WIDE_THRESHOLD_GRID = THRESHOLD_GRID | {
    "threshold": (0.4, *THRESHOLD_GRID["threshold"]),
    "confidence": (0.0, 0.7, 0.8, *THRESHOLD_GRID["confidence"][1:]),
}
# A coarse grid for quick tuning.
COARSE_THRESHOLD_GRID: dict[str, tuple[Any, ...]] = {
    "threshold": (0.4, 0.5, 0.6, 0.7),
    "confidence": (0.0, 0.8, 0.85, 0.88, 0.92),
}
# Thresholds tuned together, in this order: a higher threshold makes the rest more confident.
TUNING_PASSES = (("threshold", "confidence"), ("separation",), ("minimum_area",)) * 2
# Quick passes.
QUICK_TUNING_PASSES = (("threshold",), ("confidence",), ("separation",), ("minimum_area",))
# Validation images in predictions.png.
MAX_PLOTTED_IMAGES = 6
TUNED_SCORES = ("AP@0.5", "AP@0.6", "AP@0.7", "AP@0.8", "AP@0.9")


@dataclass(frozen=True, eq=False)
class PredictedExample:
    """An annotated image with the maps that a model predicts for it.

    Attributes
    ----------
    example : Example
    maps : ndarray, shape (1, Y, X) or (2, Y, X), uint16
        As in ``predict.PredictedMaps``.
    zoom : float
        Of the image, as the network got it.
    """

    example: Example
    maps: NDArray[np.uint16]
    zoom: float

    def find(self, thresholds: dict[str, Any]) -> NDArray[np.int32]:
        """Separate the nuclei with the thresholds of a model's card; return labels (Y, X)."""
        return separate_nuclei(self.maps, SeparationParams(**thresholds).at_zoom(self.zoom))

    def count(self, thresholds: dict[str, Any]) -> MatchCounts:
        """Count matches with the annotation, where that is known."""
        return count_annotated_matches(
            self.example.ids, self.find(thresholds), self.example.is_known
        )


def predict_examples(
    model: Model, examples: list[Example], device: str = "auto"
) -> list[PredictedExample]:
    """Predict the maps of examples, at the zoom that segmentation chooses."""
    plan = plan_inference(SegmentParams(), device, model)
    predicted = []
    for example in examples:
        plane = Plane(example.image.permute(1, 2, 0).numpy(), 0.0, 0.5, 1.0)
        maps, zoom, _ = run(predict_zoomed_maps_steps(plane, model, None, plan, []))
        predicted.append(PredictedExample(example, maps.quantized, zoom))
    return predicted


def tune_thresholds(predicted: Sequence[PredictedExample], start: dict[str, Any]) -> dict[str, Any]:
    """Find the thresholds with the highest mean AP at 0.5, 0.6, 0.7, 0.8 and 0.9 by image.

    Parameters
    ----------
    predicted : sequence of PredictedExample
    start : dict
        Thresholds to begin with.

    Returns
    -------
    dict
        As ``start``.
    """
    return run(tune_thresholds_steps([predicted], start, TUNING_PASSES, THRESHOLD_GRID))


def tune_thresholds_steps(
    groups: Sequence[Sequence[PredictedExample]],
    start: dict[str, Any],
    passes: Sequence[tuple[str, ...]],
    grid: dict[str, tuple[Any, ...]],
) -> Generator[Step, Stop, dict[str, Any]]:
    """Tune thresholds as :func:`tune_thresholds` does, trial by trial.

    Parameters
    ----------
    groups : sequence of sequence of PredictedExample
        Each weighs the same, whatever the number of its images.
    start : dict
        Thresholds to begin with.
    passes : sequence of tuple of str
        Thresholds that are tuned together, in order.
    grid : dict of tuple
        Values of each.

    Yields
    ------
    Step
        After every trial.

    Returns
    -------
    dict
        As ``start``.
    """

    def score(thresholds: dict[str, Any]) -> float:
        tables = [average_scores([e.count(thresholds) for e in group]) for group in groups]
        return float(np.mean([table[name] for table in tables for name in TUNED_SCORES]))

    best, highest = dict(start), score(start)
    trials = [
        dict(zip(names, values, strict=True))
        for names in passes
        for values in product(*(grid[name] for name in names))
    ]
    for number, changes in enumerate(trials, 1):
        trial = best | changes
        if trial != best and (reached := score(trial)) > highest:
            best, highest = trial, reached
        yield Step(number, len(trials))
    return best


def score_by_kind(
    predicted: list[PredictedExample], thresholds: dict[str, Any]
) -> dict[str, dict[str, float]]:
    """Score by image, for each kind of image and for all.

    Parameters
    ----------
    predicted : list of PredictedExample
    thresholds : dict
        As from :func:`tune_thresholds`.

    Returns
    -------
    dict of dict
        Scores, rounded to four digits, and ``images``, under each kind and ``all``.
    """
    counts: dict[str, list[MatchCounts]] = defaultdict(list)
    for prediction in predicted:
        matches = prediction.count(thresholds)
        for kind in dict.fromkeys((prediction.example.kind or "image", "all")):
            counts[kind].append(matches)
    return {
        kind: {name: round(value, 4) for name, value in average_scores(matches_of_kind).items()}
        | {"images": len(matches_of_kind)}
        for kind, matches_of_kind in sorted(counts.items())
    }


def make_validation_pictures(
    predicted: list[PredictedExample], thresholds: dict[str, Any]
) -> list[ValidationPicture]:
    """Create pictures of the first validation images of each kind with the nuclei found."""
    by_kind: dict[str, list[PredictedExample]] = defaultdict(list)
    for prediction in predicted:
        by_kind[prediction.example.kind].append(prediction)
    in_turn = [p for row in zip_longest(*by_kind.values()) for p in row if p is not None]
    return [
        ValidationPicture(
            title=f"{prediction.example.kind} {prediction.example.name[:24]}",
            image=prediction.example.image.permute(1, 2, 0).numpy(),
            true=prediction.example.ids,
            found=prediction.find(thresholds),
        )
        for prediction in in_turn[:MAX_PLOTTED_IMAGES]
    ]
