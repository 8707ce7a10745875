"""``--into-image`` of ``segment`` and ``convert``, and ``--ngff``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..io.atomic import check_writable
from ..io.image_group import open_image_group
from ..io.image_labels import DEFAULT_NAME, check_name
from ..io.labels import read_record
from ..io.ngff import DEFAULT_NGFF, ZARR_FORMATS
from ..io.ome_zarr import LabelsStore, is_labels_store
from ..io.readers.ome_zarr import find_outer_zarr
from ..io.record_paths import name_paths
from ._bar import run_with_bar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..batch.inputs import InputImage
    from ..batch.job import ImageJob


def add_store_flags(group: argparse._ArgumentGroup) -> None:
    """Add the flags of ``segment`` for labels in OME-Zarr."""
    add_ngff_flag(group)
    group.add_argument(
        "--into-image", nargs="?", const=DEFAULT_NAME, metavar="NAME",
        help="also write the labels into the OME-Zarr of their image, as labels/NAME, in the "
        f"version of the image. Default name: {DEFAULT_NAME}. Without --out, results are written "
        "beside the images",
    )  # fmt: skip


def add_ngff_flag(parser: argparse._ActionsContainer) -> None:
    """Add ``--ngff``."""
    parser.add_argument(
        "--ngff", choices=tuple(ZARR_FORMATS), default=DEFAULT_NGFF,
        help="version of OME-Zarr labels that are not part of an image: 0.4 (zarr 2) or 0.5 (zarr "
        f"3). Default: {DEFAULT_NGFF}",
    )  # fmt: skip


def choose_out(args: argparse.Namespace, inputs: Iterable[InputImage]) -> Path:
    """Return where results go: as given, or beside the images into which labels are written.

    Raises
    ------
    UserError
        If nothing says where.
    """
    if args.out is not None:
        return Path(args.out)
    if args.into_image is None:
        raise UserError("Give --out, the folder for the results.")
    folders = {find_outer_zarr(item.path).parent for item in inputs}
    if len(folders) > 1:
        raise UserError(f"The images are in {len(folders)} folders: give --out, one for results.")
    return folders.pop()


def check_into_image(job: ImageJob, name: str | None, overwrite: bool) -> None:
    """Raise a UserError if the labels of an image could not be written into it.

    Raises
    ------
    UserError
    """
    if name is None:
        return
    image = open_image_group(job.path)
    image.match_axes(job.grid.axes, job.grid.shape)
    is_done = _has_same_record(job.results.known_labels, image.labels / name)
    check_name(image, name, overwrite or is_done)
    check_writable(image.path)


def write_into_image(labels: Path, image: Path, name: str | None, overwrite: bool) -> None:
    """Write labels that are in files into their image, unless they are there."""
    from ..export.into_image import save_into_image_steps  # imports pandas
    from ..export.read import read_result

    if name is None:
        return
    group = open_image_group(image)
    if not overwrite and _has_same_record(labels, group.labels / name):
        return
    run_with_bar(save_into_image_steps(image, read_result(labels), name, overwrite), image.name)


def _has_same_record(labels: Path, other: Path) -> bool:
    """Return whether two files of labels are of the same run."""
    record = _read_record(labels)
    other_record = _read_record(other)
    if record is None or other_record is None:
        return False
    return name_paths(record) == name_paths(other_record)


def _read_record(labels: Path) -> dict[str, object] | None:
    if not labels.is_dir():
        return read_record(labels)
    if not is_labels_store(labels):
        return None
    store = LabelsStore.open_existing(labels)
    return store.record if store.finished else None
