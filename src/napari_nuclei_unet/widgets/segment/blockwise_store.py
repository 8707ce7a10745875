"""Block-wise segmentation of an image layer into an OME-Zarr store, in the thread."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...arrays.axes import PlaneIndex, PlaneView
from ...blockwise.journal import read_fingerprint
from ...blockwise.retry import RunProgress
from ...errors import UserError
from ...io.ngff import LabelsGrid
from ...io.paths import results_folder, sanitize_name
from ...io.tables import read_table
from ...limits import DEFAULT_LIMITS, Limits
from ...models.model import load_model, read_card
from ...progress import Step, Stop
from ...provenance.record import Provenance
from ..common.job import load_engine
from ..layers.image_source import ImageSource
from ..layers.placement import LayerPlacement
from .plane_task import SegmentRequest, describe_origin
from .source_file import find_sampled_file, sample_checksum

if TYPE_CHECKING:
    from ...blockwise.open_store import StoreFiles
    from ...blockwise.to_store import StoreJob


RUN_WITH_FRAGMENTS = (
    "{} has micronuclei and fragments among the nuclei, so all is made anew in {}. To go on with "
    "the former, or show it, switch `leave_out_fragments` off and click Segment."
)


@dataclass(frozen=True, eq=False)
class BlockwiseTaskOutput:
    """What the thread returns.

    Attributes
    ----------
    path : Path
        Of the store.
    progress : RunProgress
    provenance : Provenance or None
        As it stands in the store; None: the run was stopped.
    table : pandas.DataFrame or None
        Of all nuclei, if all planes are finished.
    columns : sequence of dict
        What the table says of the position of each plane.
    already_done : bool
        Whether all planes were finished before, so that nothing was written.
    """

    path: Path
    progress: RunProgress
    provenance: Provenance | None = None
    table: Any = None
    columns: Sequence[dict[str, int]] = ()
    already_done: bool = False


def blockwise_task_steps(
    request: SegmentRequest,
    plane_indices: Sequence[PlaneIndex],
    place: LayerPlacement,
    limits: Limits = DEFAULT_LIMITS,
) -> Generator[Step, Stop, BlockwiseTaskOutput]:
    """Segment planes into a store, or what is left of them; runs in the thread."""
    load_engine(request.threads_free)
    # torch and zarr are imported when they are needed: napari starts faster
    from ...blockwise.to_store import segment_to_store_steps
    from ...io.ome_zarr import LabelsStore

    job = _store_job(request, plane_indices, place, limits)
    kept = _find_run_with_fragments(request, plane_indices, place)
    if kept is not None and not job.files.labels.exists():
        yield Step(0, 1, RUN_WITH_FRAGMENTS.format(kept, job.files.labels.name))
    ended = yield from segment_to_store_steps(job)
    path = job.files.labels
    if not ended.is_whole:
        return BlockwiseTaskOutput(path, ended.progress)
    provenance = Provenance.from_json(LabelsStore.open_existing(path).record)
    table = read_table(job.files.table)
    columns = [plane.columns for plane in job.planes]
    return BlockwiseTaskOutput(path, ended.progress, provenance, table, columns, ended.already_done)


def _store_job(
    request: SegmentRequest,
    plane_indices: Sequence[PlaneIndex],
    place: LayerPlacement,
    limits: Limits,
) -> StoreJob:
    from ...blockwise.block import BlockParams, InMemoryPlane
    from ...blockwise.stages import BlockwisePlane
    from ...blockwise.to_store import StoreJob

    source = request.source
    planes = [source.at_plane(index) for index in plane_indices]
    run = _identify_run(request, plane_indices, place)
    grid = _labels_grid(place, run.axes)
    micrometers = grid.micrometers if run.micrometers is None else run.micrometers
    return StoreJob(
        files=_choose_files(run),
        fingerprint=run.fingerprint,
        planes=[
            BlockwisePlane(
                InMemoryPlane(PlaneView(source.pixels, plane.plane_index)),
                _leading_index(plane),
                columns,
            )
            for plane, columns in zip(planes, run.columns, strict=True)
        ],
        grid=grid,
        block_params=BlockParams(
            request.model,
            request.params,
            request.device,
            source.region,
            limits.block_size,
            micrometers,
        ),
        image=_LayerFile(_lazy_source_path(source)),
        describe=partial(_describe, request),
        chunk=limits.chunk,
    )


def _lazy_source_path(source: ImageSource) -> Path | None:
    """Return the file or folder that is read during the run, if known."""
    path, lazy = source.path, not isinstance(source.pixels, np.ndarray)
    return path if lazy and path is not None and path.exists() else None


@dataclass(frozen=True)
class _LayerFile:
    """The file that a layer reads from during the run, if any."""

    path: Path | None

    def check_available(self, _: bool) -> None:
        """Raise an error if it is gone: zarr would read its missing chunks as zeros."""
        try:
            if self.path is not None:
                self.path.stat()
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be opened any more: see that its disk or server is there, "
                "then click Segment to go on."
            ) from error

    def check_unchanged(self) -> None:
        """Raise an error if it is gone; the layer may have changed what its file holds."""
        self.check_available(False)


def _leading_index(source: ImageSource) -> tuple[int, ...]:
    """Return the index of a plane along the axes of its labels before the last two."""
    return tuple(part for part in source.placement.index if not isinstance(part, slice))


def _plane_columns(source: ImageSource) -> dict[str, int]:
    """Return the columns of the table that locate a plane."""
    names = zip(source.axes.lower(), source.plane_index.index, strict=True)
    return {name: at for name, at in names if name not in "cyx" and at is not None}


def _labels_grid(place: LayerPlacement, axes: str) -> LabelsGrid:
    axes = axes[-len(place.shape) :]  # the first axis may have been that of channels
    units = [str(unit) for unit in place.geometry["units"]]
    return LabelsGrid(
        place.shape,
        axes,
        tuple(float(step) for step in place.geometry["scale"]),
        tuple(None if unit == "pixel" else unit for unit in units),
    )


def _describe(request: SegmentRequest, provenance: Provenance) -> Provenance:
    """Add what is known of the image to the provenance of a run."""
    origin = describe_origin(request, request.source, find_sampled_file(request.source))
    return dataclasses.replace(provenance, **origin)


@dataclass(frozen=True)
class _RunIdentity:
    """By what a run is known again.

    Attributes
    ----------
    stem : str
        Start of the names of its files.
    fingerprint : dict
        Everything that affects the result: only a run with the same values is resumed.
    axes : str
        A letter for every axis of the image, or of the labels.
    columns : sequence of dict
        What the table says of the position of each plane.
    micrometers : (float, float) or None
        Size of a pixel in the file, which the layer may not have.
    """

    stem: str
    fingerprint: dict[str, Any]
    axes: str
    columns: Sequence[dict[str, int]]
    micrometers: tuple[float, float] | None = None


def _identify_run(
    request: SegmentRequest, plane_indices: Sequence[PlaneIndex], place: LayerPlacement
) -> _RunIdentity:
    planes = [request.source.at_plane(index) for index in plane_indices]
    run = _identify_file_run(request, plane_indices, place)
    return run or _identify_layer_run(request, planes)


def _identify_file_run(
    request: SegmentRequest, plane_indices: Sequence[PlaneIndex], place: LayerPlacement
) -> _RunIdentity | None:
    """Identify a run over all planes of a file as the command line does, which can resume it.

    None: it is another run, or our reader reads the file otherwise.
    """
    from ...batch.inputs import find_inputs, select_scene
    from ...batch.job import open_job
    from ...batch.outputs import OutputOptions
    from ...batch.settings import JobSettings

    if (file := find_sampled_file(request.source)) is None:
        return None
    settings = JobSettings(
        load_model(request.model),
        request.model,
        request.params,
        channel=request.source.plane_index.channel,
        region=request.source.region,
    )
    try:
        (image,) = select_scene(find_inputs([file.path]), file.scene or 0)
        job = open_job(image, settings, OutputOptions(results_folder(), format="zarr"))
    except (UserError, ValueError):  # ValueError: there are several images in the file
        return None
    selection = job.selection
    if selection.plane_indices != list(plane_indices) or selection.shape != tuple(place.shape):
        return None
    return _RunIdentity(
        image.stem, job.fingerprint, selection.label_axes, selection.plane_columns,
        job.grid.micrometers,
    )  # fmt: skip


def _identify_layer_run(request: SegmentRequest, planes: Sequence[ImageSource]) -> _RunIdentity:
    """Identify a run over planes of a layer by a few of its pixels."""
    source, region = request.source, request.source.region
    fingerprint = {
        "version": version("napari-nuclei-unet"),
        "model": read_card(request.model).sha256,
        "params": request.params.fingerprint(),
        "region": None if region is None else [list(map(list, ring)) for ring in region.polygons],
        "image": source.image.name,
        "shape": list(source.pixels.shape),
        "content": sample_checksum(planes[0]),
        "planes": [list(plane.plane_index.index) for plane in planes],
    }
    stem = sanitize_name(source.image.name, "image")
    return _RunIdentity(stem, fingerprint, source.axes, list(map(_plane_columns, planes)))


def _choose_files(run: _RunIdentity) -> StoreFiles:
    """Return the files of a run that was begun, or the first free ones."""
    from ...batch.outputs import result_paths_in
    from ...blockwise.open_store import StoreFiles
    from ...io.labels import STORE_SUFFIX

    for number in count(1):
        stem = run.stem if number == 1 else f"{run.stem}_{number}"
        paths = result_paths_in(results_folder(), stem, STORE_SUFFIX)
        files = StoreFiles(paths.labels, paths.table)
        is_free = not files.labels.exists() and not files.table.exists()
        if is_free or read_fingerprint(files.journal) == run.fingerprint:
            return files
    raise AssertionError("there is always another number")


def _find_run_with_fragments(
    request: SegmentRequest, plane_indices: Sequence[PlaneIndex], place: LayerPlacement
) -> Path | None:
    """Find labels of a run that differs only in that it keeps fragments, as all runs once did."""
    if not request.params.leave_out_fragments:
        return None
    params = dataclasses.replace(request.params, leave_out_fragments=False)
    earlier = dataclasses.replace(request, params=params)
    files = _choose_files(_identify_run(earlier, plane_indices, place))
    return files.labels if files.journal.exists() else None
