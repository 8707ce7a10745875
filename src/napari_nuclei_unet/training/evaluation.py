"""The result of a fine-tuning: the model, and its scores before and after."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..counts import format_count
from ..metrics.matching import MatchCounts, average_scores, pool_scores
from ..models.model import Model, ModelCard, save_model
from ..network.fusion import fuse_conv_bn_relu
from ..network.unet import UNet
from ..progress import Step, Stop, forward_stop
from .evidence import NO_JUDGEMENT, Evidence, Judgement, ValidationMatches, match_example
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
class ScoredModel:
    """What a model scores.

    Attributes
    ----------
    scores : dict of dict
        As in :class:`FineTuned`.
    matches : ValidationMatches or None
        None: they are not known, as of a training that an earlier version began.
    """

    scores: Scores = field(default_factory=dict)
    matches: ValidationMatches | None = None

    @classmethod
    def before(cls, card: ModelCard) -> ScoredModel:
        """Read from a card what the model scored that its training began with."""
        matches = ValidationMatches.from_json(card.validated_on.get("before"))
        return cls(card.scores["before"], matches)


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
    judgement : Judgement
        Whether it is clearly better on validation than the model before, as from
        ``evidence.judge``; by default nothing is known but the scores.
    matches : tuple of ValidationMatches
        Before and after, where they are known.
    """

    card: ModelCard
    network: UNet
    before: Scores
    after: Scores
    held: int = 0
    judgement: Judgement = NO_JUDGEMENT
    matches: tuple[ValidationMatches, ...] = ()

    @property
    def model(self) -> Model:
        """The model, ready to segment."""
        return Model(self.card, fuse_conv_bn_relu(copy.deepcopy(self.network)))

    @property
    def worse(self) -> bool:
        """Whether it is clearly worse on validation; by AP alone if nothing else is known."""
        if not self.before or self.judgement.evidence is not Evidence.NONE:
            return self.judgement.evidence is Evidence.WORSE
        gain = self._gain(VALIDATION_PART)
        return gain < 0 or (gain == 0 and self._gain(VALIDATION_PART, "mean AP") < -NEGLIGIBLE_DROP)

    @property
    def better(self) -> bool:
        """Whether it is clearly better on validation, so that it may become the default."""
        return self.judgement.evidence is Evidence.BETTER

    @property
    def forgets(self) -> bool:
        """Whether AP@0.5 on the reference images has fallen by more than 0.05."""
        return bool(self.before) and self._gain(REFERENCE_PART) < -MAX_REFERENCE_DROP

    def _gain(self, on: str, score: str = "AP@0.5") -> float:
        return self.after[on][score] - self.before[on][score]

    @property
    def finding(self) -> str:
        """What the model finds of the validation nuclei, and whether that shows something."""
        if not self.matches:
            nuclei = format_count(self.held, "nucleus")
            finding = f"{self._format_changes()} in the validation areas ({nuclei})."
            worse = " The model got worse there, so it was not made the default."
            return finding + (worse if self.worse else "")
        after, before = self.matches[-1], self.matches[:-1]
        found = f"finds {after.n_found} of {after.nuclei} nuclei that were not used for training"
        was = f" ({before[0].n_found} before)" if before else ""
        p = "" if math.isnan(self.judgement.p) else f" (p = {self.judgement.p:.2g})"
        end = ", so it was not made the default" if self.worse else ""
        return f"The new model {found}{was}: {self.judgement.evidence.value}{p}{end}."

    def _format_changes(self) -> str:
        return ", ".join(
            f"{score} {_format_change(self.before, self.after, VALIDATION_PART, score)}"
            for score in ("AP@0.5", "mean AP")
        )

    @property
    def verdict(self) -> str:
        """The effect of the training, in a few sentences."""
        sentences = [self.finding]
        if self.matches:
            sentences.append(f"{self._format_changes()} in the validation areas.")
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
) -> Generator[Step, Stop, ScoredModel]:
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
    ScoredModel
    """
    thresholds, rows = model.card.thresholds, []
    counts: dict[str, list[MatchCounts]] = {VALIDATION_PART: [], REFERENCE_PART: []}
    for on, examples in ((VALIDATION_PART, finetune_data.validation), (REFERENCE_PART, references)):
        for example in examples:
            yield step
            (predicted,) = predict_examples(model, [example], device)
            counts[on].append(predicted.count(thresholds))
            if on == VALIDATION_PART:
                rows.append(match_example(predicted, thresholds))
    # validation areas are small, so their nuclei are pooled; reference images weigh the same
    scores = {
        VALIDATION_PART: _round_scores(pool_scores, counts[VALIDATION_PART]),
        REFERENCE_PART: _round_scores(average_scores, counts[REFERENCE_PART]),
    }
    return ScoredModel(scores, ValidationMatches.of(rows))


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
