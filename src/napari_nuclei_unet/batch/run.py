"""Many image files, one after the other: what is done is written down, and not done again."""

from __future__ import annotations

import csv
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from napari_nuclei_unet.batch.in_memory import hold_steps
from napari_nuclei_unet.batch.job import Job
from napari_nuclei_unet.batch.out_of_core import Storing
from napari_nuclei_unet.batch.outputs import Outcome
from napari_nuclei_unet.batch.ownership import foreign, header_of
from napari_nuclei_unet.blockwise.run import Compute
from napari_nuclei_unet.io.atomic import written
from napari_nuclei_unet.progress import Step, Wish

SUMMARY = "nuclei_summary.csv"
# Parts that could not be read of which a message tells; the record has all.
MOST_TOLD = 3


def segment_job_steps(
    job: Job, overwrite: bool = False, compute: Compute | None = None
) -> Generator[Step, Wish, Outcome]:
    """Segment an image into files; what is there already is not done again.

    Parameters
    ----------
    job : Job
    overwrite : bool, optional
        Do it again.
    compute : callable, optional
        As in ``streaming.stream_steps``; blocks are computed there.

    Yields
    ------
    Step

    Returns
    -------
    Outcome

    Raises
    ------
    UserError
        If something cannot be used or written, labels that are there were made with other flags,
        the image changes meanwhile or is gone, or the run is told to stop. What is finished of an
        OME-Zarr is kept, and the next run goes on there.
    """
    if job.results.is_store:
        return (yield from Storing(job, overwrite, compute).steps())
    record = None if overwrite else job.done_before()
    if record is not None:
        return Outcome(len(job.picked.cuts), record["nuclei"], skipped=True)
    return (yield from hold_steps(job))


def stopped_at(job: Job) -> Outcome | None:
    """Say how far a run came that was stopped; None where nothing of it is kept."""
    return Storing(job, False, None).so_far() if job.results.is_store else None


@dataclass(frozen=True)
class Row:
    """What the summary says of an image.

    Attributes
    ----------
    image, result : str
        Paths.
    planes, nuclei : int
    seconds : float
        That this run took.
    status : {"done", "skipped", "stopped", "failed"}
    error : str
        Mostly none.
    """

    image: str
    result: str = ""
    planes: int = 0
    nuclei: int = 0
    seconds: float = 0.0
    status: str = "done"
    error: str = ""


@dataclass(frozen=True)
class Summary:
    """A table of all images of a run, in a file that is whole at any moment.

    Attributes
    ----------
    path : Path or None
        None: it is not written.
    rows : list of Row
    """

    path: Path | None
    rows: list[Row] = field(default_factory=list)

    def check(self) -> None:
        """Refuse to replace a file that is no summary.

        Raises
        ------
        UserError
        """
        header = [] if self.path is None else header_of(self.path)
        if self.path is not None and header not in ([], list(Row.__dataclass_fields__)):
            raise foreign(self.path)

    def add(self, row: Row) -> None:
        """Add a row, and replace the file.

        Raises
        ------
        UserError
            If it cannot be written.
        """
        self.rows.append(row)
        if self.path is None:
            return
        with written(self.path) as aside, aside.open("w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, list(Row.__dataclass_fields__))
            writer.writeheader()
            writer.writerows(asdict(one) for one in self.rows)


def failures(outcome: Outcome) -> str:
    """Say which parts could not be read; nothing if all could."""
    more = len(outcome.failed) - MOST_TOLD
    told = [*outcome.failed[:MOST_TOLD], *([f"and {more} more parts"] if more > 0 else [])]
    return "; ".join(told)
