"""The files of a project: written all together, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray

from ..errors import UserError
from ..io.atomic import atomic_write
from ..io.labels import MIN_BIGTIFF_BYTES, OME_LABELS_SUFFIX
from ..io.locks import write_lock
from ..io.paths import sanitize_name
from ..io.tables import TABLE_SUFFIX, TRACKS_SUFFIX, write_table
from .ome_tiff import write_ome_tiff
from .project import PROJECT_SUFFIX, Project, ProjectFile, project_folder, read_project
from .result import Result, with_shapes

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
    path = Path(path)
    if not path.name.lower().endswith(PROJECT_SUFFIX):
        path = path.with_name(path.name.removesuffix(".json") + PROJECT_SUFFIX)
    if path.exists():
        with suppress(UserError):
            read_project(path)
            return path
        if path.stat().st_size:
            raise UserError(
                f"{path} is no project that this version can read, and is not replaced: choose "
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
    project, names = content.project, _FileNames(project_folder(path))
    with ExitStack() as files:
        # entered first, it is put in its place last
        aside = files.enter_context(atomic_write(path))

        def write(name: str, write_file: Callable[[Path], None]) -> ProjectFile:
            target = names.folder / name
            part = files.enter_context(atomic_write(target))
            write_file(part)
            status, stamp = part.stat(), ProjectFile.of(target, path.parent)
            return replace(stamp, bytes=status.st_size, modified=status.st_mtime_ns)

        stems = {name: names.stem(name) for name in content.labels}
        labels = {
            name: _write_labels(write, stems[name], result)
            for name, result in content.labels.items()
        }
        tracks = {}
        for layer in project.tracks:
            stem = stems.get(layer.labels or "") or names.stem(layer.name)
            table = content.tracks[layer.name]
            tracks[layer.name] = write(stem + TRACKS_SUFFIX, lambda part, t=table: _tracks(part, t))
        images = {
            name: write(names.stem(name) + IMAGE_COPY_SUFFIX, lambda part, p=pixels: _copy(part, p))
            for name, pixels in content.images.items()
        }
        project = replace(
            project,
            labels=tuple(
                replace(one, file=labels.get(one.name, one.file)) for one in project.labels
            ),
            tracks=tuple(
                replace(one, file=tracks.get(one.name, one.file)) for one in project.tracks
            ),
            images=tuple(
                replace(one, file=images.get(one.name, one.file)) for one in project.images
            ),
        )
        aside.write_text(json.dumps(project.to_json(), indent=1), encoding="utf-8")
    return project


def _write_labels(write: Callable[..., ProjectFile], stem: str, result: Result) -> ProjectFile:
    """Write labels, and their table if they have one."""
    stamp = write(stem + OME_LABELS_SUFFIX, lambda part: write_ome_tiff(part, result))
    if len(result.table.columns):
        table = with_shapes(result).table
        write(stem + TABLE_SUFFIX, lambda part: write_table(part, table))
    return stamp


def _tracks(part: Path, table: pd.DataFrame) -> None:
    write_table(part, table)


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
    try:
        return np.asarray(tifffile.imread(path)).reshape(shape)
    except (OSError, ValueError, tifffile.TiffFileError) as error:
        raise UserError(f"{path} cannot be read: {error}.") from error


def _own_files(path: Path) -> set[Path]:
    """Return the files in the folder of a project that it refers to; none where there is none."""
    folder = project_folder(path)
    try:
        project = read_project(path)
    except UserError:
        return set()
    stamps = [one.file for one in (*project.labels, *project.tracks, *project.images) if one.file]
    files = {path.parent / stamp.relative for stamp in stamps}
    tables = {
        file.with_name(file.name.removesuffix(OME_LABELS_SUFFIX) + TABLE_SUFFIX)
        for file in files
        if file.name.endswith(OME_LABELS_SUFFIX)
    }
    return {file for file in files | tables if file.parent == folder}


class _FileNames:
    """Names of files in a folder, no two the same on any file system."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._used: set[str] = set()

    def stem(self, name: str) -> str:
        plain = sanitize_name(name.removesuffix(" nuclei"), "nuclei")
        stem, number = plain, 1
        while stem.casefold() in self._used:
            number += 1
            stem = f"{plain} {number}"
        self._used.add(stem.casefold())
        return stem
