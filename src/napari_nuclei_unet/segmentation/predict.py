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
from ..arrays.tiling import Tile, intersect_tile, plan_tiles, read_tile
from ..errors import UserError
from ..network.unet import UNetForm
from ..progress import Step, Stop
from .device import AUTOCAST_DTYPES, InferencePlan, is_out_of_memory, release_memory
from .normalization import Plane


class OutOfMemoryError(UserError):
    """Not even the smallest tile, or the maps of the whole plane, fit into memory."""


@dataclass(frozen=True, eq=False)
class PredictionWindow:
    """Part of a plane of which maps are wanted.

    Attributes
    ----------
    box : (slice, slice)
    has_foreground : callable
        Is given a box of a tile, and says whether there may be something in it.
    """

    box: Box
    has_foreground: Callable[[Box], bool]


@dataclass(frozen=True, eq=False)
class PredictedMaps:
    """What a network predicted for a plane.

    Attributes
    ----------
    values : ndarray, shape (out_channels, Y, X), float32, values 0 to 1
        Of the whole plane, or of a window; 0 where nothing was predicted.
    plan : InferencePlan
        What worked.
    finished : ndarray, shape (Y, X), bool, or None
        Where something was predicted before the run was stopped; None: it was not.
    """

    values: NDArray[np.float32]
    plan: InferencePlan
    finished: NDArray[np.bool_] | None = None


def predict_maps_steps(
    plane: Plane,
    network: UNetForm,
    plan: InferencePlan,
    notices: list[str],
    box: Box | None = None,
    window: PredictionWindow | None = None,
) -> Generator[Step, Stop, PredictedMaps]:
    """Predict the maps of a plane, with less at a time whenever memory runs out.

    Parameters
    ----------
    plane : Plane
    network : UNetForm
    plan : InferencePlan
        What to try first.
    notices : list of str
        What had to be changed is appended, and yielded.
    box : (slice, slice), optional
        Part of the plane that is needed; the whole plane without.
    window : PredictionWindow, optional
        Instead of ``box``: only its maps are given, so that the plane may be larger than memory.

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
            tiled = _TiledMaps(plane, network, plan, box, window)
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
    network : UNetForm
        On the device of the plan.
    batches : list of list of Tile
    done, total : int
        Number of tiles.
    """

    def __init__(
        self,
        plane: Plane,
        network: UNetForm,
        plan: InferencePlan,
        box: Box | None,
        window: PredictionWindow | None,
    ) -> None:
        config = network.config
        self._frame = window.box if window else full_box(plane.shape)
        box = window.box if window else box
        tiles = plan_tiles(plane.shape, plan.tile, config.halo, config.divisor, box)
        if window is not None:
            tiles = [tile for tile in tiles if window.has_foreground(tile.core)]
        self.batches, self.done, self.total = _batch_tiles(tiles, plan.batch), 0, len(tiles)
        shape = box_shape(self._frame)
        self._values = np.zeros((config.out_channels, *shape), np.float32)
        self._finished = np.zeros(shape, bool)
        if plan.device != "cpu":  # a model is shared, so it is copied and not moved
            network = copy.deepcopy(network).to(plan.device)
        self.network, self._plan = network, plan

    def add(self, tiles: list[Tile], predictions: NDArray[np.float32]) -> None:
        """Write what was predicted for a batch of tiles."""
        for tile, predicted in zip(tiles, predictions, strict=True):
            there, here = intersect_tile(tile, self._frame)
            self._values[:, *there] = predicted[:, *here]
            self._finished[there] = True
        self.done += len(tiles)

    def maps(self) -> PredictedMaps:
        """Return the maps, of which a part is missing if the run was stopped."""
        is_whole = self.done == self.total
        return PredictedMaps(self._values, self._plan, None if is_whole else self._finished)


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
    network: UNetForm, inputs: NDArray[np.float32], plan: InferencePlan
) -> NDArray[np.float32]:
    """Run one batch through the network.

    A function of its own, because ``inference_mode`` around a ``yield`` would leak into the
    caller of a generator.

    Parameters
    ----------
    network : UNetForm
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
