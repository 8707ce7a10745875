"""The one question that the widget asks."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QMessageBox, QWidget

from napari_nuclei_unet.widgets.common.preferences import get_preference, set_preference


def ask_to_keep(parent: QWidget, keep: Callable[[], object]) -> None:
    """Ask whether finished tiles of a cancelled run are kept, unless that is known; do not wait.

    Parameters
    ----------
    parent : QWidget
    keep : callable
        Is called if they are.
    """
    if (known := get_preference("on_cancel")) != "ask":
        if known == "keep":
            keep()
        return
    box = QMessageBox(parent)
    box.setObjectName("keep_finished")
    box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    box.setWindowTitle("Segment nuclei")
    box.setText("Keep the nuclei of the tiles that are finished?")
    box.setInformativeText("The rest of the labels stays as it is.")
    yes = box.addButton("Keep", QMessageBox.ButtonRole.AcceptRole)
    # a role by which Escape answers nothing: what is remembered must have been meant
    box.addButton("Discard", QMessageBox.ButtonRole.DestructiveRole)
    remember = QCheckBox("Do not ask again (Preferences ▸ Nuclei U-Net)", checked=True)
    box.setCheckBox(remember)

    def answered(_: int) -> None:
        wanted = box.clickedButton() is yes
        if remember.isChecked():
            set_preference("on_cancel", "keep" if wanted else "discard")
        if wanted:
            keep()

    box.finished.connect(answered)
    box.open()
