"""Where the user's models stand, and who is told when one comes, goes, or becomes the default."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QObject, Signal

from napari_nuclei_unet.io.paths import model_folder
from napari_nuclei_unet.widgets.common.preferences import get_preference, set_preference


class ModelRegistry(QObject):
    """Tells all widgets of a session that models have come, gone, or become the default.

    Signals
    -------
    changed
        There are other models.
    default_changed : str
        File of the model that is the default from now on.
    """

    changed = Signal()
    default_changed = Signal(str)


MODEL_REGISTRY = ModelRegistry()


def user_model_folder() -> Path:
    """Where the user's models are: as Preferences say, or where the system has such."""
    wanted = get_preference("model_folder")
    try:
        return Path(wanted).expanduser() if wanted else model_folder()
    except RuntimeError:  # no such user
        return Path(wanted)


def set_default_model(path: Path) -> None:
    """Choose a model in all widgets, and in those that are still to be opened."""
    set_preference("model", str(path))
    MODEL_REGISTRY.changed.emit()
    MODEL_REGISTRY.default_changed.emit(str(path))
