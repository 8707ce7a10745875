"""Where the user's models stand, and who is told when one comes, goes, or becomes the default."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QObject, Signal

from napari_nuclei_unet.io.paths import model_folder
from napari_nuclei_unet.widgets.common.preferences import preference, set_preference


class Shelf(QObject):
    """Tells all widgets of a session that models have come, gone, or become the default.

    Signals
    -------
    changed
        There are other models.
    chosen : str
        File of the model that is the default from now on.
    """

    changed = Signal()
    chosen = Signal(str)


SHELF = Shelf()


def folder() -> Path:
    """Where the user's models are: as Preferences say, or where the system has such."""
    wanted = preference("model_folder")
    try:
        return Path(wanted).expanduser() if wanted else model_folder()
    except RuntimeError:  # no such user
        return Path(wanted)


def make_default(path: Path) -> None:
    """Choose a model in all widgets, and in those that are still to be opened."""
    set_preference("model", str(path))
    SHELF.changed.emit()
    SHELF.chosen.emit(str(path))
