"""Planes too large for memory: segmented block by block into an OME-Zarr, shown as a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari.layers import Labels
from napari.utils.notifications import show_warning

from ...arrays.axes import PlaneIndex
from ...errors import UserError
from ...limits import DEFAULT_LIMITS, Limits
from ..layers.features import get_features_table
from ..layers.image_source import ImageSource
from ..layers.labels_record import get_record_entries, set_record_entries, write_record
from ..layers.measurements import create_measurement_source
from ..layers.streamed_features import select_plane_rows
from .blockwise_store import BlockwiseTaskOutput, blockwise_task_steps
from .plane_task import PlaneTask, SegmentRequest
from .runner import SegmentContext, TaskController

ALREADY_SEGMENTED = "segmented before with the same settings; what was painted since stays"


def is_large(source: ImageSource, limits: Limits = DEFAULT_LIMITS) -> bool:
    """Return whether a plane has to be segmented block by block."""
    height, width = source.shape
    return source.level == 0 and height * width > limits.large_plane_pixels


class BlockwiseTask(PlaneTask):
    """State of a block-wise run."""

    whole = True

    def __init__(self, request: SegmentRequest, plane_indices: Sequence[PlaneIndex]) -> None:
        super().__init__(request)
        self.plane_indices = plane_indices

    def _progress(self, step: Any) -> str:
        if not hasattr(step, "blocks"):
            return "Making the pyramid …" if step.done else "Looking at the image …"
        message = f"Block {step.block + 1} of {step.blocks} · {step.nuclei:,} nuclei"
        if step.planes > 1:
            message = f"Plane {step.plane + 1} of {step.planes} · {message}"
        begins = step.block == 0 and step.done * step.blocks < step.total
        return self.with_remaining_time(message, step, begins) if begins or step.done else message


class BlockwiseController(TaskController):
    """Segments planes that do not fit into memory, and shows their labels.

    Parameters
    ----------
    context : SegmentContext
    limits : Limits, optional
    """

    task_type = BlockwiseTask

    def __init__(self, context: SegmentContext, limits: Limits = DEFAULT_LIMITS) -> None:
        super().__init__(context)
        self._limits = limits

    def start(self, request: SegmentRequest, plane_indices: Sequence[PlaneIndex]) -> None:
        """Start a run, or resume one that was stopped.

        Raises
        ------
        UserError
            If the plane's axes are not the last of its labels.
        """
        place = request.source.placement
        if [isinstance(part, slice) for part in place.index[-2:]] != [True, True]:
            raise UserError(
                "A plane as large as this must lie along the last two axes of the image: "
                "change their order with numpy.moveaxis, or choose a part of it as region."
            )
        task = BlockwiseTask(request, plane_indices)
        inputs = (request, plane_indices, place, self._limits)
        self._runner.run_task(task, "Looking at the image …", blockwise_task_steps, *inputs)

    def _on_ended(self, task: BlockwiseTask, result: BlockwiseTaskOutput | None) -> None:
        if result is None:
            return
        if result.provenance is None:
            self._status_panel.show_message(
                f"Stopped after {result.progress.nuclei:,} nuclei; Segment goes on from there."
            )
            return
        source = task.request.source
        if source.image not in self._viewer.layers:
            show_warning(
                f"The image '{source.image.name}' was removed meanwhile; its nuclei are in "
                f"{result.path}."
            )
            return
        self._show(source, task.plane_indices, result)
        self._status_panel.show_message(_summary(result))

    def _show(
        self, source: ImageSource, plane_indices: Sequence[PlaneIndex], result: BlockwiseTaskOutput
    ) -> None:
        """Add the store as a layer, replacing one that shows it already."""
        # imports zarr, which would delay the start of napari
        from ...io.ome_zarr import LabelsStore

        assert result.provenance is not None  # it was not stopped
        store, key = LabelsStore.open_existing(result.path), str(result.path)
        for layer in list(self._viewer.layers):
            if get_record_entries(layer).get("store") == key:
                self._viewer.layers.remove(layer)
        height, width = source.shape
        paintable = height * width <= self._limits.paintable_pixels or len(store.levels) == 1
        layer = self._viewer.add_labels(
            store.labels if paintable else store.levels,
            name=f"{source.image.name} nuclei",
            multiscale=not paintable,
            **source.placement.geometry,
        )
        planes = [source.at_plane(index) for index in plane_indices]
        *others, last = [plane.placement.index for plane in planes]
        write_record(layer, source.image, last, result.provenance, others)
        # it is no image's own: later results of a region get an in-memory layer of their own
        set_record_entries(layer, store=key, layer=None)
        self._display_options.apply(layer)
        _tabulate(layer, planes, result)


def _tabulate(layer: Labels, planes: Sequence[ImageSource], result: BlockwiseTaskOutput) -> None:
    """Fill the features table of the layer."""
    features = get_features_table(layer)
    for plane, columns in zip(planes, result.columns, strict=True):
        origin = create_measurement_source(plane, lambda: None)
        features.set_measurements(
            plane.placement.index,
            origin,
            select_plane_rows(result.table, columns, plane.shape, origin.spacing),
        )
    features.publish()


def _summary(result: BlockwiseTaskOutput) -> str:
    nuclei = result.progress.nuclei
    parts = [
        "1 nucleus" if nuclei == 1 else f"{nuclei:,} nuclei",
        ALREADY_SEGMENTED if result.already_done else f"{result.progress.seconds:.0f} s",
        f"labels and table are in {result.path.parent}",
    ]
    if failed := len(result.progress.failed):
        failed_parts = "1 part" if failed == 1 else f"{failed} parts"
        parts.insert(1, f"{failed_parts} could not be read; Segment tries again")
    return " · ".join(parts)
