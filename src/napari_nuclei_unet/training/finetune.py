"""Fine-tuning of a model on a few annotated images."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..errors import UserError
from ..memory import explain_out_of_memory
from ..models.model import Model, ModelCard, read_model, save_model
from ..network.fusion import fuse_conv_bn_relu
from ..network.unet import UNet, UNetConfig
from ..params import TrainParams, with_changes
from ..progress import Step, Stop, forward_stop, run
from ..segmentation.normalization import check_plane
from ..segmentation.size_band import SizeBand
from .batches import steps_per_epoch
from .calibration import calibrate_on_examples
from .card import build_model_card
from .checkpoint import Checkpoint, checkpoint_path, load_matching_checkpoint, save_checkpoint
from .evaluation import FineTuned, ScoredModel, score_model_steps, tune_model_thresholds_steps
from .evidence import is_enough_to_judge, judge
from .example import Example
from .finetune_data import FineTuneData, Pair, make_finetune_data
from .loop import TRAINING_MEMORY_SHORT, Epoch, first_epoch, train_steps
from .recipes import RECIPES
from .reference_images import read_reference_images
from .split import fingerprint_examples
from .trainer import new_network
from .validation import Validation

NO_FINISHED_EPOCH = "Training ended before its first epoch was over, so there is no model to keep."
NO_FINITE_LOSS = (
    "The loss never became a number, so there is no model to keep: lower the learning rate."
)


def fine_tune_steps(
    finetune_data: FineTuneData,
    model: str | Path | None = "nuclei",
    params: TrainParams | None = None,
    device: str = "auto",
    out: Path | None = None,
    resume: bool = False,
) -> Generator[Step, Stop, FineTuned]:
    """Fine-tune a model, epoch by epoch; closing the generator cancels.

    Parameters
    ----------
    finetune_data : FineTuneData
    model : str, Path or None
        Initial model; None: random weights, of the architecture that ``params`` set.
    params : TrainParams, optional
        The recipe ``finetune`` without.
    device : {"auto", "cpu", "cuda", "mps"}
    out : Path, optional
        A ``.safetensors`` file for the best model so far, with a checkpoint beside it.
    resume : bool
        Resume from the checkpoint beside ``out``.

    Yields
    ------
    Step
        After every batch, and with notices. Sent True, training ends with the best so far.
    Epoch
        First of the model as it is, then after every epoch.

    Returns
    -------
    FineTuned

    Raises
    ------
    UserError
        If the images are too small, a file cannot be written, no epoch was finished, or the
        checkpoint is of another training.
    """
    with explain_out_of_memory(TRAINING_MEMORY_SHORT):
        return (yield from _fine_tune_steps(finetune_data, model, params, device, out, resume))


def _fine_tune_steps(
    finetune_data: FineTuneData,
    model: str | Path | None,
    params: TrainParams | None,
    device: str,
    out: Path | None,
    resume: bool,
) -> Generator[Step, Stop, FineTuned]:
    params = params or RECIPES["finetune"]
    start = _Start.of(finetune_data, model, params, out if resume else None)
    training, network, params = finetune_data.training, start.network, start.params
    total = params.epochs * steps_per_epoch(params, len(training))
    references, before = read_reference_images("score"), start.before
    if finetune_data.warning:
        yield Step(0, total, finetune_data.warning)
    if start.parent is not None and not before.scores:
        initial = Model(start.parent, fuse_conv_bn_relu(copy.deepcopy(network)))
        before = yield from score_model_steps(
            initial, finetune_data, references, device, Step(0, total)
        )
    validation = _prepare_validation(finetune_data, start)
    if start.parent is not None and start.checkpoint is None:
        first = first_epoch(training, validation, network, params, device)
        start = dataclasses.replace(start, checkpoint=first.checkpoint)
        yield first
    best = _BestNetwork(finetune_data, start, before, out)
    steps = train_steps(training, validation, network, params, device, start.checkpoint)
    yield from forward_stop(steps, best.record)
    if best.network is None:
        epochs = () if best.checkpoint is None else best.checkpoint.history
        raise UserError(
            NO_FINISHED_EPOCH if all(not row["epoch"] for row in epochs) else NO_FINITE_LOSS
        )
    return (yield from _finish_steps(best, references, device, Step(total, total)))


@dataclass(frozen=True, eq=False)
class _Start:
    """The start of a fine-tuning, or of its resumption.

    ``parent`` is the card of the initial model, ``best`` the best network of a resumed training,
    with the scores ``before`` it.
    """

    params: TrainParams
    parent: ModelCard | None
    network: UNet
    checkpoint: Checkpoint | None = None
    best: UNet | None = None
    before: ScoredModel = field(default_factory=ScoredModel)

    @classmethod
    def of(
        cls,
        finetune_data: FineTuneData,
        model: str | Path | None,
        params: TrainParams,
        out: Path | None,
    ) -> _Start:
        if out is not None:
            card, best = read_model(out)
            params = _fit_patch_size(params, finetune_data, best.config)
            data = fingerprint_examples([*finetune_data.training, *finetune_data.validation])
            checkpoint = load_matching_checkpoint(out, params, data)
            before = ScoredModel.before(card)
            return cls(params, _parent_card(card), UNet(best.config), checkpoint, best, before)
        if model is None:
            network = new_network(params, finetune_data.training)
            return cls(_fit_patch_size(params, finetune_data, network.config), None, network)
        card, network = read_model(model)
        return cls(_fit_patch_size(params, finetune_data, network.config), card, network)


def _parent_card(card: ModelCard) -> ModelCard | None:
    """Return what matters of the card of the model that a half-trained one began with."""
    if not card.parent:
        return None
    return dataclasses.replace(card, name=card.parent["name"], sha256=card.parent["sha256"])


def _prepare_validation(finetune_data: FineTuneData, start: _Start) -> Validation:
    """Prepare the validation set, at the zoom at which the model will segment it."""
    if start.parent is None:
        return Validation(finetune_data.validation, pool=True)
    card = start.parent
    zooms = [_zoom_of(example, card) for example in finetune_data.validation]
    return Validation(finetune_data.validation, card.thresholds, True, zooms)


def _zoom_of(example: Example, card: ModelCard) -> float:
    """Return the zoom at which a model sees the image of an example."""
    if not card.sizes or not example.diameter:
        return 1.0
    is_grey = torch.equal(example.image[0], example.image[1])
    pixels = example.image[0] if is_grey else example.image.permute(1, 2, 0)
    plane = check_plane(pixels.numpy())
    return SizeBand.of(card, plane.shape).suit(plane).choose_zoom(example.diameter)


class _BestNetwork:
    """Keeps and writes the best network of a training, and its checkpoint."""

    def __init__(
        self, finetune_data: FineTuneData, start: _Start, before: ScoredModel, out: Path | None
    ) -> None:
        self.finetune_data, self.start, self.before, self.out = finetune_data, start, before, out
        self.network, self.checkpoint = start.best, start.checkpoint

    def record(self, event: Step) -> Step:
        """Record an event, and pass it on."""
        if isinstance(event, Epoch):
            self.network = event.network or self.network
            self.checkpoint = event.checkpoint
            if self.out is not None:
                if event.network is not None:
                    save_model(self.out, self.card(), event.network.state_dict())
                save_checkpoint(checkpoint_path(self.out), event.checkpoint)
        return event

    def card(self) -> ModelCard:
        """Create the card of the best network so far."""
        assert self.checkpoint is not None
        name = "fine-tuned" if self.out is None else self.out.stem
        return _fine_tuned_card(
            name, self.finetune_data, self.checkpoint, self.start.parent, self.before
        )


def _finish_steps(
    best: _BestNetwork, references: list[Example], device: str, step: Step
) -> Generator[Step, Stop, FineTuned]:
    """Tune the thresholds of the best network, and score it."""
    card, network = best.card(), best.network
    assert network is not None
    model = Model(card, fuse_conv_bn_relu(copy.deepcopy(network.eval())))
    is_stopped = bool((yield step))
    thresholds = yield from tune_model_thresholds_steps(
        model, best.finetune_data, device, step, is_stopped
    )
    ranges = calibrate_on_examples(model.network, best.finetune_data.training)
    card = dataclasses.replace(card, thresholds=thresholds, activation_ranges=ranges)
    after = yield from score_model_steps(
        dataclasses.replace(model, card=card), best.finetune_data, references, device, step
    )
    return _compare(card, best, after)


def _compare(card: ModelCard, best: _BestNetwork, after: ScoredModel) -> FineTuned:
    """Compare the new model with the one it began with, and complete its card."""
    assert best.network is not None
    data, before = best.finetune_data, best.before
    nuclei = sum(len(example.centres) for example in data.validation)
    judgement = judge(
        before.matches, after.matches, is_enough_to_judge(data.validation, data.training)
    )
    card = dataclasses.replace(
        card,
        scores={"before": before.scores, "after": after.scores},
        validated_on={
            **card.validated_on,
            "after": None if after.matches is None else dataclasses.asdict(after.matches),
            "evidence": judgement.evidence.value,
        },
    )
    matches = tuple(one.matches for one in (before, after) if one.matches is not None)
    return FineTuned(card, best.network, before.scores, after.scores, nuclei, judgement, matches)


def fine_tune(
    pairs: Sequence[Any],
    model: str | Path | None = "nuclei",
    *,
    device: str = "auto",
    on_step: Callable[[Step], object] | None = None,
    **params: Any,
) -> FineTuned:
    """Fine-tune a model on a few annotated images.

    Parameters
    ----------
    pairs : sequence of (image, labels) or (image, labels, finished)
        Images, ndarray of shape (Y, X), (Y, X, 3), or stacks (..., Y, X) of which the planes with
        labels count; labels, integer, of the same shape without colours: 0 is background, any other
        number one nucleus. ``finished``, polygons of (y, x) in pixels, are where 0 means
        background; elsewhere nothing is known. Or ``finetune_data.Pair``.
    model : str, Path or None
        Initial model, by name or file; None: random weights.
    device : {"auto", "cpu", "cuda", "mps"}
    on_step : callable, optional
        Called with every ``Step``, and after each epoch a ``loop.Epoch``. If it returns True,
        training ends with the best so far.
    **params
        Fields of :class:`~napari_nuclei_unet.TrainParams`, instead of those of the recipe
        ``finetune``. ``margin=5`` makes only 5 pixels around nuclei background, where not all are
        painted.

    Returns
    -------
    FineTuned
        With ``model``, scores ``before`` and ``after``, ``verdict`` and ``save``.

    Raises
    ------
    UserError
        If there is too little training data, or something cannot be used.

    Examples
    --------
    >>> from napari_nuclei_unet import fine_tune, segment
    >>> from napari_nuclei_unet.samples.images import read_sample
    >>> image, annotation = read_sample("histology_purple")
    >>> tuned = fine_tune([(image, annotation)], epochs=1, steps=1)
    >>> labels = segment(image, tuned.model)
    """
    changed = with_changes(RECIPES["finetune"], params)
    data = make_finetune_data([Pair.of(pair, i) for i, pair in enumerate(pairs, 1)], changed)
    return run(fine_tune_steps(data, model, changed, device), on_step)


def _fit_patch_size(
    params: TrainParams, finetune_data: FineTuneData, config: UNetConfig
) -> TrainParams:
    """Limit the patch size to that of the images, at a multiple of the network's divisor."""
    if params.resize:
        raise UserError("Fine-tuning learns patches, not whole images: leave `resize` at 0.")
    least = 2 * config.divisor
    largest = max(max(crop.labels.shape[1:]) for crop in finetune_data.user_crops)
    if largest < least:
        raise UserError(
            f"All annotated images are smaller than {least} pixels: annotate larger ones."
        )
    edge = min(params.patch, largest)
    return dataclasses.replace(params, patch=max(edge // config.divisor * config.divisor, least))


def _fine_tuned_card(
    name: str,
    finetune_data: FineTuneData,
    checkpoint: Checkpoint,
    parent: ModelCard | None,
    before: ScoredModel,
) -> ModelCard:
    card = build_model_card(name, finetune_data.training, checkpoint)
    card = dataclasses.replace(
        card,
        trained_on=card.trained_on | {"annotated": finetune_data.images},
        scores={"before": before.scores},
        validated_on={
            "before": None if before.matches is None else dataclasses.asdict(before.matches)
        },
    )
    if parent is None:
        return card
    return dataclasses.replace(
        card,
        description=f"{parent.name}, fine-tuned.",
        thresholds=parent.thresholds,
        sizes=parent.sizes,
        ideal=parent.ideal,
        parent={"name": parent.name, "sha256": parent.sha256},
    )
