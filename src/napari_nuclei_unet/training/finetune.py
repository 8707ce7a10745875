"""Fine-tuning: a model that goes on learning from a few annotated images, and how it did."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.models.model import Model, ModelCard, read_model, save_model
from napari_nuclei_unet.network.unet import UNet, UNetConfig, fuse_conv_bn_relu
from napari_nuclei_unet.params import TrainParams, with_changes
from napari_nuclei_unet.progress import Step, Stop, forward_stop, run
from napari_nuclei_unet.segmentation.device import explain_out_of_memory
from napari_nuclei_unet.segmentation.scale import choose_zoom
from napari_nuclei_unet.training.card import build_model_card
from napari_nuclei_unet.training.checkpoint import (
    Checkpoint,
    checkpoint_path,
    load_matching_checkpoint,
    save_checkpoint,
)
from napari_nuclei_unet.training.evaluation import (
    FineTuned,
    Scores,
    score_model_steps,
    tune_model_thresholds_steps,
)
from napari_nuclei_unet.training.example import Example
from napari_nuclei_unet.training.finetune_data import FineTuneData, Pair, make_finetune_data
from napari_nuclei_unet.training.loop import Epoch, first_epoch, train_steps
from napari_nuclei_unet.training.presets import RECIPES
from napari_nuclei_unet.training.reference_images import read_reference_images
from napari_nuclei_unet.training.split import fingerprint_examples
from napari_nuclei_unet.training.trainer import new_network, steps_per_epoch
from napari_nuclei_unet.training.validation import Validation

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
    """Go on training a model, epoch by epoch; closing the generator cancels.

    Parameters
    ----------
    finetune_data : Lesson
    model : str, Path or None
        Where it begins; None: random weights, of the architecture that ``params`` say.
    params : TrainParams, optional
        The recipe ``finetune`` without.
    device : {"auto", "cpu", "cuda", "mps"}
    out : Path, optional
        A ``.safetensors`` file for the best model so far, with a checkpoint beside it.
    resume : bool
        Go on from what stands in ``out``.

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
        If the images are too small, a file cannot be written, no epoch was finished, or what shall
        be resumed was another training.
    """
    with explain_out_of_memory():
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
    total = start.params.epochs * steps_per_epoch(start.params, len(finetune_data.training))
    known, before = read_reference_images("score"), start.before
    if finetune_data.warning:
        yield Step(0, total, finetune_data.warning)
    if start.parent is not None and not before:
        as_it_is = Model(start.parent, fuse_conv_bn_relu(copy.deepcopy(start.network)))
        before = yield from score_model_steps(
            as_it_is, finetune_data, known, device, Step(0, total)
        )
    validation = _prepare_validation(finetune_data, start)
    if start.parent is not None and start.checkpoint is None:
        first = first_epoch(finetune_data.training, validation, start.network, start.params, device)
        start = dataclasses.replace(start, checkpoint=first.checkpoint)
        yield first
    seen = _BestNetwork(finetune_data, start, before, out)
    yield from forward_stop(
        train_steps(
            finetune_data.training,
            validation,
            start.network,
            start.params,
            device,
            start.checkpoint,
        ),
        seen.record,
    )
    if seen.network is None:
        epochs = () if seen.checkpoint is None else seen.checkpoint.history
        raise UserError(
            NO_FINISHED_EPOCH if all(not row["epoch"] for row in epochs) else NO_FINITE_LOSS
        )
    return (yield from _finish_steps(seen, known, device, Step(total, total)))


@dataclass(frozen=True, eq=False)
class _Start:
    """Where a fine-tuning begins, or goes on.

    ``parent`` is the card of the model that it begins with, ``best`` the best network of a
    training that goes on, with the scores ``before`` it.
    """

    params: TrainParams
    parent: ModelCard | None
    network: UNet
    checkpoint: Checkpoint | None = None
    best: UNet | None = None
    before: Scores = field(default_factory=dict)

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
            before = card.scores["before"]
            return cls(params, _parent_card(card), UNet(best.config), checkpoint, best, before)
        if model is None:
            network = new_network(params, finetune_data.training)
            return cls(_fit_patch_size(params, finetune_data, network.config), None, network)
        card, network = read_model(model)
        return cls(_fit_patch_size(params, finetune_data, network.config), card, network)


def _parent_card(card: ModelCard) -> ModelCard | None:
    """Give the card of the model that a half-trained one began with, as far as it matters."""
    if not card.parent:
        return None
    return dataclasses.replace(card, name=card.parent["name"], sha256=card.parent["sha256"])


def _prepare_validation(finetune_data: FineTuneData, start: _Start) -> Validation:
    """Prepare what is held back, at the zoom at which the engine will show it to the model."""
    if start.parent is None:
        return Validation(finetune_data.validation, pool=True)
    card = start.parent
    zooms = [
        choose_zoom(one.diameter, card, one.ids.shape) if card.sizes and one.diameter else 1.0
        for one in finetune_data.validation
    ]
    return Validation(finetune_data.validation, card.thresholds, True, zooms)


class _BestNetwork:
    """Remembers, and writes down, the best network of a training, and where it stands."""

    def __init__(
        self, finetune_data: FineTuneData, start: _Start, before: Scores, out: Path | None
    ) -> None:
        self.finetune_data, self.start, self.before, self.out = finetune_data, start, before, out
        self.network, self.checkpoint = start.best, start.checkpoint

    def record(self, event: Step) -> Step:
        """Take note of an event, and pass it on."""
        if isinstance(event, Epoch):
            self.network = event.network or self.network
            self.checkpoint = event.checkpoint
            if self.out is not None:
                if event.network is not None:
                    save_model(self.out, self.card(), event.network.state_dict())
                save_checkpoint(checkpoint_path(self.out), event.checkpoint)
        return event

    def card(self) -> ModelCard:
        """Write the card of the best network so far."""
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
    hasty = bool((yield step))  # it was stopped
    thresholds = yield from tune_model_thresholds_steps(
        model, best.finetune_data, device, step, hasty
    )
    card = dataclasses.replace(card, thresholds=thresholds)
    after = yield from score_model_steps(
        dataclasses.replace(model, card=card), best.finetune_data, references, device, step
    )
    scores = {"before": best.before, "after": after}
    held = sum(len(one.centres) for one in best.finetune_data.validation)
    return FineTuned(dataclasses.replace(card, scores=scores), network, best.before, after, held)


def fine_tune(
    pairs: Sequence[Any],
    model: str | Path | None = "nuclei",
    *,
    device: str = "auto",
    on_step: Callable[[Step], object] | None = None,
    **params: Any,
) -> FineTuned:
    """Let a model go on learning from a few annotated images.

    Parameters
    ----------
    pairs : sequence of (image, labels) or (image, labels, finished)
        Images, ndarray of shape (Y, X), (Y, X, 3), or stacks (..., Y, X) of which the planes with
        labels count; labels, integer, of the same shape without colours: 0 is background, any other
        number one nucleus. ``finished``, polygons of (y, x) in pixels, says where 0 means
        background; elsewhere nothing is known. Or ``lessons.Pair``.
    model : str, Path or None
        Where it begins: name or file; None: random weights.
    device : {"auto", "cpu", "cuda", "mps"}
    on_step : callable, optional
        Is given every ``Step``, and after each epoch an ``epochs.Epoch``. If it returns True,
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
        If there is too little to learn from, or something cannot be used.

    Examples
    --------
    >>> from napari_nuclei_unet import fine_tune, segment
    >>> from napari_nuclei_unet.samples.images import read_sample
    >>> image, annotation = read_sample("histology_purple")
    >>> tuned = fine_tune([(image, annotation)], epochs=1, steps=1)
    >>> labels = segment(image, tuned.model)
    """
    wanted = with_changes(RECIPES["finetune"], params)
    lesson = make_finetune_data([Pair.of(one, i + 1) for i, one in enumerate(pairs)], wanted)
    return run(fine_tune_steps(lesson, model, wanted, device), on_step)


def _fit_patch_size(
    params: TrainParams, finetune_data: FineTuneData, config: UNetConfig
) -> TrainParams:
    """Make patches no larger than the images, and as the network takes them."""
    if params.resize:
        raise UserError("Fine-tuning learns patches, not whole images: leave `resize` at 0.")
    least = 2 * config.divisor
    largest = max(max(one.labels.shape[1:]) for one in finetune_data.user_crops)
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
    before: Scores,
) -> ModelCard:
    card = build_model_card(name, finetune_data.training, checkpoint)
    card = dataclasses.replace(
        card,
        trained_on=card.trained_on | {"annotated": finetune_data.images},
        scores={"before": before},
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
