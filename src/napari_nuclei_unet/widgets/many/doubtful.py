"""Doubtful nuclei of all images, found in their tables."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import UserError
from ...progress import Step, Stop
from ..common.controller import Task
from ..layers.plane_features import CONFIDENCE_COLUMN, STATE_COLUMN, UNREVIEWED
from .rows import ImageRow, RowStatus

if TYPE_CHECKING:
    import pandas as pd

# Of all nuclei the share that counts as doubtful: what a confidence means differs by model.
DOUBTFUL_SHARE = 0.1


@dataclass(frozen=True)
class ReviewPlan:
    """Which images are reviewed, and which of their nuclei.

    Attributes
    ----------
    indices : tuple of int
        Of rows with doubtful nuclei that nobody has reviewed, those with most of them first.
    nuclei : int
        Their doubtful nuclei.
    max_confidence : float
        Nuclei up to it are doubtful.
    """

    indices: tuple[int, ...] = ()
    nuclei: int = 0
    max_confidence: float = 0.0


class PlanReviewTask(Task):
    """Reads the tables of all images.

    Parameters
    ----------
    rows : sequence of ImageRow

    Attributes
    ----------
    plan : ReviewPlan or None
        None: it was cancelled.
    """

    has_parts = False
    title = "Looking for doubtful nuclei"
    begins = "Looking for doubtful nuclei …"

    def __init__(self, rows: Sequence[ImageRow]) -> None:
        self.plan: ReviewPlan | None = None
        self._tables = {
            index: row.results.table
            for index, row in enumerate(rows)
            if row.status is RowStatus.DONE and row.results is not None
        }

    def steps(self) -> Generator[Step, Stop, ReviewPlan]:
        """Read the tables; runs in the thread."""
        import pandas as pd  # takes longer to load than a dock

        read = []
        for done, (index, path) in enumerate(self._tables.items()):
            yield Step(done, len(self._tables))
            if (table := _read_confidences(path)) is not None:
                read.append(table.assign(row=index))
        return plan_review(pd.concat(read)) if read else ReviewPlan()

    def status(self, step: Step) -> str:
        """Return the text that describes the progress."""
        return f"{self.begins} {step.done} of {step.total}"

    def on_result(self, result: ReviewPlan) -> None:
        """Keep the plan."""
        self.plan = result


def plan_review(nuclei: pd.DataFrame) -> ReviewPlan:
    """Choose the doubtful nuclei: those with the lowest confidences of all images.

    Parameters
    ----------
    nuclei : pandas.DataFrame
        With ``row``, ``confidence`` and whether it ``is_reviewed``.
    """
    confidences = nuclei[CONFIDENCE_COLUMN].dropna()
    if not len(confidences):
        return ReviewPlan()
    # of those that were reviewed, too, or every review would be followed by another
    limit = float(confidences.quantile(DOUBTFUL_SHARE, interpolation="higher"))
    doubtful = nuclei[(nuclei[CONFIDENCE_COLUMN] <= limit) & ~nuclei["is_reviewed"]]
    by_row = doubtful.groupby("row")[CONFIDENCE_COLUMN].agg(["size", "min"])
    by_row = by_row.sort_values(["size", "min"], ascending=[False, True])
    return ReviewPlan(tuple(int(row) for row in by_row.index), len(doubtful), limit)


def _read_confidences(path: Path) -> pd.DataFrame | None:
    """Read what is needed of a table; None if it cannot be read."""
    from ...io.tables import read_saved_table

    try:
        table = read_saved_table(path, (CONFIDENCE_COLUMN, STATE_COLUMN))
    except (UserError, OSError):
        return None
    if CONFIDENCE_COLUMN not in table:
        return None
    states = table.get(STATE_COLUMN)
    is_reviewed = np.zeros(len(table), bool)
    if states is not None:
        is_reviewed = (states.fillna(UNREVIEWED) != UNREVIEWED).to_numpy()
    return table[[CONFIDENCE_COLUMN]].astype(np.float64).assign(is_reviewed=is_reviewed)
