"""A table that the Review dock saves for spreadsheets that write decimal commas."""

import numpy as np
import pandas as pd
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QDialogButtonBox, QFileDialog, QLineEdit

from napari_nuclei_unet.widgets import ReviewWidget
from widgets.conftest import click

KIND = "Table for spreadsheets with decimal comma (CSV) (*.csv)"


def test_it_is_a_file_type_of_the_dialog(qtbot, viewer, tmp_path):
    review = ReviewWidget(viewer)
    qtbot.addWidget(review)
    viewer.add_labels(np.eye(30, dtype=np.int32).repeat(2, 0), name="n")

    def answer():
        dialog = QApplication.activeModalWidget()
        if not isinstance(dialog, QFileDialog):
            QTimer.singleShot(50, answer)
            return
        dialog.selectNameFilter(KIND)
        dialog.findChild(QLineEdit).setText(str(tmp_path / "mine.csv"))
        dialog.findChild(QDialogButtonBox).button(QDialogButtonBox.StandardButton.Save).click()

    QTimer.singleShot(50, answer)
    with qtbot.waitSignal(review.finished, timeout=15_000):
        click(review, "save")
        qtbot.waitUntil(lambda: (tmp_path / "mine.csv").exists(), timeout=15_000)
    table = pd.read_csv(tmp_path / "mine.csv", sep=";", decimal=",", encoding="utf-8-sig")
    assert table["centroid_y"].tolist() == [29.5]
    with qtbot.waitSignal(review.finished, timeout=15_000):
        review.save(tmp_path / "plain.csv")
    assert pd.read_csv(tmp_path / "plain.csv")["area"].tolist() == [60]
