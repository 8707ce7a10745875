"""The state that a training needs to resume after a crash: a folder that exists while it runs."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psutil

from ...errors import UserError
from ...io.atomic import atomic_write
from ...io.json_text import parse_json, read_json
from ...io.paths import unfinished_folder
from ...models.header import read_metadata
from ...models.model import read_card
from ...params import TrainParams
from ...params.names import complete_train_params

# Files of the folder, beside the model: the name it will have, and the process that trains it, as
# long as it does.
ABOUT_FILE, LOCK_FILE = "about.json", "lock.json"
# In seconds: the system's clock, by which it tells when a process started, may be set meanwhile.
START_TIME_TOLERANCE = 10.0
# What reading files raises in which others stand than was written.
DAMAGED = (UserError, LookupError, TypeError, ValueError, AttributeError, OverflowError)


@dataclass(frozen=True)
class ResumeState:
    """Folder of one training.

    Attributes
    ----------
    folder : Path
        Need not exist.
    name : str
        Name of the new model.
    """

    folder: Path
    name: str

    @classmethod
    def new(cls, name: str) -> ResumeState:
        """Create the state of a new training, with a unique folder."""
        return cls(unfinished_folder() / uuid4().hex, name)

    @classmethod
    def read(cls, folder: Path) -> ResumeState:
        """Read the state of a training that has begun."""
        return cls(folder, str(read_json(folder / ABOUT_FILE)["name"]))

    @property
    def model(self) -> Path:
        """File of the best model so far; the checkpoint is beside it."""
        return self.folder / "training.safetensors"

    @property
    def data_path(self) -> Path:
        """File of the training data."""
        return self.folder / "training.lesson"

    @property
    def checkpoint(self) -> Path:
        """File of the checkpoint, which exists after the first epoch."""
        return self.model.with_suffix(".checkpoint")

    @property
    def is_in_use(self) -> bool:
        """Whether a training runs in the folder, in this or another process."""
        try:
            lock = read_json(self.folder / LOCK_FILE)
            started = psutil.Process(lock["process"]).create_time()
            return bool(abs(started - lock["since"]) < START_TIME_TOLERANCE)
        except (OSError, psutil.Error, *DAMAGED):
            return False  # it has ended, or its process has; or nobody can know

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Mark the folder as in use; delete it in the end if there is no checkpoint."""
        process = psutil.Process()
        try:
            self._write(LOCK_FILE, {"process": process.pid, "since": process.create_time()})
            self._write(ABOUT_FILE, {"name": self.name})
            yield
        finally:
            with suppress(OSError):
                (self.folder / LOCK_FILE).unlink()
            if not (self.model.is_file() and self.checkpoint.is_file()):
                self.delete()

    def delete(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, file: str, content: dict[str, object]) -> None:
        with atomic_write(self.folder / file) as aside:
            aside.write_text(json.dumps(content))


@dataclass(frozen=True)
class InterruptedTraining:
    """A training that can be resumed.

    Attributes
    ----------
    resume_state : ResumeState
    params : TrainParams
    done : int
        Number of epochs.
    parent : str
        Name of the model that it started from.
    interrupted_at : str
        Date and time, as text.
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
    runs = [run for run in map(_read_interrupted, folders) if run is not None]
    return max(runs, key=lambda run: run.resume_state.checkpoint.stat().st_mtime, default=None)


def _read_interrupted(folder: Path) -> InterruptedTraining | None:
    try:
        state = ResumeState.read(folder)
        if state.is_in_use:
            return None
        card = parse_json(read_metadata(state.checkpoint)["training"])
        parent = read_card(state.model).parent.get("name", "random weights")
        changed = time.localtime(state.checkpoint.stat().st_mtime)
        return InterruptedTraining(
            state,
            TrainParams(**complete_train_params(card["params"])),
            int(card["history"][-1]["epoch"]),
            parent,
            time.strftime("%d %b, %H:%M", changed),
        )
    except (OSError, *DAMAGED):
        return None  # not far enough to resume, or of another version
