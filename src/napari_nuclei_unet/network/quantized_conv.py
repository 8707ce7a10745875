"""Convolutions of 8-bit numbers on a CPU, by the operators that ``torch.compile`` would call.

``torch.compile`` itself needs a C++ compiler. The operators multiply with oneDNN, sum in 32 bits,
and have no gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..progress import check_interruption

MAX_ACTIVATION = 255
# Where products are summed in pairs, in 16 bits, the largest weights would exceed them.
MAX_WEIGHT, MAX_WEIGHT_WITHOUT_VNNI = 127, 63
# 0 of numbers of both signs.
SIGNED_ZERO = 64
MIN_SCALE = 1e-6


@dataclass(frozen=True)
class Quantization:
    """How numbers become 8 bits: ``round(x / scale) + zero``, clipped to 0 to 255."""

    scale: float
    zero: int = 0

    @classmethod
    def of_limits(cls, limits: tuple[float, float], zero: int = 0) -> Quantization:
        """Choose the smallest steps that reach the lowest and the highest number."""
        low, high = limits
        below = -low / zero if zero else 0.0
        return cls(max(below, high / (MAX_ACTIVATION - zero), MIN_SCALE), zero)

    def quantize(self, x: Tensor) -> Tensor:
        """Convert numbers that are not negative, shape (N, C, H, W), to uint8; they are lost."""
        # in place, since memory takes longer than arithmetic; conversion rounds down
        return x.mul_(1 / self.scale).add_(self.zero + 0.5).clamp_(max=MAX_ACTIVATION).byte()


class QuantizedConv:
    """A convolution with weights of 8 bits; each output channel has its own steps.

    Parameters
    ----------
    conv : Conv2d
        Of stride 1, padded with zeros.
    source : Quantization
        Of what comes in.
    target : Quantization, optional
        Of what goes out; without, that is float32.
    relu : bool
        Whether a ReLU follows.
    max_weight : int
        As from :func:`find_max_weight`.
    """

    def __init__(
        self,
        conv: nn.Conv2d,
        source: Quantization,
        target: Quantization | None,
        relu: bool,
        max_weight: int,
    ) -> None:
        weight = conv.weight.detach().float()
        self._source, self._target = source, target
        self._padding = list(conv.padding)
        self._bias = None if conv.bias is None else conv.bias.detach().float()
        self._activation = "relu" if relu else "none"
        self._scales = weight.abs().amax(dim=(1, 2, 3)).clamp(min=1e-12) / max_weight
        self._zeros = torch.zeros(len(weight), dtype=torch.int8)
        rounded = round_weights((weight / self._scales[:, None, None, None]).numpy(), max_weight)
        self._weight = torch.ops.onednn.qconv_prepack(
            torch.from_numpy(rounded), self._scales, source.scale, source.zero,
            [1, 1], self._padding, [1, 1], 1, None,
        )  # fmt: skip

    def __call__(self, x: Tensor) -> Tensor:
        """Convolve an image, shape (N, C, H, W), uint8, channels last."""
        check_interruption()
        target, dtype = self._target, torch.uint8
        if target is None:
            target, dtype = Quantization(1.0), torch.float32
        convolved: Tensor = torch.ops.onednn.qconv2d_pointwise(
            x, self._source.scale, self._source.zero, self._weight, self._scales, self._zeros,
            self._bias, [1, 1], self._padding, [1, 1], 1, target.scale, target.zero, dtype,
            self._activation, [], "",
        )  # fmt: skip
        return convolved


def round_weights(weight: NDArray[np.float32], max_weight: int) -> NDArray[np.int8]:
    """Round weights to whole numbers so that those of a kernel, and of a channel, keep their sum.

    Each by itself would be nearer to the weights, but activations are mostly positive and alike
    from pixel to pixel, so that what sums lose becomes a shift of the whole map (Guo et al.:
    SQuant, ICLR 2022, arXiv:2202.07471).

    Parameters
    ----------
    weight : ndarray, shape (outputs, inputs, Y, X), float32
        In steps.
    max_weight : int

    Returns
    -------
    ndarray, same shape, int8
        At most ``max_weight``, of either sign.
    """
    rounded = np.round(weight)
    outputs, inputs = weight.shape[:2]
    for rows in ((outputs, inputs, -1), (outputs, -1)):  # the kernels, then the channels
        _keep_sums(rounded.reshape(rows), weight.reshape(rows))
    return np.clip(rounded, -max_weight, max_weight).astype(np.int8)


def _keep_sums(rounded: NDArray[np.float32], exact: NDArray[np.float32]) -> None:
    """Move the numbers of each row that were rounded furthest until its sum is near; in place."""
    error = rounded - exact
    total = error.sum(-1, keepdims=True)
    sign = np.sign(total)
    error *= sign
    moved = np.abs(total).round().astype(int)
    # a NumPy sort takes a fifth of the time of torch's
    limit = np.take_along_axis(np.sort(error, -1), error.shape[-1] - np.maximum(moved, 1), -1)
    rounded -= sign * ((error >= limit) & (moved > 0))


@cache
def find_max_weight() -> int:
    """Find the largest weight that 8-bit convolutions take here without an overflow.

    They are asked themselves: what the processor can do is not enough, since oneDNN may be limited
    (``ONEDNN_MAX_CPU_ISA``) or absent, and torch has no public name for them.

    Returns
    -------
    int
        127 or 63; 0 where there are none.
    """
    channels = 32
    image = torch.full((1, 8, 8, channels), MAX_ACTIVATION, dtype=torch.uint8).permute(0, 3, 1, 2)
    for largest in (MAX_WEIGHT, MAX_WEIGHT_WITHOUT_VNNI):
        conv = nn.Conv2d(channels, channels, 3, bias=False)
        nn.init.constant_(conv.weight, largest)
        try:
            found = QuantizedConv(conv, Quantization(1.0), None, False, largest)(image)
        except (AttributeError, RuntimeError, TypeError):
            return 0
        if bool((found == largest * MAX_ACTIVATION * channels * 9).all()):
            return largest
    return 0
