"""Nuclei of one block of a plane: the same function here, in a thread, and on a cluster."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..arrays.blocks import Block, find_core_ids, find_core_labels
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
from ..memory import explain_out_of_memory
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
from ..segmentation.scale import view_at_zoom
from ..segmentation.watershed import separate_plane
from .survey import ReadablePlane, Survey, UnreadablePlaneError

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
