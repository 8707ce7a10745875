"""A button that opens another dock of the plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMainWindow, QPushButton

from .preferences import PLUGIN_NAME

if TYPE_CHECKING:
    from napari.components import ViewerModel

# Of a dock below the canvas, in screen pixels.
BOTTOM_DOCK_HEIGHT = 260


class DockButton(QPushButton):
    """Opens a dock beside the others, or below the canvas; hidden where there is no window.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    dock_name : str
        As the manifest has it, such as "Review nuclei".
    text : str
        On the button.
    below_canvas : bool, optional
        Where the dock is put when it is first opened.
    """

    def __init__(
        self, viewer: ViewerModel, dock_name: str, text: str, *, below_canvas: bool = False
    ) -> None:
        super().__init__(text)
        self._viewer, self._dock_name, self._below_canvas = viewer, dock_name, below_canvas
        if not hasattr(viewer, "window"):
            self.hide()
        self.clicked.connect(self._open)

    def _open(self, *_: object) -> None:
        window = self._viewer.window
        before = set(window.dock_widgets)
        dock, _ = window.add_plugin_dock_widget(PLUGIN_NAME, self._dock_name, tabify=True)
        if self._below_canvas and dock.name not in before:
            main = dock.window()
            assert isinstance(main, QMainWindow)
            main.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
            main.resizeDocks([dock], [BOTTOM_DOCK_HEIGHT], Qt.Orientation.Vertical)
        dock.show()
        dock.raise_()  # it may be open, behind another tab
