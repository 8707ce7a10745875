"""Training, as a generator that yields an event after every epoch."""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from napari_nuclei_unet.cards import card_of
from napari_nuclei_unet.checkpoints import (
    Checkpoint,
    checkpoint_path,
    load_checkpoint,
    save_checkpoint,
)
from napari_nuclei_unet.core.augment import disturbed
from napari_nuclei_unet.core.learning import Example
from napari_nuclei_unet.core.scores import Counts, by_image
from napari_nuclei_unet.core.unet import UNet, UNetConfig, fused
from napari_nuclei_unet.devices import choose, is_out_of_memory
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.learner import Learner, batches, new_network, steps_an_epoch
from napari_nuclei_unet.models import Model, ModelCard, read_model, save_model
from napari_nuclei_unet.params import TrainParams
from napari_nuclei_unet.pretrained import encoder_weights
from napari_nuclei_unet.reports import plot_curves, plot_predictions, write_history
from napari_nuclei_unet.splitting import fingerprint, split
from napari_nuclei_unet.tuning import predict_all, scores_by_kind, shown, tune
from napari_nuclei_unet.validation import cases, validate


@dataclass(frozen=True, eq=False)
class Epoch:
    """What one epoch gave.

    Attributes
    ----------
    history : tuple of dict
        One row for each epoch up to this one: ``epoch``, ``training_loss``,
        ``validation_loss``, ``training_iou`` and ``validation_iou`` of the foreground,
        ``validation_ap`` at IoU 0.5 by image, ``learning_rate``, ``seconds``.
    epochs : int
        How many there will be.
    network : UNet or None
        A copy, where the validation loss is the best so far.
    checkpoint : Checkpoint
        From which training goes on as if never stopped.
    """

    history: tuple[dict[str, float], ...]
    epochs: int
    network: UNet | None
    checkpoint: Checkpoint

    def __str__(self) -> str:
        row = self.history[-1]
        return (
            f"epoch {row['epoch']}/{self.epochs}  training loss {row['training_loss']:.4f}  "
            f"validation loss {row['validation_loss']:.4f}  IoU {row['validation_iou']:.3f}  "
            f"AP@0.5 {row['validation_ap']:.3f}  {row['seconds']:.0f} s"
        )


def train_steps(
    training: list[Example],
    validation: list[Example],
    network: UNet,
    params: TrainParams,
    device: str = "auto",
    resume: Checkpoint | None = None,
) -> Generator[Epoch, None, None]:
    """Train a U-Net, and validate it after every epoch.

    Parameters
    ----------
    training, validation : list of Example
        As from ``splitting.split``.
    network : UNet
        As from ``learner.new_network``, or a model's; is trained in place.
    params : TrainParams
    device : {"auto", "cpu", "cuda", "mps"}
    resume : Checkpoint, optional
        Of the same images, network and parameters; goes on after its last epoch.

    Yields
    ------
    Epoch
        After every epoch.
    """
    device, precision = choose(device, resume.precision if resume else params.precision)
    if precision == "fp16":  # whose small range would need the loss to be scaled
        precision = "fp32"
    learner = Learner(network, params, device, precision)
    history = resume.history if resume else ()
    if resume:
        learner.restore(resume.tensors)
    prepared = cases(validation, params.resize)
    data = resume.data if resume else fingerprint([*training, *validation])
    steps = steps_an_epoch(params, len(training))
    patches = batches(training, params, len(history) * steps)
    try:
        for number in range(len(history) + 1, params.epochs + 1):
            started = time.perf_counter()
            loss, iou = learner.epoch(patches, steps, number)
            row = _row(number, (loss, iou), validate(learner.averaged(), prepared), learner)
            row["seconds"] = time.perf_counter() - started
            improved = _improves(history, row)
            history = (*history, row)
            yield Epoch(
                history=history,
                epochs=params.epochs,
                network=copy.deepcopy(learner.averaged()).cpu() if improved else None,
                checkpoint=Checkpoint(
                    params,
                    dataclasses.asdict(network.config),
                    data,
                    history,
                    learner.state(),
                    precision,
                ),
            )
    finally:
        patches.close()


def _row(
    number: int,
    learnt: tuple[float, float],
    validated: tuple[float, list[Counts]],
    learner: Learner,
) -> dict[str, float]:
    """Row of the history, but for the seconds."""
    (loss, iou), (validation_loss, counts) = learnt, validated
    scores = by_image(counts)
    return {
        "epoch": number,
        "training_loss": loss,
        "validation_loss": validation_loss,
        "training_iou": iou,
        "validation_iou": scores["IoU"],
        "validation_ap": scores["AP@0.5"],
        "learning_rate": learner.learning_rate,
    }


def _improves(history: tuple[dict[str, float], ...], row: dict[str, float]) -> bool:
    losses = [one["validation_loss"] for one in history]
    return row["validation_loss"] < min(filter(math.isfinite, losses), default=math.inf)


@dataclass(frozen=True)
class Beginning:
    """Where a training begins; random weights without.

    Attributes
    ----------
    model : str or Path, optional
        The model to begin with: its name or file. Its architecture counts, not that of the
        parameters.
    encoder_weights : str or Path, optional
        Where a pretrained encoder gets its weights: ``pretrained.encoder_weights``.
    resume : bool
        Go on from the checkpoint beside the model's file.
    """

    model: str | Path | None = None
    encoder_weights: str | Path | None = None
    resume: bool = False


def train(
    examples: list[Example],
    params: TrainParams,
    out: Path,
    begin: Beginning = Beginning(),
    device: str = "auto",
    report: Callable[[str], object] = print,
) -> ModelCard:
    """Train a model and write it whenever its validation loss has improved.

    Beside it stand, after every epoch, a checkpoint, ``history.csv`` and ``curves.png``, and in
    the end ``predictions.png`` with images of the validation part.

    Parameters
    ----------
    examples : list of Example
    params : TrainParams
    out : Path
        The model's file.
    begin : Beginning
    device : {"auto", "cpu", "cuda", "mps"}
    report : callable
        Is given one line of text after every epoch.

    Returns
    -------
    ModelCard
        Of the best model, with its thresholds tuned on the validation part.

    Raises
    ------
    UserError
        If there is too little to train on, a file cannot be written, or what shall be resumed
        was another training.
    """
    training, validation = split(examples, params.validation, params.seed)
    _check_enough(training, params)
    going_on = _checked(out, params, [*training, *validation]) if begin.resume else None
    if going_on is not None:
        parent, network = going_on.parent, UNet(UNetConfig(**going_on.network))
    else:
        parent, network = _first_network(params, training, begin)
    _check_patches(network.config, params, len(training))
    saved = going_on is not None
    try:
        for epoch in train_steps(training, validation, network, params, device, going_on):
            report(str(epoch))
            saved |= _write_epoch(out, epoch, training, parent)
        if not saved:
            raise UserError("The loss never became a number; train with a lower learning rate.")
        return _finish(out, validation, device)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(
            "There is not enough memory to train: make --batch or --patch smaller."
        ) from error


def _write_epoch(out: Path, epoch: Epoch, training: list[Example], parent: str) -> bool:
    """Write all that an epoch leaves behind; whether the model is among it."""
    checkpoint = dataclasses.replace(epoch.checkpoint, parent=parent)
    if epoch.network is not None:
        save_model(out, card_of(out, training, checkpoint), epoch.network.state_dict())
    save_checkpoint(checkpoint_path(out), checkpoint)
    write_history(out.with_name("history.csv"), epoch.history)
    plot_curves(out.with_name("curves.png"), epoch.history)
    return epoch.network is not None


def _first_network(
    params: TrainParams, training: list[Example], begin: Beginning
) -> tuple[str, UNet]:
    """Make the network that training begins with; before it the checksum of its parent, if any."""
    if begin.encoder_weights and (begin.model or params.encoder == "plain"):
        raise UserError(
            "Weights of an encoder go with one of the pretrained encoders, and not with a model "
            "to begin with: --encoder resnet34 --encoder-weights FILE."
        )
    if begin.model:
        card, network = read_model(begin.model)
        return card.sha256, network
    network = new_network(params, training)
    if params.encoder != "plain":
        pretrained = encoder_weights(params.encoder, begin.encoder_weights)
        if pretrained is not None:
            network.encoder.load(pretrained)
    return "", network


def _check_enough(training: list[Example], params: TrainParams) -> None:
    if not any(len(one.centres) for one in training):
        raise UserError("None of the images to train on has a nucleus: annotate some.")
    largest = max(one.labels.numel() for one in training)
    if not params.resize and largest < params.patch**2:
        edge = int(math.sqrt(largest)) // 16 * 16
        smaller = f"with smaller patches, of {edge} at most, or " if edge >= 32 else ""
        raise UserError(
            f"All images have fewer pixels than a patch of {params.patch} x {params.patch}: "
            f"train {smaller}on larger images."
        )


def _check_patches(config: UNetConfig, params: TrainParams, images: int) -> None:
    """Refuse what the network cannot learn from: patches that do not fit, or too little at once."""
    name = "resize" if params.resize else "patch"
    edge = params.resize or params.patch
    if edge % config.divisor:
        raise UserError(
            f"--{name} {edge} does not fit this network: take a multiple of {config.divisor}."
        )
    last = images % params.batch if params.resize and not params.steps else 0
    if edge == config.divisor and 1 in (params.batch, last):
        raise UserError(
            f"At its deepest level this network would see a single value of a batch: train with a "
            f"larger --{name} or another --batch."
        )


def _checked(out: Path, params: TrainParams, examples: list[Example]) -> Checkpoint:
    """Read the checkpoint of a model, if it is one of this very training."""
    path = checkpoint_path(out)
    found = load_checkpoint(path)
    old, new = dataclasses.asdict(found.params), dataclasses.asdict(params)
    changed = [f"{name} {old[name]}" for name in old if old[name] != new[name]]
    if changed:
        raise UserError(
            f"{path} was trained with {', '.join(changed)}: resume with the same parameters, or "
            "train without --resume."
        )
    if found.data != fingerprint(examples):
        raise UserError(
            f"{path} was trained on other images, or with other --groups: train without --resume."
        )
    if not out.is_file():
        raise UserError(f"The best model so far, {out}, is gone: train without --resume.")
    return found


def _finish(out: Path, validation: list[Example], device: str) -> ModelCard:
    """Tune the thresholds of the model that was saved last, which is the best, and score it.

    A model that learnt from disturbed patches is also tuned on disturbed images, or the thresholds
    would suit none but the microscopes that it has seen.
    """
    card, network = read_model(out)
    weights = copy.deepcopy(network.state_dict())
    model = Model(card, fused(network))
    predicted, others = predict_all(model, validation, device), []
    if not card.training["resize"] and card.training["augment"]:
        others = [disturbed(one, seed) for seed, one in enumerate(validation)]
    thresholds = tune(predicted + predict_all(model, others, device), card.thresholds)
    plot_predictions(out.with_name("predictions.png"), shown(predicted, thresholds))
    scores = scores_by_kind(predicted, thresholds)
    return save_model(out, dataclasses.replace(card, thresholds=thresholds, scores=scores), weights)
