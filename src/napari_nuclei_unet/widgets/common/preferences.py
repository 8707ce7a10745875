"""The page Preferences ▸ Nuclei U-Net, which the manifest declares."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import napari.settings

PLUGIN_NAME = "napari-nuclei-unet"
DEFAULT_PREFERENCES: dict[str, Any] = {
    "device": "auto",
    "model_folder": "",
    "model": "nuclei",
    "threads_free": 0,
    "offline": False,
    "on_cancel": "ask",
    "outlines": True,
}
# Of this session, where napari has no settings of the plugin: before 0.9, or not installed in it.
_SESSION_PREFERENCES = SimpleNamespace(**DEFAULT_PREFERENCES)


def get_preference(name: str) -> Any:
    """Return the value that the user has set, or the default.

    Parameters
    ----------
    name : str
        One of ``DEFAULT_PREFERENCES``.
    """
    return getattr(preferences_page(), name)


def set_preference(name: str, value: Any) -> None:
    """Set a value; napari writes it to its settings, from 0.9 on."""
    setattr(preferences_page(), name, value)


def preferences_page() -> Any:
    """Return the object of which the attributes are the values."""
    try:
        return napari.settings.get_plugin_settings(PLUGIN_NAME).segment
    except (KeyError, AttributeError):
        return _SESSION_PREFERENCES
