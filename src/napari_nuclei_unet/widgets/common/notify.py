"""Notices that napari shows."""

from __future__ import annotations

from napari.utils.notifications import show_error

from napari_nuclei_unet.errors import UserError


def show_user_error(error: Exception) -> None:
    """Show a UserError as a sentence; raise any other error: it is a bug, and napari shows it."""
    if not isinstance(error, UserError):
        raise error
    show_error(str(error))
