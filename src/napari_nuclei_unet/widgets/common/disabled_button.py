"""Buttons that are disabled where they cannot do anything, and say why."""

from __future__ import annotations

from qtpy.QtWidgets import QAbstractButton

_OWN_TOOLTIP = "own_tooltip"


def disable(button: QAbstractButton, reason: str) -> None:
    """Disable a button, with the reason as its tooltip; without one enable it again.

    Parameters
    ----------
    button : QAbstractButton
    reason : str
        Why it cannot do anything; empty: it can.
    """
    own = button.property(_OWN_TOOLTIP)
    if own is None:
        own = button.toolTip()
        button.setProperty(_OWN_TOOLTIP, own)
    button.setEnabled(not reason)
    button.setToolTip(reason or own)
