"""One run over planes of a stack: what goes into the thread, what comes out, and the sum of it."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from napari_nuclei_unet.arrays.axes import Cut
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.progress import Step, Wish, sticky
from napari_nuclei_unet.widgets.common.job import use_threads
from napari_nuclei_unet.widgets.layers.checksum import content_of
from napari_nuclei_unet.widgets.layers.image_source import Source
from napari_nuclei_unet.widgets.layers.labels_layer import Place
from napari_nuclei_unet.widgets.segment.plane_task import (
    Finished,
    Run,
    Wanted,
    file_of,
    origin,
    parts_of_summary,
)
from napari_nuclei_unet.widgets.session.plane_result import Answer, lean

if TYPE_CHECKING:
    from napari_nuclei_unet.segmentation.stack import PlaneFound, Planes

# So many notices of one run are shown: a thousand planes may have one each.
MOST_NOTICES = 3


@dataclass(frozen=True, eq=False)
class PlaneDone:
    """A plane is finished; an event of :func:`stack_steps`.

    Attributes
    ----------
    done, total, notice, plane, planes, tile, tiles
        As in ``stacks.PlaneStep``.
    finished : Finished
    """

    done: int
    total: int
    plane: int
    planes: int
    finished: Finished
    notice: str = ""
    tile: int = 1
    tiles: int = 1


@dataclass(eq=False)
class Stack:
    """Planes that were asked for, and what has become of them so far.

    Attributes
    ----------
    wanted : Wanted
        Its source is one of the planes.
    cuts : list of Cut
        At full resolution.
    layer : napari.layers.Labels or None
        Where they are written; None before the first.
    areas : dict of int to ndarray
        Of the nuclei of the planes that are done, by their number in ``cuts``.
    failed : set of int
        Planes that could not be read or segmented.
    edited : set of int
        Planes that were left alone, because the user has edited their labels.
    seconds : float
        Of all runs.
    record : dict
        Of the plane that was written last.
    places : list of Place
        That were written since the layer's record was.
    """

    wanted: Wanted
    cuts: list[Cut]
    layer: Labels | None = None
    areas: dict[int, NDArray[np.integer]] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)
    edited: set[int] = field(default_factory=set)
    seconds: float = 0.0
    record: dict[str, Any] = field(default_factory=dict)
    places: list[Place] = field(default_factory=list)

    @property
    def rest(self) -> list[int]:
        """Numbers of the planes that are still to be done."""
        over = self.areas.keys() | self.failed | self.edited
        return [number for number in range(len(self.cuts)) if number not in over]

    @property
    def done(self) -> int:
        """How many planes were looked at, without those that could not be."""
        return len(self.areas) + len(self.edited)

    def summary(self) -> str:
        """Say in words what was found."""
        done, planes = len(self.areas), len(self.cuts)
        areas = np.concatenate([*self.areas.values(), np.zeros(0, np.int64)])
        first, *rest = parts_of_summary(areas, self.wanted.source)
        inside = " in the region" if self.wanted.source.region is not None else ""
        many = "1 plane" if planes == 1 else f"{planes:,} planes"
        words = [f"{first}{inside} in " + (many if done == planes else f"{done:,} of {many}")]
        if self.failed:
            words.append(f"{len(self.failed):,} could not be read")
        if self.edited:
            words.append(f"{len(self.edited):,} edited by hand left alone")
        words += rest
        if self.record:
            ran = self.record["ran_on"]
            words.append(f"{self.seconds:.1f} s on {ran['device'].upper()}, {ran['precision']}")
        return " · ".join(words)


class StackRun(Run):
    """What is known of the run under way.

    Attributes
    ----------
    stack : Stack
    numbers : list of int
        Of the planes that it does.
    reason : str
        Why it has ended early; empty: it has not.
    """

    whole = True

    def __init__(self, stack: Stack) -> None:
        super().__init__(stack.wanted)
        self.stack, self.numbers, self.reason = stack, stack.rest, ""

    @property
    def over(self) -> bool:
        """Whether what it does is of no use any more."""
        return bool(self.reason)

    def hears(self, notice: str) -> bool:
        """Take note of a notice; whether it is to be shown."""
        new = notice not in self.said and len(self.said) < MOST_NOTICES
        self.said.add(notice)
        return new

    def words(self, step: Any) -> str:
        """Say how far it is."""
        if self.stopping:
            return "Stopping …"
        before = len(self.stack.cuts) - len(self.numbers)
        plane = getattr(step, "plane", step.done * len(self.numbers) // max(step.total, 1))
        words = f"Plane {min(before + plane + 1, len(self.stack.cuts)):,} of "
        words += f"{len(self.stack.cuts):,}"
        if hasattr(step, "tile"):
            words += f" · tile {min(step.tile + 1, step.tiles)} of {step.tiles}"
        if step.done == 0:
            self.tiles_from = time.monotonic()
            return words
        return f"{words} · {self.left(step)}"


def stack_steps(wanted: Wanted, cuts: Sequence[Cut]) -> Generator[Step, Wish, Planes]:
    """Run in the thread: segment planes of the image of ``wanted``, one after the other.

    Parameters
    ----------
    wanted : Wanted
    cuts : sequence of Cut
        At full resolution.
    """
    from napari_nuclei_unet.models.model import load_model
    from napari_nuclei_unet.segmentation.stack import PlaneFound, segment_planes_steps

    use_threads(wanted.threads_free)
    sources = [wanted.source.at(cut) for cut in cuts]
    steps = segment_planes_steps(
        wanted.source.pixels,
        [source.cut_at_level for source in sources],
        load_model(wanted.model),
        wanted.params,
        wanted.device,
        wanted.source.region_at_level,
    )
    file: list[str | None] = []  # that holds the image; to be found out once

    def shown(step: Any) -> Any:
        if not isinstance(step, PlaneFound):
            return step
        source = sources[step.plane]
        if not file:
            file.append(_file(source))
        return PlaneDone(
            step.done, step.total, step.plane, step.planes, _finished(wanted, source, step, file[0])
        )

    return (yield from sticky(steps, shown))


def _file(source: Source) -> str | None:
    if source.path is None:
        return None
    try:
        return file_of(source, content_of(source.cut_at_level.read(source.pixels)))
    except (UserError, OSError):
        return None


def _finished(wanted: Wanted, source: Source, found: PlaneFound, file: str | None) -> Finished:
    content = 0
    if isinstance(source.pixels, np.ndarray):  # others are not read again, nor ever compared
        content = content_of(source.cut_at_level.read(source.pixels))
    made = origin(wanted, source, file)
    found.prediction.record.update(made)
    found.result.record.update(made)
    answer = Answer.of(found.result, source, np.asarray(found.result.plane.pixels))
    return Finished(lean(found.prediction, source), answer, content)
