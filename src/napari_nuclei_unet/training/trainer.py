"""A network in training: its first weights and its optimizer."""

from __future__ import annotations

import inspect
import math
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ..network.encoders import ENCODERS
from ..network.fusion import to_channels_last
from ..network.unet import TARGETS, UNet, UNetConfig
from ..params import TrainParams
from ..progress import Step, Stop
from ..segmentation.device import AUTOCAST_DTYPES
from .example import Example, make_loss

# Share of a training in which the learning rate rises.
WARM_UP_SHARE = 0.1


def new_network(params: TrainParams, training: list[Example]) -> UNet:
    """Create a network with random weights, the same for the same seed.

    Parameters
    ----------
    params : TrainParams
    training : list of Example
        Their mean and standard deviation are used where ``params.normalize`` says so.

    Returns
    -------
    UNet
    """
    torch.manual_seed(params.seed)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    if params.normalize == "moments":
        mean, std = _channel_moments(training)
    elif params.encoder != "plain":
        mean, std = ENCODERS[params.encoder].mean, ENCODERS[params.encoder].std
    return UNet(
        UNetConfig(
            encoder=params.encoder,
            out_channels=1 if params.goal == "mask" else len(TARGETS),
            width=params.width,
            depth=params.depth,
            stem=params.stem,
            detail=params.detail,
            mean=mean,
            std=std,
        )
    )


def _channel_moments(training: list[Example]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Compute mean and standard deviation of each channel over all pixels of all images."""
    pixels = sum(example.labels.numel() for example in training)
    mean = torch.stack([e.image.double().sum((1, 2)) for e in training]).sum(0) / pixels
    squares = torch.stack([e.image.double().square().sum((1, 2)) for e in training])
    square = squares.sum(0) / pixels
    std = (square - mean**2).clamp(min=1e-6).sqrt()
    return tuple(mean.tolist()), tuple(std.tolist())


class _AdamW(torch.optim.AdamW):
    """AdamW as in torch, but without loading the compiler.

    Loading takes 1.5 s, in which the window freezes, and nothing is compiled here.
    """

    add_param_group = inspect.unwrap(torch.optim.AdamW.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.AdamW.zero_grad)
    state_dict = inspect.unwrap(torch.optim.AdamW.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.AdamW.load_state_dict)
    step = torch.no_grad()(inspect.unwrap(torch.optim.AdamW.step))


class Trainer:
    """A network in training: its weights, their running average, and the optimizer.

    Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101), one cycle
    of the learning rate (Smith and Topin 2019, arXiv:1708.07120), and a running average of the
    weights.

    Parameters
    ----------
    network : UNet
        It is trained in place.
    params : TrainParams
    device, precision : str
        As from ``device.choose_device_and_precision``.
    """

    def __init__(self, network: UNet, params: TrainParams, device: str, precision: str) -> None:
        self.params = params
        self.device = device
        self.precision = precision
        self.network = to_channels_last(network).to(device)
        self.average = AveragedModel(
            self.network, avg_fn=_running_average(params.average), use_buffers=True
        )
        self._frozen = contracting_path(network) if params.frozen == "encoder" else []
        for part in self._frozen:
            part.requires_grad_(False)
        self.optimizer = _AdamW(
            [weights for weights in self.network.parameters() if weights.requires_grad],
            lr=params.learning_rate,
            weight_decay=params.weight_decay,
        )
        self.loss = make_loss(network.config.out_channels)

    @property
    def learning_rate(self) -> float:
        """Learning rate of the last step."""
        return float(self.optimizer.param_groups[0]["lr"])

    def averaged_network(self) -> UNet:
        """Return the network with the averaged weights, which is validated and kept."""
        return cast(UNet, self.average.module).eval()

    def epoch_steps(
        self, batches: Iterator[tuple[Tensor, ...]], steps: int, number: int
    ) -> Generator[Step, Stop, tuple[float, float] | None]:
        """Train for one epoch.

        Parameters
        ----------
        batches : iterator
            As from :func:`~.batches.iter_batches`.
        steps : int
            Batches in every epoch.
        number : int
            Of this epoch, from 1.

        Yields
        ------
        Step
            After each batch. Sent True, it ends there.

        Returns
        -------
        loss, iou : float
            Mean loss, and IoU of the foreground over all patches; None if it was stopped.
        """
        self.network.train()
        for part in self._frozen:
            part.eval()  # the statistics of its normalisation do not change either
        last = self.params.epochs * steps
        total, overlap, union = 0.0, 0.0, 0.0
        for step in range((number - 1) * steps, number * steps):
            self.optimizer.param_groups[0]["lr"] = _learning_rate(self.params, step / last)
            images, target, weight = (part.to(self.device) for part in next(batches))
            loss, logits = self._train_step(images, target, weight)
            total += loss
            found, true = logits[:, :1] > 0, (target[:, :1] > 0) & (weight > 0)
            overlap += float((found & true).sum())
            union += float(((found & (weight > 0)) | true).sum())
            self.average.update_parameters(self.network)
            if not math.isfinite(loss):  # it never comes back
                return math.nan, overlap / max(union, 1)
            if (yield Step(step + 1, last)):
                return None
        return total / steps, overlap / max(union, 1)

    def _train_step(self, images: Tensor, target: Tensor, weight: Tensor) -> tuple[float, Tensor]:
        """Update the weights once; return the loss before it, and the logits."""
        half = AUTOCAST_DTYPES.get(self.precision)
        with torch.autocast(self.device, dtype=half, enabled=half is not None):
            logits = self.network(images.contiguous(memory_format=torch.channels_last))
        logits = logits.float()
        loss = self.loss(logits, target, weight)
        self.optimizer.zero_grad()
        loss.backward()
        if self.params.clip:
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.params.clip)
        self.optimizer.step()
        return loss.item(), logits.detach()

    def state_dict(self) -> dict[str, Tensor]:
        """Return everything that :meth:`load_state_dict` needs, as named tensors."""
        named = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        named |= {f"average.{name}": value for name, value in self.average.state_dict().items()}
        for index, values in self.optimizer.state_dict()["state"].items():
            named |= {f"optimizer.{index}.{name}": value for name, value in values.items()}
        return named

    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        """Restore the state that :meth:`state_dict` returned."""
        parts: dict[str, dict[str, Tensor]] = defaultdict(dict)
        for name, value in tensors.items():
            part, rest = name.split(".", 1)
            parts[part][rest] = value
        self.network.load_state_dict(parts["network"])
        self.average.load_state_dict(parts["average"])
        state: dict[int, dict[str, Tensor]] = defaultdict(dict)
        for name, value in parts["optimizer"].items():
            index, rest = name.split(".", 1)
            state[int(index)][rest] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": dict(state), "param_groups": groups})


def contracting_path(network: UNet) -> list[nn.Module]:
    """Return the modules of a network up to its bottleneck."""
    names = ("encoder", "down", "detail")
    return [getattr(network, name) for name in names if hasattr(network, name)]


def _learning_rate(params: TrainParams, progress: float) -> float:
    """Compute the learning rate after a share ``progress``, 0 to 1, of the training."""
    if params.schedule == "constant":
        return params.learning_rate
    if progress < WARM_UP_SHARE:
        return params.learning_rate * (0.04 + 0.96 * progress / WARM_UP_SHARE)
    phase = math.pi * (progress - WARM_UP_SHARE) / (1 - WARM_UP_SHARE)
    return params.learning_rate * 0.5 * (1 + math.cos(phase))


def _running_average(keep: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Return an exponential moving average that forgets the first, random weights quickly."""

    def blend(old: Tensor, new: Tensor, n: Tensor | int) -> Tensor:
        share = min(keep, (1 + int(n)) / (10 + int(n)))
        return share * old + (1 - share) * new

    return blend
