"""Names of parameters in messages, and changes of parameters by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from ..errors import UserError
from .segment import SegmentParams
from .train import TrainParams

P = TypeVar("P", SegmentParams, TrainParams)

# What messages may name, and what the window calls it: a control by its label, in quotes; what
# has none there in plain words.
PARAMETER_LABELS = {
    one.name: f"'{one.metadata['label'].partition(' (')[0]}'"
    for params in (SegmentParams, TrainParams)
    for one in fields(params)
} | {
    "axes": "the axis labels of the layer",
    "black": "the black point ('Brightness')",
    "cells": "cells",
    "channel": "'Channel'",
    "encoder_weights": "encoder weights",
    "exclude_border": "leaving out nuclei at the border",
    "format": "the format",
    "groups": "groups",
    "join": "'Join slices'",
    "level": "'Level'",
    "measure": "the channels that are measured",
    "model": "'Model'",
    "neighbours": "neighbours",
    "overwrite": "overwrite",
    "planes": "'Planes'",
    "region": "'Region'",
    "ring": "the ring",
    "resume": "'Resume'",
    "save": "the formats that are saved",
    "scene": "the image in its file",
    "scheduler": "the scheduler",
    "track": "'Link over time'",
    "volume": "'Planes' as a z-stack",
    "white": "the white point ('Brightness')",
    "workers": "the workers",
    "z_step": "'z step'",
}


# Parameters that act on what the network has said, without asking it again.
RETUNED_NAMES = ("threshold", "separation", "confidence", "minimum_area", "leave_out_fragments")


def complete_params(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters from a file with what was meant before there were newer ones."""
    return {"leave_out_fragments": False, **stored}


def complete_train_params(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return training parameters from a file, so that its validation areas are chosen as then."""
    return {"validation_nuclei": 0, **stored}


def with_changes(params: P, changes: dict[str, Any]) -> P:
    """Replace parameters by name, with checks of names and values.

    Raises
    ------
    UserError
        If a parameter does not exist, or from :func:`check_bounds`.
    """
    known = [entry.name for entry in fields(params)]
    for name in changes:
        if name not in known:
            raise UserError(f"There is no parameter '{name}': choose among {', '.join(known)}.")
    return replace(params, **changes)
