"""Arithmetic of a network, and the most that this machine can do of it."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..network.unet import UNet
from .device import InferencePlan, time_convolution

# Of the convolution that is measured: wide, and many tiles at once, so that nothing but
# multiplying takes time; a graphics card needs more of them to be busy.
PEAK_CHANNELS, PEAK_EDGE = 64, 128
PEAK_BATCHES = {"cpu": 8}
GPU_PEAK_BATCH = 256


def count_flop_per_pixel(network: UNet) -> float:
    """Count the floating-point operations of a network for a pixel that goes into it.

    Parameters
    ----------
    network : UNet
        On the CPU.

    Returns
    -------
    float
        Of convolutions and transposed convolutions; a multiplication and an addition are two.
    """
    edge = 4 * network.config.divisor
    image = torch.zeros(1, network.config.in_channels, edge, edge)
    # with gradients no layer is joined to others in operators that the counter does not know
    with torch.enable_grad(), FlopCounterMode(display=False) as counter:
        network(image)
    return counter.get_total_flops() / edge**2


def measure_peak_gflops(plan: InferencePlan) -> float:
    """Measure how fast a large 3x3 convolution is, in the precision of a plan.

    Parameters
    ----------
    plan : InferencePlan

    Returns
    -------
    float
        GFLOP per second of the fastest of a few runs.
    """
    batch = PEAK_BATCHES.get(plan.device, GPU_PEAK_BATCH)
    shape = batch, PEAK_CHANNELS, PEAK_EDGE, PEAK_EDGE
    seconds = time_convolution(plan.device, plan.precision, shape)
    return 2 * 9 * PEAK_CHANNELS**2 * PEAK_EDGE**2 * batch / seconds / 1e9
