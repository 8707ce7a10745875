"""What comparing two labels layers does: it checks them, works in a thread, shows the errors."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.metrics.error_types import ERROR_KINDS, Comparison, compare
from napari_nuclei_unet.widgets.layers.geometry import (
    layer_shape,
    pixel_to_world,
    viewer_unit_lengths,
)
from napari_nuclei_unet.widgets.layers.keys import ERRORS_KEY
from napari_nuclei_unet.widgets.layers.labels_layer import (
    GEOMETRY_ATTRIBUTES,
    LayerPlacement,
    set_geometry,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel

# Of Okabe and Ito 2008, https://jfly.uni-koeln.de/color: the colour-blind can tell them apart.
ERROR_COLORS = dict(zip(ERROR_KINDS, ("#d55e00", "#56b4e9", "#f0e442", "#cc79a7"), strict=True))
# More pixels do not fit into the memory of most computers, with what comparing them takes.
MAX_COMPARED_PIXELS = 300_000_000
LABELS_CHANGED_WHILE_COMPARING = (
    "The labels were changed while they were compared: click Compare again."
)


@dataclass(frozen=True)
class CompareStep:
    """So many of the parts of the work are done."""

    done: int
    total: int


def compare_steps(annotation: Any, result: Any) -> Generator[CompareStep, Any, Comparison]:
    """Run in the thread: read two arrays of labels, and compare them as they are now."""
    yield CompareStep(0, 3)
    true = _read(annotation)
    yield CompareStep(1, 3)
    predicted = _read(result)
    yield CompareStep(2, 3)
    if not true.any() and not predicted.any():
        raise UserError("Neither layer has a nucleus, so there is nothing to compare.")
    try:
        made = compare(true, predicted)
    except MemoryError as error:
        raise UserError("There is not enough memory to compare these labels: crop both.") from error
    if not _is_unchanged(annotation, true) or not _is_unchanged(result, predicted):
        raise UserError(LABELS_CHANGED_WHILE_COMPARING)
    yield CompareStep(3, 3)
    return made


def _read(labels: Any) -> NDArray[np.integer]:
    """Copy, as the user may paint meanwhile."""
    try:
        read = np.array(labels)
    except Exception as error:  # whatever lies behind a lazy layer: a file, a server, a graph
        raise UserError(f"The labels could not be read: {error}") from error
    if read.min() < 0:
        raise UserError("Labels must not be negative: 0 is background, any other id a nucleus.")
    return read


def _is_unchanged(labels: Any, read: NDArray[np.integer]) -> bool:
    """Whether an array in memory holds what was read of it; a file would take too long."""
    return not isinstance(labels, np.ndarray) or np.array_equal(labels, read)


def check_pair(viewer: ViewerModel, result: Labels, annotation: Labels) -> None:
    """Refuse what cannot be compared; nothing is read.

    Raises
    ------
    UserError
        Says what to do.
    """
    names, shape = f"'{result.name}' and '{annotation.name}'", layer_shape(result)
    if result == annotation:
        raise UserError(f"'{result.name}' is chosen twice: choose another layer to compare with.")
    if shape != layer_shape(annotation):
        raise UserError(
            f"{names} differ in shape, {shape} and {layer_shape(annotation)}: choose labels of the "
            "same image."
        )
    if 0 in shape:
        raise UserError(f"{names} have no pixels: their shape is {shape}.")
    if (size := math.prod(shape)) > MAX_COMPARED_PIXELS:
        raise UserError(
            f"{names} have {size / 1e6:,.0f} million pixels, and "
            f"{MAX_COMPARED_PIXELS / 1e6:.0f} million can be compared at once: "
            "crop both to a part, or compare some of their planes."
        )
    if apart := _differing_geometry(viewer, result, annotation):
        raise UserError(
            f"{names} do not lie on each other: give both the same {' and '.join(apart)}."
        )


def _differing_geometry(viewer: ViewerModel, one: Labels, other: Labels) -> list[str]:
    """Say by which properties two layers of one shape lie apart, if by more than half a pixel."""
    reach = np.diag(np.asarray(layer_shape(one)) - 1)
    ends, steps = [], []
    for layer in (one, other):
        origin, linear = pixel_to_world(layer)
        units = viewer_unit_lengths(viewer, layer)[:, None]
        corners = np.column_stack([origin, origin[:, None] + linear @ reach])
        ends.append(corners / units)
        steps.append(np.linalg.norm(linear / units, axis=0).min())
    if np.abs(ends[0] - ends[1]).max() <= min(steps) / 2:
        return []
    moving = [name for name in GEOMETRY_ATTRIBUTES if name not in ("units", "axis_labels")]
    differ = [
        name
        for name in moving
        if not np.array_equal(np.asarray(getattr(one, name)), np.asarray(getattr(other, name)))
    ]
    return differ or ["units"]


def show_errors(viewer: ViewerModel, result: Labels, errors: NDArray[np.uint8]) -> Labels:
    """Show errors on a labels layer, in place of those shown before; a copy stays as it is.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    result : napari.layers.Labels
    errors : ndarray, shape of the labels, uint8
        As in ``Comparison``.

    Returns
    -------
    napari.layers.Labels
        Named "<result> errors".
    """
    geometry = {name: getattr(result, name) for name in GEOMETRY_ATTRIBUTES}
    for layer in viewer.layers:
        if layer.metadata.get(ERRORS_KEY) == [str(result.unique_id), str(layer.unique_id)]:
            layer.data = errors
            set_geometry(layer, LayerPlacement(errors.shape, (), geometry))
            return layer
    colours = {None: "transparent", 0: "transparent"}
    colours |= {value: ERROR_COLORS[kind] for value, kind in enumerate(ERROR_KINDS, 1)}
    active = viewer.layers.selection.active
    made = Labels(
        errors,
        name=f"{result.name} errors",
        colormap=DirectLabelColormap(color_dict=colours),
        **geometry,
    )
    made.metadata = {ERRORS_KEY: [str(result.unique_id), str(made.unique_id)]}
    viewer.add_layer(made)
    viewer.layers.selection.active = active
    return made
