"""The field with the distance between the slices of a z-stack."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, Qt, QTimer
from qtpy.QtGui import QFocusEvent, QMouseEvent, QValidator
from qtpy.QtWidgets import QDoubleSpinBox, QLineEdit

from ...io.units import parse_unit, to_micrometers
from ..common.controls import with_properties
from ..layers.file_scale import set_pixel_size, set_slice_step
from ..layers.labels_record import get_record_entries

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ...io.file_pixel_size import PixelSize

MAX_STEP = 1e6
# A number, and the letters of a unit.
LENGTH = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*([^\W\d_]+)\s*")
# In pixels of the screen: the names of what planes are need the rest of the row.
MAX_WIDTH = 145
STEP_TO_ESTIMATE = "z step: estimate"
Z_STEP_HINT = (
    "Distance between slices, in the unit of the image's pixels. It becomes the scale of the "
    "image along z, and of what lies on it. Where it is not known, it is estimated from the shape "
    "of the nuclei, and shown here: type another one if it is wrong, and segment again."
)


class ZStepField(QDoubleSpinBox):
    """Shows the distance between slices that an image has, which can be edited.

    Where it has none, that of its file is shown, or what was estimated in the last run. Who edits
    that of the file takes over its size of pixels: a number is one of the unit that is shown.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self.setLineEdit(_NumberEdit(self))
        with_properties(
            self, objectName="z_step", toolTip=Z_STEP_HINT, specialValueText=STEP_TO_ESTIMATE,
            decimals=3, minimum=0.0, maximum=MAX_STEP, keyboardTracking=False,
        )  # fmt: skip
        self.setPrefix("z step ")
        self.setMaximumWidth(MAX_WIDTH)
        self.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self._image: Image | None = None
        self._depth: int | None = None
        self._plane: list[int] = []
        self._file_size: PixelSize | None = None
        self.valueChanged.connect(self._set_scale)

    def set_image(
        self,
        image: Image | None,
        depth: int | None,
        channel_axis: int | None,
        file_size: PixelSize | None = None,
    ) -> None:
        """Show the distance between the slices of an image along an axis, and follow it.

        ``file_size`` is that in the file, while the image does not have it.
        """
        for change in () if self._image is None else self._changes(self._image):
            change.disconnect(self._show)
        self._image, self._depth, self._file_size = image, depth, file_size
        if image is None or depth is None:
            return
        free = [axis for axis in range(image.ndim) if axis not in (depth, channel_axis)]
        self._plane = free[-2:]
        for change in self._changes(image):
            change.connect(self._show)
        self.refresh()

    def refresh(self) -> None:
        """Show what is known now, such as an estimate after a run."""
        self._show()

    @property
    def file_step(self) -> float | None:
        """The distance in the file, in micrometers, while the image has none; None: no such."""
        image, depth, size = self._image, self._depth, self._file_size
        if image is None or depth is None or size is None or image.scale[depth] != 1:
            return None
        return size.z

    @staticmethod
    def _changes(image: Image) -> tuple[Any, Any]:
        return image.events.scale, image.events.units

    def _show(self, _: Any = None) -> None:
        image, depth = self._image, self._depth
        if image is None or depth is None:
            return
        file_step = self.file_step
        unit = f"{image.units[self._plane[0]]:~P}" if file_step is None else "µm"
        is_known = unit != "pixel" or any(image.scale[axis] != 1 for axis in (depth, *self._plane))
        step = abs(float(image.scale[depth])) if file_step is None else file_step
        with QSignalBlocker(self):
            self.setSpecialValueText(self._describe_unknown(image))
            self.setSuffix(f" {'px' if unit in ('pixel', 'px') else unit}")
            self.setValue(step if is_known else 0.0)

    def _describe_unknown(self, image: Image) -> str:
        """Return what is shown where the image has no distance."""
        records = [get_record_entries(layer) for layer in self._viewer.layers]
        own = [record for record in records if record.get("image") == str(image.unique_id)]
        steps = [record["z_step"] for record in own if record.get("z_step")]
        return f"z estimated: {steps[-1]:.1f} px" if steps else STEP_TO_ESTIMATE

    def focusInEvent(self, event: QFocusEvent | None) -> None:  # noqa: N802 Qt's name
        """Select the number, so that typing replaces it, also where a text is shown instead."""
        super().focusInEvent(event)
        if event is not None and event.reason() == Qt.FocusReason.MouseFocusReason:
            QTimer.singleShot(0, self.selectAll)  # the click sets the cursor after this

    def textFromValue(self, value: float) -> str:  # noqa: N802 Qt's name
        """Return a value without zeros at its end, for which the dock has no room."""
        return f"{value:.{self.decimals()}f}".rstrip("0").rstrip(".")

    def validate(self, text: str | None, position: int) -> Any:
        """Take a comma for a point, and a length in another unit."""
        plain = (text or "").replace(",", ".")
        if (typed := self._match_length(plain)) is None:
            return super().validate(plain, position)
        is_whole = self._convert(typed) is not None
        states = QValidator.State
        return (states.Acceptable if is_whole else states.Intermediate), plain, position

    def valueFromText(self, text: str | None) -> float:  # noqa: N802 Qt's name
        """Return the value of a text, with a point or a comma, in the unit of the field."""
        plain = (text or "").replace(",", ".")
        typed = self._match_length(plain)
        value = None if typed is None else self._convert(typed)
        return super().valueFromText(plain) if value is None else value

    def _match_length(self, text: str) -> re.Match[str] | None:
        """Return number and letters of a text whose letters are not the unit that is shown."""
        return LENGTH.fullmatch(text.removeprefix(self.prefix()).removesuffix(self.suffix()))

    def _convert(self, typed: re.Match[str]) -> float | None:
        """Return a length in the unit that is shown; None where either unit is unknown."""
        number, unit, own = float(typed[1]), typed[2], self.suffix().strip()
        if unit == own:
            return number
        length = to_micrometers(number, parse_unit(unit))
        shown = to_micrometers(1.0, parse_unit(own))
        return None if length is None or shown is None else length / shown

    def set_pixels(self, step: float) -> None:
        """Set the distance in pixels, if none is known."""
        if self._image is not None and self._depth is not None and not self.value():
            edges = [abs(float(self._image.scale[axis])) for axis in self._plane]
            self.setValue(step * (edges[0] * edges[1]) ** 0.5)

    def step(self) -> float | None:
        """Return the distance in pixels; None: it is not known."""
        self.interpretText()  # what is typed, and not entered yet
        image, depth = self._image, self._depth
        if image is None or depth is None or not self.value():
            return None
        if (size := self._file_size) is not None and (file_step := self.file_step) is not None:
            return float(file_step / (size.y * size.x) ** 0.5)
        step, *edges = (abs(float(image.scale[axis])) for axis in (depth, *self._plane))
        return step / (edges[0] * edges[1]) ** 0.5

    def _set_scale(self, value: float) -> None:
        """Set the scale of the image to what was typed."""
        image, depth = self._image, self._depth
        if image is not None and depth is not None and value:
            if (size := self._file_size) is not None and self.file_step is not None:
                set_pixel_size(self._viewer, image, size)  # the number is in its unit
            set_slice_step(self._viewer, image, depth, value)


class _NumberEdit(QLineEdit):
    """Selects the number at a double click; Qt would take digits behind its point for a word."""

    def __init__(self, field: QDoubleSpinBox) -> None:
        super().__init__(field)
        self._select = field.selectAll

    def mouseDoubleClickEvent(self, _: QMouseEvent | None) -> None:  # noqa: N802 Qt's name
        self._select()
