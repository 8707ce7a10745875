"""Where the files of a user are that no one has to look for, and what files can be called."""

from __future__ import annotations

import os
import re
from pathlib import Path

from platformdirs import user_data_path

HOME = "NUCLEI_UNET_HOME"
# What Windows, or a disk made for it, refuses.
REFUSED = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
RESERVED = re.compile(r"(con|prn|aux|nul|com[1-9]|lpt[1-9])(\..*)?", re.IGNORECASE)
LONGEST = 80


def plain_name(name: str, otherwise: str) -> str:
    """Give a name that every file system takes; ``otherwise`` where nothing is left of it."""
    plain = REFUSED.sub("_", name).strip(" .")[:LONGEST].strip(" .")
    return otherwise if not plain or RESERVED.fullmatch(plain) else plain


def home() -> Path:
    """Folder of this program: that of the environment variable, or where the system has such."""
    set_by_user = os.environ.get(HOME)
    return Path(set_by_user) if set_by_user else user_data_path("napari-nuclei-unet", False)


def model_folder() -> Path:
    """Folder of the user's own models; it need not exist."""
    return home() / "models"


def unfinished_folder() -> Path:
    """Folder of trainings that were interrupted; it need not exist."""
    return home() / "unfinished"


def results_folder() -> Path:
    """Folder of labels that are too large for memory; it need not exist."""
    return home() / "results"
