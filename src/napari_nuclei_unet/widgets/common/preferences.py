"""The page Preferences ▸ Nuclei U-Net, which the manifest declares."""

from __future__ import annotations

from typing import Any

import napari.settings

PLUGIN_NAME = "napari-nuclei-unet"
# Used where napari has no settings of the plugin.
DEFAULT_PREFERENCES: dict[str, Any] = {
    "device": "auto",
    "model_folder": "",
    "model": "nuclei",
    "threads_free": 0,
    "offline": False,
    "on_cancel": "ask",
    "outlines": True,
}


def get_preference(name: str) -> Any:
    """Return the value that the user has set, or the default.

    Parameters
    ----------
    name : str
        One of ``DEFAULT_PREFERENCES``.
    """
    return getattr(_settings(), name, DEFAULT_PREFERENCES[name])


def set_preference(name: str, value: Any) -> None:
    """Set a value; napari writes it to its settings."""
    if (settings := _settings()) is not None:
        setattr(settings, name, value)


def _settings() -> Any:
    try:
        return napari.settings.get_plugin_settings(PLUGIN_NAME).segment
    except (KeyError, AttributeError):  # an older napari, or not installed in it
        return None
