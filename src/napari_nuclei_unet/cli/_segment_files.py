"""``segment`` for its images: the driver of both faces, with a progress bar."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from ._bar import images_bar
from ._console import Screen, Transcript
from ._segment_file import PrintedReport

if TYPE_CHECKING:
    from ..batch.inputs import InputImage
    from ..batch.series_image import SegmentRun
    from ..batch.summary import SummaryRow
    from ..batch.workers import WorkerPlan


def segment_files(
    inputs: Sequence[InputImage], run: SegmentRun, plan: WorkerPlan
) -> Generator[SummaryRow, None, None]:
    """Segment images, print what comes of them, and yield their rows of the summary.

    Parameters and errors as of ``batch.series.segment_series``.
    """
    # in the function, so that --help does not load torch
    from ..batch.series import segment_series

    def create_report(item: InputImage, is_alone: bool) -> PrintedReport:
        return PrintedReport(item, run, Screen() if is_alone else Transcript())

    with closing(segment_series(inputs, run, plan, create_report)) as rows:
        if plan.workers == 1:  # each has a bar of its own
            yield from rows
            return
        with images_bar(len(inputs)) as bar:
            for row in rows:
                yield row
                bar.update()
