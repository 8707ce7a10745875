"""The folder of the user's models, and signals for changes of the models and the default."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QObject, Signal

from ...io.paths import model_folder
from ..common.preferences import get_preference, set_preference


class ModelRegistry(QObject):
    """Signals all widgets of a session that models were added, removed, or made the default.

    Signals
    -------
    changed
        Models were added or removed.
    default_changed : str
        File of the new default model.
    """

    changed = Signal()
    default_changed = Signal(str)


MODEL_REGISTRY = ModelRegistry()


def user_model_folder() -> Path:
    """Return the folder of the user's models: that of Preferences, or of the system."""
    folder = get_preference("model_folder")
    try:
        return Path(folder).expanduser() if folder else model_folder()
    except RuntimeError:  # no such user
        return Path(folder)


def set_default_model(path: Path) -> None:
    """Select a model in all widgets, and in those that are opened later."""
    set_preference("model", str(path))
    MODEL_REGISTRY.changed.emit()
    MODEL_REGISTRY.default_changed.emit(str(path))
