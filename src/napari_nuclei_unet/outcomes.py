"""What has come of a fine-tuning: the model, and its scores before and after."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_nuclei_unet.core.learning import Example
from napari_nuclei_unet.core.scores import Counts, by_image, pooled
from napari_nuclei_unet.core.unet import UNet, fused
from napari_nuclei_unet.lessons import Lesson
from napari_nuclei_unet.models import Model, ModelCard, save_model
from napari_nuclei_unet.prediction import Step, Wish
from napari_nuclei_unet.tuning import ONE_BY_ONE, WIDE_GRID, predict_all, tune

HELD, REFERENCE = "held back", "reference images"
# A fall of AP@0.5 on the reference images by more than this is told.
FORGOTTEN = 0.05
# Crops on which thresholds are tuned.
MOST_TUNED = 10

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
    """

    card: ModelCard
    network: UNet
    before: Scores
    after: Scores

    @property
    def model(self) -> Model:
        """Ready to segment."""
        return Model(self.card, fused(copy.deepcopy(self.network)))

    @property
    def worse(self) -> bool:
        """Whether AP@0.5 on what was held back has fallen."""
        return bool(self.before) and self._gain(HELD) < 0

    @property
    def forgets(self) -> bool:
        """Whether AP@0.5 on the reference images has fallen by more than 0.05."""
        return bool(self.before) and self._gain(REFERENCE) < -FORGOTTEN

    def _gain(self, on: str) -> float:
        return self.after[on]["AP@0.5"] - self.before[on]["AP@0.5"]

    @property
    def verdict(self) -> str:
        """Say in a sentence or two what the training has brought."""
        said = [f"AP@0.5 {_change(self.before, self.after, HELD)} on what was held back."]
        if self.worse:
            said.append("The model got worse there, so it was not made the default.")
        if self.forgets:
            said.append(
                f"It forgets: AP@0.5 {_change(self.before, self.after, REFERENCE)} on the "
                "reference images; mix in more of them, or use it for images like yours only."
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


def _change(before: Scores, after: Scores, on: str) -> str:
    new = f"{after[on]['AP@0.5']:.2f}"
    return f"{before[on]['AP@0.5']:.2f} → {new}" if before else new


def tuned_thresholds(model: Model, lesson: Lesson, device: str) -> dict[str, Any]:
    """Find the thresholds of a model's card that suit what was annotated, and what was mixed in.

    Both count the same: a few nuclei alone would make thresholds that suit nothing else.
    """
    own = [*[one for one in lesson.own if len(one.centres)][:MOST_TUNED], *lesson.validation]
    mixed = [one for one in lesson.training if one.known is None]
    groups = [predict_all(model, some, device) for some in (own, mixed) if some]
    return tune(groups, model.card.thresholds, ONE_BY_ONE, WIDE_GRID)


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
