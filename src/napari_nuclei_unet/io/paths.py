"""Folders for the files of the user, and valid file names."""

from __future__ import annotations

import os
import re
from pathlib import Path

from platformdirs import user_data_path

HOME_VARIABLE = "NUCLEI_UNET_HOME"
# Not allowed on Windows, or on disks formatted for it.
REFUSED_CHARACTERS = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
RESERVED_NAMES = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])(\..*)?", re.IGNORECASE)
MAX_NAME_LENGTH = 80
HOME_ADVICE = (
    f"free some space, or set the environment variable {HOME_VARIABLE} to a folder that can be "
    "written"
)


def sanitize_name(name: str, default: str) -> str:
    """Remove what some file systems refuse from a name; ``default`` where nothing is left."""
    plain = REFUSED_CHARACTERS.sub("_", name).strip(" .")[:MAX_NAME_LENGTH].strip(" .")
    return default if not plain or RESERVED_NAMES.fullmatch(plain) else plain


def user_folder() -> Path:
    """Return the folder of this program: from the environment variable, or the system's default."""
    set_by_user = os.environ.get(HOME_VARIABLE)
    return Path(set_by_user) if set_by_user else user_data_path("napari-nuclei-unet", False)


def is_in_user_folder(path: Path) -> bool:
    """Return whether a path lies in the folder of this program, which nobody chose."""
    return path.is_relative_to(user_folder())


def model_folder() -> Path:
    """Return the folder of the user's own models; it need not exist."""
    return user_folder() / "models"


def unfinished_folder() -> Path:
    """Return the folder of interrupted training runs; it need not exist."""
    return user_folder() / "unfinished"


def unsaved_folder() -> Path:
    """Return the folder of edits that are not saved yet; it need not exist."""
    return user_folder() / "unsaved"


def results_folder() -> Path:
    """Return the folder of labels larger than memory; it need not exist."""
    return user_folder() / "results"


def printable(text: object) -> str:
    """Return text, such as a name, in one line that any screen and file takes.

    Bytes of a name that are no UTF-8, line breaks and control characters become escapes.
    """
    return "".join(_escape(character) for character in str(text))


def _escape(character: str) -> str:
    if character.isprintable():
        return character
    # a byte that is no UTF-8 stands for itself plus 0xdc00 in names
    return ascii(character)[1:-1].replace("\\udc", "\\x")
