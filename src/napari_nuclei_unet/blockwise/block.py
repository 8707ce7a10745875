"""Nuclei of one block of a plane: the same function here, in a thread, and on a cluster."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..arrays.blocks import Block, find_core_ids, find_core_labels, plan_blocks
from ..arrays.boxes import (
    Box,
    bounding_box,
    clip_labels,
    from_frame,
    full_box,
    intersect_boxes,
    scale_box,
)
from ..arrays.relabel import consecutive_ids
from ..arrays.resampling import resample_to_plane
from ..arrays.roi import Region
from ..arrays.tiling import ArrayLike
from ..labels.border import find_border_ids
from ..labels.regionprops import Frame, measure
from ..limits import DEFAULT_LIMITS
from ..memory import NETWORK_BYTES, available_memory, explain_out_of_memory, require_memory_or_more
from ..models.model import Model, load_model
from ..params import SegmentParams
from ..progress import Step, Stop
from ..provenance.left_out_counts import LeftOutCounts
from ..segmentation.device import CPU_TILE, InferencePlan, plan_inference
from ..segmentation.kernel_choice import KERNELS
from ..segmentation.network_form import network_form
from ..segmentation.normalization import Plane
from ..segmentation.plane_separation import resolve_separation
from ..segmentation.predict import MapsRequest, predict_maps_steps
from ..segmentation.scale import ENLARGED_BYTES_PER_PIXEL, view_at_zoom
from ..segmentation.watershed import separate_plane
from .survey import ReadablePlane, Survey, UnreadablePlaneError

# How much more a block sees on every side, in pixels that the network sees: half a nucleus that
# reaches over the edge, and its neighbours, with which separating them has to do.
BLOCK_HALO = 128
# What segmenting a block takes for each of its pixels, and besides: a tile of the network, and what
# stays of the blocks before. Where it is too much, blocks are smaller, to this edge.
BLOCK_BYTES_PER_PIXEL, BLOCK_BYTES, MIN_BLOCK_SIZE = 50, 50_000_000, 1024
# What stays of the survey, and of the libraries that are loaded with the first block.
SURVEY_BYTES = 50_000_000
# Larger tiles would need too much memory; two cover a block of the usual size.
MAX_BLOCK_TILE = 2176


class PlaneSource(Protocol):
    """What gives a plane, here or on another machine."""

    def open(self) -> ArrayLike:
        """Return the plane, shape (Y, X) or (Y, X, C), only to be sliced."""


@dataclass(frozen=True, eq=False)
class InMemoryPlane:
    """A plane that this program has opened."""

    pixels: ArrayLike

    def open(self) -> ArrayLike:
        """Return the plane."""
        return self.pixels


@dataclass(frozen=True)
class BlockParams:
    """What shall be done with every block.

    Attributes
    ----------
    model : str
        Name or file.
    params : SegmentParams
    device : {"auto", "cpu", "cuda", "mps"}
    region : Region or None
        In pixels of the plane.
    size : int
        Edge of what a block answers for, in pixels.
    micrometers : (float, float) or None
        Size of a pixel along Y and X, if known.
    exclude_border : bool
        Whether nuclei at the edge of the plane are left out.
    """

    model: str
    params: SegmentParams = field(default_factory=SegmentParams)
    device: str = "auto"
    region: Region | None = None
    size: int = DEFAULT_LIMITS.block_size
    micrometers: tuple[float, float] | None = None
    exclude_border: bool = False


@dataclass(frozen=True, eq=False)
class BlockTask:
    """A block of a plane, and all that it takes to find its nuclei."""

    source: PlaneSource
    block: Block
    survey: Survey
    block_params: BlockParams


@dataclass(frozen=True, eq=False)
class BlockResult:
    """Nuclei that a block answers for.

    Attributes
    ----------
    labels : ndarray, shape of ``at``, int32
        1..n; 0 where there is background, or a nucleus of another block.
    box : (slice, slice)
        Where in the plane; may reach over the edge of the block.
    table : pandas.DataFrame
        As from ``regionprops.measure``, in pixels of the plane.
    notices : tuple of str
        Sentences for the user.
    error : str
        Why the block could not be read, and is empty; mostly none.
    left_out : LeftOutCounts
        What else was separated and belongs to the block, but is no nucleus by the parameters.
    """

    labels: NDArray[np.int32]
    box: Box
    table: pd.DataFrame
    notices: tuple[str, ...] = ()
    error: str = ""
    left_out: LeftOutCounts = field(default_factory=LeftOutCounts)


def plan_blocks_at_zoom(shape: tuple[int, ...], zoom: Fraction, size: int) -> list[Block]:
    """Cut a plane into blocks that begin where pixels begin at either resolution.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the plane in pixels.
    zoom : Fraction
        At which the network sees it.
    size : int
        Edge of what a block answers for, in pixels; smaller where the plane is enlarged.
    """
    size = _resolve_size(size, zoom)
    # 64: of what networks halve, so that pooling sees the same squares in every block
    return plan_blocks(
        (shape[0], shape[1]), size, math.ceil(BLOCK_HALO / zoom), 64 * zoom.denominator
    )


def _resolve_size(size: int, zoom: Fraction) -> int:
    """Return the edge of blocks of a plane, which is smaller where it is enlarged."""
    return size if zoom <= 1 else max(int(size / zoom) // MIN_BLOCK_SIZE, 1) * MIN_BLOCK_SIZE


def fit_block_size(size: int, shape: tuple[int, ...], zoom: Fraction, processes: int = 0) -> int:
    """Return the edge of blocks for which there is memory: so many pixels, or fewer.

    Parameters
    ----------
    size : int
        Largest edge of what a block answers for.
    shape : (int, int)
        Height and width of the plane in pixels.
    zoom : Fraction
        At which the network sees it.
    processes : int, optional
        That segment blocks on this computer, beside this one; 0: this one does.

    Raises
    ------
    UserError
        If not even the smallest blocks fit, with the memory that they need.
    """

    def need() -> int:
        one = _estimate_block_bytes(size, shape, zoom)
        edge = _resolve_size(size, zoom)
        blocks = math.prod(math.ceil(extent / edge) for extent in shape[:2])
        return min(processes, blocks) * (one + NETWORK_BYTES) if processes else one

    while size > MIN_BLOCK_SIZE and need() > available_memory():
        size = max(size // 2, MIN_BLOCK_SIZE)
    edge = _resolve_size(size, zoom)
    subject = f"Blocks of {edge} x {edge} pixels"
    subject = f"{subject} in {processes} processes" if processes > 1 else subject
    require_memory_or_more(need(), f"{subject} take")
    return size


def require_survey_memory(shape: tuple[int, ...]) -> None:
    """Raise an error if a survey and the smallest blocks after it need more memory than there is.

    Parameters
    ----------
    shape : (int, int)
        Height and width of the plane in pixels.

    Raises
    ------
    UserError
        With the memory that they need.
    """
    need = SURVEY_BYTES + _estimate_block_bytes(MIN_BLOCK_SIZE, shape, Fraction(1))
    require_memory_or_more(need, "Segmenting the smallest blocks takes")


def _estimate_block_bytes(size: int, shape: tuple[int, ...], zoom: Fraction) -> int:
    halo = math.ceil(BLOCK_HALO / zoom)
    seen = math.prod(min(_resolve_size(size, zoom) + 2 * halo, extent) for extent in shape[:2])
    enlarged = math.ceil(ENLARGED_BYTES_PER_PIXEL * zoom**2) if zoom > 1 else 0
    return BLOCK_BYTES + (BLOCK_BYTES_PER_PIXEL + enlarged) * seen


def segment_block_steps(task: BlockTask) -> Generator[Step, Stop, BlockResult | None]:
    """Find the nuclei that a block answers for.

    Parameters
    ----------
    task : BlockTask

    Yields
    ------
    Step
        After each batch of tiles. Sent True, the run stops.

    Returns
    -------
    Found or None
        None: the run was stopped. A block that cannot be read gives none, and says why.

    Raises
    ------
    UserError
        If memory does not suffice, or a parameter cannot be used.
    """
    region, pixels = task.block_params.region, ReadablePlane(task.source.open())
    block, zoom = task.block, task.survey.zoom
    if not task.survey.has_foreground(block.read) or (
        region is not None and not region.part(block.read).any()
    ):
        return empty_block_result(block, pixels.shape, task.block_params)
    model = load_model(task.block_params.model)  # is read once, and again when its file has changed
    plan = _plan_inference_of_block(task, model)
    KERNELS.expect(math.prod(block.shape))
    plane, window = _view_block(pixels, task)
    notices: list[str] = []
    try:
        network = network_form(model, plan.precision)
        maps = yield from predict_maps_steps(plane, network, plan, notices, window)
        if maps.finished is not None:
            return None
        with explain_out_of_memory():
            kept = maps.quantized
            kept = kept if zoom == 1 else resample_to_plane(kept, zoom, block.shape)
            return _separate_block(pixels, kept, task, model, tuple(notices))
    except UnreadablePlaneError as error:
        return empty_block_result(block, pixels.shape, task.block_params, str(error))


def empty_block_result(
    block: Block, shape: tuple[int, ...], block_params: BlockParams, error: str = ""
) -> BlockResult:
    """Return the result of a block without nuclei, or one that cannot be read.

    The table has the columns of all others, as many as a plane of that shape has colours.
    """
    top, left = (part.start for part in block.core)
    frame = Frame(micrometers=block_params.micrometers)
    table = measure(np.zeros((0, 0), np.int32), np.zeros((0, 0, *shape[2:])), frame=frame)
    return BlockResult(
        np.zeros((0, 0), np.int32), (slice(top, top), slice(left, left)), table, (), error
    )


def _plan_inference_of_block(task: BlockTask, model: Model) -> InferencePlan:
    """Plan tiles of half a block on a CPU: four read fewer pixels twice than nine do.

    See docs/decisions/0019-pixels-read.md.
    """
    half = math.ceil(max(task.block.shape) * task.survey.zoom / 2)
    tile = min(max(half, CPU_TILE), MAX_BLOCK_TILE)
    return plan_inference(task.block_params.params, task.block_params.device, model, tile)


def _view_block(pixels: ReadablePlane, task: BlockTask) -> tuple[Plane, MapsRequest]:
    """Return the plane at the zoom at which the network sees it, and the part that a block sees."""
    survey, seen, zoom = task.survey, task.block.read, task.survey.zoom
    plane = survey.plane(pixels)
    if zoom == 1:
        return plane, MapsRequest(seen, True, survey.has_foreground)
    plane_box = full_box(pixels.shape)
    window = MapsRequest(
        scale_box(seen, (zoom, zoom)),
        True,
        lambda tile: survey.has_foreground(
            intersect_boxes(scale_box(tile, (1 / zoom, 1 / zoom)), plane_box)
        ),
    )
    return view_at_zoom(plane, zoom), window


def _separate_block(
    read: ReadablePlane,
    maps: NDArray[np.uint16],
    task: BlockTask,
    model: Model,
    notices: tuple[str, ...],
) -> BlockResult:
    """Separate nuclei in the maps of a block, and take its own."""
    survey, block, zoom = task.survey, task.block, float(task.survey.zoom)
    pixels = read[block.read]
    dead = survey.background(block.read)
    if pixels.dtype.kind == "f":
        lost = ~np.isfinite(pixels)
        dead |= lost if lost.ndim == 2 else lost.any(axis=2)
    if dead.any():
        maps[0][dead] = 0
    separation = resolve_separation(task.block_params.params, model.card, zoom, survey.diameter)
    found = separate_plane(maps, separation)
    labels, left_out = found.labels, found.left_out
    if task.block_params.region is not None:
        inside = task.block_params.region.part(block.read)
        labels = clip_labels(labels, inside, separation.minimum_area)
        left_out = left_out.clip(inside)
    counts = left_out.count(find_core_ids(left_out.pixels, left_out.ids, block))
    mine = find_core_labels(labels, block)
    if task.block_params.exclude_border:
        mine[find_border_ids(labels, block.read, (read.shape[0], read.shape[1]))] = False
    ids = consecutive_ids(mine)
    own = ids[labels]
    if not own.any():
        empty = empty_block_result(block, read.shape, task.block_params)
        return replace(empty, left_out=counts)
    box = bounding_box(own > 0)
    rows, columns = from_frame(box, block.read)
    frame = Frame(
        offset=(rows.start, columns.start),
        shape=(read.shape[0], read.shape[1]),
        micrometers=task.block_params.micrometers,
    )
    table = measure(own[box], pixels[box], maps[0][box], frame)
    return BlockResult(own[box].copy(), (rows, columns), table, notices, left_out=counts)
