"""Where the files of a user are that no one has to look for."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_path

HOME = "NUCLEI_UNET_HOME"


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
