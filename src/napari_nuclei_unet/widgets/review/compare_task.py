"""Comparison of two labels layers: checks, the work in a thread, and the layer of errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from ...errors import UserError, convert_read_errors
from ...labels.masks import check_instances
from ...metrics.error_types import ERROR_KINDS, Comparison, compare
from ...progress import Step, Stop
from ..common.controller import Task
from ..layers.geometry import full_resolution_data, layer_shape, pixel_to_world, viewer_unit_lengths
from ..layers.labels_state import LabelsState
from ..layers.metadata_keys import ERRORS_KEY
from ..layers.placement import GEOMETRY_ATTRIBUTES, LayerPlacement, get_geometry, set_geometry
from ..layers.volumes import find_frame_axes, is_volume

if TYPE_CHECKING:
    from napari.components import ViewerModel

# From Okabe and Ito 2008, https://jfly.uni-koeln.de/color: safe for colour-blind users.
ERROR_COLORS = dict(zip(ERROR_KINDS, ("#d55e00", "#56b4e9", "#f0e442", "#cc79a7"), strict=True))
# Comparing more pixels takes more memory than most computers have.
MAX_COMPARED_PIXELS = 300_000_000
LABELS_CHANGED_WHILE_COMPARING = (
    "The labels were changed while they were compared: click Compare again."
)


@dataclass(frozen=True)
class ComparedLayers:
    """Two labels layers that are compared.

    Attributes
    ----------
    result : napari.layers.Labels or None
        The labels that are judged.
    annotation : napari.layers.Labels or None
        The labels that are taken for true.
    """

    result: Labels | None
    annotation: Labels | None


def compare_steps(
    annotation: Any, result: Any, frame_axes: Sequence[int] = ()
) -> Generator[Step, Stop, Comparison]:
    """Compare copies of two arrays of labels; runs in the thread.

    Along ``frame_axes``, such as time, pixels of one id are another nucleus at each position.
    """
    yield Step(0, 3)
    true = _read(annotation)
    yield Step(1, 3)
    predicted = _read(result)
    yield Step(2, 3)
    if not true.any() and not predicted.any():
        raise UserError("Neither layer has a nucleus, so there is nothing to compare.")
    for labels, name in ((true, "The reference"), (predicted, "The result")):
        check_instances(name, labels.reshape(-1, *labels.shape[-2:]))
    try:
        comparison = compare(*(_separate_frames(one, frame_axes) for one in (true, predicted)))
    except MemoryError as error:
        raise UserError("There is not enough memory to compare these labels: crop both.") from error
    if not _is_unchanged(annotation, true) or not _is_unchanged(result, predicted):
        raise UserError(LABELS_CHANGED_WHILE_COMPARING)
    yield Step(3, 3)
    return comparison


def _read(labels: Any) -> NDArray[np.integer]:
    """Copy labels, as the user may paint in the meantime."""
    with convert_read_errors("The labels"):
        array = np.array(labels)
    if array.min() < 0:
        raise UserError("Labels must not be negative: 0 is background, any other id a nucleus.")
    return array


def _separate_frames(labels: NDArray[np.integer], frame_axes: Sequence[int]) -> NDArray[np.integer]:
    """Return labels whose ids differ from frame to frame."""
    lengths = [length if axis in frame_axes else 1 for axis, length in enumerate(labels.shape)]
    if np.prod(lengths) == 1:
        return labels
    above = np.arange(np.prod(lengths)).reshape(lengths) * int(labels.max(initial=0))
    return np.where(labels > 0, labels + above, 0)


def _is_unchanged(labels: Any, copy: NDArray[np.integer]) -> bool:
    """Return whether an in-memory array still equals its copy; reading a file takes too long.

    What napari or a run changes has an event, but not what a script writes into an array.
    """
    return not isinstance(labels, np.ndarray) or np.array_equal(labels, copy)


class CompareTask(Task):
    """Compares two labels layers, and shows their errors.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    result, annotation : napari.layers.Labels
    show : callable
        Is called with the comparison and the layer of errors, if the labels are still the same.

    Raises
    ------
    UserError
        If they cannot be compared.
    """

    begins = "Comparing …"

    def __init__(
        self,
        viewer: ViewerModel,
        result: Labels,
        annotation: Labels,
        show: Callable[[Comparison, Labels], None],
    ) -> None:
        check_pair(viewer, result, annotation)
        self.title = f"Comparing {result.name}"
        self._viewer, self._result, self._show = viewer, result, show
        self._arrays = full_resolution_data(annotation), full_resolution_data(result)
        self._frame_axes = find_frame_axes(result) if is_volume(result) else ()
        self._revisions = [
            (layer, LabelsState.of(layer).revision) for layer in (annotation, result)
        ]

    def steps(self) -> Generator[Step, Stop, Comparison]:
        """Compare copies of the labels; runs in the thread."""
        return (yield from compare_steps(*self._arrays, self._frame_axes))

    def on_result(self, comparison: Comparison) -> None:
        """Show the errors, unless a layer is gone or has changed."""
        for layer, revision in self._revisions:
            if layer not in self._viewer.layers:
                self.message = f"'{layer.name}' was removed while it was compared."
                return
            if LabelsState.of(layer).revision != revision:
                self.message = LABELS_CHANGED_WHILE_COMPARING
                return
        errors = show_errors(self._viewer, self._result, comparison.errors)
        self._show(comparison, errors)
        right, true = int(comparison.counts.matched[0]), comparison.counts.n_true
        self.message = f"{right:,} of {true:,} nuclei of the reference were found correctly."

    def show_error(self, error: Exception) -> None:
        """Raise what is a bug; the dock has a line for what the user has to know."""
        if not isinstance(error, UserError):
            raise error


def check_pair(viewer: ViewerModel, result: Labels, annotation: Labels) -> None:
    """Check that two labels layers can be compared, without reading them.

    Raises
    ------
    UserError
        If they cannot.
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
        raise UserError(f"{names} are not aligned: give both the same {' and '.join(apart)}.")


def _differing_geometry(viewer: ViewerModel, first: Labels, second: Labels) -> list[str]:
    """Return the properties in which two layers differ, if by more than half a pixel."""
    extent = np.diag(np.asarray(layer_shape(first)) - 1)
    corners, steps = [], []
    for layer in (first, second):
        origin, linear = pixel_to_world(layer)
        units = viewer_unit_lengths(viewer, layer)[:, None]
        ends = np.column_stack([origin, origin[:, None] + linear @ extent])
        corners.append(ends / units)
        steps.append(np.linalg.norm(linear / units, axis=0).min())
    if np.abs(corners[0] - corners[1]).max() <= min(steps) / 2:
        return []
    moving = [name for name in GEOMETRY_ATTRIBUTES if name not in ("units", "axis_labels")]
    differ = [
        name
        for name in moving
        if not np.array_equal(np.asarray(getattr(first, name)), np.asarray(getattr(second, name)))
    ]
    return differ or ["units"]


def show_errors(viewer: ViewerModel, result: Labels, errors: NDArray[np.uint8]) -> Labels:
    """Show errors of a labels layer, replacing those shown before, but not a copy of them.

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
    geometry = get_geometry(result)
    for layer in viewer.layers:
        is_its = layer.metadata.get(ERRORS_KEY) == [str(result.unique_id), str(layer.unique_id)]
        if is_its and layer.ndim == errors.ndim:
            layer.data = errors
            set_geometry(layer, LayerPlacement(errors.shape, (), geometry))
            return layer
    colours = {None: "transparent", 0: "transparent"}
    colours |= {value: ERROR_COLORS[kind] for value, kind in enumerate(ERROR_KINDS, 1)}
    active = viewer.layers.selection.active
    errors_layer = Labels(
        errors,
        name=f"{result.name} errors",
        colormap=DirectLabelColormap(color_dict=colours),
        **geometry,
    )
    errors_layer.metadata = {ERRORS_KEY: [str(result.unique_id), str(errors_layer.unique_id)]}
    viewer.add_layer(errors_layer)
    viewer.layers.selection.active = active
    return errors_layer
