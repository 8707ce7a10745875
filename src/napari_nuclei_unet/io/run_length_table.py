"""Nuclei as run lengths in CSV, as Kaggle has them: ``stage1_train_labels.csv``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from .nucleus_masks import merge_overlapping
from .tables import read_saved_table

ID_COLUMN, RUNS_COLUMN = "ImageId", "EncodedPixels"
RUN_LENGTHS_SUFFIX = ".csv"


@dataclass(frozen=True)
class NucleusRuns:
    """The nuclei of an image in a table of run lengths.

    Attributes
    ----------
    where : str
        Table and image, for messages.
    rows : tuple of str
        Runs of each nucleus: "1 3 10 2" are the pixels 1, 2, 3, 10 and 11, counted from 1 down
        the first column, then down the next one.
    """

    where: str
    rows: tuple[str, ...]

    def read(self, shape: tuple[int, ...] | None = None) -> NDArray[np.int32]:
        """Decode the nuclei to labels, numbered in the order of their rows.

        Parameters
        ----------
        shape : (int, int)
            Height and width of the image, which the table does not have.

        Returns
        -------
        ndarray, shape (Y, X), int32
            Where nuclei overlap, as of :func:`merge_overlapping`. All 0, no nucleus, where the
            only row is empty.

        Raises
        ------
        UserError
            If runs are none, leave the image, or overlap within a nucleus.
        """
        if shape is None or len(shape) != 2:
            raise UserError(
                f"The size of {self.where} is not known, as tables of run lengths do not have it: "
                "compare them with masks, or with label images of one plane."
            )
        rows = () if self.rows == ("",) else self.rows
        return merge_overlapping([self._decode(row, shape) for row in rows], shape)

    def _decode(self, row: str, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Decode a row to the positions of its pixels, counted along rows of the image."""
        try:
            numbers = np.array(row.split(), np.int64)
            starts, lengths = numbers.reshape(-1, 2).T
        except (ValueError, OverflowError) as error:
            raise self._error(
                row, "they must be pairs of whole numbers, start and length"
            ) from error
        if not starts.size:
            raise self._error(row, "there are none, but the image has other rows")
        if starts.min() < 1 or lengths.min() < 1:
            raise self._error(row, "starts and lengths must be 1 or more")
        size = shape[0] * shape[1]
        # the length first, as a sum of huge numbers would not fit
        if lengths.max() > size or starts.max() > size or (starts + lengths).max() > size + 1:
            raise self._error(row, f"they lie outside the image of {shape[0]} x {shape[1]} pixels")
        order = np.argsort(starts, kind="stable")
        starts, lengths = starts[order], lengths[order]
        if (starts[1:] < starts[:-1] + lengths[:-1]).any():
            raise self._error(row, "they overlap")
        before = np.cumsum(lengths) - lengths
        down_columns = np.arange(lengths.sum()) + np.repeat(starts - 1 - before, lengths)
        columns, rows = np.divmod(down_columns, shape[0])
        return np.asarray(rows * shape[1] + columns, np.int64)

    def _error(self, row: str, reason: str) -> UserError:
        shown = row if len(row) <= 30 else f"{row[:30]} …"
        return UserError(f'The runs "{shown}" of {self.where} cannot be read: {reason}.')


def read_run_length_table(path: Path) -> dict[str, NucleusRuns]:
    """Read a table of run lengths.

    Parameters
    ----------
    path : Path
        CSV with the columns ImageId and EncodedPixels, and a row for each nucleus.

    Returns
    -------
    dict of str to NucleusRuns
        By the id of the image; they are decoded when they are read.

    Raises
    ------
    UserError
        If it is no such table.
    """
    try:
        table = read_saved_table(path, dtype=str, keep_default_na=False, index_col=False)
    except OSError as error:
        raise UserError(f"The table {path} cannot be read: {error.strerror or error}.") from error
    if missing := [name for name in (ID_COLUMN, RUNS_COLUMN) if name not in table]:
        columns = ", ".join(map(str, table.columns[:6]))
        raise UserError(
            f"{path} is not a table of run lengths: it has no column {' and no '.join(missing)}, "
            f"but {columns}."
        )
    if table.empty:
        raise UserError(f"{path} has no rows: it needs one for each nucleus.")
    runs = table.groupby(ID_COLUMN, sort=False)[RUNS_COLUMN]
    return {
        str(name): NucleusRuns(f"{name} in {path}", tuple(str(row).strip() for row in rows))
        for name, rows in runs
    }
