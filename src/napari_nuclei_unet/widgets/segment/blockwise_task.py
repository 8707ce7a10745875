"""Planes too large for memory: segmented block by block into an OME-Zarr, shown as a layer."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.utils.notifications import show_warning
from qtpy.QtCore import QObject

from napari_nuclei_unet.arrays.axes import PlaneIndex, PlaneView
from napari_nuclei_unet.arrays.blocks import LARGE
from napari_nuclei_unet.blockwise.journal import JOURNAL_FILE_NAME
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.io.paths import results_folder, sanitize_name
from napari_nuclei_unet.models.model import read_card
from napari_nuclei_unet.progress import Step, Stop, forward_stop
from napari_nuclei_unet.widgets.common.job import reserve_threads
from napari_nuclei_unet.widgets.layers.features import get_features_table
from napari_nuclei_unet.widgets.layers.image_source import ImageSource
from napari_nuclei_unet.widgets.layers.keys import METADATA_KEY
from napari_nuclei_unet.widgets.layers.labels_layer import (
    LayerPlacement,
    detach_labels,
    get_layer_placement,
    write_record,
)
from napari_nuclei_unet.widgets.layers.measurements import create_measurement_source
from napari_nuclei_unet.widgets.layers.streamed_features import read_features_csv, select_plane_rows
from napari_nuclei_unet.widgets.segment.plane_task import (
    PlaneTask,
    SegmentRequest,
    describe_origin,
    find_sampled_file,
    sample_checksum,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_nuclei_unet.blockwise.journal import RunProgress
    from napari_nuclei_unet.widgets.common.status_panel import StatusPanel
    from napari_nuclei_unet.widgets.segment.display import DisplayOptions
    from napari_nuclei_unet.widgets.segment.runner import Runner

# Labels of larger planes are shown as a pyramid: napari would read the whole plane at each redraw.
PAINTABLE = 300_000_000
ALREADY_SEGMENTED = "segmented before with the same settings; what was painted since stays"


def is_large(source: ImageSource) -> bool:
    """Return whether a plane has to be segmented block by block."""
    height, width = source.shape
    return source.level == 0 and height * width > LARGE


@dataclass(frozen=True, eq=False)
class BlockwiseTaskOutput:
    """What the thread returns.

    Attributes
    ----------
    path : Path
        Of the store.
    progress : RunProgress
    whole : bool
        Whether all planes are finished.
    record : dict
    table : pandas.DataFrame or None
        Of all nuclei, if all planes are finished.
    already_done : bool
        Whether all planes were finished before, so that nothing was written.
    """

    path: Path
    progress: RunProgress
    whole: bool
    record: dict[str, Any]
    table: Any = None
    already_done: bool = False


class BlockwiseTask(PlaneTask):
    """State of a block-wise run."""

    whole = True

    def __init__(self, request: SegmentRequest, plane_indices: Sequence[PlaneIndex]) -> None:
        super().__init__(request)
        self.plane_indices = plane_indices

    def status(self, step: Any) -> str:
        """Return the text that describes the progress."""
        if self.is_stopping:
            return "Stopping …"
        if not hasattr(step, "blocks"):
            return "Making the pyramid …" if step.done else "Looking at the image …"
        message = f"Block {step.block + 1} of {step.blocks} · {step.nuclei:,} nuclei"
        if step.planes > 1:
            message = f"Plane {step.plane + 1} of {step.planes} · {message}"
        if step.block == 0 and step.done * step.blocks < step.total:
            self.tiles_from = time.monotonic()
            return message
        return f"{message} · {self.remaining_time(step)}" if step.done else message


class BlockwiseController(QObject):
    """Segments planes that do not fit into memory, and shows their labels.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    runner : Runner
    status_panel : StatusPanel
    display_options : DisplayOptions
    """

    def __init__(
        self,
        viewer: ViewerModel,
        runner: Runner,
        status_panel: StatusPanel,
        display_options: DisplayOptions,
    ) -> None:
        super().__init__(status_panel)
        self._viewer, self._runner, self._status_panel, self._display_options = (
            viewer,
            runner,
            status_panel,
            display_options,
        )
        runner.ended.connect(self._on_ended)

    def start(self, request: SegmentRequest, plane_indices: Sequence[PlaneIndex]) -> None:
        """Start a run, or resume one that was stopped.

        Raises
        ------
        UserError
            If the plane's axes are not the last of its labels.
        """
        place = get_layer_placement(request.source.image, request.source.plane_index)
        if [isinstance(part, slice) for part in place.index[-2:]] != [True, True]:
            raise UserError(
                "A plane as large as this must lie along the last two axes of the image: "
                "change their order with numpy.moveaxis, or choose a part of it as region."
            )
        task = BlockwiseTask(request, plane_indices)
        self._runner.run_task(
            task, "Looking at the image …", blockwise_task_steps, request, plane_indices, place
        )

    def _on_ended(self, task: Any, result: BlockwiseTaskOutput | None) -> None:
        if not isinstance(task, BlockwiseTask) or result is None:
            return
        if not result.whole:
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
        from napari_nuclei_unet.io.ome_zarr import LabelsStore

        store, key = LabelsStore.open_existing(result.path), str(result.path)
        for layer in list(self._viewer.layers):
            if layer.metadata.get(METADATA_KEY, {}).get("store") == key:
                self._viewer.layers.remove(layer)
        place = get_layer_placement(source.image, source.plane_index)
        height, width = source.shape
        paintable = height * width <= PAINTABLE or len(store.levels) == 1
        layer = self._viewer.add_labels(
            store.labels if paintable else store.levels,
            name=f"{source.image.name} nuclei",
            multiscale=not paintable,
            **place.geometry,
        )
        *others, last = [get_layer_placement(source.image, index) for index in plane_indices]
        write_record(layer, source.image, last, result.record | {"store": key}, others)
        detach_labels(layer)  # later results of a region get an in-memory layer of their own
        self._display_options.apply(layer)
        _tabulate(layer, [source.at_plane(index) for index in plane_indices], result.table)


def _tabulate(layer: Labels, planes: Sequence[ImageSource], table: Any) -> None:
    """Fill the features table of the layer."""
    features = get_features_table(layer)
    for plane in planes:
        origin = create_measurement_source(plane, lambda: None)
        index = get_layer_placement(plane.image, plane.plane_index).index
        features.set_measurements(
            index,
            origin,
            select_plane_rows(table, _plane_columns(plane), plane.shape, origin.spacing),
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


def blockwise_task_steps(
    request: SegmentRequest, plane_indices: Sequence[PlaneIndex], place: LayerPlacement
) -> Generator[Step, Stop, BlockwiseTaskOutput]:
    """Segment planes into a store, or what is left of them; runs in the thread."""
    from napari_nuclei_unet.io.locks import write_lock

    reserve_threads(request.threads_free)
    fingerprint = _run_fingerprint(request, plane_indices)
    path = _store_path(request.source.image.name, fingerprint)
    with write_lock(path):
        return (
            yield from _segment_into_store_steps(request, plane_indices, place, path, fingerprint)
        )


def _segment_into_store_steps(
    request: SegmentRequest,
    plane_indices: Sequence[PlaneIndex],
    place: LayerPlacement,
    path: Path,
    fingerprint: dict[str, Any],
) -> Generator[Step, Stop, BlockwiseTaskOutput]:
    """Segment the planes that are left into a store."""
    from napari_nuclei_unet.blockwise.block import BlockParams, InMemoryPlane
    from napari_nuclei_unet.blockwise.journal import Journal
    from napari_nuclei_unet.blockwise.run import BlockwisePlane, segment_blockwise_steps
    from napari_nuclei_unet.io.ome_zarr import LabelsStore

    source = request.source
    store = LabelsStore.create(path, _labels_grid(source, place), np.int32)
    table = path.with_name(f"{path.name.removesuffix('.ome.zarr')}.csv")
    journal = Journal(path / JOURNAL_FILE_NAME, table, fingerprint)
    journal.begin()
    already_done = store.finished
    planes = [source.at_plane(index) for index in plane_indices]
    layers = [
        BlockwisePlane(
            InMemoryPlane(PlaneView(source.pixels, plane.plane_index)),
            _leading_index(plane),
            _plane_columns(plane),
        )
        for plane in planes
    ]
    block_params = BlockParams(request.model, request.params, request.device, source.region)
    check = partial(_check_source_exists, _lazy_source_path(source))
    progress = yield from forward_stop(
        segment_blockwise_steps(layers, store, journal, block_params, check=check)
    )
    whole = progress.next_plane(len(layers)) is None
    record = _record(request)
    if whole and not store.finished:
        store.write_record(record)
        for step in store.build_pyramid():
            if (yield step):
                return BlockwiseTaskOutput(path, progress, False, record)
        if not progress.failed:
            store.finish()
    return BlockwiseTaskOutput(
        path, progress, whole, record, read_features_csv(table) if whole else None, already_done
    )


def _lazy_source_path(source: ImageSource) -> Path | None:
    """Return the file or folder that is read during the run, if known."""
    path, lazy = source.path, not isinstance(source.pixels, np.ndarray)
    return path if lazy and path is not None and path.exists() else None


def _check_source_exists(path: Path | None, _: bool) -> None:
    """Raise an error if the image is gone: zarr would read its missing chunks as zeros."""
    try:
        if path is not None:
            path.stat()
    except OSError as error:
        raise UserError(
            f"{path} cannot be opened any more: see that its disk or server is there, then click "
            "Segment to go on."
        ) from error


def _leading_index(source: ImageSource) -> tuple[int, ...]:
    """Return the index of a plane along the axes of its labels before the last two."""
    return tuple(
        part
        for part in get_layer_placement(source.image, source.plane_index).index
        if not isinstance(part, slice)
    )


def _plane_columns(source: ImageSource) -> dict[str, int]:
    """Return the columns of the table that locate a plane."""
    names = zip(source.axes.lower(), source.plane_index.index, strict=True)
    return {name: at for name, at in names if name not in "cyx" and at is not None}


def _labels_grid(source: ImageSource, place: LayerPlacement) -> Any:
    from napari_nuclei_unet.io.ngff import LabelsGrid

    letters = source.axes
    if len(place.shape) < len(letters):  # the first axis was that of channels
        letters = letters[1:]
    units = [str(unit) for unit in place.geometry["units"]]
    return LabelsGrid(
        place.shape,
        letters,
        tuple(float(step) for step in place.geometry["scale"]),
        tuple(None if unit == "pixel" else unit for unit in units),
    )


def _record(request: SegmentRequest) -> dict[str, Any]:
    """Return the record of the run, as far as it holds for all planes."""
    from napari_nuclei_unet.models.model import load_model
    from napari_nuclei_unet.segmentation.device import plan_inference

    model = load_model(request.model)
    card, plan = model.card, plan_inference(request.params, request.device, model.network.config)
    return {
        "plugin": "napari-nuclei-unet",
        "version": version("napari-nuclei-unet"),
        "model": card.name,
        "model_sha256": card.sha256,
        "device": request.device,
        "params": dict(vars(request.params)),
        "ran_on": dataclasses.asdict(plan),
        "format": "zarr",
        "stopped": False,
    } | describe_origin(request, request.source, find_sampled_file(request.source))


def _run_fingerprint(
    request: SegmentRequest, plane_indices: Sequence[PlaneIndex]
) -> dict[str, Any]:
    """Return everything that affects the result: only a run with the same values is resumed."""
    source = request.source
    region = source.region
    return {
        "version": version("napari-nuclei-unet"),
        "model": read_card(request.model).sha256,
        "params": {name: value for name, value in vars(request.params).items() if name != "batch"},
        "region": None if region is None else [list(map(list, ring)) for ring in region.polygons],
        "image": source.image.name,
        "shape": list(source.pixels.shape),
        "content": sample_checksum(source.at_plane(plane_indices[0])),
        "planes": [list(index.index) for index in plane_indices],
    }


def _store_path(name: str, fingerprint: dict[str, Any]) -> Path:
    """Return the path of the store with this fingerprint, or the first free one."""
    from napari_nuclei_unet.blockwise.journal import read_fingerprint

    stem = sanitize_name(name, "image")
    for number in count(1):
        suffix = "" if number == 1 else f" {number}"
        path = results_folder() / f"{stem} nuclei{suffix}.ome.zarr"
        if not path.exists() or read_fingerprint(path / JOURNAL_FILE_NAME) == fingerprint:
            return path
    raise AssertionError("there is always another number")
