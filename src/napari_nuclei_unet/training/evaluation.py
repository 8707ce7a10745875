"""What has come of a fine-tuning: the model, and its scores before and after."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_nuclei_unet.metrics.matching import MatchCounts, average_scores, pool_scores
from napari_nuclei_unet.models.model import Model, ModelCard, save_model
from napari_nuclei_unet.network.unet import UNet, fuse_conv_bn_relu
from napari_nuclei_unet.progress import Step, Stop, forward_stop
from napari_nuclei_unet.training.example import Example
from napari_nuclei_unet.training.finetune_data import FineTuneData
from napari_nuclei_unet.training.threshold_tuning import (
    COARSE_THRESHOLD_GRID,
    QUICK_TUNING_PASSES,
    WIDE_THRESHOLD_GRID,
    PredictedExample,
    predict_examples,
    tune_thresholds_steps,
)

VALIDATION_PART, REFERENCE_PART = "held back", "reference images"
# A fall of AP@0.5 on the reference images by more than this is told.
MAX_REFERENCE_DROP = 0.05
# A fall of mean AP by less than this is not worth a word.
NEGLIGIBLE_DROP = 0.01
# Crops of the user's, and reference images, on which thresholds are tuned: about so many of each;
# and if somebody waits.
MAX_TUNING_EXAMPLES, MAX_QUICK_TUNING_EXAMPLES = 10, 2

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
        return Model(self.card, fuse_conv_bn_relu(copy.deepcopy(self.network)))

    @property
    def worse(self) -> bool:
        """Whether AP@0.5 on what was held back has fallen, or mean AP, if that is the same."""
        if not self.before:
            return False
        gain = self._gain(VALIDATION_PART)
        return gain < 0 or (gain == 0 and self._gain(VALIDATION_PART, "mean AP") < -NEGLIGIBLE_DROP)

    @property
    def better(self) -> bool:
        """Whether it may take the place of the model it began with; without one it may not."""
        return bool(self.before) and not self.worse

    @property
    def forgets(self) -> bool:
        """Whether AP@0.5 on the reference images has fallen by more than 0.05."""
        return bool(self.before) and self._gain(REFERENCE_PART) < -MAX_REFERENCE_DROP

    def _gain(self, on: str, score: str = "AP@0.5") -> float:
        return self.after[on][score] - self.before[on][score]

    @property
    def verdict(self) -> str:
        """Say in a sentence or two what the training has brought."""
        nuclei = "1 nucleus" if self.held == 1 else f"{self.held} nuclei"
        changes = ", ".join(
            f"{score} {_format_change(self.before, self.after, VALIDATION_PART, score)}"
            for score in ("AP@0.5", "mean AP")
        )
        said = [f"{changes} on what was held back ({nuclei})."]
        if self.worse:
            said.append("The model got worse there, so it was not made the default.")
        if self.forgets:
            change = _format_change(self.before, self.after, REFERENCE_PART, "AP@0.5")
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


def _format_change(before: Scores, after: Scores, on: str, score: str) -> str:
    new = f"{after[on][score]:.2f}"
    return f"{before[on][score]:.2f} → {new}" if before else new


def tune_model_thresholds_steps(
    model: Model, finetune_data: FineTuneData, device: str, step: Step, quick: bool
) -> Generator[Step, Stop, dict[str, Any]]:
    """Find the thresholds of a model's card that suit what was learnt from.

    The user's crops and the images that are mixed in count the same: a few nuclei alone would make
    thresholds that suit nothing else. What is held back plays no part.

    Parameters
    ----------
    model : Model
    finetune_data : Lesson
    device : {"auto", "cpu", "cuda", "mps"}
    step : Step
        Is yielded again and again.
    quick : bool
        Somebody waits: be content with fewer crops and thresholds, and with one pass.

    Returns
    -------
    dict
    """
    own = [one for one in finetune_data.user_crops if len(one.centres)]
    mixed = [one for one in finetune_data.training if one.known is None]
    groups: list[list[PredictedExample]] = []
    for some in (own, mixed):
        some = some[
            :: max(
                1,
                math.ceil(
                    len(some) / (MAX_QUICK_TUNING_EXAMPLES if quick else MAX_TUNING_EXAMPLES)
                ),
            )
        ]
        predicted = []
        for one in some:
            yield step
            predicted += predict_examples(model, [one], device)
        groups += [predicted] if predicted else []
    passes, grid = (
        (QUICK_TUNING_PASSES[:2], COARSE_THRESHOLD_GRID)
        if quick
        else (2 * QUICK_TUNING_PASSES, WIDE_THRESHOLD_GRID)
    )
    trials = tune_thresholds_steps(groups, model.card.thresholds, passes, grid)
    return (yield from forward_stop(trials, lambda _: step))


def score_model_steps(
    model: Model, finetune_data: FineTuneData, references: list[Example], device: str, step: Step
) -> Generator[Step, Stop, Scores]:
    """Score a model on what is held back, and on the reference images.

    Parameters
    ----------
    model : Model
    finetune_data : Lesson
    references : list of Example
        The reference images.
    device : {"auto", "cpu", "cuda", "mps"}
    step : Step
        Is yielded before every image.

    Returns
    -------
    dict of dict
        As in :class:`FineTuned`.
    """
    counts: dict[str, list[MatchCounts]] = {VALIDATION_PART: [], REFERENCE_PART: []}
    for on, examples in ((VALIDATION_PART, finetune_data.validation), (REFERENCE_PART, references)):
        for one in examples:
            yield step
            (predicted,) = predict_examples(model, [one], device)
            counts[on].append(predicted.count(model.card.thresholds))
    # areas that are held back are small, so every nucleus counts; of images every one
    return {
        VALIDATION_PART: _round_scores(
            pool_scores(counts[VALIDATION_PART]), counts[VALIDATION_PART]
        ),
        REFERENCE_PART: _round_scores(
            average_scores(counts[REFERENCE_PART]), counts[REFERENCE_PART]
        ),
    }


def _round_scores(scores: dict[str, float], counts: list[MatchCounts]) -> dict[str, float]:
    wrong = sum(abs(one.n_predicted - one.n_true) for one in counts)
    return {
        "AP@0.5": round(scores["AP@0.5"], 4),
        "mean AP": round(scores["mean AP"], 4),
        "count error": round(wrong / max(sum(one.n_true for one in counts), 1), 4),
    }
