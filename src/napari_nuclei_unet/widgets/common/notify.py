"""Notices that napari shows, and that lines of status have whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import napari.utils.notifications
from qtpy.QtCore import QObject, Signal

from ...errors import UserError, name_parameters
from ...memory import MEMORY_SHORT, explain_out_of_memory, is_out_of_memory
from ...params import PARAMETER_LABELS


class Notices(QObject):
    """What this plugin has napari show.

    Signals
    -------
    shown : str
        The whole text: napari's notification shows the beginning of it.
    """

    shown = Signal(str)


NOTICES = Notices()


def show_info(text: str) -> None:
    """Show a notice."""
    napari.utils.notifications.show_info(text)
    NOTICES.shown.emit(text)


def show_warning(text: str) -> None:
    """Show a warning."""
    napari.utils.notifications.show_warning(text)
    NOTICES.shown.emit(text)


def show_error(text: str) -> None:
    """Show an error of the user."""
    napari.utils.notifications.show_error(text)
    NOTICES.shown.emit(text)


def name_controls(message: UserError | str) -> str:
    """Name the parameters of a message as the window does."""
    return name_parameters(str(message), PARAMETER_LABELS)


def describe_error(error: Exception) -> str:
    """Return the sentence of a UserError, or a lack of memory; of a bug none."""
    if isinstance(error, UserError):
        return name_controls(error)
    return name_controls(MEMORY_SHORT) if is_out_of_memory(error) else ""


@contextmanager
def report_user_errors(report: Callable[[str], object] = show_error) -> Iterator[None]:
    """End the block at a UserError, and report it as a sentence; other errors are raised."""
    try:
        yield
    except UserError as error:
        report(name_controls(error))


def show_user_error(error: Exception) -> None:
    """Show a UserError, or a lack of memory, as a sentence.

    Any other error is raised: it is a bug, and napari shows it.
    """
    with report_user_errors(), explain_out_of_memory():
        raise error
