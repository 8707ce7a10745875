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
from ...blockwise.journal import JOURNAL_FILE_NAME, read_fingerprint
from ...blockwise.retry import RunProgress
from ...errors import UserError
from ...io.ngff import LabelsGrid
from ...io.paths import results_folder, sanitize_name
from ...io.tables import read_table
from ...limits import DEFAULT_LIMITS, Limits
from ...models.model import read_card
from ...progress import Step, Stop
from ...provenance.record import Provenance
from ..common.job import reserve_threads
from ..layers.image_source import ImageSource
from ..layers.labels_layer import LayerPlacement
from .plane_task import SegmentRequest, describe_origin, find_sampled_file, sample_checksum

if TYPE_CHECKING:
    from ...blockwise.to_store import StoreJob


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
    already_done : bool
        Whether all planes were finished before, so that nothing was written.
    """

    path: Path
    progress: RunProgress
    provenance: Provenance | None = None
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
    from ...blockwise.to_store import segment_to_store_steps
    from ...io.ome_zarr import LabelsStore

    reserve_threads(request.threads_free)
    job = _store_job(request, plane_indices, place, limits)
    ended = yield from segment_to_store_steps(job)
    path = job.files.labels
    if not ended.is_whole:
        return BlockwiseTaskOutput(path, ended.progress)
    provenance = Provenance.from_json(LabelsStore.open_existing(path).record)
    table = read_table(job.files.table)
    return BlockwiseTaskOutput(path, ended.progress, provenance, table, ended.already_done)


def _store_job(
    request: SegmentRequest,
    plane_indices: Sequence[PlaneIndex],
    place: LayerPlacement,
    limits: Limits,
) -> StoreJob:
    from ...blockwise.block import BlockParams, InMemoryPlane
    from ...blockwise.run import BlockwisePlane
    from ...blockwise.to_store import StoreFiles, StoreJob

    source = request.source
    fingerprint = _run_fingerprint(request, plane_indices)
    labels = _store_path(source.image.name, fingerprint)
    table = labels.with_name(f"{labels.name.removesuffix('.ome.zarr')}.csv")
    planes = [source.at_plane(index) for index in plane_indices]
    return StoreJob(
        files=StoreFiles(labels, table),
        fingerprint=fingerprint,
        planes=[
            BlockwisePlane(
                InMemoryPlane(PlaneView(source.pixels, plane.plane_index)),
                _leading_index(plane),
                plane_columns(plane),
            )
            for plane in planes
        ],
        grid=_labels_grid(source, place),
        block_params=BlockParams(
            request.model, request.params, request.device, source.region, limits.block_size
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


def _describe(request: SegmentRequest, provenance: Provenance) -> Provenance:
    """Add what is known of the image to the provenance of a run."""
    origin = describe_origin(request, request.source, find_sampled_file(request.source))
    return dataclasses.replace(provenance, **origin)


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
