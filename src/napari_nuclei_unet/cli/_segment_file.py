"""``segment`` for one of its images: what is printed of it, and written beside its results."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ..counts import choose_noun
from ..errors import UserError
from ..progress import Step, Stop
from ._bar import hidden_bar
from ._common import error_message
from ._console import Console, Transcript
from ._extras import write_extras
from ._into_image import check_into_image
from ._results import check_formats_writable

if TYPE_CHECKING:
    from ..batch.inputs import InputImage
    from ..batch.job import ImageJob
    from ..batch.outputs import Outcome
    from ..batch.series_image import SegmentRun
    from ..batch.settings import JobSettings
    from ..batch.summary import SummaryRow
    from ..provenance.left_out_counts import LeftOutCounts

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class PrintedReport:
    """Prints what comes of an image; its methods are those of ``batch.series_image.ImageReport``.

    Attributes
    ----------
    item : InputImage
    asked : SegmentRun
    console : Console
    """

    item: InputImage
    asked: SegmentRun
    console: Console

    def run(self, steps: Generator[Step, Stop, _Result], name: str) -> _Result:
        """Run a generator of steps to its end; print its notices on stderr."""
        return self.console.run(steps, name)

    def begin(self, job: ImageJob) -> None:
        """Raise a UserError if what is written beside the results could not be."""
        output, overwrite = self.asked.output, self.asked.overwrites(self.item)
        check_into_image(job, output.into_image, overwrite)
        check_formats_writable(job, output.save, overwrite)

    def complete(self, job: ImageJob, ended: Outcome) -> None:
        """Write a result in other formats and into its image, and its tables for spreadsheets."""
        write_extras(job, self.asked.output, ended, self.asked.overwrites(self.item))

    def show_outcome(self, job: ImageJob, ended: Outcome) -> None:
        """Print the outcome of an image on stdout."""
        planes = f" in {ended.planes} planes" if ended.planes > 1 else ""
        before = " (done before)" if ended.skipped else ""
        note = _describe_missing_axes(self.asked.settings, job.settings)
        if job.settings.volume and job.settings.exclude_border and not ended.nuclei:
            note += "; those at the edge are left out, to which the first and the last slice belong"
        left_out = describe_left_out(ended.left_out)
        lightened = _describe_gammas(ended)
        noun = choose_noun(ended.nuclei, "nucleus")
        self.console.print(
            f"{self.item.title}: {ended.nuclei} {noun}{planes}{left_out}{lightened}{before}{note}"
        )

    def show_error(self, error: UserError | OSError) -> None:
        """Print an error on stderr, in one line."""
        self.console.print_error(error, f"{self.item.title}: ")

    def describe_error(self, error: UserError | OSError) -> str:
        """Return an error in one sentence, with flags."""
        return error_message(error)

    def end(self, _: SummaryRow | None) -> None:
        """Do nothing: all is printed already."""

    def replay(self) -> None:
        """Print what was kept of an image that ran beside others."""
        if isinstance(self.console, Transcript):
            with hidden_bar():
                self.console.replay()


def describe_left_out(counts: LeftOutCounts | None) -> str:
    """Return how much was left out, and why; empty where nothing was."""
    return f"; {counts.describe()}" if counts is not None and counts.total else ""


def _describe_gammas(ended: Outcome) -> str:
    """Return by how much dark stained sections were lightened; mostly empty."""
    if not ended.gammas:
        return ""
    lowest, highest = min(ended.gammas), max(ended.gammas)
    gamma = f"{lowest:g}" if lowest == highest else f"{lowest:g} to {highest:g}"
    what = f" in {len(ended.gammas)} of the planes" if ended.planes > 1 else ""
    return f"; lightened as a dark stained section{what}, gamma {gamma} (--gamma 1 switches it off)"


def _describe_missing_axes(asked: JobSettings, used: JobSettings) -> str:
    """Return what an image of a mixed run was not segmented as, and why; mostly empty."""
    has_volumes = asked.volume or asked.join in ("z", "Z")
    is_flat = has_volumes and not (used.volume or used.join)
    return "".join(
        [
            "; it has no axis Z, and is segmented plane by plane" if is_flat else "",
            "; it has no axis T, and is not tracked" if asked.track and not used.track else "",
        ]
    )
