"""What a training needs to go on after a crash: kept in a folder of its own while it runs."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

import psutil
from safetensors import SafetensorError, safe_open

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.io.atomic import atomic_write
from napari_nuclei_unet.io.paths import unfinished_folder
from napari_nuclei_unet.models.model import read_card
from napari_nuclei_unet.params import TrainParams


@dataclass(frozen=True)
class ResumeState:
    """Folder of one training.

    Attributes
    ----------
    folder : Path
        Need not exist.
    name : str
        That the new model shall have.
    """

    folder: Path
    name: str
    _folders_in_use: ClassVar[set[Path]] = set()  # by trainings of this process

    @classmethod
    def new(cls, name: str) -> ResumeState:
        """Think of a folder that nobody has."""
        return cls(unfinished_folder() / uuid4().hex, name)

    @property
    def model(self) -> Path:
        """File of the best model so far; the checkpoint stands beside it."""
        return self.folder / "training.safetensors"

    @property
    def data_path(self) -> Path:
        """File with what is learnt from."""
        return self.folder / "training.lesson"

    @property
    def checkpoint(self) -> Path:
        """File that appears after the first epoch."""
        return self.model.with_suffix(".checkpoint")

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep others from it; without a checkpoint in the end it is removed."""
        ResumeState._folders_in_use.add(self.folder)
        me = psutil.Process()
        about = {"name": self.name, "process": me.pid, "since": me.create_time()}
        try:
            with atomic_write(self.folder / "about.json") as aside:
                aside.write_text(json.dumps(about))
            yield
        finally:
            ResumeState._folders_in_use.discard(self.folder)
            if not (self.model.is_file() and self.checkpoint.is_file()):
                self.delete()

    def delete(self) -> None:
        """Remove it."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class InterruptedTraining:
    """A training that can go on.

    Attributes
    ----------
    resume_state : Draft
    params : TrainParams
    done : int
        Epochs.
    parent : str
        Name of the model that it began with.
    interrupted_at : str
        In words.
    """

    resume_state: ResumeState
    params: TrainParams
    done: int
    parent: str
    interrupted_at: str


def find_interrupted() -> InterruptedTraining | None:
    """Find the last training that was interrupted, in this or another process; loads no torch."""
    try:
        folders = [path for path in unfinished_folder().iterdir() if path.is_dir()]
    except OSError:
        return None
    found = [one for one in map(_read_interrupted, folders) if one is not None]
    return max(found, key=lambda one: one.resume_state.checkpoint.stat().st_mtime, default=None)


def _read_interrupted(folder: Path) -> InterruptedTraining | None:
    try:
        about = json.loads((folder / "about.json").read_text())
        draft = ResumeState(folder, str(about["name"]))
        if folder in ResumeState._folders_in_use or _is_process_running(
            about["process"], about["since"]
        ):
            return None
        with safe_open(draft.checkpoint, framework="np") as opened:
            card = json.loads(opened.metadata()["training"])
        parent = read_card(draft.model).parent.get("name", "random weights")
        changed = time.localtime(draft.checkpoint.stat().st_mtime)
        return InterruptedTraining(
            draft,
            TrainParams(**card["params"]),
            int(card["history"][-1]["epoch"]),
            parent,
            time.strftime("%d %b, %H:%M", changed),
        )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, UserError):
        return None  # not far enough to go on, or of another version


def _is_process_running(process: int, since: float) -> bool:
    """Whether another process, of those numbers, is still there."""
    if process == os.getpid():
        return False
    try:
        return psutil.Process(process).create_time() == since
    except psutil.Error:
        return False
