"""The button that leads from a result to its review."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QPushButton

if TYPE_CHECKING:
    from napari.components import ViewerModel


class ReviewButton(QPushButton):
    """Opens "Review nuclei" beside the other widgets; hidden where there is no window.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__("Correct, measure, save …")
        self.setObjectName("open_review")
        self._viewer = viewer
        self.setToolTip("Open the widget that corrects nuclei, measures and saves them.")
        self.setVisible(hasattr(viewer, "window"))
        self.clicked.connect(self._open)

    def _open(self, *_: object) -> None:
        dock, _ = self._viewer.window.add_plugin_dock_widget(
            "napari-nuclei-unet", "Review nuclei", tabify=True
        )
        dock.show()
        dock.raise_()  # it may be open, behind another tab
