"""The network of a model in the number format in which it runs, and how it gets 8 bits."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from ..models.model import Model
from ..network.quantization import (
    ActivationRanges,
    QuantizedUNet,
    measure_activation_ranges,
    observed_layers,
)
from ..network.unet import UNet, UNetForm
from .normalization import check_plane

# Of larger images the first pixels are enough.
MAX_CALIBRATION_EDGE = 1024


def network_form(model: Model, precision: str) -> UNetForm:
    """Return the network of a model in a precision; made at its first use, and kept.

    Parameters
    ----------
    model : Model
    precision : {"fp32", "bf16", "fp16", "int8"}
        As in ``device.InferencePlan``. 16 bits need no network of their own.

    Returns
    -------
    UNetForm
    """
    return _quantize(model) if precision == "int8" else model.network


@lru_cache(maxsize=4)
def _quantize(model: Model) -> QuantizedUNet:
    network, ranges = model.network, model.card.activation_ranges
    if not ranges.keys() >= set(observed_layers(network.config)):
        ranges = calibrate(network, read_sample_inputs())
    return QuantizedUNet(network, ranges)


def calibrate(network: UNet, images: Iterable[NDArray[np.float32]]) -> ActivationRanges:
    """Measure the ranges of what the layers of a network give, for its form in 8 bits.

    Parameters
    ----------
    network : UNet
        As from ``fuse_conv_bn_relu``, on the CPU.
    images : iterable of ndarray, shape (Y, X, 3), float32, values 0 to 1
        Typical inputs; those that are smaller than what the network halves are left out.

    Returns
    -------
    dict of str to (float, float)
        Lowest and highest number by name of a layer, as on a model's card.
    """
    return measure_activation_ranges(network, _make_inputs(images, network.config.divisor))


def read_sample_inputs() -> Iterable[NDArray[np.float32]]:
    """Read the sample images of the package as a network sees them."""
    # only for models that are not prepared, or trained: they bring scikit-image
    from ..samples.images import SAMPLES, read_sample

    for name in SAMPLES:
        pixels = check_plane(read_sample(name)[0]).normalized()
        yield pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=2)


def _make_inputs(images: Iterable[NDArray[np.float32]], divisor: int) -> Iterable[torch.Tensor]:
    for image in images:
        height, width = (min(n, MAX_CALIBRATION_EDGE) // divisor * divisor for n in image.shape[:2])
        if height and width:
            cut = np.ascontiguousarray(image[:height, :width])
            yield torch.from_numpy(cut).permute(2, 0, 1)[None]
