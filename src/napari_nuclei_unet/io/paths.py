"""Where the files of a user are that no one has to look for, and what files can be called."""

from __future__ import annotations

import os
import re
from pathlib import Path

from platformdirs import user_data_path

HOME_VARIABLE = "NUCLEI_UNET_HOME"
# What Windows, or a disk made for it, refuses.
REFUSED_CHARACTERS = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
RESERVED_NAMES = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])(\..*)?", re.IGNORECASE)
MAX_NAME_LENGTH = 80


def sanitize_name(name: str, default: str) -> str:
    """Give a name that every file system takes; ``default`` where nothing is left of it."""
    plain = REFUSED_CHARACTERS.sub("_", name).strip(" .")[:MAX_NAME_LENGTH].strip(" .")
    return default if not plain or RESERVED_NAMES.fullmatch(plain) else plain


def user_folder() -> Path:
    """Folder of this program: that of the environment variable, or where the system has such."""
    set_by_user = os.environ.get(HOME_VARIABLE)
    return Path(set_by_user) if set_by_user else user_data_path("napari-nuclei-unet", False)


def model_folder() -> Path:
    """Folder of the user's own models; it need not exist."""
    return user_folder() / "models"


def unfinished_folder() -> Path:
    """Folder of trainings that were interrupted; it need not exist."""
    return user_folder() / "unfinished"


def results_folder() -> Path:
    """Folder of labels that are too large for memory; it need not exist."""
    return user_folder() / "results"
