"""Live curves of a training, and one validation area with the nuclei found in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from ...training.plots import ANNOTATED_COLOR, FOUND_COLOR, best_epoch_row, draw_outlines
from ..common.controls import fill_layout, with_properties
from ..common.themed_plot import ThemedPlot

if TYPE_CHECKING:
    from ...training.plots import ValidationPicture

# Blue and orange, which all kinds of colour vision can distinguish.
TRAINING_CURVE_COLOR, VALIDATION_CURVE_COLOR, SECOND_CURVE_COLOR = "#56b4e9", "#e69f00", "#cc79a7"
PICTURE_HEIGHT = 150  # in screen pixels

CurveSpec = tuple[str, str, str]  # column of the history, title, colour
LOSS_CURVES: tuple[CurveSpec, ...] = (
    ("training_loss", "training", TRAINING_CURVE_COLOR),
    ("validation_loss", "validation", VALIDATION_CURVE_COLOR),
)
SCORE_CURVES: tuple[CurveSpec, ...] = (
    ("validation_ap", "AP@0.5", VALIDATION_CURVE_COLOR),
    ("validation_iou", "IoU", SECOND_CURVE_COLOR),
)


class TrainingCurves(QWidget):
    """Loss and scores against the epoch, the best epoch marked, and a picture below."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("curves")
        layout = QVBoxLayout(self)
        layout.setSpacing(2)
        self._loss = with_properties(_Plot("Loss", LOSS_CURVES), objectName="loss_plot")
        self._scores = _Plot("Validation score", SCORE_CURVES)
        self._scores.setObjectName("score_plot")
        self._scores.setYRange(0, 1, padding=0.02)
        self._picture = with_properties(QLabel(), objectName="held_back_picture")
        self._picture.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._picture.setToolTip(
            "One of the validation areas: your annotation in blue, the nuclei that the model finds "
            "in orange. Darker parts are ignored."
        )
        fill_layout(layout, self._loss, self._scores, self._picture)
        self.clear()

    def clear(self) -> None:
        """Hide the curves until there is an epoch."""
        self._picture.clear()
        self.setVisible(False)

    def show_history(self, history: Sequence[dict[str, float]]) -> None:
        """Draw the curves of all epochs so far."""
        self.setVisible(True)
        for plot in (self._loss, self._scores):
            plot.draw(history)

    def show_picture(self, picture: ValidationPicture) -> None:
        """Draw an image with the annotation in blue and the nuclei found in orange."""
        outlined = draw_outlines(picture.image, picture.true, ANNOTATED_COLOR, "outer")
        outlined = draw_outlines(outlined, picture.found, FOUND_COLOR)
        pixels = np.ascontiguousarray((255 * outlined).astype(np.uint8))
        height, width, _ = pixels.shape
        image = pg.QtGui.QImage(
            pixels.data, width, height, 3 * width, pg.QtGui.QImage.Format.Format_RGB888
        )
        pixmap = pg.QtGui.QPixmap.fromImage(image)
        self._picture.setPixmap(
            pixmap.scaled(3 * PICTURE_HEIGHT, PICTURE_HEIGHT, Qt.AspectRatioMode.KeepAspectRatio)
        )


class _Plot(ThemedPlot):
    """Columns of the history against the epoch."""

    _has_parts = False

    def __init__(self, title: str, curves: Sequence[CurveSpec]) -> None:
        super().__init__()
        self.setFixedHeight(130)
        item = self.getPlotItem()
        # a legend inside would cover the curves
        self._title = title + "".join(
            f" &nbsp; <span style='color:{c}'>● {name}</span>" for _, name, c in curves
        )
        item.showGrid(y=True, alpha=0.2)
        self._curves = {
            column: item.plot(
                name=column,
                pen=pg.mkPen(colour, width=2),
                symbol="o",
                symbolSize=5,
                symbolBrush=colour,
                symbolPen=None,
            )
            for column, _, colour in curves
        }
        self._best = pg.InfiniteLine(label="best", labelOpts={"position": 0.12})
        self.addItem(self._best)
        self._has_parts = True
        self.use_theme()

    def use_theme(self) -> None:
        """Draw everything but the curves in the colours of the theme."""
        super().use_theme()
        if self._has_parts:
            color = self.text_color
            self.getPlotItem().setTitle(self._title, color=color, size="9pt")
            self._best.setPen(pg.mkPen(color, style=Qt.PenStyle.DotLine))
            self._best.label.setColor(color)

    def draw(self, history: Sequence[dict[str, float]]) -> None:
        """Draw a history; values that are not finite are left out."""
        for column, curve in self._curves.items():
            known = [row for row in history if math.isfinite(row.get(column, math.nan))]
            curve.setData([row["epoch"] for row in known], [row[column] for row in known])
        best = best_epoch_row(history)
        self._best.setVisible(best is not None)
        if best is not None:
            self._best.setValue(best["epoch"])
        last = history[-1]["epoch"] if history else 1
        self.setXRange(0, max(last, 1), padding=0.03)
        self.getPlotItem().getAxis("bottom").setTickSpacing(max(1, math.ceil(last / 8)), 1)
