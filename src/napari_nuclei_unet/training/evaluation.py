"""The result of a fine-tuning: the model, and its scores before and after."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..counts import format_count
from ..metrics.matching import MatchCounts, average_scores, pool_scores
from ..models.model import Model, ModelCard, save_model
from ..network.fusion import fuse_conv_bn_relu
from ..network.unet import UNet
from ..progress import Step, Stop, forward_stop
from .example import Example
from .finetune_data import FineTuneData
from .threshold_tuning import (
    COARSE_THRESHOLD_GRID,
    QUICK_TUNING_PASSES,
    WIDE_THRESHOLD_GRID,
    PredictedExample,
    predict_examples,
    tune_thresholds_steps,
)

VALIDATION_PART, REFERENCE_PART = "held back", "reference images"
# A fall of AP@0.5 on the reference images by more than this is reported.
MAX_REFERENCE_DROP = 0.05
# A fall of mean AP by less than this is not reported.
NEGLIGIBLE_DROP = 0.01
# About the most crops of the user's, and as many reference images, on which thresholds are tuned;
# and the same for quick tuning.
MAX_TUNING_EXAMPLES, MAX_QUICK_TUNING_EXAMPLES = 10, 2

Scores = dict[str, dict[str, float]]


@dataclass(frozen=True, eq=False)
class FineTuned:
    """A fine-tuned model.

    Attributes
    ----------
    card : ModelCard
    network : UNet
        As it was trained.
    before, after : dict of dict
        ``AP@0.5``, ``mean AP`` and ``count error`` of the model before and after, on
        validation (``held back``) and ``reference images``; none before if it began at random.
    held : int
        Nuclei in the validation set.
    """

    card: ModelCard
    network: UNet
    before: Scores
    after: Scores
    held: int = 0

    @property
    def model(self) -> Model:
        """The model, ready to segment."""
        return Model(self.card, fuse_conv_bn_relu(copy.deepcopy(self.network)))

    @property
    def worse(self) -> bool:
        """Whether AP@0.5 on validation has fallen, or mean AP if AP@0.5 is the same."""
        if not self.before:
            return False
        gain = self._gain(VALIDATION_PART)
        return gain < 0 or (gain == 0 and self._gain(VALIDATION_PART, "mean AP") < -NEGLIGIBLE_DROP)

    @property
    def better(self) -> bool:
        """Whether it may replace the model it began with; False without one."""
        return bool(self.before) and not self.worse

    @property
    def forgets(self) -> bool:
        """Whether AP@0.5 on the reference images has fallen by more than 0.05."""
        return bool(self.before) and self._gain(REFERENCE_PART) < -MAX_REFERENCE_DROP

    def _gain(self, on: str, score: str = "AP@0.5") -> float:
        return self.after[on][score] - self.before[on][score]

    @property
    def verdict(self) -> str:
        """The effect of the training, in a sentence or two."""
        nuclei = format_count(self.held, "nucleus")
        changes = ", ".join(
            f"{score} {_format_change(self.before, self.after, VALIDATION_PART, score)}"
            for score in ("AP@0.5", "mean AP")
        )
        sentences = [f"{changes} on what was held back ({nuclei})."]
        if self.worse:
            sentences.append("The model got worse there, so it was not made the default.")
        if self.forgets:
            change = _format_change(self.before, self.after, REFERENCE_PART, "AP@0.5")
            sentences.append(
                f"It forgets: AP@0.5 {change} on the reference images; mix in "
                "more of them, or use it for images like yours only."
            )
        return " ".join(sentences)

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
    """Tune the thresholds of a model's card on its training data.

    The user's crops and the reference images weigh the same: thresholds of a few nuclei alone would
    suit nothing else. The validation set is ignored.

    Parameters
    ----------
    model : Model
    finetune_data : FineTuneData
    device : {"auto", "cpu", "cuda", "mps"}
    step : Step
        Yielded again and again.
    quick : bool
        Use fewer crops and thresholds, and one pass.

    Returns
    -------
    dict
    """
    own = [crop for crop in finetune_data.user_crops if len(crop.centres)]
    mixed = [example for example in finetune_data.training if example.known is None]
    max_examples = MAX_QUICK_TUNING_EXAMPLES if quick else MAX_TUNING_EXAMPLES
    groups: list[list[PredictedExample]] = []
    for examples in (own, mixed):
        predicted = []
        for example in examples[:: max(1, math.ceil(len(examples) / max_examples))]:
            yield step
            predicted += predict_examples(model, [example], device)
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
    """Score a model on the validation set, and on the reference images.

    Parameters
    ----------
    model : Model
    finetune_data : FineTuneData
    references : list of Example
        The reference images.
    device : {"auto", "cpu", "cuda", "mps"}
    step : Step
        Yielded before every image.

    Returns
    -------
    dict of dict
        As in :class:`FineTuned`.
    """
    counts: dict[str, list[MatchCounts]] = {VALIDATION_PART: [], REFERENCE_PART: []}
    for on, examples in ((VALIDATION_PART, finetune_data.validation), (REFERENCE_PART, references)):
        for example in examples:
            yield step
            (predicted,) = predict_examples(model, [example], device)
            counts[on].append(predicted.count(model.card.thresholds))
    # validation areas are small, so their nuclei are pooled; reference images weigh the same
    return {
        VALIDATION_PART: _round_scores(pool_scores, counts[VALIDATION_PART]),
        REFERENCE_PART: _round_scores(average_scores, counts[REFERENCE_PART]),
    }


def _round_scores(
    combine: Callable[[list[MatchCounts]], dict[str, float]], counts: list[MatchCounts]
) -> dict[str, float]:
    scores = combine(counts)
    wrong = sum(abs(image.n_predicted - image.n_true) for image in counts)
    return {
        "AP@0.5": round(scores["AP@0.5"], 4),
        "mean AP": round(scores["mean AP"], 4),
        "count error": round(wrong / max(sum(image.n_true for image in counts), 1), 4),
    }
