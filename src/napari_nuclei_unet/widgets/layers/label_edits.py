"""Edits of labels through napari, so that its undo knows them; any dock may make them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from ...errors import UserError
from .labels_state import LabelsState
from .measured_planes import is_too_large

LABELS_MULTISCALE = (
    "These labels have several resolutions, which cannot be changed: open the largest alone."
)
TOO_LARGE_TO_DELETE = "These labels are too large to delete many nuclei at once: use Delete (D)."


def check_editable(state: LabelsState) -> None:
    """Raise an error if labels cannot be edited.

    Raises
    ------
    UserError
        If they are busy, locked, hidden, or of a kind that cannot be written.
    """
    layer = state.layer
    if layer.multiscale:
        raise UserError(LABELS_MULTISCALE)
    state.check_writable()
    data = layer.data
    if isinstance(data, np.ndarray) and not data.dtype.isnative:
        raise UserError(f"The labels '{layer.name}' are of type {data.dtype}: convert to int32.")
    fixed = not data.flags.writeable if isinstance(data, np.ndarray) else hasattr(data, "dask")
    if fixed or getattr(data, "read_only", False):
        raise UserError(f"The labels '{layer.name}' cannot be written: duplicate the layer.")
    if not layer.visible:
        raise UserError(f"The labels '{layer.name}' are hidden: show them to correct them.")


def write_pixels(layer: Labels, indices: tuple[NDArray[np.intp], ...], values: Any) -> None:
    """Write pixels as one step of napari's undo.

    Raises
    ------
    UserError
        If they cannot be written.
    """
    try:
        layer.data_setitem(indices, values)
    except (OSError, ValueError, TypeError, NotImplementedError) as error:
        raise UserError(
            f"The labels '{layer.name}' cannot be written ({error}): duplicate the layer."
        ) from error


def delete_nuclei(state: LabelsState, labels: Iterable[int]) -> None:
    """Delete nuclei, on all their planes, as one step of napari's undo.

    Raises
    ------
    UserError
        If the labels cannot be edited.
    """
    check_editable(state)
    if is_too_large(state.layer):
        raise UserError(TOO_LARGE_TO_DELETE)
    indices = np.nonzero(np.isin(np.asarray(state.layer.data), np.array(list(labels))))
    if indices[0].size:
        write_pixels(state.layer, indices, 0)
