"""Block-wise segmentation into an OME-Zarr store, in the thread."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from ...arrays.axes import PlaneIndex, PlaneView
from ...blockwise.journal import JOURNAL_FILE_NAME, Journal, read_fingerprint
from ...blockwise.retry import RunProgress
from ...errors import UserError
from ...io.ngff import LabelsGrid
from ...io.paths import results_folder, sanitize_name
from ...io.tables import read_table
from ...limits import DEFAULT_LIMITS, Limits
from ...models.model import load_model, read_card
from ...progress import Step, Stop, forward_stop
from ...provenance.record import Provenance
from ..common.job import reserve_threads
from ..layers.image_source import ImageSource
from ..layers.labels_layer import LayerPlacement
from .plane_task import SegmentRequest, describe_origin, find_sampled_file, sample_checksum


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
    provenance : Provenance
    table : pandas.DataFrame or None
        Of all nuclei, if all planes are finished.
    already_done : bool
        Whether all planes were finished before, so that nothing was written.
    """

    path: Path
    progress: RunProgress
    whole: bool
    provenance: Provenance
    table: Any = None
    already_done: bool = False


def blockwise_task_steps(
    request: SegmentRequest,
    plane_indices: Sequence[PlaneIndex],
    place: LayerPlacement,
    limits: Limits = DEFAULT_LIMITS,
) -> Generator[Step, Stop, BlockwiseTaskOutput]:
    """Segment planes into a store, or what is left of them; runs in the thread."""
    # torch and zarr are imported when they are needed: napari starts faster
    from ...io.locks import write_lock

    reserve_threads(request.threads_free)
    fingerprint = _run_fingerprint(request, plane_indices)
    path = _store_path(request.source.image.name, fingerprint)
    inputs = (request, plane_indices, place, path, fingerprint, limits)
    with write_lock(path):
        return (yield from _segment_into_store_steps(*inputs))


def _segment_into_store_steps(
    request: SegmentRequest,
    plane_indices: Sequence[PlaneIndex],
    place: LayerPlacement,
    path: Path,
    fingerprint: dict[str, Any],
    limits: Limits,
) -> Generator[Step, Stop, BlockwiseTaskOutput]:
    """Segment the planes that are left into a store."""
    from ...blockwise.block import BlockParams, InMemoryPlane
    from ...blockwise.run import BlockwisePlane, segment_blockwise_steps
    from ...io.ome_zarr import LabelsStore

    source = request.source
    store = LabelsStore.create(path, _labels_grid(source, place), np.int32, limits.chunk)
    table = path.with_name(f"{path.name.removesuffix('.ome.zarr')}.csv")
    journal = Journal(path / JOURNAL_FILE_NAME, table, fingerprint)
    journal.begin()
    already_done = store.finished
    planes = [source.at_plane(index) for index in plane_indices]
    layers = [
        BlockwisePlane(
            InMemoryPlane(PlaneView(source.pixels, plane.plane_index)),
            _leading_index(plane),
            plane_columns(plane),
        )
        for plane in planes
    ]
    block_params = BlockParams(
        request.model, request.params, request.device, source.region, limits.block_size
    )
    check = partial(_check_source_exists, _lazy_source_path(source))
    progress = yield from forward_stop(
        segment_blockwise_steps(layers, store, journal, block_params, check=check)
    )
    whole = progress.next_plane(len(layers)) is None
    provenance = (
        Provenance.from_json(store.record) if already_done else _describe(request, progress)
    )
    if whole and not store.finished:
        store.write_record(provenance.to_json())
        for step in store.build_pyramid():
            if (yield step):
                return BlockwiseTaskOutput(path, progress, False, provenance)
        if not progress.failed:
            store.finish()
    return BlockwiseTaskOutput(
        path, progress, whole, provenance, read_table(table) if whole else None, already_done
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
    return tuple(part for part in source.placement.index if not isinstance(part, slice))


def plane_columns(source: ImageSource) -> dict[str, int]:
    """Return the columns of the table that locate a plane."""
    names = zip(source.axes.lower(), source.plane_index.index, strict=True)
    return {name: at for name, at in names if name not in "cyx" and at is not None}


def _labels_grid(source: ImageSource, place: LayerPlacement) -> LabelsGrid:
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


def _describe(request: SegmentRequest, progress: RunProgress) -> Provenance:
    """Return the provenance of the run, as far as it holds for all planes."""
    from ...blockwise.run import describe_run

    ran = describe_run(load_model(request.model), request.params, request.device, progress)
    origin = describe_origin(request, request.source, find_sampled_file(request.source))
    return dataclasses.replace(ran, **origin)


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
    stem = sanitize_name(name, "image")
    for number in count(1):
        suffix = "" if number == 1 else f" {number}"
        path = results_folder() / f"{stem} nuclei{suffix}.ome.zarr"
        if not path.exists() or read_fingerprint(path / JOURNAL_FILE_NAME) == fingerprint:
            return path
    raise AssertionError("there is always another number")
