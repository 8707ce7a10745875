"""Applies the sliders to volumes, without the network."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from ...params import SegmentParams
from ...progress import Step, Stop
from ..common.controller import Task
from ..layers.labels_record import stale_ids_warning
from ..session.volume_result import RetunedVolume, VolumeResult
from .plane_task import SegmentRequest
from .plane_writer import PlaneWriter
from .volume_task import LABELS_EDITED, summarize_volumes, write_volume_record

OTHERS_LEFT = " · of the volume on view only: Tune all volumes does the others"


@dataclass(frozen=True, eq=False, kw_only=True)
class RetunedVolumeStep(Step):
    """A volume is retuned."""

    volume: VolumeResult
    retuned: RetunedVolume


class RetuneVolumesTask(Task):
    """Separates the nuclei of volumes with the values of the sliders.

    Parameters
    ----------
    request : SegmentRequest
        Has the values.
    volumes : sequence of VolumeResult
        Of one layer.
    writer : PlaneWriter
    others : int, optional
        Volumes of the layer that are not retuned.
    """

    begins, is_whole, keeps_rest = "Separating nuclei in 3-D …", True, True

    def __init__(
        self,
        request: SegmentRequest,
        volumes: Sequence[VolumeResult],
        writer: PlaneWriter,
        others: int = 0,
    ) -> None:
        self.request, self._volumes, self._writer = request, volumes, writer
        self._others, self._edited = others, False
        self.title = f"Nuclei in {request.source.image.name}"
        self._written: list[int] = []  # the number of nuclei of each volume

    def on_start(self) -> None:
        """Check that the labels may be changed."""
        self._volumes[0].state.check_writable()

    def steps(self) -> Generator[Step, Stop, None]:
        """Separate the nuclei; runs in the thread."""
        return (yield from retune_volumes_steps(self._volumes, self.request.params))

    def status(self, step: Any) -> str:
        """Return the text that describes the progress."""
        if step.total == 1:
            return self.begins
        message = f"Volume {min(step.done + 1, step.total):,} of {step.total:,}"
        return self.with_remaining_time(message, step, step.done == 0)

    def on_step(self, step: Any) -> None:
        """Write the nuclei of a volume, unless the labels were edited meanwhile."""
        if not isinstance(step, RetunedVolumeStep):
            return
        volume, layer = step.volume, step.volume.layer
        if layer not in self._writer.viewer.layers or not layer.editable:
            return
        if not volume.sources[0].is_current:  # its axes may be others
            return
        if not volume.is_unedited():
            self._edited = True
            return
        with volume.state.writing(volume.part.index, volume.part):
            volume.state.ids.write(layer.data, volume.part.index, step.retuned.labels, None)
        write_volume_record(layer, volume.sources, step.retuned.result.provenance)
        layer.refresh(extent=False)
        volume.mark_written()
        self._writer.watch(volume.state)
        self._written.append(step.retuned.result.count)

    def on_end(self) -> None:
        """Summarize."""
        layer, parts = self._volumes[0].layer, []
        if self._written:
            text = summarize_volumes(sum(self._written), len(self._written), len(self._volumes))
            parts.append(text + (OTHERS_LEFT if self._others else ""))
        if self._edited:
            parts.append(LABELS_EDITED.format(layer.name))
        self.message = " · ".join(parts) or self.end_word
        if self._written:
            self.message += stale_ids_warning(layer, " of this volume" if self._others else "")


def retune_volumes_steps(
    volumes: Sequence[VolumeResult], params: SegmentParams
) -> Generator[Step, Stop, None]:
    """Separate the nuclei of volumes; runs in the thread."""
    # it loads torch, which takes seconds
    from ...segmentation.volume import retune_volume

    stop = yield Step(0, len(volumes))
    for done, volume in enumerate(volumes, 1):
        if stop:
            return
        result = retune_volume(volume.prediction, params)
        retuned = RetunedVolume.of(result, volume.sources[0])
        stop = yield RetunedVolumeStep(done, len(volumes), volume=volume, retuned=retuned)
