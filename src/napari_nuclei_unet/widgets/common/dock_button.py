"""A button that opens another dock of the plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMainWindow, QPushButton, QWidget

from .preferences import PLUGIN_NAME

if TYPE_CHECKING:
    from napari.components import ViewerModel


class DockButton(QPushButton):
    """Opens a dock beside the others, or below the canvas; hidden where there is no window.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    dock_name : str
        As the manifest has it, such as "Review nuclei".
    text, tooltip : str
        Of the button.
    below_canvas : bool, optional
        Where the dock is put when it is first opened.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        dock_name: str,
        text: str,
        tooltip: str,
        *,
        below_canvas: bool = False,
    ) -> None:
        super().__init__(text)
        self.setObjectName("open_" + dock_name.lower().replace(" ", "_"))
        self.setToolTip(tooltip)
        self._viewer, self._dock_name, self._below_canvas = viewer, dock_name, below_canvas
        if hasattr(viewer, "window"):
            self.clicked.connect(self.open_dock)
        else:
            self.hide()

    def open_dock(self, *_: object) -> Any:
        """Open the dock, or bring it to the front, and return its widget."""
        window, main = self._viewer.window, _main_window(self)
        is_open = any(name.startswith(f"{self._dock_name} (") for name in window.dock_widgets)
        dock, widget = window.add_plugin_dock_widget(PLUGIN_NAME, self._dock_name, tabify=True)
        if self._below_canvas and not is_open:
            main.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
        dock.show()
        dock.raise_()  # it may be open, behind another tab
        return widget


def _main_window(widget: QWidget) -> QMainWindow:
    """Return the window that a widget is docked in; of a floating dock that it belongs to."""
    parent: QWidget | None = widget
    while not isinstance(parent, QMainWindow):
        assert parent is not None
        parent = parent.parentWidget()
    return parent
