"""The field with the distance between the slices of a z-stack."""

from __future__ import annotations

from napari.layers import Image
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QDoubleSpinBox

from ..common.controls import with_properties

MAX_STEP = 1e6
Z_STEP_HINT = (
    "Distance between slices, in the unit of the image's pixels. It becomes the scale of the "
    "image along z. Where it is not known, it is estimated from the shape of the nuclei."
)


class ZStepField(QDoubleSpinBox):
    """Shows the distance between slices that an image has, which can be edited."""

    def __init__(self) -> None:
        super().__init__()
        with_properties(
            self, objectName="z_step", toolTip=Z_STEP_HINT, specialValueText="z step: estimate",
            decimals=3, minimum=0.0, maximum=MAX_STEP, keyboardTracking=False,
        )  # fmt: skip
        self.setPrefix("z step ")
        self.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self._image: Image | None = None
        self._depth: int | None = None
        self._plane: list[int] = []

    def set_image(self, image: Image | None, depth: int | None, channel_axis: int | None) -> None:
        """Show the distance between the slices of an image along an axis."""
        self._image, self._depth = image, depth
        if image is None or depth is None:
            return
        free = [axis for axis in range(image.ndim) if axis not in (depth, channel_axis)]
        self._plane = free[-2:]
        unit = f"{image.units[self._plane[0]]:~P}"
        is_known = unit != "pixel" or any(image.scale[axis] != 1 for axis in (depth, *self._plane))
        with QSignalBlocker(self):
            self.setSuffix(f" {'px' if unit in ('pixel', 'px') else unit}")
            self.setValue(float(image.scale[depth]) if is_known else 0.0)

    def textFromValue(self, value: float) -> str:  # noqa: N802 Qt's name
        """Return a value without zeros at its end, for which the dock has no room."""
        return f"{value:.{self.decimals()}f}".rstrip("0").rstrip(".")

    def apply(self) -> float | None:
        """Set the scale of the image, and return the distance in pixels; None: it is not known."""
        image, depth = self._image, self._depth
        if image is None or depth is None or not self.value():
            return None
        if abs(self.value() - image.scale[depth]) > 10 ** -self.decimals():
            scale = list(image.scale)
            scale[depth] = self.value()
            image.scale = scale
        edges = [float(image.scale[axis]) for axis in self._plane]
        return float(image.scale[depth]) / (edges[0] * edges[1]) ** 0.5
