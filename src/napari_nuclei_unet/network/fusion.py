"""Layers that are computed in one step: convolution, batch normalisation and ReLU."""

from __future__ import annotations

from functools import cache
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..progress import check_interruption
from .unet import UNet


def fuse_conv_bn_relu(network: UNet) -> UNet:
    """Fuse each convolution, batch normalisation and ReLU of a network into one step.

    Predictions stay the same up to rounding, with two thirds fewer passes over memory.

    Parameters
    ----------
    network : UNet
        Put into evaluation mode and changed in place.

    Returns
    -------
    UNet
        The same object.
    """
    network.eval()
    for block in [m for m in network.modules() if isinstance(m, nn.Sequential)]:
        for i in range(len(block) - 1):
            conv, norm = block[i], block[i + 1]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                block[i], block[i + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
        for i in range(len(block) - 2):
            conv = block[i]
            if isinstance(block[i + 2], nn.ReLU) and _can_fuse_relu(conv):
                block[i], block[i + 2] = ConvReLU(conv), nn.Identity()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1):
            # no other result, but by oneDNN: torch itself takes over where there is one thread
            layer.dilation = (2, 2)
    return to_channels_last(network)


def _can_fuse_relu(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    available = torch.backends.mkldnn.is_available() and hasattr(
        torch.ops.mkldnn, "_convolution_pointwise"
    )
    plain = isinstance(layer, nn.Conv2d) and layer.padding_mode == "zeros" and layer.groups == 1
    return available and plain


@cache
def has_bf16() -> bool:
    """Return whether oneDNN multiplies 16-bit numbers here; elsewhere torch does, slowly.

    A capable processor is not enough: oneDNN may be absent, or limited by ``ONEDNN_MAX_CPU_ISA``.
    """
    available = torch.backends.mkldnn.is_available()
    # torch has no public name for either operator of oneDNN
    return available and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001


class ConvReLU(nn.Module):
    """Convolution and ReLU in one pass over memory on a CPU, by an operator of oneDNN.

    A separate ReLU takes a fifth of the network's time (docs/decisions/0003). The operator is the
    one that ``torch.compile`` would call, which needs a C++ compiler; it has no gradient.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        """Convolve maps, and set what is negative to 0."""
        check_interruption()
        conv, dtype = self.conv, x.dtype
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
        half = dtype != torch.float32
        if x.device.type != "cpu" or torch.is_grad_enabled() or (half and not has_bf16()):
            return self.conv(x).relu_()
        weight, bias = (None if p is None else p.to(dtype) for p in (conv.weight, conv.bias))
        joined: Tensor = torch.ops.mkldnn._convolution_pointwise(  # noqa: SLF001
            x.to(dtype), weight, bias, conv.padding, conv.stride, conv.dilation, 1, "relu", [], ""
        )
        return joined


def to_channels_last(network: UNet) -> UNet:
    """Convert weights to the layout fastest on CPUs and tensor cores, in place, and return it."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
