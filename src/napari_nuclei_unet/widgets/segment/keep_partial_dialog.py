"""The question whether the finished tiles of a cancelled run are kept."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QMessageBox, QWidget

from ..common.preferences import get_preference, set_preference


def ask_to_keep(parent: QWidget, answer: Callable[[bool], object]) -> None:
    """Ask whether finished tiles of a cancelled run are kept, unless set; return at once.

    Parameters
    ----------
    parent : QWidget
    answer : callable
        Called with whether they are.
    """
    if (preference := get_preference("on_cancel")) != "ask":
        answer(preference == "keep")
        return
    box = QMessageBox(parent)
    box.setObjectName("keep_finished")
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setWindowTitle("Segment nuclei")
    box.setText("Keep the nuclei of the tiles that are finished?")
    box.setInformativeText("The rest of the labels stays as it is.")
    yes = box.addButton("Keep", QMessageBox.ButtonRole.AcceptRole)
    # a role for which Escape is no answer: only a deliberate choice is remembered
    box.addButton("Discard", QMessageBox.ButtonRole.DestructiveRole)
    remember = QCheckBox("Do not ask again (Preferences ▸ Nuclei U-Net)")
    remember.setChecked(True)
    box.setCheckBox(remember)

    def answered(_: int) -> None:
        kept = box.clickedButton() is yes
        if remember.isChecked():
            set_preference("on_cancel", "keep" if kept else "discard")
        answer(kept)

    box.finished.connect(answered)
    box.open()
