"""Checkpoints: all that a training needs to be resumed, in one safetensors file."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ..errors import UserError
from ..io.atomic import atomic_write
from ..io.json_text import parse_json
from ..io.openable import check_openable
from ..params import TrainParams
from ..params.names import complete_train_params

CHECKPOINT_FORMAT = "nuclei-unet-checkpoint-1"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A training after some epochs.

    Attributes
    ----------
    params : TrainParams
    network : dict
        Fields of ``network.unet.UNetConfig``.
    data : str
        Fingerprint of the annotated images.
    history : tuple of dict
        One row an epoch, as in ``history.csv``.
    tensors : dict of str to Tensor
        Weights, their running average and the state of the optimizer.
    precision : str
        Number format in which it ran.
    """

    params: TrainParams
    network: dict[str, Any]
    data: str
    history: tuple[dict[str, float], ...]
    tensors: dict[str, Tensor]
    precision: str


def checkpoint_path(model: Path) -> Path:
    """Return the path of the checkpoint beside a model's file."""
    return model.with_suffix(".checkpoint")


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; the previous one is kept until this one is complete.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    card = {
        name: value for name, value in dataclasses.asdict(checkpoint).items() if name != "tensors"
    }
    header = {"format": CHECKPOINT_FORMAT, "training": json.dumps(card)}
    tensors = {
        name: value.detach().cpu().contiguous() for name, value in checkpoint.tensors.items()
    }
    with atomic_write(path) as temporary:
        temporary.write_bytes(save(tensors, metadata=header))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises
    ------
    UserError
        If there is none, or the file is damaged.
    """
    if not path.is_file():
        raise UserError(f"There is no checkpoint {path} to resume from: train without `resume`.")
    try:
        check_openable(path)
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            card = parse_json(header["training"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return Checkpoint(
            params=TrainParams(**complete_train_params(card["params"])),
            network=card["network"],
            data=card["data"],
            history=tuple(card["history"]),
            tensors=tensors,
            precision=card["precision"],
        )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, UserError) as error:
        raise UserError(
            f"{path} is not a checkpoint of this version: train without `resume`."
        ) from error


def load_matching_checkpoint(model: Path, params: TrainParams, data: str) -> Checkpoint:
    """Read the checkpoint of a model, if it is one of the same training.

    Parameters
    ----------
    model : Path
        File of the best model so far.
    params : TrainParams
    data : str
        As from ``split.fingerprint_examples``.

    Returns
    -------
    Checkpoint

    Raises
    ------
    UserError
        If there is none, or it is of another training.
    """
    path = checkpoint_path(model)
    checkpoint = load_checkpoint(path)
    old, new = dataclasses.asdict(checkpoint.params), dataclasses.asdict(params)
    changed = [f"{name} {old[name]}" for name in old if old[name] != new[name]]
    if changed:
        raise UserError(
            f"{path} was trained with {', '.join(changed)}: resume with the same parameters, or "
            "train without `resume`."
        )
    if checkpoint.data != data:
        raise UserError(
            f"{path} was trained on other images, or with other `groups`: train without `resume`."
        )
    if not model.is_file():
        raise UserError(f"The best model so far, {model}, is gone: train without `resume`.")
    return checkpoint
