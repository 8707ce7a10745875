"""The row of the form that selects which planes of a stack are segmented."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QObject, QSignalBlocker, Signal
from qtpy.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from ...arrays.axes import PlaneIndex
from ...counts import format_count
from ...errors import UserError
from ..common.controls import create_combo_box, create_row, fill_layout, with_properties
from ..common.layer_combo import reload_choices
from ..layers.axis_names import DEPTH_AXIS_NAMES, TIME_AXIS_NAMES
from ..layers.geometry import hidden_axes, layer_shape
from .plane_ranges import StackAxis, format_whole_range, parse_plane_ranges
from .z_step import ZStepField

if TYPE_CHECKING:
    from napari.components import ViewerModel

CURRENT_PLANE, ALL_PLANES, PLANE_RANGE = "this one", "all", "range"
VOLUME_PLANES, TIME_PLANES = "z-stack", "time series"


@dataclass(frozen=True)
class SliceAxis:
    """The axis along which planes are slices of volumes.

    Attributes
    ----------
    number : int
    step : float or None
        Distance between slices in pixels, if it is known.
    """

    number: int
    step: float | None


def axis_name(image: Image, axis: int) -> str:
    """Return the name that the user has given the axis, or its number."""
    name = image.axis_labels[axis]
    return name if name.isalpha() else f"axis {axis}"


def stack_axes(
    viewer: ViewerModel, image: Image | None, channel_axis: int | None
) -> list[StackAxis]:
    """Return the axes along which an image has planes."""
    if image is None:
        return []
    shape = layer_shape(image)
    return [
        StackAxis(axis, axis_name(image, axis), shape[axis])
        for axis in hidden_axes(viewer, image, channel_axis)
        if axis != channel_axis
    ]


class PlaneForm(QObject):
    """Selects planes: the one on view, all, or a range of them.

    Attributes
    ----------
    row : QWidget
        The controls; hidden without a stack.
    axes : list of StackAxis
        Of the image that was offered last; none where it is no stack.

    Parameters
    ----------
    viewer : napari.components.ViewerModel

    Signals
    -------
    changed
        Other planes are selected.
    depth_changed
        Another axis is that of slices.
    described : str
        As :meth:`describe` has it.
    """

    changed = Signal()
    depth_changed = Signal()
    described = Signal(str)

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.axes: list[StackAxis] = []
        self._image_id = ""
        # by unique id of the image: what the user has chosen
        self._chosen: dict[str, str] = {}
        self._chosen_depth: dict[str, int] = {}
        self.kind = create_combo_box(
            "planes",
            "Which planes of the stack are segmented, and what they are. As a z-stack: nuclei are "
            "objects in 3-D, and all slices have one brightness. As a time series: nuclei keep "
            "their id from frame to frame. One by one: each plane by itself.",
            self._kinds,
        )
        self.range = with_properties(QLineEdit(), objectName="plane_range")
        self.depth = create_combo_box(
            "depth_axis", "The axis of the slices, as nothing names the axes.", self._depths
        )
        self.z_step = ZStepField(viewer)
        self.row = QWidget()
        first = create_row(self.kind.native, self.range, self.z_step)
        fill_layout(QVBoxLayout(self.row), first, self.depth.native)
        self._emitted = self.value()
        self.kind.changed.connect(self._on_chosen)
        self.range.textChanged.connect(self._on_chosen)
        self.depth.changed.connect(self._on_depth)
        self._show()

    def value(self) -> str:
        """Return a constant such as ``CURRENT_PLANE``, or the text of a range."""
        if not self.axes:
            return CURRENT_PLANE
        return self.range.text() if self.kind.value == PLANE_RANGE else str(self.kind.value)

    def set_value(self, value: str) -> None:
        """Select planes; of an image that is no stack there is one only."""
        if value in WHOLE_KINDS or not self.axes:
            self.kind.value = value if value in self.kind.choices else CURRENT_PLANE
            return
        self.range.setText(value)
        self.kind.value = PLANE_RANGE

    def offer(self, image: Image | None, axes: list[StackAxis]) -> None:
        """Offer the planes of an image along these axes.

        What the user has chosen for the image before is selected, else what is guessed: all
        slices as a z-stack, where they are the only axis, and named so; or the plane on view.
        """
        image_id = "" if image is None else str(image.unique_id)
        chosen = self._chosen.get(image_id) if axes else CURRENT_PLANE
        if axes != self.axes or image_id != self._image_id:
            if chosen is not None and chosen not in WHOLE_KINDS and axes != self.axes:
                chosen = None  # a range along other axes
            self._image_id, self.axes = image_id, axes
            guess = _guess_depth(axes)
            reload_choices(self.depth, self._chosen_depth.get(image_id, guess), guess)
            self._select(_guess_planes(image, axes) if chosen is None else chosen)
        names = ", ".join(map(str, axes))
        self.range.setPlaceholderText(format_whole_range(axes))
        self.range.setToolTip(
            f"First and last plane, such as 3-7, or a single one, along {names}"
            + ("; separated by commas." if len(axes) > 1 else ".")
        )
        self._on_changed()

    def _select(self, value: str) -> None:
        """Select planes that the user has not chosen now."""
        is_range = value not in WHOLE_KINDS
        with QSignalBlocker(self.range):  # until the choice, too, is that of these axes
            self.range.setText(value if is_range else "")
        reload_choices(self.kind, PLANE_RANGE if is_range else value)

    def describe(self) -> str:
        """Return what a click on Segment does, in two or three words."""
        value, lengths = self.value(), {axis.number: axis.length for axis in self.axes}
        if value == CURRENT_PLANE:
            return "Segment"
        if (depth := self.depth_axis) is not None:
            volumes = math.prod(lengths.values()) // lengths[depth]
            slices = f"{lengths[depth]:,} slices"
            return f"Segment {slices}" if volumes == 1 else f"Segment {volumes:,} x {slices}"
        try:
            chosen = lengths.values() if value in WHOLE_KINDS else self._range_lengths(value)
        except UserError:
            return "Segment"
        count, noun = math.prod(chosen), "frame" if value == TIME_PLANES else "plane"
        return f"Segment {format_count(count, noun)}"

    def _range_lengths(self, text: str) -> list[int]:
        return [len(one) for one in parse_plane_ranges(text, self.axes)]

    @property
    def is_time_series(self) -> bool:
        """Whether nuclei are linked over time when they are found."""
        return self.value() == TIME_PLANES

    @property
    def depth_axis(self) -> int | None:
        """Number of the axis along which nuclei are objects; None: planes are segmented.

        In a time series, slices that it has beside frames are volumes.
        """
        is_volume = self.value() == VOLUME_PLANES
        is_volume |= self.is_time_series and len(self.axes) > 1
        return self.find_depth() if is_volume else None

    def slices(self) -> SliceAxis | None:
        """Return the axis of slices; None: planes are segmented."""
        axis = self.depth_axis
        return None if axis is None else SliceAxis(axis, self.z_step.step())

    def find_depth(self) -> int | None:
        """Find the axis of slices: that with such a name, or that the user has chosen."""
        axis: int | None = self.depth.value if self.axes else None
        return axis

    def use(self, planes: Sequence[int | str], z_step: float | None = None) -> None:
        """Select the planes of a record of several planes: "all" or a range for some axis.

        ``z_step`` is that of volumes, in pixels.
        """
        if len(planes) != len(self.axes) or not any(isinstance(plane, str) for plane in planes):
            return
        pairs = list(zip(planes, self.axes, strict=True))
        if all(plane == "all" or axis.length == 1 for plane, axis in pairs):
            self.set_value(ALL_PLANES if z_step is None else VOLUME_PLANES)
            if z_step is not None:
                self.z_step.set_pixels(z_step)
            return
        parts = [f"0-{axis.length - 1}" if plane == "all" else str(plane) for plane, axis in pairs]
        self.set_value(", ".join(parts))

    def plane_indices(self, current: PlaneIndex) -> list[PlaneIndex] | None:
        """Return the selected planes, in order; None: only ``current``, the one on view.

        Raises
        ------
        UserError
            If the range is invalid.
        """
        if (value := self.value()) == CURRENT_PLANE:
            return None
        if value in WHOLE_KINDS:
            ranges = [range(axis.length) for axis in self.axes]
        else:
            ranges = parse_plane_ranges(value, self.axes)
        if math.prod(map(len, ranges)) > MAX_CHOSEN_PLANES:
            raise UserError(
                f"More than {MAX_CHOSEN_PLANES:,} planes at once: choose a range of them."
            )
        index = list(current.index)
        chosen = []
        for position in itertools.product(*ranges):
            for axis, number in zip(self.axes, position, strict=True):
                index[axis.number] = number
            chosen.append(PlaneIndex(tuple(index), current.channel_axis))
        return chosen

    def _kinds(self, _: Any) -> list[tuple[str, str]]:
        return [
            ("this plane", CURRENT_PLANE),
            ("all, as a z-stack", VOLUME_PLANES),
            ("all, as a time series", TIME_PLANES),
            ("all, one by one", ALL_PLANES),
            (PLANE_RANGE, PLANE_RANGE),
        ]

    def _depths(self, _: Any) -> list[tuple[str, int]]:
        return [(f"z: {axis}", axis.number) for axis in self.axes]

    def _show(self) -> None:
        is_volume = self.depth_axis is not None
        self.range.setVisible(self.kind.value == PLANE_RANGE)
        self.z_step.setVisible(is_volume)
        self.depth.native.setVisible(is_volume and not _is_depth_known(self.axes))
        self.described.emit(self.describe())

    def _on_chosen(self, _: Any = None) -> None:
        if self.axes:
            if self.kind.value == PLANE_RANGE and not self.range.text():
                with QSignalBlocker(self.range):  # all of them, to be shortened
                    self.range.setText(format_whole_range(self.axes))
            self._chosen[self._image_id] = self.value()
        self._on_changed()

    def _on_depth(self, _: Any = None) -> None:
        self._chosen_depth[self._image_id] = self.depth.value
        self._show()
        self.depth_changed.emit()

    def _on_changed(self, _: Any = None) -> None:
        self._show()
        if (value := self.value()) != self._emitted:  # a range that is not shown is no value
            self._emitted = value
            self.changed.emit()


# Values for whole stacks.
WHOLE_KINDS = (CURRENT_PLANE, ALL_PLANES, VOLUME_PLANES, TIME_PLANES)
# The progress bar cannot count further.
MAX_CHOSEN_PLANES = 1_000_000
# A stack of more voxels, whose maps and labels need 5 GB, is no z-stack until the user says so.
MAX_GUESSED_VOXELS = 1_000_000_000


def _guess_planes(image: Image | None, axes: Sequence[StackAxis]) -> str:
    """Guess what is wanted of an image: all slices, if it is a z-stack by name and nothing else."""
    long = [axis.name.lower() for axis in axes if axis.length > 1]
    is_stack = len(long) == 1 and long[0] in DEPTH_AXIS_NAMES
    if image is None or not is_stack or math.prod(layer_shape(image)) > MAX_GUESSED_VOXELS:
        return CURRENT_PLANE
    return VOLUME_PLANES


def _guess_depth(axes: Sequence[StackAxis]) -> int | None:
    """Guess the axis of slices: that with such a name, else the last that is not time."""
    named = [axis.number for axis in axes if axis.name.lower() in DEPTH_AXIS_NAMES]
    others = [axis.number for axis in axes if axis.name.lower() not in TIME_AXIS_NAMES]
    return next(iter(named or others[-1:] or [axis.number for axis in axes]), None)


def _is_depth_known(axes: Sequence[StackAxis]) -> bool:
    """Return whether names say which axis is that of slices, or there is no other."""
    others = [axis for axis in axes if axis.name.lower() not in TIME_AXIS_NAMES]
    return len(others) < 2 or any(axis.name.lower() in DEPTH_AXIS_NAMES for axis in axes)
