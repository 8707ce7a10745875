"""A row of the list as it is read from its files, in a thread."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...errors import UserError
from ...io.record_paths import real_path
from ...progress import Step, Stop
from ..common.controller import Task
from ..layers.checksum import array_crc32
from ..layers.labels_image import LayerData, open_image_layers
from ..layers.linked_image import LabelsImage
from ..layers.metadata_keys import LABELS_IMAGE_KEY
from ..layers.reader import ResultLayers, read_result_layers
from .rows import ImageRow, RowStatus

if TYPE_CHECKING:
    from ...batch.corrections import StackPosition
    from ...batch.inputs import FileStamp


@dataclass(frozen=True, eq=False)
class RowContent:
    """What a row is shown with.

    Attributes
    ----------
    index : int
        Of the row.
    row : ImageRow
    image : tuple of LayerData
        One, or one for each channel; none, where it could not be read.
    labels : LayerData or None
        None: it is not segmented yet, or its result is gone.
    tracks : tuple of LayerData
    notices : tuple of str
        What is not as it was.
    stamp : FileStamp or None
        Of the file of labels.
    checksums : dict of tuple of int to int
        Of the planes of labels in memory, by their positions on the axes before.
    """

    index: int
    row: ImageRow
    image: tuple[LayerData, ...] = ()
    labels: LayerData | None = None
    tracks: tuple[LayerData, ...] = ()
    notices: tuple[str, ...] = ()
    stamp: FileStamp | None = None
    checksums: dict[StackPosition, int] | None = None


class ReadRowTask(Task):
    """Reads a row; its content waits until it is shown.

    Parameters
    ----------
    index : int
    row : ImageRow

    Attributes
    ----------
    content : RowContent or None
        None: it was not read.
    """

    has_parts = False
    begins = ""

    def __init__(self, index: int, row: ImageRow) -> None:
        self.content: RowContent | None = None
        self._index, self._row = index, row
        self.begins = f"Opening {row.short_title} …"

    def steps(self) -> Generator[Step, Stop, RowContent]:
        """Read the files; runs in the thread."""
        yield Step(0, 1)
        return read_row(self._index, self._row)

    def on_result(self, result: RowContent) -> None:
        """Keep what was read."""
        self.content = result


def read_row(index: int, row: ImageRow) -> RowContent:
    """Read the image of a row, and its result if it has one.

    Raises
    ------
    UserError
        If neither can be read.
    """
    # imports pandas, which would delay the start of napari
    from ...batch.inputs import stamp_files

    labels = None if row.results is None else row.results.known_labels
    if labels is None or row.status is not RowStatus.DONE:
        return RowContent(index, row, open_image_layers(row.item.path, row.item.scene))
    if not labels.exists():
        image = open_image_layers(row.item.path, row.item.scene)
        return RowContent(index, row, image, notices=(f"The result {labels} was deleted.",))
    stamp = stamp_files(labels)  # before they are read: what changes later is noticed
    image_path = real_path(row.item.path)
    read = read_result_layers(str(labels), image_path if image_path.exists() else None)
    image, notices = _find_image(read, row)
    return RowContent(
        index, row, image, read.labels, read.tracks, notices, stamp, checksum_planes(read.labels[0])
    )


def _find_image(read: ResultLayers, row: ImageRow) -> tuple[tuple[LayerData, ...], tuple[str, ...]]:
    """Return the image of a result: as its record says, else the one in the list."""
    if read.image.layers or read.image.path is not None:
        return read.image.layers, read.notices
    notices = tuple(notice for notice in read.notices if notice != read.image.notice)
    try:
        image = open_image_layers(row.item.path, row.item.scene)
    except (UserError, OSError) as error:
        return (), (*notices, str(error))
    path, name = str(real_path(row.item.path)), str(image[0][1]["name"])
    read.labels[1]["metadata"][LABELS_IMAGE_KEY] = LabelsImage(path, name)
    return image, notices


def checksum_planes(labels: object) -> dict[StackPosition, int]:
    """Compute the checksum of each plane of labels in memory; of those in files none."""
    if not isinstance(labels, np.ndarray):
        return {}
    return {at: array_crc32(labels[at]) for at in np.ndindex(*labels.shape[:-2])}
