"""The network in a model file, which is compared with its card before anything of it is built."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..errors import UserError
from ..network.unet import UNet, UNetConfig
from .header import read_shapes

# Channels of the input of every model.
IMAGE_CHANNELS = 3
# Numbers of maps: nucleus only; with border and distance; with size.
SUPPORTED_MAP_COUNTS = (1, 3, 4)


def read_network(path: Path, fields: Mapping[str, Any], sha256: str) -> UNet:
    """Read the network of a model.

    Parameters
    ----------
    path : Path
    fields : mapping
        Those of ``UNetConfig``, as in the card.
    sha256 : str
        Of the weights, as in the card.

    Returns
    -------
    UNet
        In evaluation mode, fp32, on the CPU.

    Raises
    ------
    UserError
        If the weights do not fit the card, are damaged, or no numbers.
    """
    try:
        config = _check_shapes(read_shapes(path), fields)
    except (TypeError, ValueError, UserError) as error:
        raise _unknown(path) from error
    try:
        weights = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path.name} cannot be read ({error}): copy it again.") from error
    if hash_weights(weights) != sha256:
        raise UserError(
            f"{path.name} was changed or damaged: its checksum does not match its model card."
        )
    try:
        network = UNet(config)
        network.load_state_dict(weights)
        network = network.float().eval()
        with torch.no_grad():
            output = network(torch.zeros(1, IMAGE_CHANNELS, config.divisor, config.divisor))
    except (TypeError, ValueError, RuntimeError, ArithmeticError, UserError) as error:
        raise _unknown(path) from error
    tensors = (*network.state_dict().values(), output)
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors):
        raise UserError(
            f"{path.name} contains weights that are infinite or no numbers: choose another model."
        )
    return network


def _unknown(path: Path) -> UserError:
    return UserError(
        f"{path.name} contains a network architecture that this version does not know: update "
        "the plugin, or choose another model."
    )


def _check_shapes(shapes: Mapping[str, tuple[int, ...]], fields: Mapping[str, Any]) -> UNetConfig:
    """Return the configuration in a card; raise an error if weights have other shapes."""
    config = UNetConfig(**fields)
    if config.in_channels != IMAGE_CHANNELS or config.out_channels not in SUPPORTED_MAP_COUNTS:
        raise ValueError("other channels or maps")
    with torch.device("meta"):  # takes neither memory nor time
        expected = UNet(config).state_dict()
    if {name: tuple(tensor.shape) for name, tensor in expected.items()} != shapes:
        raise ValueError("other weights")
    return config


def hash_weights(weights: Mapping[str, Tensor]) -> str:
    """Compute the SHA-256 of names, types, shapes and bytes of tensors, in alphabetical order."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
