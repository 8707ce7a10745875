"""Planes too large for memory: segmented block by block into an OME-Zarr, shown as a layer."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from napari.layers import Labels

from ...arrays.axes import PlaneIndex
from ...counts import format_count
from ...errors import UserError
from ...limits import Limits
from ...progress import Step, Stop
from ..common.controller import Task
from ..common.notify import show_warning
from ..layers.image_source import ImageSource
from ..layers.labels_record import get_record_entries, set_record_entries, write_record
from ..layers.labels_state import LabelsState
from ..layers.measurements import create_measurement_source
from ..layers.streamed_features import select_plane_rows
from .blockwise_store import BlockwiseTaskOutput, blockwise_task_steps
from .plane_task import SegmentRequest

if TYPE_CHECKING:
    from .plane_writer import PlaneWriter

ALREADY_SEGMENTED = "segmented before with the same settings; what was painted since stays"


def is_large(source: ImageSource, limits: Limits) -> bool:
    """Return whether a plane has to be segmented block by block."""
    height, width = source.shape
    return source.level == 0 and limits.needs_blocks(height * width)


class BlockwiseTask(Task):
    """Segments planes that do not fit into memory, and shows their labels.

    Parameters
    ----------
    request : SegmentRequest
    plane_indices : sequence of PlaneIndex
    writer : PlaneWriter

    Raises
    ------
    UserError
        If the plane's axes are not the last of its labels.
    """

    begins = "Looking at the image …"
    is_whole = stops_in_step = True

    def __init__(
        self, request: SegmentRequest, plane_indices: Sequence[PlaneIndex], writer: PlaneWriter
    ) -> None:
        self.request, self._plane_indices, self._writer = request, plane_indices, writer
        self.title = f"Nuclei in {request.source.image.name}"
        self._reason = writer.limits.explain_blocks(math.prod(request.source.shape))
        self._placement = request.source.placement
        if [isinstance(part, slice) for part in self._placement.index[-2:]] != [True, True]:
            raise UserError(
                "A plane as large as this must lie along the last two axes of the image: "
                "change their order with numpy.moveaxis, or choose a part of it as region."
            )

    def steps(self) -> Generator[Step, Stop, BlockwiseTaskOutput]:
        """Segment the planes into a store, or what is left of them; runs in the thread."""
        return (
            yield from blockwise_task_steps(
                self.request, self._plane_indices, self._placement, self._writer.limits
            )
        )

    def status(self, step: Any) -> str:
        """Return the text that describes the progress."""
        if not hasattr(step, "blocks"):
            return "Making the pyramid …" if step.done else "Looking at the image …"
        message = (
            f"Block {step.block + 1} of {step.blocks} · {format_count(step.nuclei, 'nucleus')}"
        )
        if step.planes > 1:
            message = f"Plane {step.plane + 1} of {step.planes} · {message}"
        begins = step.block == 0 and step.done * step.blocks < step.total
        return self.with_remaining_time(message, step, begins) if begins or step.done else message

    def on_result(self, result: BlockwiseTaskOutput) -> None:
        """Show the labels, if all planes are finished."""
        if result.provenance is None:
            found = format_count(result.progress.nuclei, "nucleus")
            self.message = f"Stopped after {found}; Segment goes on from there."
            return
        source, image = self.request.source, self.request.source.image
        is_there = image in self._writer.viewer.layers
        if not is_there or not source.is_current:
            done = "changed" if is_there else "removed"
            show_warning(
                f"The image '{image.name}' was {done} meanwhile; its nuclei are in {result.path}."
            )
            return
        self._show(result)
        self.message = _summary(result, self._reason)

    def _show(self, result: BlockwiseTaskOutput) -> None:
        """Add the store as a layer, replacing one that shows it already."""
        # imports zarr, which would delay the start of napari
        from ...io.ome_zarr import LabelsStore

        assert result.provenance is not None  # it was not stopped
        source, viewer = self.request.source, self._writer.viewer
        store, key = LabelsStore.open_existing(result.path), str(result.path)
        height, width = source.shape
        paintable = height * width <= self._writer.limits.paintable_pixels or len(store.levels) == 1
        layer = Labels(
            store.labels if paintable else store.levels,
            name=f"{source.image.name} nuclei",
            multiscale=not paintable,
            **source.placement.geometry,
        )
        for before in list(viewer.layers):
            if get_record_entries(before).get("store") == key:
                viewer.layers.remove(before)
        viewer.add_layer(layer)
        planes = [source.at_plane(index) for index in self._plane_indices]
        *others, last = [plane.placement.index for plane in planes]
        write_record(layer, source.image, last, result.provenance, others)
        # it is no image's own: later results of a region get an in-memory layer of their own
        set_record_entries(layer, store=key, layer=None)
        self._writer.display_options.apply(layer)
        _tabulate(layer, planes, result)


def _tabulate(layer: Labels, planes: Sequence[ImageSource], result: BlockwiseTaskOutput) -> None:
    """Fill the features table of the layer."""
    features = LabelsState.of(layer).features
    for plane, columns in zip(planes, result.columns, strict=True):
        origin = create_measurement_source(plane, lambda: None)
        features.set_measurements(
            plane.placement.index,
            origin,
            select_plane_rows(result.table, columns, plane.shape, origin.spacing),
        )
    features.publish()


def _summary(result: BlockwiseTaskOutput, reason: str) -> str:
    nuclei = result.progress.nuclei
    parts = [
        format_count(nuclei, "nucleus"),
        ALREADY_SEGMENTED if result.already_done else f"{result.progress.seconds:.0f} s",
        f"labels and table are in {result.path.parent}",
    ]
    if reason and not result.already_done:
        parts.append(f"OME-Zarr, block by block: {reason[0].lower()}{reason[1:]}")
    if failed := len(result.progress.failed):
        failed_parts = format_count(failed, "part")
        parts.insert(1, f"{failed_parts} could not be read; Segment tries again")
    return " · ".join(parts)
