"""The maps that a network predicts for a whole plane, tile by tile."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray

from ..arrays.boxes import Box, box_shape, full_box
from ..arrays.quantization import quantize_unit
from ..arrays.tiling import Tile, intersect_tile, plan_tiles, plan_tiles_around, read_tile
from ..errors import UserError
from ..network.aligned_halo import aligned_halo
from ..network.unet import TARGETS, UNet
from ..progress import Step, Stop
from .device import AUTOCAST_DTYPES, InferencePlan, is_out_of_memory, release_memory
from .normalization import Plane

# Of what a network predicts: border helps it to learn, and size is measured at once.
KEPT_CHANNELS = (TARGETS.index("nucleus"), TARGETS.index("distance"))
SIZE_CHANNEL = TARGETS.index("size")


class OutOfMemoryError(UserError):
    """Not even the smallest tile, or the maps of the whole plane, fit into memory."""


@dataclass(frozen=True, eq=False)
class KnownMaps:
    """Maps that were predicted before.

    Attributes
    ----------
    box : (slice, slice)
        Part of the plane.
    quantized : ndarray, shape (n, *box), uint16
        As in :class:`PredictedMaps`.
    """

    box: Box
    quantized: NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class MapsRequest:
    """Which maps are wanted of which part of a plane.

    Attributes
    ----------
    box : (slice, slice), optional
        Part of the plane that is needed; the whole plane without.
    is_window : bool
        Whether maps of the box only are returned, so that the plane may be larger than memory.
    has_foreground : callable, optional
        Is given the box of a tile, and returns whether there may be something in it.
    with_size : bool
        Whether the map of size is returned, too, if the network has one.
    known : KnownMaps, optional
        What need not be predicted, where the whole plane is wanted.
    """

    box: Box | None = None
    is_window: bool = False
    has_foreground: Callable[[Box], bool] | None = None
    with_size: bool = False
    known: KnownMaps | None = None


WHOLE_PLANE = MapsRequest()


@dataclass(frozen=True, eq=False)
class PredictedMaps:
    """What a network predicted for a plane.

    Attributes
    ----------
    quantized : ndarray, shape (1, Y, X) or (2, Y, X), uint16
        Nucleus, and of networks that predict more the distance, in steps of 1/65535. Of the
        whole plane, or of a window; 0 where nothing was predicted.
    plan : InferencePlan
        What worked.
    finished : ndarray, shape (Y, X), bool, or None
        Where something was predicted before the run was stopped; None: it was not.
    size : ndarray, shape (Y, X), uint16, or None
        The map of size, if it was wanted and the network has one.
    """

    quantized: NDArray[np.uint16]
    plan: InferencePlan
    finished: NDArray[np.bool_] | None = None
    size: NDArray[np.uint16] | None = None


def count_kept_maps(out_channels: int) -> int:
    """Return how many maps are kept of those that a network predicts."""
    return 1 if out_channels == 1 else len(KEPT_CHANNELS)


def predict_maps_steps(
    plane: Plane,
    network: UNet,
    plan: InferencePlan,
    notices: list[str],
    request: MapsRequest = WHOLE_PLANE,
) -> Generator[Step, Stop, PredictedMaps]:
    """Predict the maps of a plane, with less at a time whenever memory runs out.

    Parameters
    ----------
    plane : Plane
    network : UNet
    plan : InferencePlan
        What to try first.
    notices : list of str
        What had to be changed is appended, and yielded.
    request : MapsRequest, optional

    Yields
    ------
    Step
        Sent True, the run stops, and what is finished is returned.

    Returns
    -------
    PredictedMaps

    Raises
    ------
    UserError
        If memory does not even suffice for the smallest tile on the CPU.
    """
    # a plane that is smaller than a tile would only be tried again
    plan = replace(plan, tile=min(plan.tile, max(plane.shape)))
    while True:
        tiled = None  # the memory of the attempt before is free
        try:
            tiled = _TiledMaps(plane, network, plan, request)
            stop = yield Step(0, tiled.total)
            for tiles in tiled.batches:
                if stop:
                    break
                inputs = np.stack([_network_input(plane, tile) for tile in tiles])
                tiled.add(tiles, predict_batch(tiled.network, inputs, plan))
                stop = yield Step(tiled.done, tiled.total)
            release_memory()  # in the end only: the next tile needs what this one took
            return tiled.maps()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            smaller = plan.smaller()
            if smaller is None:
                raise OutOfMemoryError(
                    "There is not enough memory for even the smallest tile; close other "
                    "programs or crop the image."
                ) from error
        plan = smaller
        notices.append(f"Memory ran out; going on with {plan}.")
        yield Step(0, 1, notices[-1])


class _TiledMaps:
    """Maps of a plane, or of a window of it, that are put together tile by tile.

    Attributes
    ----------
    network : UNet
        On the device of the plan.
    batches : list of list of Tile
    done, total : int
        Number of tiles.
    """

    def __init__(
        self, plane: Plane, network: UNet, plan: InferencePlan, request: MapsRequest
    ) -> None:
        config = network.config
        whole = full_box(plane.shape)
        self._frame = request.box if request.box and request.is_window else whole
        sizes = plan.tile, aligned_halo(config), config.divisor
        if request.known is None:
            tiles = plan_tiles(plane.shape, *sizes, request.box)
        else:
            tiles = plan_tiles_around(plane.shape, *sizes, request.known.box)
        if request.has_foreground is not None:
            tiles = [tile for tile in tiles if request.has_foreground(tile.core)]
        self.batches, self.done, self.total = _batch_tiles(tiles, plan.batch), 0, len(tiles)
        shape = box_shape(self._frame)
        self._quantized = np.zeros((count_kept_maps(config.out_channels), *shape), np.uint16)
        with_size = request.with_size and config.out_channels > SIZE_CHANNEL
        self._size = np.zeros(shape, np.uint16) if with_size else None
        self._finished: list[Box] = []
        if request.known is not None:
            self._quantized[:, *request.known.box] = request.known.quantized
            self._finished.append(request.known.box)
        if plan.device != "cpu":  # a model is shared, so it is copied and not moved
            network = copy.deepcopy(network).to(plan.device)
        self.network, self._plan = network, plan

    def add(self, tiles: list[Tile], predictions: NDArray[np.float32]) -> None:
        """Write what was predicted for a batch of tiles."""
        for tile, predicted in zip(tiles, predictions, strict=True):
            there, here = intersect_tile(tile, self._frame)
            for kept, channel in zip(self._quantized, KEPT_CHANNELS, strict=False):
                kept[there] = quantize_unit(predicted[channel][here])
            if self._size is not None:
                self._size[there] = quantize_unit(predicted[SIZE_CHANNEL][here])
            self._finished.append(there)
        self.done += len(tiles)

    def maps(self) -> PredictedMaps:
        """Return the maps, of which a part is missing if the run was stopped."""
        finished = None
        if self.done < self.total:
            finished = np.zeros(box_shape(self._frame), bool)
            for box in self._finished:
                finished[box] = True
        return PredictedMaps(self._quantized, self._plan, finished, self._size)


def _batch_tiles(tiles: list[Tile], n: int) -> list[list[Tile]]:
    """Group tiles of one shape, up to n; those at the edge of the plane are smaller.

    One by one they stay in reading order, so that a run that is stopped leaves a whole part.
    """
    if n == 1:
        return [[tile] for tile in tiles]
    batches = []
    for _, alike in groupby(sorted(tiles, key=lambda t: t.read_shape), lambda t: t.read_shape):
        group = list(alike)
        batches += [group[i : i + n] for i in range(0, len(group), n)]
    return batches


def _network_input(plane: Plane, tile: Tile) -> NDArray[np.float32]:
    """Return the network's input, shape (Y, X, 3), normalised by the range of the whole plane."""
    pixels = plane.normalized(read_tile(plane.pixels, tile))
    return pixels if pixels.ndim == 3 else np.broadcast_to(pixels[..., None], (*pixels.shape, 3))


@torch.inference_mode()
def predict_batch(
    network: UNet, inputs: NDArray[np.float32], plan: InferencePlan
) -> NDArray[np.float32]:
    """Run one batch through the network.

    A function of its own, because ``inference_mode`` around a ``yield`` would leak into the
    caller of a generator.

    Parameters
    ----------
    network : UNet
        On the device of ``plan``.
    inputs : ndarray, shape (N, Y, X, 3), float32, values 0 to 1
    plan : InferencePlan

    Returns
    -------
    ndarray, shape (N, out_channels, Y, X), float32, values 0 to 1
    """
    # colours last is how CPUs and tensor cores want them, so that nothing is copied
    images = torch.from_numpy(inputs).permute(0, 3, 1, 2).to(plan.device)
    low_precision = AUTOCAST_DTYPES.get(plan.precision)
    with torch.autocast(plan.device, dtype=low_precision, enabled=low_precision is not None):
        logits = network(images)
    return torch.sigmoid(logits.float()).cpu().numpy()
