"""Training, as a generator that yields an event after every epoch."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from napari_nuclei_unet.core.augment import sample_patches
from napari_nuclei_unet.core.learning import Example, NucleiLoss
from napari_nuclei_unet.core.scores import by_image
from napari_nuclei_unet.core.unet import UNet, UNetConfig, channels_last
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.models import ModelCard, save_model
from napari_nuclei_unet.params import TrainParams
from napari_nuclei_unet.validation import THRESHOLDS, scores_by_kind, tune, validate

# Share of the patches that a kind of image gets, relative to one drawn by number of images.
EVEN = 0.5


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave.

    Attributes
    ----------
    number, epochs : int
        This epoch, from 1, and how many there are.
    training_loss, validation_loss : float
    validation_ap : float
        AP at IoU 0.5, by image.
    learning_rate, seconds : float
    network : UNet or None
        A copy, where the validation loss is the best so far.
    """

    number: int
    epochs: int
    training_loss: float
    validation_loss: float
    validation_ap: float
    learning_rate: float
    seconds: float
    network: UNet | None


def split(examples: list[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Split by group, within each kind of image, into a training and a validation part.

    A kind with a single group is trained on; when that leaves nothing to validate, one
    example is held back.

    Parameters
    ----------
    examples : list of Example
        At least two.
    share : float, 0 to 1
        Part of each kind's groups that is held back, at least one group.
    seed : int

    Returns
    -------
    training, validation : list of Example
        Neither is empty.

    Raises
    ------
    UserError
        If there are fewer than two examples.
    """
    if len(examples) < 2:
        raise UserError(
            "Training needs at least two annotated images: one is held back to validate."
        )
    rng = np.random.default_rng(seed)
    groups: dict[str, set[str]] = defaultdict(set)
    for one in examples:
        groups[one.kind].add(one.group)
    held: set[str] = set()
    for kind in sorted(groups):
        names = sorted(groups[kind] - held)
        if len(names) > 1:
            held.update(rng.permutation(names)[: max(1, round(share * len(names)))].tolist())
    if not held:
        held = {examples[int(rng.integers(len(examples)))].name}
        return _part(examples, held, "name")
    return _part(examples, held, "group")


def _part(examples: list[Example], held: set[str], by: str) -> tuple[list[Example], list[Example]]:
    kept = [one for one in examples if getattr(one, by) not in held]
    return kept, [one for one in examples if getattr(one, by) in held]


def train_steps(
    training: list[Example], validation: list[Example], params: TrainParams
) -> Generator[Epoch, None, None]:
    """Train a U-Net from scratch.

    Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101), one cycle
    of the learning rate (Smith and Topin 2019, arXiv:1708.07120), and a running average of
    the weights, which is what is validated and kept.

    Parameters
    ----------
    training, validation : list of Example
        As from :func:`split`.
    params : TrainParams

    Yields
    ------
    Epoch
        After every epoch.
    """
    torch.manual_seed(params.seed)
    config = UNetConfig(width=params.width, depth=params.depth, stem=params.stem)
    network = channels_last(UNet(config))
    average = AveragedModel(network, avg_fn=_running_average(params.average), use_buffers=True)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=params.learning_rate, weight_decay=params.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, params.learning_rate, total_steps=params.epochs * params.steps, pct_start=0.1
    )
    best = float("inf")
    batches = _batches(training, params)
    for number in range(1, params.epochs + 1):
        started, total = time.perf_counter(), 0.0
        network.train()
        for _ in range(params.steps):
            total += _learn(network, optimizer, *next(batches))
            schedule.step()
            average.update_parameters(network)
        averaged = cast(UNet, average.module).eval()
        validation_loss, counts = validate(averaged, validation)
        improved, best = validation_loss < best, min(validation_loss, best)
        yield Epoch(
            number=number,
            epochs=params.epochs,
            training_loss=total / params.steps,
            validation_loss=validation_loss,
            validation_ap=by_image(counts)["AP@0.5"],
            learning_rate=float(schedule.get_last_lr()[0]),
            seconds=time.perf_counter() - started,
            network=copy.deepcopy(averaged) if improved else None,
        )


def _running_average(keep: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Exponential average of weights that forgets the first, random ones quickly."""

    def blend(old: Tensor, new: Tensor, n: Tensor | int) -> Tensor:
        share = min(keep, (1 + int(n)) / (10 + int(n)))
        return share * old + (1 - share) * new

    return blend


def _learn(
    network: UNet, optimizer: torch.optim.Optimizer, images: Tensor, wanted: Tensor, weight: Tensor
) -> float:
    """One step down the gradient; the loss before it."""
    logits = network(images.contiguous(memory_format=torch.channels_last))
    loss = NucleiLoss()(logits, wanted, weight)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    optimizer.step()
    return loss.item()


def _batches(
    examples: list[Example], params: TrainParams
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Endless patches; the next batch is drawn while this one is learnt."""
    rng = np.random.default_rng(params.seed)
    drawn = (examples, _sampling(examples), params.batch, params.patch, rng)
    with ThreadPoolExecutor(1) as aside:
        upcoming = aside.submit(sample_patches, *drawn)
        while True:
            batch = upcoming.result()
            upcoming = aside.submit(sample_patches, *drawn)
            yield batch


def _sampling(examples: list[Example]) -> NDArray[np.float64]:
    """Probability of each example: half way between equal images and equal kinds."""
    of_kind = Counter(one.kind for one in examples)
    weights = np.array([of_kind[one.kind] ** -EVEN for one in examples])
    return weights / weights.sum()


def train(
    examples: list[Example], params: TrainParams, out: Path, report: Callable[[str], object]
) -> ModelCard:
    """Train a model and write it whenever its validation loss has improved.

    Parameters
    ----------
    examples : list of Example
    params : TrainParams
    out : Path
        The model's file.
    report : callable
        Is given one line of text after every epoch.

    Returns
    -------
    ModelCard
        Of the best model, with its thresholds tuned on the validation part.
    """
    training, validation = split(examples, params.validation, params.seed)
    best: Epoch | None = None
    for epoch in train_steps(training, validation, params):
        report(
            f"epoch {epoch.number}/{epoch.epochs}  training loss {epoch.training_loss:.4f}  "
            f"validation loss {epoch.validation_loss:.4f}  AP@0.5 {epoch.validation_ap:.3f}  "
            f"{epoch.seconds:.0f} s"
        )
        if epoch.network is not None:
            best = epoch
            save_model(
                out,
                _card(out, params, training, validation, epoch, THRESHOLDS),
                epoch.network.state_dict(),
            )
    if best is None or best.network is None:
        raise UserError("The loss never became a number; train with a lower learning rate.")
    thresholds = tune(best.network, validation)
    card = _card(out, params, training, validation, best, thresholds)
    return save_model(out, card, best.network.state_dict())


def _card(
    out: Path,
    params: TrainParams,
    training: list[Example],
    validation: list[Example],
    epoch: Epoch,
    thresholds: dict[str, Any],
) -> ModelCard:
    network = epoch.network
    assert network is not None  # only epochs that improved get a card
    kinds = Counter(one.kind or "image" for one in training)
    return ModelCard(
        name=out.stem,
        description="U-Net for nucleus, border and distance; separated by a seeded watershed.",
        network=dataclasses.asdict(network.config),
        thresholds=thresholds,
        trained_on={"images": len(training), "kinds": dict(kinds)},
        training=dataclasses.asdict(params) | {"best_epoch": epoch.number},
        scores=scores_by_kind(network, validation, thresholds),
        version=version("napari-nuclei-unet"),
        created=date.today().isoformat(),
    )
