"""What has come of a fine-tuning: the model, and its scores before and after."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_nuclei_unet.metrics.matching import Counts, by_image, pooled
from napari_nuclei_unet.models.model import Model, ModelCard, save_model
from napari_nuclei_unet.network.unet import UNet, fused
from napari_nuclei_unet.progress import Step, Wish, sticky
from napari_nuclei_unet.training.example import Example
from napari_nuclei_unet.training.finetune_data import Lesson
from napari_nuclei_unet.training.threshold_tuning import (
    COARSE_GRID,
    ONE_BY_ONE,
    WIDE_GRID,
    Predicted,
    predict_all,
    tune_steps,
)

HELD, REFERENCE = "held back", "reference images"
# A fall of AP@0.5 on the reference images by more than this is told.
FORGOTTEN = 0.05
# A fall of mean AP by less than this is not worth a word.
SLIGHT = 0.01
# Crops of the user's, and reference images, on which thresholds are tuned: about so many of each;
# and if somebody waits.
MOST_TUNED, HASTY = 10, 2

Scores = dict[str, dict[str, float]]


@dataclass(frozen=True, eq=False)
class FineTuned:
    """A model that has gone on learning.

    Attributes
    ----------
    card : ModelCard
    network : UNet
        As it was trained.
    before, after : dict of dict
        ``AP@0.5``, ``mean AP`` and ``count error`` of the model before and after, on what was
        ``held back`` and on the ``reference images``; nothing before, if it began at random.
    held : int
        Nuclei that were held back.
    """

    card: ModelCard
    network: UNet
    before: Scores
    after: Scores
    held: int = 0

    @property
    def model(self) -> Model:
        """Ready to segment."""
        return Model(self.card, fused(copy.deepcopy(self.network)))

    @property
    def worse(self) -> bool:
        """Whether AP@0.5 on what was held back has fallen, or mean AP, if that is the same."""
        if not self.before:
            return False
        gain = self._gain(HELD)
        return gain < 0 or (gain == 0 and self._gain(HELD, "mean AP") < -SLIGHT)

    @property
    def better(self) -> bool:
        """Whether it may take the place of the model it began with; without one it may not."""
        return bool(self.before) and not self.worse

    @property
    def forgets(self) -> bool:
        """Whether AP@0.5 on the reference images has fallen by more than 0.05."""
        return bool(self.before) and self._gain(REFERENCE) < -FORGOTTEN

    def _gain(self, on: str, score: str = "AP@0.5") -> float:
        return self.after[on][score] - self.before[on][score]

    @property
    def verdict(self) -> str:
        """Say in a sentence or two what the training has brought."""
        nuclei = "1 nucleus" if self.held == 1 else f"{self.held} nuclei"
        changes = ", ".join(
            f"{score} {_change(self.before, self.after, HELD, score)}"
            for score in ("AP@0.5", "mean AP")
        )
        said = [f"{changes} on what was held back ({nuclei})."]
        if self.worse:
            said.append("The model got worse there, so it was not made the default.")
        if self.forgets:
            change = _change(self.before, self.after, REFERENCE, "AP@0.5")
            said.append(
                f"It forgets: AP@0.5 {change} on the reference images; mix in "
                "more of them, or use it for images like yours only."
            )
        return " ".join(said)

    def save(self, path: str | Path) -> ModelCard:
        """Write the model.

        Parameters
        ----------
        path : str or Path
            Ends in ``.safetensors``.

        Returns
        -------
        ModelCard

        Raises
        ------
        UserError
            If the file cannot be written.
        """
        path = Path(path)
        card = dataclasses.replace(self.card, name=path.stem)
        return save_model(path, card, self.network.state_dict())


def _change(before: Scores, after: Scores, on: str, score: str) -> str:
    new = f"{after[on][score]:.2f}"
    return f"{before[on][score]:.2f} → {new}" if before else new


def tuned_thresholds(
    model: Model, lesson: Lesson, device: str, step: Step, hasty: bool
) -> Generator[Step, Wish, dict[str, Any]]:
    """Find the thresholds of a model's card that suit what was learnt from.

    The user's crops and the images that are mixed in count the same: a few nuclei alone would make
    thresholds that suit nothing else. What is held back plays no part.

    Parameters
    ----------
    model : Model
    lesson : Lesson
    device : {"auto", "cpu", "cuda", "mps"}
    step : Step
        Is yielded again and again.
    hasty : bool
        Somebody waits: be content with fewer crops and thresholds, and with one pass.

    Returns
    -------
    dict
    """
    own = [one for one in lesson.own if len(one.centres)]
    mixed = [one for one in lesson.training if one.known is None]
    groups: list[list[Predicted]] = []
    for some in (own, mixed):
        some = some[:: max(1, math.ceil(len(some) / (HASTY if hasty else MOST_TUNED)))]
        predicted = []
        for one in some:
            yield step
            predicted += predict_all(model, [one], device)
        groups += [predicted] if predicted else []
    passes, grid = (ONE_BY_ONE[:2], COARSE_GRID) if hasty else (2 * ONE_BY_ONE, WIDE_GRID)
    trials = tune_steps(groups, model.card.thresholds, passes, grid)
    return (yield from sticky(trials, lambda _: step))


def scored(
    model: Model, lesson: Lesson, known: list[Example], device: str, step: Step
) -> Generator[Step, Wish, Scores]:
    """Score a model on what is held back, and on the reference images.

    Parameters
    ----------
    model : Model
    lesson : Lesson
    known : list of Example
        The reference images.
    device : {"auto", "cpu", "cuda", "mps"}
    step : Step
        Is yielded before every image.

    Returns
    -------
    dict of dict
        As in :class:`FineTuned`.
    """
    counts: dict[str, list[Counts]] = {HELD: [], REFERENCE: []}
    for on, examples in ((HELD, lesson.validation), (REFERENCE, known)):
        for one in examples:
            yield step
            (predicted,) = predict_all(model, [one], device)
            counts[on].append(predicted.count(model.card.thresholds))
    # areas that are held back are small, so every nucleus counts; of images every one
    return {
        HELD: _summary(pooled(counts[HELD]), counts[HELD]),
        REFERENCE: _summary(by_image(counts[REFERENCE]), counts[REFERENCE]),
    }


def _summary(scores: dict[str, float], counts: list[Counts]) -> dict[str, float]:
    wrong = sum(abs(one.n_predicted - one.n_true) for one in counts)
    return {
        "AP@0.5": round(scores["AP@0.5"], 4),
        "mean AP": round(scores["mean AP"], 4),
        "count error": round(wrong / max(sum(one.n_true for one in counts), 1), 4),
    }
