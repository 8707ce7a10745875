"""The ids of nuclei that are added to a labels layer."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ...errors import UserError
from ..layers.label_ids import MAX_LABEL_ID
from ..layers.labels_state import LabelsState

# Number of ids that must be left.
MIN_FREE_IDS = 32
# Edge of the blocks in which labels in a file are read.
ID_SCAN_BLOCK_SIZE = 4096


def find_free_id(state: LabelsState) -> int:
    """Find the lowest id above all others, including those of undone steps.

    Raises
    ------
    UserError
        If the labels have no room for it.
    """
    layer, history = state.layer, state.features.history
    if isinstance(layer.data, np.ndarray):
        history.max_used_id = max(history.max_used_id, int(layer.data.max(initial=0)))
    elif not history.is_complete:  # scanned once: what is painted from now on is in the history
        history.max_used_id, history.is_complete = (
            max(history.max_used_id, _max_id(layer.data)),
            True,
        )
    used = history.max_used_id
    if used + MIN_FREE_IDS > min(int(np.iinfo(layer.data.dtype).max), MAX_LABEL_ID):
        raise UserError(
            f"These labels ({layer.data.dtype}) have used up all ids: renumber them, in a layer of "
            "type int32."
        )
    return used + 1


def _max_id(data: Any) -> int:
    """Return the largest id of an array that may be in a file, block by block."""
    steps = [*(1 for _ in data.shape[:-2]), ID_SCAN_BLOCK_SIZE, ID_SCAN_BLOCK_SIZE]
    corners = itertools.product(
        *(range(0, n, step) for n, step in zip(data.shape, steps, strict=True))
    )
    parts = (
        tuple(slice(first, first + step) for first, step in zip(corner, steps, strict=True))
        for corner in corners
    )
    return max((int(np.asarray(data[part]).max(initial=0)) for part in parts), default=0)
