"""What all docks do when they are shown: they become tabs of each other, and scroll."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from .preferences import PLUGIN_NAME
from .wheel import guard_wheel


class DockSetup(QObject):
    """Sets up a dock when it is shown: the wheel always, its place the first time.

    Parameters
    ----------
    content : QWidget
        What the dock shows; the owner of this.
    """

    def __init__(self, content: QWidget) -> None:
        super().__init__(content)
        self._content, self._has_place = content, False
        content.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Set the dock up; called by Qt."""
        if event is not None and event.type() == QEvent.Type.Show and watched is self._content:
            guard_wheel(self._content)
            if not self._has_place:
                self._has_place = True
                keep_sides_high(self._content)
                QTimer.singleShot(0, self._join)  # napari is still putting the dock in its place
        return False

    def _join(self) -> None:
        join_tabs(self._content)


def keep_sides_high(content: QWidget) -> None:
    """Set the bottom corners to belong to the docks at the sides, if this dock is at the bottom.

    Else the window would grow for a dock that napari puts there, as it was there last time.
    """
    dock = content.parent()
    main = None if not isinstance(dock, QDockWidget) else dock.parent()
    if isinstance(dock, QDockWidget) and isinstance(main, QMainWindow):
        areas = Qt.DockWidgetArea
        if main.dockWidgetArea(dock) == areas.BottomDockWidgetArea:
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
