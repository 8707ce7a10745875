"""Long names in combo boxes, shortened in the middle: their ends tell them apart."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractItemView, QComboBox, QStyle, QStyleOptionComboBox, QStylePainter


class _MiddleEliding(QObject):
    """Paints a combo box with the text shortened in the middle, where Qt cuts off its end."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        is_paint = event is not None and event.type() == QEvent.Type.Paint
        if not is_paint or not isinstance(watched, QComboBox):
            return False
        option, style = QStyleOptionComboBox(), watched.style()
        watched.initStyleOption(option)
        if style is None:
            return False
        controls, parts = QStyle.ComplexControl, QStyle.SubControl
        room = style.subControlRect(
            controls.CC_ComboBox, option, parts.SC_ComboBoxEditField, watched
        )
        option.currentText = watched.fontMetrics().elidedText(
            option.currentText, Qt.TextElideMode.ElideMiddle, room.width() - 4
        )
        painter = QStylePainter(watched)
        painter.drawComplexControl(controls.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()
        return True


def elide_in_middle(combo: QComboBox) -> None:
    """Shorten long names of a combo box, and of its list, in the middle."""
    combo.installEventFilter(_MiddleEliding(combo))
    view = combo.view()
    if isinstance(view, QAbstractItemView):
        view.setTextElideMode(Qt.TextElideMode.ElideMiddle)
