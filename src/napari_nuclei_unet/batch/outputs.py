"""Paths of the results of an image file, and the outcome of its segmentation."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..export.ome_tiff import write_ome_tiff
from ..export.result import Result
from ..io.atomic import atomic_write, removed_error
from ..io.labels import (
    LABELS_ENDING,
    LABELS_SUFFIX,
    PLAIN_LABELS_SUFFIX,
    check_overwritable,
    read_record,
)
from ..io.lazy_images import image_stem
from ..io.tables import TABLE_SUFFIX, TRACKS_SUFFIX, write_table
from ..labels.regionprops import measure
from ..provenance.left_out_counts import LeftOutCounts

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
    earlier_labels : Path or None
        Name that earlier versions gave to the same labels.
    notice : str
        Why labels become an OME-Zarr without being asked for; mostly empty.
    """

    labels: Path
    table: Path
    tracks: Path
    earlier_labels: Path | None = None
    notice: str = ""

    @property
    def is_store(self) -> bool:
        """Whether labels are written as OME-Zarr."""
        return self.labels.suffix.lower() == ".zarr"

    def find_labels(self) -> Path | None:
        """Find labels in a file, by their name or that of earlier versions."""
        names = (self.labels, self.earlier_labels)
        return next((path for path in names if path is not None and path.is_file()), None)

    @property
    def known_labels(self) -> Path:
        """Path of the labels that are there; else that which they will have."""
        return self.find_labels() or self.labels

    def remove_earlier_labels(self) -> None:
        """Remove labels by their earlier name, which others have replaced; not those of others."""
        earlier = self.earlier_labels
        if earlier is not None and read_record(earlier) is not None:
            with contextlib.suppress(OSError):  # those that replace them are whole all the same
                earlier.unlink()


def result_paths_in(folder: Path, stem: str, labels_suffix: str) -> ResultPaths:
    """Return the paths of the results of an image, named after it."""
    labels, table, tracks = (
        folder / f"{stem}{end}" for end in (labels_suffix, TABLE_SUFFIX, TRACKS_SUFFIX)
    )
    is_renamed = labels_suffix == LABELS_SUFFIX
    earlier = folder / f"{stem}{PLAIN_LABELS_SUFFIX}" if is_renamed else None
    return ResultPaths(labels, table, tracks, earlier)


def result_paths_beside(labels: Path) -> ResultPaths:
    """Return the paths of tables beside a file of labels that the user has named."""
    stem = image_stem(labels).removesuffix(LABELS_ENDING)
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
    left_out : LeftOutCounts or None
        What was found beside them; None: it is not known.
    gammas : tuple of float
        By which planes were lightened without that being asked for.
    """

    planes: int
    nuclei: int
    failed: tuple[str, ...] = ()
    skipped: bool = False
    left_out: LeftOutCounts | None = None
    gammas: tuple[float, ...] = ()


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

    def check_folder(self) -> None:
        """Raise an error if the folder of the results is gone, which was there when a run began.

        Raises
        ------
        UserError
        """
        folder = self.out.parent if self.is_file else self.out
        if not folder.is_dir():
            raise removed_error(folder)


def write_results(folder: Path, stem: str, result: Segmentation) -> None:
    """Write ``<stem>_labels.ome.tif`` and ``<stem>_nuclei.csv`` of one image, or neither.

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
    paths = result_paths_in(folder, stem, LABELS_SUFFIX)
    check_overwritable(paths.labels)
    measured = measure(result.labels, np.asarray(result.plane.pixels), result.quantized_maps[0])
    with atomic_write(paths.labels) as labels, atomic_write(paths.table) as table:
        write_ome_tiff(labels, Result(result.labels, {}, record=result.record, name=stem))
        write_table(table, measured)
