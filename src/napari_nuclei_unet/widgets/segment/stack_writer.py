"""Puts the planes of a stack into its labels layer as they are finished; goes on after a cancel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error, show_warning
from qtpy.QtCore import QObject, Signal

from napari_nuclei_unet.arrays.axes import Cut
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.widgets.layers.features import table_of
from napari_nuclei_unet.widgets.layers.geometry import is_on_view
from napari_nuclei_unet.widgets.layers.labels_layer import (
    Place,
    check_unlocked,
    labels_of,
    place_of,
    set_geometry,
    show_labels,
    write_labels,
    write_record,
)
from napari_nuclei_unet.widgets.segment.linking import broken, drop_tracks
from napari_nuclei_unet.widgets.segment.plane_task import Finished, Wanted
from napari_nuclei_unet.widgets.segment.stack_task import PlaneDone, Stack, StackRun, stack_steps
from napari_nuclei_unet.widgets.session.plane_result import Kept, model_stamp

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_nuclei_unet.widgets.common.status_panel import Progress
    from napari_nuclei_unet.widgets.segment.display import Look
    from napari_nuclei_unet.widgets.segment.runner import Runner
    from napari_nuclei_unet.widgets.session.predictions import Live


class Stacker(QObject):
    """Runs over the planes of a stack.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    live : Live
        Keeps what the network says of every plane.
    runner : Runner
    progress : Progress
        Its button Continue does the rest of a run that was cancelled.
    look : Look

    Signals
    -------
    kept : Kept
        A plane was written.
    ended : Wanted
        A run is over, and has left planes.
    """

    kept = Signal(object)
    ended = Signal(object)

    def __init__(
        self, viewer: ViewerModel, live: Live, runner: Runner, progress: Progress, look: Look
    ) -> None:
        super().__init__(progress)
        self._viewer, self._live, self._runner = viewer, live, runner
        self._progress, self._look = progress, look
        self._stack: Stack | None = None  # the one at work, or whose rest is offered
        self._run: StackRun | None = None
        progress.more.clicked.connect(self._on_more)
        runner.stepped.connect(self._on_step)
        runner.ended.connect(self._on_ended)

    def start(self, wanted: Wanted, cuts: list[Cut]) -> None:
        """Begin with planes of an image."""
        self._begin(Stack(wanted, cuts))

    def drop(self) -> None:
        """Offer to continue no more."""
        if self._run is None:
            self._stack = None
            self._progress.more.setVisible(False)

    def check(self, *_: object) -> None:
        """End a run, or the offer to continue it, that has lost its image or labels."""
        if self._stack is None or not (reason := self._gone(self._stack)):
            return
        if self._run is None:
            self.drop()
        elif not self._run.over:
            self._end(reason, show_warning)

    def _begin(self, stack: Stack) -> None:
        self._stack, self._run = stack, StackRun(stack)
        self._progress.more.setVisible(False)
        cuts = [stack.cuts[number] for number in self._run.numbers]
        self._runner.work(self._run, "Starting …", stack_steps, stack.wanted, cuts)

    def _on_more(self, *_: object) -> None:
        stack = self._stack
        if stack is None or self._runner.running:
            return
        try:
            check_unlocked(stack.layer)
        except UserError as error:
            show_warning(str(error))
            return
        self._live.stop()
        self._begin(stack)

    def _gone(self, stack: Stack) -> str:
        """Say why planes cannot be written any more; empty: they can."""
        source, layer = stack.wanted.source, stack.layer
        done = "Planes that were finished before stay."
        if source.image not in self._viewer.layers:
            return f"The image '{source.image.name}' was removed, so its run has ended. {done}"
        if not source.current:
            return f"The image '{source.image.name}' was changed, so its run has ended. {done}"
        if layer is None:
            return ""
        if layer not in self._viewer.layers:
            return f"The labels '{layer.name}' were removed, so their run has ended."
        if layer.data.shape != place_of(source.image, source.cut).shape:
            return f"The labels '{layer.name}' have another shape now, so their run has ended."
        return (
            "" if layer.editable else f"The labels '{layer.name}' were locked: the run has ended."
        )

    def _end(self, reason: str, show: Any) -> None:
        assert self._run is not None
        self._run.reason = reason
        self._runner.job.cancel()
        show(reason)

    # what comes out of the thread

    def _on_step(self, run: Any, step: Any) -> None:
        if not isinstance(run, StackRun) or not isinstance(step, PlaneDone) or run.over:
            return
        self.check()
        if run.over:
            return
        try:
            self._add(run.stack, run.numbers[step.plane], step.finished)
        except UserError as error:
            self._end(str(error), show_error)

    def _add(self, stack: Stack, number: int, finished: Finished) -> None:
        """Write one plane, as cheaply as it can be."""
        source, answer = stack.wanted.source.at(stack.cuts[number]), finished.answer
        assert answer is not None
        place = place_of(source.image, source.cut)
        layer = stack.layer or labels_of(self._viewer, source.image, len(place.shape))
        if layer is not None and answer.inside is None and self._live.edited(layer, place):
            stack.edited.add(number)
            return
        seen = is_on_view(self._viewer, source.image, source.cut)
        if stack.layer is None:
            check_unlocked(layer)
            stack.layer = self._live.writing(
                layer,
                place,
                lambda: show_labels(
                    self._viewer, source.image, source.cut, answer.labels, answer.inside,
                    answer.result.record,
                ),
            )  # fmt: skip
            if stack.layer != layer:
                self._look.apply(stack.layer)
        else:
            self._live.writing(
                layer,
                place,
                lambda: write_labels(stack.layer, place, answer.labels, answer.inside, seen),
            )
        stack.areas[number] = answer.areas
        stack.record = answer.result.record
        stack.places.append(place)
        kept = Kept(
            source, finished.prediction, finished.content, model_stamp(stack.wanted.model),
            stack.layer, place, answer.inside, answer.result.record,
        )  # fmt: skip
        kept.remember()
        kept.tabulate(answer, publish=False)
        self._live.keep(kept)
        self._look.show_map(kept, seen)
        self.kept.emit(kept)

    def _on_ended(self, run: Any, result: Any) -> None:
        if not isinstance(run, StackRun):
            return
        stack, self._run = run.stack, None
        stack.seconds += run.seconds
        if result is not None:
            sources = {n: stack.wanted.source.at(stack.cuts[n]) for n in run.numbers}
            stack.failed |= {
                n for n, one in sources.items()
                if n not in stack.areas and one.cut_at_level in result.failed
            }  # fmt: skip
        self._draw(stack)
        self._progress.say(_words(run) + self._ids_said(stack))
        if run.over or not stack.rest or not stack.done:
            self.drop()
        else:
            self._progress.more.setVisible(True)
        if stack.areas:
            self.ended.emit(stack.wanted)

    def _ids_said(self, stack: Stack) -> str:
        """Say that ids hold across planes no more; tracks go if no plane has the old ones."""
        if (layer := stack.layer) is None or layer not in self._viewer.layers:
            return ""
        place = place_of(stack.wanted.source.image, stack.wanted.source.cut)
        at = zip(place.shape, place.index, strict=True)
        planes = [length for length, one in at if not isinstance(one, slice)]
        words = broken(layer, "")
        if words and len(stack.areas) == math.prod(planes):
            drop_tracks(self._viewer, layer)
        return words

    def _draw(self, stack: Stack) -> None:
        """Show and record all that was written: for every plane that would be too slow."""
        layer, source = stack.layer, stack.wanted.source
        if layer is None or layer not in self._viewer.layers:
            return
        if stack.places:
            *others, last = stack.places
            write_record(layer, source.image, last, stack.record, others)
            stack.places = []
            table_of(layer).publish()
        if source.image in self._viewer.layers and source.current:
            place: Place = place_of(source.image, source.cut)
            set_geometry(layer, place)
        layer.refresh(extent=False)


def _words(run: StackRun) -> str:
    """Say how a run has ended, and what there is."""
    stack, planes = run.stack, len(run.stack.cuts)
    if run.over or not stack.rest:
        return " ".join(filter(None, [run.reason, stack.summary() if stack.done else ""]))
    if not stack.done:
        return "Cancelled."
    done = planes - len(stack.rest)
    return f"Cancelled: {done:,} of {planes:,} planes are done. Continue does the rest."
