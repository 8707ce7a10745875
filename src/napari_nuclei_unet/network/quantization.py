"""The U-Net in 8 bits: the same weights, rounded, and the ranges of what passes between layers.

Jacob et al.: Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference (CVPR 2018), doi:10.1109/CVPR.2018.00286; here after training.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable
from functools import lru_cache
from typing import cast

import torch
from torch import Tensor, nn

from .fusion import ConvReLU
from .quantized_conv import SIGNED_ZERO, Quantization, QuantizedConv, find_max_weight
from .unet import MAX_STRIP_PIXELS, UNet, UNetConfig, UNetForm

# Lowest and highest number that a layer gives, by its name in the network.
ActivationRanges = dict[str, tuple[float, float]]

# Share of a layer's numbers that may be beyond each end of its range: a few that are far out would
# leave fewer steps to all others.
CLIPPED_SHARE = 3e-5
# So many numbers of a layer are enough to find its range.
MAX_SAMPLED_NUMBERS = 2_000_000


def has_quantized_form(config: UNetConfig) -> bool:
    """Return whether a network has a form in 8 bits."""
    return config.encoder == "plain" and config.padding == "zeros"


@lru_cache(maxsize=4)
def can_quantize(network: UNet) -> bool:
    """Return whether a network has a form in 8 bits, and torch the operators for it here."""
    if not has_quantized_form(network.config) or not find_max_weight():
        return False
    return all(bool(weights.isfinite().all()) for weights in network.parameters())


@torch.inference_mode()
def measure_activation_ranges(network: UNet, images: Iterable[Tensor]) -> ActivationRanges:
    """Measure the ranges of what the layers of a network give.

    Parameters
    ----------
    network : UNet
        As from ``fuse_conv_bn_relu``.
    images : iterable of Tensor, shape (N, C, H, W), float32, values 0 to 1
        Typical inputs.

    Returns
    -------
    dict of str to (float, float)
    """
    ranges: dict[str, tuple[float, float]] = {}

    def observe(name: str, numbers: Tensor) -> None:
        low, high = _find_range(numbers)
        known = ranges.get(name, (0.0, 0.0))
        ranges[name] = min(low, known[0]), max(high, known[1])

    hooks = [
        layer.register_forward_hook(lambda _layer, _given, out, name=name: observe(name, out))
        for name, layer in network.named_modules()
        if name in observed_layers(network.config)
    ]
    try:
        for image in images:
            network(image)
    finally:
        for hook in hooks:
            hook.remove()
    return ranges


def observed_layers(config: UNetConfig) -> list[str]:
    """List the names of the layers of which ranges are needed: all but the last."""
    levels = range(config.depth)
    names = [f"down.{level}.{i}" for level in (*levels, config.depth) for i in (0, 3)]
    names += [f"up.{level}" for level in levels]
    names += [f"merge.{level}.{i}" for level in levels for i in (0, 3)]
    return [*names, "head", "detail.0", "draw.0"] if config.detail else names


def _find_range(numbers: Tensor) -> tuple[float, float]:
    """Find a range that leaves out the share of numbers that may be clipped."""
    flat = numbers.flatten()
    flat = flat[:: -(-flat.numel() // MAX_SAMPLED_NUMBERS)]
    beyond = max(round(CLIPPED_SHARE * flat.numel()), 1)
    ends = [flat.topk(beyond, largest=largest).values[-1].item() for largest in (False, True)]
    return ends[0], ends[1]


class QuantizedUNet(UNetForm):
    """A U-Net whose layers give 8-bit numbers; what reads the image stays in 32 bits.

    An image in 8 bits would lose faint nuclei, so the convolutions that read it do not round it.
    Two maps that are joined have one 0, but each its own steps, which the weights of the next
    convolution take up. Sums of integers are exact, so that no pixel depends on the tiles.

    Parameters
    ----------
    network : UNet
        As from ``fuse_conv_bn_relu``; :func:`can_quantize` is True of it.
    ranges : dict of str to (float, float)
        As from :func:`measure_activation_ranges`.
    """

    # numbers take a fourth of the bytes, and of these strips some are in 32 bits
    max_strip_pixels = 2 * MAX_STRIP_PIXELS

    def __init__(self, network: UNet, ranges: ActivationRanges) -> None:
        super().__init__(network.config)
        config, self._network, self._ranges = network.config, network, ranges
        self._max_weight = find_max_weight()
        self._read, source = self._steps("down.0.0"), self._steps("down.0.0")
        self._down: list[list[QuantizedConv]] = []
        for level, block in enumerate(_blocks(network.down)):
            zero = SIGNED_ZERO if level < config.depth else 0
            first, second = self._steps(f"down.{level}.0"), self._steps(f"down.{level}.3", zero)
            self._down.append([self._quantize(block[3], first, second)])
            if level:
                self._down[level].insert(0, self._quantize(block[0], source, first))
            source = second
        self._up: dict[int, QuantizedConv] = {}
        self._merge: dict[int, list[QuantizedConv]] = {}
        for level in reversed(range(config.depth)):
            up, block = network.up[level], _blocks(network.merge)[level]
            added = self._steps(f"up.{level}", SIGNED_ZERO)
            first, second = self._steps(f"merge.{level}.0"), self._steps(f"merge.{level}.3")
            kept = self._steps(f"down.{level}.3", SIGNED_ZERO)
            self._up[level] = self._quantize(_as_pointwise(up), source, added)
            self._merge[level] = [
                self._quantize(_absorb_steps(block[0], kept, added), _JOINED, first),
                self._quantize(block[3], first, second),
            ]
            source = second
        head = _as_pointwise(network.head)
        if not config.detail:
            self._head = self._quantize(head, source, None)
        else:
            unfolded = self._steps("head", SIGNED_ZERO)
            self._head = self._quantize(head, source, unfolded)
            self._see = self._steps("detail.0", SIGNED_ZERO)
            drawn = self._steps("draw.0")
            joined = _absorb_steps(network.draw[0], self._see, unfolded)
            self._draw = [
                self._quantize(joined, _JOINED, drawn),
                self._quantize(network.draw[3], drawn, None),
            ]

    def _steps(self, name: str, zero: int = 0) -> Quantization:
        return Quantization.of_limits(self._ranges[name], zero)

    def _quantize(
        self, layer: nn.Module, source: Quantization, target: Quantization | None
    ) -> QuantizedConv:
        """Round the weights of a convolution, with which a ReLU may have been fused."""
        relu = isinstance(layer, ConvReLU)
        return QuantizedConv(_find_conv(layer), source, target, relu, self._max_weight)

    def _contract(self, image: Tensor) -> list[Tensor]:
        network = self._network
        folded = network.fold(image).contiguous(memory_format=torch.channels_last)
        maps = [self._down[0][0](self._read.quantize(_blocks(network.down)[0][0](folded)))]
        for first, second in self._down[1:]:
            maps.append(second(first(_pool(maps[-1]))))
        return maps

    def _merge_level(self, level: int, skip: Tensor, x: Tensor) -> Tensor:
        first, second = self._merge[level]
        return second(first(_join(skip, self._up[level](x), 2)))

    def _expand_finest(self, image: Tensor, skip: Tensor, x: Tensor) -> Tensor:
        x, stem = self._head(self._merge_level(0, skip, x)), self.config.stem
        if not self.config.detail:
            logits = x.new_empty((len(x), *image.shape[-2:], self.config.out_channels))
            _unfold_into(logits, x, stem)
            return logits.permute(0, 3, 1, 2)
        image = image.contiguous(memory_format=torch.channels_last)
        detail = self._see.quantize(self._network.detail(image))
        first, second = self._draw
        return second(first(_join(detail, x, stem)))


# Of two maps that are joined: their steps are in the weights.
_JOINED = Quantization(1.0, SIGNED_ZERO)


def _blocks(levels: nn.ModuleList) -> list[nn.Sequential]:
    return [cast(nn.Sequential, block) for block in levels]


def _find_conv(layer: nn.Module) -> nn.Conv2d:
    return cast(nn.Conv2d, layer.conv if isinstance(layer, ConvReLU) else layer)


def _as_pointwise(layer: nn.Module) -> nn.Conv2d:
    """Convert an up-convolution to one of 1x1, whose channels are (row, column, channel)."""
    up = cast(nn.ConvTranspose2d, layer)
    squares = up.weight.detach().permute(2, 3, 1, 0).flatten(0, 2)
    conv = nn.Conv2d(up.in_channels, len(squares), 1)
    conv.weight = nn.Parameter(squares[..., None, None].contiguous())
    if up.bias is not None:
        conv.bias = nn.Parameter(up.bias.detach().repeat(len(squares) // up.out_channels))
    return conv


def _absorb_steps(layer: nn.Module, kept: Quantization, added: Quantization) -> nn.Module:
    """Multiply the weights of a convolution by the steps of the two maps that it is given.

    The second has as many channels as the convolution gives, the first all others.
    """
    scaled = copy.deepcopy(layer)
    weight = _find_conv(scaled).weight.data
    weight[:, : -len(weight)] *= kept.scale
    weight[:, -len(weight) :] *= added.scale
    return scaled


def _pool(x: Tensor) -> Tensor:
    """Keep the largest of each square of 2x2; torch has no pooling of integers."""
    rows = torch.maximum(x[..., ::2, :], x[..., 1::2, :])
    return torch.maximum(rows[..., ::2], rows[..., 1::2])


def _join(kept: Tensor, folded: Tensor, edge: int) -> Tensor:
    """Join a map and one that is unfolded by an edge, as channels of one."""
    n, channels, height, width = kept.shape
    joined = kept.new_empty((n, height, width, channels + folded.shape[1] // edge**2))
    joined[..., :channels] = kept.permute(0, 2, 3, 1)
    _unfold_into(joined[..., channels:], folded, edge)
    return joined.permute(0, 3, 1, 2)


def _unfold_into(target: Tensor, folded: Tensor, edge: int) -> None:
    """Write channels (row, column, channel) as squares of pixels; the target is (N, Y, X, C)."""
    squares = folded.permute(0, 2, 3, 1).unflatten(3, (edge, edge, -1))
    for row, column in itertools.product(range(edge), repeat=2):
        target[:, row::edge, column::edge] = squares[..., row, column, :]
