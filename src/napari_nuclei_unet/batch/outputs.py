"""Where the results of an image file go, and how it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_nuclei_unet.batch.inputs import STORE_END
from napari_nuclei_unet.io.atomic import written
from napari_nuclei_unet.io.images import image_stem
from napari_nuclei_unet.io.labels import LABELS_END, refuse_foreign, write_labels
from napari_nuclei_unet.io.tables import write_table
from napari_nuclei_unet.labels.regionprops import measure

if TYPE_CHECKING:
    from napari_nuclei_unet.segmentation.segment import Segmentation

Format = Literal["tiff", "zarr"]


@dataclass(frozen=True)
class Results:
    """Files that are written of one image.

    Attributes
    ----------
    labels, table, tracks : Path
        The last only of tracked nuclei.
    """

    labels: Path
    table: Path
    tracks: Path

    @property
    def is_store(self) -> bool:
        """Whether labels are written as OME-Zarr."""
        return self.labels.suffix.lower() == ".zarr"


def results_in(folder: Path, stem: str, store: bool) -> Results:
    """Name the results of an image after it."""
    labels = folder / f"{stem}{STORE_END if store else LABELS_END}"
    return Results(labels, folder / f"{stem}_nuclei.csv", folder / f"{stem}_tracks.csv")


def results_as(labels: Path) -> Results:
    """Name the tables after a file of labels that the user has named."""
    stem = image_stem(labels).removesuffix("_labels")
    return Results(
        labels, labels.with_name(f"{stem}_nuclei.csv"), labels.with_name(f"{stem}_tracks.csv")
    )


@dataclass(frozen=True)
class Outcome:
    """How an image has ended.

    Attributes
    ----------
    planes, nuclei : int
        How many there are.
    failed : tuple of str
        Parts that could not be read, and are empty, and why.
    skipped : bool
        Whether it was done before.
    """

    planes: int
    nuclei: int
    failed: tuple[str, ...] = ()
    skipped: bool = False


@dataclass(frozen=True)
class Wanted:
    """How, and where to, results of images are written.

    Attributes
    ----------
    out : Path
        A folder; or a file of labels, of a single image.
    is_file : bool
        Which of the two.
    format : {"tiff", "zarr"} or None
        None: TIFF, but of planes that are too large for it OME-Zarr.
    elsewhere : bool
        Whether blocks are computed on a cluster, which can only write OME-Zarr.
    """

    out: Path
    is_file: bool = False
    format: Format | None = None
    elsewhere: bool = False


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
        If a file cannot be written, or labels that are not ours stand in its place.
    """
    labels, table = folder / f"{stem}{LABELS_END}", folder / f"{stem}_nuclei.csv"
    refuse_foreign(labels)
    measured = measure(result.labels, result.plane.pixels, result.maps[0])
    with written(labels) as labels_aside, written(table) as table_aside:
        write_labels(labels_aside, result.labels, result.record)
        write_table(table_aside, measured)
