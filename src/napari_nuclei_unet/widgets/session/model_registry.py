"""The folder of the user's models, and signals for changes of the models and the default."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QObject, Signal

from ...errors import UserError
from ...io.paths import model_folder
from ...models.model import find_model_path
from ..common.preferences import get_preference, set_preference

# Name of a model, and the time its file was last changed.
ModelStamp = tuple[str, int]


class ModelRegistry(QObject):
    """Tells all docks that models were added, removed, or made the default.

    Attributes
    ----------
    session_model : str
        File of the model that is used in place of the default until napari is closed; empty: none.

    Signals
    -------
    changed
        Models were added or removed.
    default_changed : str
        File of the model that all docks select.
    """

    changed = Signal()
    default_changed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.session_model = ""
        self._stamps: dict[str, ModelStamp] = {}
        self.changed.connect(self._stamps.clear)

    def stamp(self, model: str) -> ModelStamp:
        """Return the stamp of a model; its file is looked at once, and when models change."""
        if model not in self._stamps:
            self.renew_stamp(model)
        return self._stamps[model]

    def renew_stamp(self, model: str) -> None:
        """Look at the file of a model again."""
        try:
            changed_at = find_model_path(model).stat().st_mtime_ns
        except (UserError, OSError):
            changed_at = 0
        self._stamps[model] = model, changed_at


# One for all viewers: the folder of models is the user's.
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
    MODEL_REGISTRY.session_model = ""
    set_preference("model", str(path))
    _select_everywhere(path)


def use_model_for_session(path: Path) -> None:
    """Select a model in all widgets, and in those that are opened until napari is closed."""
    MODEL_REGISTRY.session_model = str(path)
    _select_everywhere(path)


def _select_everywhere(path: Path) -> None:
    MODEL_REGISTRY.changed.emit()
    MODEL_REGISTRY.default_changed.emit(str(path))


def initial_model() -> str:
    """Return the model that a dock begins with: that of this session, or the default."""
    model = MODEL_REGISTRY.session_model
    return model if model and Path(model).is_file() else str(get_preference("model"))
