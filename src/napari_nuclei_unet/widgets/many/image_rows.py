"""How the rows of the list follow a run, and what is there before one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...batch.known_results import KnownResult, find_known_results, find_result_paths
from ...counts import format_count
from ...io.paths import printable
from .row_model import RowModel
from .rows import ImageRow, RowStatus

if TYPE_CHECKING:
    from ...batch.inputs import InputImage
    from ...batch.summary import SummaryRow

# Of the summary; what was stopped begins again.
STATUS_OF_SUMMARY = {
    "done": RowStatus.DONE,
    "skipped": RowStatus.DONE,
    "failed": RowStatus.FAILED,
    "stopped": RowStatus.WAITING,
}


class ImageRows:
    """Writes where images stand into the list.

    Parameters
    ----------
    model : RowModel
    """

    def __init__(self, model: RowModel) -> None:
        self._model = model
        self._places: dict[InputImage, int] = {}

    def place(self, item: InputImage) -> int:
        """Return the place of an image in the list; -1: it is not there."""
        return self._places.get(item, -1)

    def show_items(self, items: Sequence[InputImage]) -> None:
        """Show other images; those that stay keep what is known of them."""
        rows = self._model.rows()
        if [row.item for row in rows] == list(items):
            return
        known = {row.item: row for row in rows}
        self._places = {item: place for place, item in enumerate(items)}
        self._model.set_rows(known.get(item, ImageRow(item)) for item in items)

    def show_rows(self, rows: Sequence[ImageRow]) -> None:
        """Show other images, and what is known of them."""
        self._places = {row.item: place for place, row in enumerate(rows)}
        self._model.set_rows(rows)

    def show_known(self, folder: Path | None) -> None:
        """Show what runs have left in a folder."""
        self.show_rows(list_known_rows(list(self._places), folder))

    def set_running(self, item: InputImage, is_running: bool) -> None:
        """Show that an image is being segmented, or waits again."""
        if (place := self._places.get(item)) is None:
            return
        row = self._model.row(place)
        status = RowStatus.RUNNING if is_running else RowStatus.WAITING
        if row.status is not status:
            self._model.set_row(place, replace(row, status=status))

    def set_summary(self, item: InputImage, summary: SummaryRow, folder: Path) -> None:
        """Show the row of the summary of an image."""
        if (place := self._places.get(item)) is not None:
            status = STATUS_OF_SUMMARY[summary.status]
            results = find_result_paths(item, folder, summary)
            self._model.set_row(place, ImageRow(item, status, summary, results))

    def end_run(self) -> None:
        """Show that nothing is being segmented any more."""
        for place, row in enumerate(self._model.rows()):
            if row.status is RowStatus.RUNNING:
                self._model.set_row(place, replace(row, status=RowStatus.WAITING))


def list_known_rows(items: Sequence[InputImage], folder: Path | None) -> list[ImageRow]:
    """List what earlier runs have left of images in a folder, without opening a file of it."""
    known = {} if folder is None else find_known_results(items, folder)
    return [_known_row(item, known.get(item)) for item in items]


def _known_row(item: InputImage, known: KnownResult | None) -> ImageRow:
    if known is None:
        return ImageRow(item)
    if known.row is not None:
        status = STATUS_OF_SUMMARY.get(known.row.status, RowStatus.WAITING)
    else:  # labels in OME-Zarr may not be finished
        is_whole = known.results is not None and not known.results.is_store
        status = RowStatus.DONE if is_whole else RowStatus.WAITING
    return ImageRow(item, status, known.row, known.results)


def count_status(rows: Iterable[ImageRow], status: RowStatus) -> int:
    """Count the images that stand so."""
    return sum(row.status is status for row in rows)


def describe_end(rows: Sequence[ImageRow], kept: int = 0) -> str:
    """Return in a sentence or two how far the images are when nothing runs.

    Parameters
    ----------
    rows : sequence of ImageRow
    kept : int, optional
        Results that were corrected by hand, and keep their other settings.
    """
    if kept:
        was = "was" if kept == 1 else "were"
        return (
            f"{describe_end(rows)} {format_count(kept, 'image')} {was} kept as corrected by hand, "
            "with earlier settings: to segment such an image again, delete its result."
        )
    total, done = len(rows), count_status(rows, RowStatus.DONE)
    failed = count_status(rows, RowStatus.FAILED)
    if not total:
        return ""
    nuclei = sum(row.summary.nuclei for row in rows if row.summary is not None)
    images = format_count(total, "image")
    if done == total:
        return f"{images} done: {format_count(nuclei, 'nucleus')}."
    text = f"{done:,} of {images} done"
    if failed:
        text += f", {failed:,} failed (rest the mouse on one to see why)"
    waiting = total - done - failed
    goes_on = " Click Continue to go on." if done and waiting else ""
    return f"{text}.{goes_on}"


def describe_failure(row: ImageRow) -> str:
    """Return why an image has failed, with its name instead of its path."""
    assert row.summary is not None
    title, error = row.item.title, row.summary.error
    for path in (os.path.realpath(row.item.path), row.item.path):
        error = error.replace(printable(path), title)
    return error if title in error else f"{title}: {error}"
