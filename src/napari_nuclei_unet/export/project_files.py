"""The files of a project: written all together, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray

from ..errors import UserError
from ..io.atomic import atomic_write
from ..io.labels import LABELS_SUFFIX, MIN_BIGTIFF_BYTES
from ..io.locks import write_lock
from ..io.openable import check_openable
from ..io.paths import sanitize_name
from ..io.tables import TABLE_SUFFIX, TRACKS_SUFFIX, with_time_column, write_table
from ..provenance.project import Project, SavedImage, SavedLabels, SavedTracks, read_project
from ..provenance.project_paths import ProjectFile, project_folder, with_project_suffix
from .ome_tiff import write_ome_tiff
from .result import Result, with_shapes

InFile = TypeVar("InFile", SavedImage, SavedLabels, SavedTracks)

IMAGE_COPY_SUFFIX = ".tif"
# Kinds of numbers that TIFF can hold.
COPIED_KINDS = "uif"


@dataclass(frozen=True, eq=False)
class ProjectContent:
    """A project, and what is in no file yet.

    Attributes
    ----------
    project : Project
        Its ``file`` of a layer that is in ``labels``, ``tracks`` or ``images`` is set by
        :func:`write_project`.
    labels : dict of str to Result
        By the name of the layer.
    tracks : dict of str to pandas.DataFrame
        Tables as of ``tracking.linking.LinkedLabels``.
    images : dict of str to ndarray
    """

    project: Project
    labels: Mapping[str, Result] = field(default_factory=dict)
    tracks: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    images: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def check_project_path(path: str | Path) -> Path:
    """Return the path of a project file, with its suffix.

    Raises
    ------
    UserError
        If a file of this name is no project.
    """
    path = with_project_suffix(path)
    if path.exists():
        with suppress(UserError):
            read_project(path)
            return path
        if path.stat().st_size:
            raise UserError(
                f"{path} is not a project that this version can read, and is not replaced: choose "
                "another name."
            )
    return path


def write_project(path: Path, content: ProjectContent) -> Project:
    """Write a project, its labels, tables and tracks, and images that are in no file.

    Files appear all at the end, the project file last; those of an earlier version of the project
    that are not needed any more are removed.

    Raises
    ------
    UserError
        If something cannot be written, or another program writes it. What was there stays.
    """
    with write_lock(path):
        before = _own_files(path)
        project = _write_all(path, content)
        for file in before - _own_files(path):
            with suppress(OSError):
                file.unlink()
    return project


def _write_all(path: Path, content: ProjectContent) -> Project:
    project = content.project
    with ExitStack() as files:
        # entered first, it is put in its place last
        aside = files.enter_context(atomic_write(path))
        folder = _ProjectFolder(path, files)
        written = {name: folder.write_labels(name, one) for name, one in content.labels.items()}
        for tracks in project.tracks:
            beside = written.get(tracks.labels or "")
            written[tracks.name] = folder.write_tracks(tracks, content.tracks[tracks.name], beside)
        written |= {name: folder.write_image(name, one) for name, one in content.images.items()}
        project = replace(
            project,
            labels=tuple(_with_file(one, written) for one in project.labels),
            tracks=tuple(_with_file(one, written) for one in project.tracks),
            images=tuple(_with_file(one, written) for one in project.images),
        )
        aside.write_text(json.dumps(project.to_json(), indent=1), encoding="utf-8")
    return project


def _with_file(saved: InFile, written: Mapping[str, ProjectFile]) -> InFile:
    return replace(saved, file=written.get(saved.name, saved.file))


class _ProjectFolder:
    """Writes the files of a project, no two of which have the same name on any file system.

    Parameters
    ----------
    path : Path
        Of the project file.
    files : contextlib.ExitStack
        At its end all files are put in their places.
    """

    def __init__(self, path: Path, files: ExitStack) -> None:
        self._path, self._files = path, files
        self._used: set[str] = set()

    def write_labels(self, name: str, result: Result) -> ProjectFile:
        """Write labels, and their table if they have one."""
        stem = self._stem(name)
        written = self._write(stem + LABELS_SUFFIX, partial(write_ome_tiff, result=result))
        if len(result.table.columns):
            table = with_shapes(result).table
            self._write(stem + TABLE_SUFFIX, partial(write_table, table=table))
        return written

    def write_tracks(
        self, tracks: SavedTracks, table: pd.DataFrame, beside: ProjectFile | None
    ) -> ProjectFile:
        """Write tracks beside their labels."""
        stem = beside.name.removesuffix(LABELS_SUFFIX) if beside else self._stem(tracks.name)
        return self._write(
            stem + TRACKS_SUFFIX, partial(write_table, table=with_time_column(table))
        )

    def write_image(self, name: str, pixels: NDArray[Any]) -> ProjectFile:
        """Write an image that is in no file."""
        return self._write(self._stem(name) + IMAGE_COPY_SUFFIX, partial(_copy, pixels=pixels))

    def _write(self, name: str, write: Callable[[Path], None]) -> ProjectFile:
        target = project_folder(self._path) / name
        part = self._files.enter_context(atomic_write(target))
        write(part)
        status, file = part.stat(), ProjectFile.of(target, self._path.parent)
        return replace(file, bytes=status.st_size, modified=status.st_mtime_ns)

    def _stem(self, name: str) -> str:
        plain = sanitize_name(name.removesuffix(" nuclei"), "nuclei")
        stem, number = plain, 1
        while stem.casefold() in self._used:
            number += 1
            stem = f"{plain} {number}"
        self._used.add(stem.casefold())
        return stem


def _copy(part: Path, pixels: NDArray[Any]) -> None:
    is_rgb = pixels.ndim > 2 and pixels.shape[-1] in (3, 4)
    tifffile.imwrite(
        part,
        pixels,
        photometric="rgb" if is_rgb else "minisblack",
        bigtiff=pixels.nbytes > MIN_BIGTIFF_BYTES,
    )


def read_copy(path: str | Path, shape: tuple[int, ...]) -> NDArray[Any]:
    """Read an image that was in no file when the project was saved.

    Parameters
    ----------
    path : str or Path
    shape : tuple of int
        Of the image: TIFF leaves out axes of length 1.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    check_openable(path)
    try:
        return np.asarray(tifffile.imread(path)).reshape(shape)
    except (OSError, ValueError, tifffile.TiffFileError) as error:
        raise UserError(f"{path} cannot be read: {error}.") from error


def _own_files(path: Path) -> set[Path]:
    """Return the files in the folder of a project that it refers to; none where there is none."""
    folder = project_folder(path)
    if folder.is_symlink():  # what is elsewhere is not its own
        return set()
    try:
        project = read_project(path)
    except UserError:
        return set()
    layers: tuple[SavedImage | SavedLabels | SavedTracks, ...]
    layers = (*project.labels, *project.tracks, *project.images)
    files = {path.parent / one.file.relative for one in layers if one.file is not None}
    tables = {
        file.with_name(file.name.removesuffix(LABELS_SUFFIX) + TABLE_SUFFIX)
        for file in files
        if file.name.endswith(LABELS_SUFFIX)
    }
    return {file for file in files | tables if file.parent == folder}
