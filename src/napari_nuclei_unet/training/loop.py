"""The training loop, as a generator that can be stopped after every batch."""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Generator
from dataclasses import dataclass

from ..memory import is_out_of_memory
from ..network.unet import UNet
from ..params import TrainParams
from ..progress import Step, Stop
from ..segmentation.device import choose_device_and_precision, release_memory
from .batches import count_processes, iter_batches, steps_per_epoch
from .checkpoint import Checkpoint
from .example import Example
from .plots import ValidationPicture, best_epoch_row
from .split import fingerprint_examples
from .trainer import Trainer
from .validation import Validation, ValidationResult

TRAINING_MEMORY_SHORT = "There is not enough memory to train: reduce `batch` or `patch`."
LOSS_NOT_FINITE = (
    "The loss is no number any more, so training ended; the best model so far is kept. Try a lower "
    "learning rate."
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Epoch(Step):
    """Result of one epoch.

    Attributes
    ----------
    history : tuple of dict
        One row for each epoch up to this one: ``epoch``, ``training_loss``,
        ``validation_loss``, ``training_iou`` and ``validation_iou`` of the foreground,
        ``validation_ap`` at IoU 0.5 by image, ``learning_rate``, ``seconds``, and ``kept``: 1
        where the weights were the best so far.
    epochs : int
        How many there will be.
    network : UNet or None
        A copy, where it is the best so far.
    checkpoint : Checkpoint
        From which training resumes as if never stopped.
    picture : ValidationPicture
        One of the validation images, with the nuclei found in it now.
    """

    history: tuple[dict[str, float], ...]
    epochs: int
    network: UNet | None
    checkpoint: Checkpoint
    picture: ValidationPicture

    def __str__(self) -> str:
        row = self.history[-1]
        training = f"training loss {row['training_loss']:.4f}  " if row["epoch"] else "(before)  "
        return (
            f"epoch {row['epoch']}/{self.epochs}  {training}"
            f"validation loss {row['validation_loss']:.4f}  IoU {row['validation_iou']:.3f}  "
            f"AP@0.5 {row['validation_ap']:.3f}  {row['seconds']:.0f} s"
        )


def train_steps(
    training: list[Example],
    validation: Validation,
    network: UNet,
    params: TrainParams,
    device: str = "auto",
    resume: Checkpoint | None = None,
) -> Generator[Step, Stop, None]:
    """Train a U-Net, and validate it after every epoch.

    Parameters
    ----------
    training : list of Example
    validation : Validation
    network : UNet
        As from ``trainer.new_network``, or a model's; it is trained in place.
    params : TrainParams
    device : {"auto", "cpu", "cuda", "mps"}
    resume : Checkpoint, optional
        Of the same images, network and parameters; training resumes after its last epoch.

    Yields
    ------
    Step
        After every batch, and with a notice when something goes wrong. Sent True, training ends.
    Epoch
        After every epoch.
    """
    device, precision = _choose_device(device, resume.precision if resume else params.precision)
    trainer = Trainer(network, params, device, precision)
    history = resume.history if resume else ()
    if resume and resume.tensors:
        trainer.load_state_dict(resume.tensors)
    data = resume.data if resume else fingerprint_examples([*training, *validation.examples])
    closer = _EpochCloser(trainer, validation, params, data, steps_per_epoch(params, len(training)))
    for number in range(1 + _count_trained_epochs(history), params.epochs + 1):
        if _is_over(history, params):
            return
        loss_and_iou = yield from _epoch_steps(trainer, training, closer.steps, number)
        if loss_and_iou is None:
            return
        epoch = closer.close(number, loss_and_iou, history)
        history = epoch.history
        yield epoch
        if not math.isfinite(loss_and_iou[0]):
            yield Step(epoch.done, epoch.total, LOSS_NOT_FINITE)
            return


def first_epoch(
    training: list[Example],
    validation: Validation,
    network: UNet,
    params: TrainParams,
    device: str = "auto",
) -> Epoch:
    """Validate a network before it is trained further; arguments as of :func:`train_steps`.

    Returns
    -------
    Epoch
        Row 0 of the history, without a training loss. To resume from its checkpoint is to begin.
    """
    device, precision = _choose_device(device, params.precision)
    trainer = Trainer(copy.deepcopy(network), params, device, precision)
    data = fingerprint_examples([*training, *validation.examples])
    closer = _EpochCloser(trainer, validation, params, data, steps_per_epoch(params, len(training)))
    return closer.close(0, (math.nan, math.nan), ())


class _EpochCloser:
    """Closes epochs: validates the network, and adds a row to the history.

    Parameters
    ----------
    trainer : Trainer
    validation : Validation
    params : TrainParams
        As requested; those of the trainer may have a smaller batch.
    data : str
        Fingerprint of the images.
    steps : int
        Batches in every epoch.
    """

    def __init__(
        self,
        trainer: Trainer,
        validation: Validation,
        params: TrainParams,
        data: str,
        steps: int,
    ) -> None:
        self.trainer, self.validation, self.params = trainer, validation, params
        self.data, self.steps = data, steps
        self._since = time.perf_counter()

    def close(
        self, number: int, loss_and_iou: tuple[float, float], before: tuple[dict[str, float], ...]
    ) -> Epoch:
        """Close epoch ``number``, with its loss and IoU, after the rows ``before``.

        Epoch 0 is the initial network: it is not kept, and to resume from it is to begin.
        """
        network = self.trainer.averaged_network()
        result = self.validation.validate(network)
        row = _history_row(number, loss_and_iou, result, self.trainer.learning_rate)
        row["kept"] = float(number > 0 and _is_best(before, row, self.params))
        now = time.perf_counter()
        row["seconds"], self._since = now - self._since, now
        history = (*before, row)
        checkpoint = Checkpoint(
            self.params,
            dataclasses.asdict(network.config),
            self.data,
            history,
            self.trainer.state_dict() if number else {},
            self.trainer.precision,
        )
        return Epoch(
            history=history,
            epochs=self.params.epochs,
            network=copy.deepcopy(network).cpu() if row["kept"] else None,
            checkpoint=checkpoint,
            picture=self.validation.picture(result),
            done=number * self.steps,
            total=self.params.epochs * self.steps,
        )


def _choose_device(device: str, precision: str) -> tuple[str, str]:
    device, precision = choose_device_and_precision(device, precision)
    # fp16 would need a scaled loss, as its range is small
    return device, "fp32" if precision == "fp16" else precision


def _epoch_steps(
    trainer: Trainer, training: list[Example], steps: int, number: int
) -> Generator[Step, Stop, tuple[float, float] | None]:
    """Train for one epoch, with smaller batches whenever memory runs out."""
    start = (number - 1) * steps
    processes = count_processes(trainer.device, trainer.params)
    while True:
        patches = iter_batches(training, trainer.params, start, processes)
        try:
            return (yield from trainer.epoch_steps(patches, steps, number))
        except (RuntimeError, MemoryError) as error:
            smaller = trainer.params.batch // 2
            if not is_out_of_memory(error) or not smaller:
                raise
            release_memory()
            trainer.params = dataclasses.replace(trainer.params, batch=smaller)
            notice = f"There was not enough memory: it goes on with {smaller} patches at a time."
            yield Step(start, steps * trainer.params.epochs, notice)
        finally:
            patches.close()


def _count_trained_epochs(history: tuple[dict[str, float], ...]) -> int:
    """Count the trained epochs; a fine-tuning also has a row 0, of the model before it."""
    return int(history[-1]["epoch"]) if history else 0


def _is_best(
    history: tuple[dict[str, float], ...], row: dict[str, float], params: TrainParams
) -> bool:
    """Return whether the weights after an epoch are the best so far; the parent's do not count.

    Within the tolerance the later ones are: the learning rate has fallen, and the loss of a few
    nuclei is noisy.
    """
    losses = [epoch["validation_loss"] for epoch in history if epoch["epoch"]]
    lowest = min(filter(math.isfinite, losses), default=math.inf)
    loss = row["validation_loss"]
    return loss < lowest or loss <= lowest * (1 + params.tolerance) < math.inf


def _is_over(history: tuple[dict[str, float], ...], params: TrainParams) -> bool:
    """Return whether the validation loss has not improved for ``patience`` epochs."""
    if not params.patience or not history:
        return False
    best = best_epoch_row(history)
    return _count_trained_epochs(history) - (best["epoch"] if best else 0) >= params.patience


def _history_row(
    number: int,
    loss_and_iou: tuple[float, float],
    result: ValidationResult,
    learning_rate: float,
) -> dict[str, float]:
    """Create a row of the history; ``seconds`` and ``kept`` are filled in later."""
    loss, iou = loss_and_iou
    return {
        "epoch": number,
        "training_loss": loss,
        "validation_loss": result.loss,
        "training_iou": iou,
        "validation_iou": result.iou,
        "validation_ap": result.ap,
        "learning_rate": learning_rate,
        "seconds": 0.0,
        "kept": 0.0,
    }
