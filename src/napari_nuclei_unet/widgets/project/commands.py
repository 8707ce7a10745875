"""Commands and the reader of projects in napari's manifest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari import current_viewer
from qtpy.QtWidgets import QApplication

from ...errors import UserError
from ..common.notify import report_user_errors
from .panel import ask_to_open, ask_to_save
from .projects import Projects

if TYPE_CHECKING:
    from napari.viewer import Viewer

# What a reader returns that adds no layers itself.
NO_LAYERS: list[tuple[Any, ...]] = [(None,)]


def save_project_command() -> None:
    """Ask for a file, and save the project of the current viewer."""
    ask_to_save(Projects.of(_viewer()), QApplication.activeWindow())


def open_project_command() -> None:
    """Ask for a project file, and open it in the current viewer."""
    ask_to_open(Projects.of(_viewer()), QApplication.activeWindow())


def get_project_reader(path: str | list[str]) -> Callable[[str], list[tuple[Any, ...]]] | None:
    """Return a reader for a project file; None for several files."""
    return None if isinstance(path, list) else read_into_viewer


def read_into_viewer(path: str) -> list[tuple[Any, ...]]:
    """Open a project in the current viewer, which needs more than layers."""
    with report_user_errors():
        Projects.of(_viewer()).open(path)
    return NO_LAYERS


def _viewer() -> Viewer:
    if (viewer := current_viewer()) is None:
        raise UserError("A project needs a window of napari: start napari, and open it there.")
    return viewer
