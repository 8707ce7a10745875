"""The rows of the list of images: where each of them stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...batch.inputs import InputImage
    from ...batch.outputs import ResultPaths
    from ...batch.summary import SummaryRow


# Of names of images in sentences.
MAX_TITLE_LENGTH = 36


class RowStatus(Enum):
    """Where an image of the list stands; the value is what the list shows."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class ImageRow:
    """An image of the list.

    Attributes
    ----------
    item : InputImage
    status : RowStatus
    summary : SummaryRow or None
        As in the summary of the run; None: it is not segmented yet.
    results : ResultPaths or None
        Its files; None: it is not segmented yet.
    """

    item: InputImage
    status: RowStatus = RowStatus.WAITING
    summary: SummaryRow | None = None
    results: ResultPaths | None = None

    @property
    def short_title(self) -> str:
        """Name of the image in a sentence: without the middle, if it is long."""
        title, half = self.item.title, MAX_TITLE_LENGTH // 2
        return title if len(title) <= MAX_TITLE_LENGTH else f"{title[:half]}…{title[-half:]}"
