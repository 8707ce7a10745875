"""Paths of the results of an image file, and the outcome of its segmentation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..io.atomic import atomic_write
from ..io.labels import LABELS_SUFFIX, check_overwritable, write_labels_tiff
from ..io.lazy_images import image_stem
from ..io.tables import TABLE_SUFFIX, TRACKS_SUFFIX, write_table
from ..labels.regionprops import measure
from .folders import STORE_SUFFIX

if TYPE_CHECKING:
    from ..segmentation.segment import Segmentation

LabelsFormat = Literal["tiff", "zarr"]


@dataclass(frozen=True)
class ResultPaths:
    """Result files of one image.

    Attributes
    ----------
    labels, table, tracks : Path
        The last only if nuclei are tracked.
    """

    labels: Path
    table: Path
    tracks: Path

    @property
    def is_store(self) -> bool:
        """Whether labels are written as OME-Zarr."""
        return self.labels.suffix.lower() == ".zarr"


def result_paths_in(folder: Path, stem: str, store: bool) -> ResultPaths:
    """Return the paths of the results of an image, named after it."""
    labels = folder / f"{stem}{STORE_SUFFIX if store else LABELS_SUFFIX}"
    return ResultPaths(labels, folder / f"{stem}{TABLE_SUFFIX}", folder / f"{stem}{TRACKS_SUFFIX}")


def result_paths_beside(labels: Path) -> ResultPaths:
    """Return the paths of tables beside a file of labels that the user has named."""
    stem = image_stem(labels).removesuffix("_labels")
    return ResultPaths(
        labels,
        labels.with_name(f"{stem}{TABLE_SUFFIX}"),
        labels.with_name(f"{stem}{TRACKS_SUFFIX}"),
    )


@dataclass(frozen=True)
class Outcome:
    """Outcome of an image.

    Attributes
    ----------
    planes, nuclei : int
        Their number.
    failed : tuple of str
        Parts that could not be read and are empty, with the reason.
    skipped : bool
        Whether the result existed already.
    """

    planes: int
    nuclei: int
    failed: tuple[str, ...] = ()
    skipped: bool = False


@dataclass(frozen=True)
class OutputOptions:
    """Destination and format of results.

    Attributes
    ----------
    out : Path
        A folder, or the file of labels of a single image.
    is_file : bool
        Whether ``out`` is a file.
    format : {"tiff", "zarr"} or None
        None: TIFF, but OME-Zarr for planes that are too large for it.
    on_cluster : bool
        Whether blocks are computed on a cluster, which can only write OME-Zarr.
    save : tuple of str
        Other formats in which results are written, too.
    decimal_comma : bool
        Whether tables are for spreadsheets that write numbers so.
    into_image : str or None
        Name under which labels are also written into the OME-Zarr of their image.
    """

    out: Path
    is_file: bool = False
    format: LabelsFormat | None = None
    on_cluster: bool = False
    save: tuple[str, ...] = ()
    into_image: str | None = None
    decimal_comma: bool = False


def write_results(folder: Path, stem: str, result: Segmentation) -> None:
    """Write ``<stem>_labels.tif`` and ``<stem>_nuclei.csv`` of one image, or neither.

    Parameters
    ----------
    folder : Path
    stem : str
        Start of the files' names.
    result : Segmentation

    Raises
    ------
    UserError
        If a file cannot be written, or would replace labels of another program.
    """
    paths = result_paths_in(folder, stem, store=False)
    check_overwritable(paths.labels)
    measured = measure(result.labels, np.asarray(result.plane.pixels), result.maps[0])
    with atomic_write(paths.labels) as labels, atomic_write(paths.table) as table:
        write_labels_tiff(labels, result.labels, result.record)
        write_table(table, measured)
