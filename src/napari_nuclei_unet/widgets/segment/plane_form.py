"""The row of the form that says which planes of a stack are segmented."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QLineEdit

from napari_nuclei_unet.arrays.axes import PlaneIndex
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.widgets.common.controls import create_combo_box, create_row
from napari_nuclei_unet.widgets.layers.geometry import hidden_axes, layer_shape

if TYPE_CHECKING:
    from napari.components import ViewerModel

CURRENT_PLANE, ALL_PLANES, PLANE_RANGE = "this one", "all", "range"


@dataclass(frozen=True)
class StackAxis:
    """An axis beside plane and channels.

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


def axis_name(image: Image, axis: int) -> str:
    """Give the axis a name that the user has given it, or its number."""
    name = image.axis_labels[axis]
    return name if name.isalpha() else f"axis {axis}"


def stack_axes(
    viewer: ViewerModel, image: Image | None, channel_axis: int | None
) -> list[StackAxis]:
    """Axes along which an image has planes."""
    if image is None:
        return []
    shape = layer_shape(image)
    return [
        StackAxis(axis, axis_name(image, axis), shape[axis])
        for axis in hidden_axes(viewer, image, channel_axis)
        if axis != channel_axis
    ]


class PlaneForm(QObject):
    """Chooses planes: the one on view, all, or a range of them.

    Attributes
    ----------
    row : QWidget
        The controls; without a stack they are not shown.
    """

    def __init__(self) -> None:
        super().__init__()
        self._axes: list[StackAxis] = []
        self.kind = create_combo_box(
            "planes",
            "Which planes of the stack are segmented: the one on view, all, or some. "
            "Each is normalised by itself.",
            self._kinds,
        )
        self.range = QLineEdit(objectName="plane_range")
        self.row = create_row(self.kind.native, self.range)
        self.kind.changed.connect(self._show)
        self._show()

    @property
    def axes(self) -> list[StackAxis]:
        """Of the image that was offered last; none where it is no stack."""
        return self._axes

    def offer(self, axes: list[StackAxis], reset: bool = False) -> None:
        """Offer the planes along these axes; ``reset`` goes back to the one on view."""
        kind = CURRENT_PLANE if reset or not axes else self.kind.value
        if axes != self._axes:
            self.range.clear()
        self._axes = axes
        with self.kind.changed.blocked():
            self.kind.reset_choices()
            self.kind.value = kind
        names = ", ".join(map(str, axes))
        self.range.setPlaceholderText(", ".join(f"0-{one.length - 1}" for one in axes))
        self.range.setToolTip(
            f"First and last plane, such as 3-7, or a single one, along {names}"
            + ("; separated by commas." if len(axes) > 1 else ".")
        )
        self._show()

    def use(self, planes: Sequence[int | str]) -> None:
        """Choose the planes of a record, if it is of several: "all" or a range for some axis."""
        if len(planes) != len(self._axes) or not any(isinstance(one, str) for one in planes):
            return
        pairs = list(zip(planes, self._axes, strict=True))
        if all(one == "all" or axis.length == 1 for one, axis in pairs):
            self.kind.value = ALL_PLANES
            return
        parts = [f"0-{axis.length - 1}" if one == "all" else str(one) for one, axis in pairs]
        self.kind.value = PLANE_RANGE
        self.range.setText(", ".join(parts))

    def plane_indices(self, current: PlaneIndex) -> list[PlaneIndex] | None:
        """Say which planes are chosen, in order; None: only that of ``current``, which is on view.

        Raises
        ------
        UserError
            If the range is none.
        """
        if not self._axes or self.kind.value == CURRENT_PLANE:
            return None
        if self.kind.value == ALL_PLANES:
            wanted = [range(one.length) for one in self._axes]
        else:
            wanted = parse_plane_ranges(self.range.text(), self._axes)
        if math.prod(map(len, wanted)) > MAX_CHOSEN_PLANES:
            raise UserError(
                f"More than {MAX_CHOSEN_PLANES:,} planes at once: choose a range of them."
            )
        index = list(current.index)
        made = []
        for place in itertools.product(*wanted):
            for axis, at in zip(self._axes, place, strict=True):
                index[axis.number] = at
            made.append(PlaneIndex(tuple(index), current.channel_axis))
        return made

    def _kinds(self, _: Any) -> list[tuple[str, str]]:
        count = math.prod(one.length for one in self._axes)
        return [
            (CURRENT_PLANE, CURRENT_PLANE),
            (f"all ({count:,})", ALL_PLANES),
            (PLANE_RANGE, PLANE_RANGE),
        ]

    def _show(self, _: Any = None) -> None:
        self.range.setVisible(self.kind.value == PLANE_RANGE)


# The bar that shows how far it is cannot count further.
MAX_CHOSEN_PLANES = 1_000_000


def parse_plane_ranges(text: str, axes: Sequence[StackAxis]) -> list[range]:
    """Read what the user has written, such as "0-9, 3": one part for every axis.

    Raises
    ------
    UserError
        Says what is wrong.
    """
    names = ", ".join(map(str, axes))
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != len(axes) or not all(parts):
        raise UserError(
            f"The range '{text}' needs {len(axes)} part{'s' if len(axes) > 1 else ''}, such as "
            f"{', '.join(f'0-{one.length - 1}' for one in axes)}: first and last along {names}."
        )
    made = []
    for part, axis in zip(parts, axes, strict=True):
        found = re.fullmatch(r"(\d+)(?:\s*-\s*(\d+))?", part, re.ASCII)
        first = int(found[1]) if found else 0
        last = int(found[2] or first) if found else -1
        if not first <= last < axis.length:
            raise UserError(
                f"'{part}' is no range of {axis.name}: write first-last, or one number, from 0 to "
                f"{axis.length - 1}."
            )
        made.append(range(first, last + 1))
    return made
