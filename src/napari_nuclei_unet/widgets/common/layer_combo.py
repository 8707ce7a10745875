"""Combo boxes whose choices change, as layers and model files do."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import ComboBox


def reload_choices(combo: ComboBox, *preferred: Any) -> bool:
    """Reload the choices of a combo box without a signal; return whether its value has changed.

    Parameters
    ----------
    combo : ComboBox
    *preferred
        Values to select, the first that is offered; by default the current one. Where none is
        offered, magicgui selects one.
    """
    before = combo.value
    with combo.changed.blocked():
        combo.reset_choices()  # magicgui matches choices by text, and that may have changed
        choices = combo.choices
        for value in preferred or (before,):
            if value in choices:
                combo.value = value
                break
    return bool(combo.value != before)
