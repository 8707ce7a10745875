"""What all docks do when they are shown: they become tabs of each other, and scroll."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from .lifetime import keep_until_destroyed
from .preferences import PLUGIN_NAME
from .wheel import guard_wheel

# Of a dock below the canvas, in screen pixels.
BOTTOM_DOCK_HEIGHT = 260


class DockSetup(QObject):
    """Sets up a dock: its place in the window, and the wheel; keeps it until Qt deletes it.

    Parameters
    ----------
    content : QWidget
        What the dock shows; the owner of this.
    """

    def __init__(self, content: QWidget) -> None:
        super().__init__(content)
        self._content, self._has_place = content, False
        content.installEventFilter(self)
        keep_until_destroyed(content)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Set the dock up; called by Qt."""
        kind = None if event is None else event.type()
        if kind == QEvent.Type.ParentChange and isinstance(watched, QWidget):
            self._on_parent(watched.parent())
        elif kind == QEvent.Type.Show and watched is self._content:
            guard_wheel(self._content)
            if not self._has_place:
                self._has_place = True
                QTimer.singleShot(0, self._join)  # napari is still putting the dock in its place
        return False

    def _on_parent(self, parent: QObject | None) -> None:
        """Follow the dock into its window: before it is laid out, or the window would grow."""
        if isinstance(parent, QDockWidget):
            parent.installEventFilter(self)
        elif isinstance(parent, QMainWindow):
            keep_sides_high(parent)

    def _join(self) -> None:
        join_tabs(self._content)
        lower_bottom_dock(self._content)


def keep_sides_high(main: QMainWindow) -> None:
    """Set the bottom corners of a window to belong to the docks at its sides.

    Else these would have to share their height with a dock at the bottom, and a low window grows.
    """
    areas = Qt.DockWidgetArea
    main.setCorner(Qt.Corner.BottomLeftCorner, areas.LeftDockWidgetArea)
    main.setCorner(Qt.Corner.BottomRightCorner, areas.RightDockWidgetArea)


def join_tabs(content: QWidget) -> None:
    """Put the dock of a widget, as a tab, where another dock of this plugin is already.

    napari stacks docks that are opened from its menu; each would be a third as high as it needs.
    Docks in other areas, and floating ones, stay as they are.
    """
    dock = content.parent()
    main = None if not isinstance(dock, QDockWidget) else dock.parent()
    if not isinstance(dock, QDockWidget) or not isinstance(main, QMainWindow):
        return
    if dock.isFloating() or main.tabifiedDockWidgets(dock):
        return
    for other in main.findChildren(QDockWidget):
        is_ours = PLUGIN_NAME in other.objectName() and other is not dock
        is_beside = main.dockWidgetArea(other) == main.dockWidgetArea(dock)
        if is_ours and is_beside and other.isVisible() and not other.isFloating():
            main.tabifyDockWidget(other, dock)
            dock.raise_()
            return


def lower_bottom_dock(content: QWidget) -> None:
    """Resize the dock of a widget, if it is below the canvas, or no canvas would be left."""
    dock = content.parent()
    main = dock.parent() if isinstance(dock, QDockWidget) else None
    if not isinstance(dock, QDockWidget) or not isinstance(main, QMainWindow):
        return
    if main.dockWidgetArea(dock) == Qt.DockWidgetArea.BottomDockWidgetArea:
        main.resizeDocks([dock], [BOTTOM_DOCK_HEIGHT], Qt.Orientation.Vertical)
