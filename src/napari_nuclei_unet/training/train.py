"""Full training of a model, into a file."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from ..memory import explain_out_of_memory
from ..models.model import Model, ModelCard, read_card, read_model, save_model
from ..network.fusion import fuse_conv_bn_relu
from ..network.unet import UNet, UNetConfig
from ..params import TrainParams
from .calibration import calibrate_on_examples
from .card import build_model_card
from .checkpoint import Checkpoint, checkpoint_path, load_matching_checkpoint, save_checkpoint
from .example import Example
from .loop import TRAINING_MEMORY_SHORT, Epoch, first_epoch, train_steps
from .photometric import disturbed
from .plots import plot_curves, plot_predictions, write_history
from .pretrained_encoder import load_encoder_weights
from .split import fingerprint_examples, split_by_group
from .threshold_tuning import (
    make_validation_pictures,
    predict_examples,
    score_by_kind,
    tune_thresholds,
)
from .trainer import new_network
from .validation import Validation


@dataclass(frozen=True)
class TrainStart:
    """The start of a training; by default random weights.

    Attributes
    ----------
    encoder_weights : str or Path, optional
        Weights of a pretrained encoder, as in ``pretrained_encoder.load_encoder_weights``.
    resume : bool
        Resume from the checkpoint beside the model's file.
    model : str or Path, optional
        Name or file of a model whose weights and architecture training begins with; those of
        the parameters do not count then.
    """

    encoder_weights: str | Path | None = None
    resume: bool = False
    model: str | Path | None = None


def train(
    examples: list[Example],
    params: TrainParams,
    out: Path,
    begin: TrainStart = TrainStart(),
    device: str = "auto",
    report: Callable[[str], object] = print,
) -> ModelCard:
    """Train a model and write it whenever its validation loss has improved.

    Beside it are written, after every epoch, a checkpoint, ``history.csv`` and ``curves.png``, and
    in the end ``predictions.png`` with validation images.

    Parameters
    ----------
    examples : list of Example
    params : TrainParams
    out : Path
        The model's file.
    begin : TrainStart
    device : {"auto", "cpu", "cuda", "mps"}
    report : callable
        Called with one line of text after every epoch.

    Returns
    -------
    ModelCard
        Of the best model, with thresholds tuned on the validation set.

    Raises
    ------
    UserError
        If there is too little to train on, a file cannot be written, or the checkpoint is of
        another training.
    """
    training, validation = split_by_group(examples, params.validation, params.seed)
    _check_enough(training, params)
    data = fingerprint_examples([*training, *validation])
    start = _Start.of(out, params, training, begin, data)
    _check_patches(start.network.config, params, len(training))
    is_saved, checkpoint = begin.resume, start.checkpoint
    prepared = Validation.resized(validation, params.resize)
    with explain_out_of_memory(TRAINING_MEMORY_SHORT):
        if begin.model is not None:
            before = first_epoch(training, prepared, start.network, params, device)
            report(str(before))
            checkpoint = before.checkpoint
        for event in train_steps(training, prepared, start.network, params, device, checkpoint):
            if isinstance(event, Epoch):
                report(str(event))
                is_saved |= _write_epoch(out, event, training, start.parent)
            elif event.notice:
                report(event.notice)
        if not is_saved:
            raise UserError("The loss never became a number; train with a lower learning rate.")
        return _finish(out, validation, device)


@dataclass(frozen=True, eq=False)
class _Start:
    """The start of a training, or of its resumption.

    ``parent`` is the initial model, as on a card; it is empty without one.
    """

    network: UNet
    parent: dict[str, str]
    checkpoint: Checkpoint | None = None

    @classmethod
    def of(
        cls, out: Path, params: TrainParams, training: list[Example], begin: TrainStart, data: str
    ) -> _Start:
        if begin.resume:
            checkpoint = load_matching_checkpoint(out, params, data)
            network = UNet(UNetConfig(**checkpoint.network))
            return cls(network, read_card(out).parent, checkpoint)
        if begin.model is not None:
            card, network = read_model(begin.model)
            return cls(network, {"name": card.name, "sha256": card.sha256})
        return cls(_first_network(params, training, begin), {})


def _write_epoch(out: Path, epoch: Epoch, training: list[Example], parent: dict[str, str]) -> bool:
    """Write the files of an epoch; return whether the model is among them."""
    if epoch.network is not None:
        card = build_model_card(out.stem, training, epoch.checkpoint)
        card = dataclasses.replace(card, parent=parent)
        save_model(out, card, epoch.network.state_dict())
    save_checkpoint(checkpoint_path(out), epoch.checkpoint)
    write_history(out.with_name("history.csv"), epoch.history)
    plot_curves(out.with_name("curves.png"), epoch.history)
    return epoch.network is not None


def _first_network(params: TrainParams, training: list[Example], begin: TrainStart) -> UNet:
    """Create the network that training begins with."""
    if begin.encoder_weights and params.encoder == "plain":
        raise UserError(
            "Weights of an encoder go with one of the pretrained encoders, and not with a model "
            "to begin with: `encoder` resnet34 `encoder_weights` FILE."
        )
    network = new_network(params, training)
    if params.encoder != "plain":
        pretrained = load_encoder_weights(params.encoder, begin.encoder_weights)
        if pretrained is not None:
            network.encoder.load(pretrained)
    return network


def _check_enough(training: list[Example], params: TrainParams) -> None:
    if not any(len(example.centres) for example in training):
        raise UserError("None of the images to train on has a nucleus: annotate some.")
    largest = max(example.labels.numel() for example in training)
    if not params.resize and largest < params.patch**2:
        edge = int(math.sqrt(largest)) // 16 * 16
        smaller = f"with smaller patches, of {edge} at most, or " if edge >= 32 else ""
        raise UserError(
            f"All images have fewer pixels than a patch of {params.patch} x {params.patch}: "
            f"train {smaller}on larger images."
        )


def _check_patches(config: UNetConfig, params: TrainParams, images: int) -> None:
    """Raise an error for patches that do not fit the network, or too small a batch of them."""
    name = "resize" if params.resize else "patch"
    edge = params.resize or params.patch
    if edge % config.divisor:
        raise UserError(
            f"`{name}` {edge} does not fit this network: take a multiple of {config.divisor}."
        )
    last = images % params.batch if params.resize and not params.steps else 0
    if edge == config.divisor and 1 in (params.batch, last):
        raise UserError(
            f"At its deepest level this network would see a single value of a batch: train with a "
            f"larger `{name}` or another `batch`."
        )


def _finish(out: Path, validation: list[Example], device: str) -> ModelCard:
    """Tune the thresholds of the model that was saved last, which is the best, and score it.

    A model trained with augmentation is also tuned on augmented images, or the thresholds would
    suit only the microscopes of the training images.
    """
    card, network = read_model(out)
    weights = copy.deepcopy(network.state_dict())
    model = Model(card, fuse_conv_bn_relu(network))
    predicted, augmented = predict_examples(model, validation, device), []
    if not card.training["resize"] and card.training["augment"]:
        augmented = [disturbed(example, seed) for seed, example in enumerate(validation)]
    thresholds = tune_thresholds(
        predicted + predict_examples(model, augmented, device), card.thresholds
    )
    plot_predictions(
        out.with_name("predictions.png"), make_validation_pictures(predicted, thresholds)
    )
    card = dataclasses.replace(
        card,
        thresholds=thresholds,
        scores=score_by_kind(predicted, thresholds),
        activation_ranges=calibrate_on_examples(model.network, validation),
    )
    return save_model(out, card, weights)
