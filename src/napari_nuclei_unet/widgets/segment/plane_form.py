"""The row of the form that selects which planes of a stack are segmented."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QObject, QSignalBlocker, Signal
from qtpy.QtWidgets import QLineEdit

from ...arrays.axes import PlaneIndex
from ...errors import UserError
from ..common.controls import create_combo_box, create_row, with_properties
from ..common.layer_combo import reload_choices
from ..layers.geometry import hidden_axes, layer_shape
from .z_step import ZStepField

if TYPE_CHECKING:
    from napari.components import ViewerModel

CURRENT_PLANE, ALL_PLANES, PLANE_RANGE = "this one", "all", "range"
VOLUME_PLANES, TIME_PLANES = "z-stack", "time series"
DEPTH_AXIS_NAMES, TIME_AXIS_NAMES = ("z", "depth", "slice"), ("t", "time", "frame")


@dataclass(frozen=True)
class StackAxis:
    """An axis other than those of the plane and the channels.

    Attributes
    ----------
    number : int
    name : str
    length : int
    """

    number: int
    name: str
    length: int

    def __str__(self) -> str:
        return f"{self.name} (0-{self.length - 1})"


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

    Signals
    -------
    changed
        Other planes are selected.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.axes: list[StackAxis] = []
        self.kind = create_combo_box(
            "planes",
            "Which planes of the stack are segmented, and what they are. As a z-stack: nuclei are "
            "objects in 3-D, and all slices have one brightness. As a time series: nuclei keep "
            "their id from frame to frame. One by one: each plane by itself.",
            self._kinds,
        )
        self.range = with_properties(QLineEdit(), objectName="plane_range")
        self.z_step = ZStepField()
        self.row = create_row(self.kind.native, self.range, self.z_step)
        self._emitted = self.value()
        self.kind.changed.connect(self._on_changed)
        self.range.textChanged.connect(self._on_changed)
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

    def offer(self, axes: list[StackAxis], reset: bool = False) -> None:
        """Offer the planes along these axes; ``reset`` returns to the one on view."""
        kind = CURRENT_PLANE if reset or not axes else self.kind.value
        if axes != self.axes:
            with QSignalBlocker(self.range):  # until the choice, too, is that of these axes
                self.range.clear()
        self.axes = axes
        reload_choices(self.kind, kind)
        names = ", ".join(map(str, axes))
        self.range.setPlaceholderText(", ".join(f"0-{axis.length - 1}" for axis in axes))
        self.range.setToolTip(
            f"First and last plane, such as 3-7, or a single one, along {names}"
            + ("; separated by commas." if len(axes) > 1 else ".")
        )
        self._on_changed()

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
        """Find the axis of slices: that with such a name, else the last that is not time."""
        named = [axis.number for axis in self.axes if axis.name.lower() in DEPTH_AXIS_NAMES]
        others = [axis.number for axis in self.axes if axis.name.lower() not in TIME_AXIS_NAMES]
        return next(iter(named or others[-1:] or [axis.number for axis in self.axes]), None)

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

    def _show(self) -> None:
        self.range.setVisible(self.kind.value == PLANE_RANGE)
        self.z_step.setVisible(self.depth_axis is not None)

    def _on_changed(self, _: Any = None) -> None:
        self._show()
        if (value := self.value()) != self._emitted:  # a range that is not shown is no value
            self._emitted = value
            self.changed.emit()


# Values for whole stacks.
WHOLE_KINDS = (CURRENT_PLANE, ALL_PLANES, VOLUME_PLANES, TIME_PLANES)
# The progress bar cannot count further.
MAX_CHOSEN_PLANES = 1_000_000


def parse_plane_ranges(text: str, axes: Sequence[StackAxis]) -> list[range]:
    """Parse the ranges that the user has typed, such as "0-9, 3": one for every axis.

    Raises
    ------
    UserError
        If the text is invalid.
    """
    names = ", ".join(map(str, axes))
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != len(axes) or not all(parts):
        raise UserError(
            f"The range '{text}' needs {len(axes)} part{'s' if len(axes) > 1 else ''}, such as "
            f"{', '.join(f'0-{axis.length - 1}' for axis in axes)}: first and last along {names}."
        )
    ranges = []
    for part, axis in zip(parts, axes, strict=True):
        match = re.fullmatch(r"(\d+)(?:\s*-\s*(\d+))?", part, re.ASCII)
        first = int(match[1]) if match else 0
        last = int(match[2] or first) if match else -1
        if not first <= last < axis.length:
            raise UserError(
                f"'{part}' is no range of {axis.name}: write first-last, or one number, from 0 to "
                f"{axis.length - 1}."
            )
        ranges.append(range(first, last + 1))
    return ranges
