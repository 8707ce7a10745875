"""The maps that a network predicts for a whole plane, tile by tile."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..arrays.boxes import Box, box_shape, full_box
from ..arrays.orientation import ORIENTATIONS
from ..arrays.tiling import Tile, intersect_tile, plan_tiles, plan_tiles_around
from ..errors import UserError
from ..memory import is_out_of_memory
from ..network.aligned_halo import aligned_halo
from ..network.unet import TARGETS, UNetConfig, UNetForm
from ..progress import Step, Stop, StopRequested, forward_stop
from .device import InferencePlan, release_memory
from .network_runner import FetchMaps, NetworkRunner, release_device_memory
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

    @property
    def all_maps(self) -> list[NDArray[np.uint16]]:
        """Those of nuclei, and that of size where it is there."""
        return [*self.quantized, *([] if self.size is None else [self.size])]


def count_kept_maps(out_channels: int) -> int:
    """Return how many maps are kept of those that a network predicts."""
    return 1 if out_channels == 1 else len(KEPT_CHANNELS)


def predict_maps_steps(
    plane: Plane,
    network: UNetForm,
    plan: InferencePlan,
    notices: list[str],
    request: MapsRequest = WHOLE_PLANE,
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
            tiled = _TiledMaps(plane, network.config, plan, request)
            if plan.averages_orientations:
                yield from _average_orientations_steps(tiled, plane, network, plan, notices)
            else:
                runner = NetworkRunner(network, plane, plan, tiled.channels)
                yield from _predict_tiles_steps(tiled, runner)
            release_memory()  # in the end only: the next tile needs what this one took
            return tiled.maps()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            release_device_memory(plan.device)
            smaller = plan.smaller()
            if smaller is None:
                raise OutOfMemoryError(
                    "There is not enough memory for even the smallest tile; close other "
                    "programs or crop the image."
                ) from error
        plan = smaller
        notices.append(f"Memory ran out; going on with {plan}.")
        yield Step(0, 1, notices[-1])


def _predict_tiles_steps(tiled: _TiledMaps, runner: NetworkRunner) -> Generator[Step, Stop, None]:
    """Predict tile after tile; while the network runs, the next is read and normalised."""
    under_way: deque[tuple[list[Tile], FetchMaps]] = deque()
    stop = yield Step(0, tiled.total)
    for tiles, pixels in _read_ahead(tiled.batches, runner.read):
        if stop:
            break
        try:
            under_way.append((tiles, runner.submit(pixels)))
        except StopRequested:
            break
        if len(under_way) == runner.in_flight:
            stop = yield tiled.add(*under_way.popleft())
    for tiles, fetch in under_way:
        yield tiled.add(tiles, fetch)


def _average_orientations_steps(
    tiled: _TiledMaps, plane: Plane, network: UNetForm, plan: InferencePlan, notices: list[str]
) -> Generator[Step, Stop, None]:
    """Predict each tile in the eight orientations of the plane; their maps are averaged.

    It is the plane that is turned, not what a tile reads: what is pooled together begins at the
    edge of the plane, so that a plane and its mirror image have the same eight predictions,
    whatever its size is.
    """
    upright = replace(plan, averages_orientations=False)
    stop = yield Step(0, tiled.total)
    for tile in [tile for tiles in tiled.batches for tile in tiles]:
        if stop:
            break
        total = np.zeros((len(tiled.channels), *box_shape(tile.core)), np.uint32)
        for orientation in ORIENTATIONS:
            turned = replace(plane, pixels=orientation.view(plane.pixels), invalid=None)
            box = orientation.turn_box(tile.core, plane.shape)
            request = MapsRequest(box, is_window=True, with_size=SIZE_CHANNEL in tiled.channels)
            seen = yield from forward_stop(
                predict_maps_steps(turned, network, upright, notices, request),
                lambda step: Step(tiled.done, tiled.total, step.notice),
            )
            if seen.finished is not None:
                return
            upright = seen.plan
            for into, one in zip(total, seen.all_maps, strict=True):
                into += orientation.turn_back(one)
        n = len(ORIENTATIONS)
        mean = ((total + n // 2) // n).astype(np.uint16)
        stop = yield tiled.add([Tile(tile.core, tile.core)], mean[None].view)


def _read_ahead(
    batches: list[list[Tile]], read: Callable[[list[Tile]], Tensor]
) -> Iterator[tuple[list[Tile], Tensor]]:
    """Read batches one after the other, each in a thread while the one before is at work."""
    if len(batches) < 2:
        yield from ((tiles, read(tiles)) for tiles in batches)
        return
    with ThreadPoolExecutor(1, "reads the next tiles") as reader:
        coming = deque(reader.submit(read, tiles) for tiles in batches[:1])
        for tiles, following in zip(batches, [*batches[1:], None], strict=True):
            pixels = coming.popleft().result()
            if following is not None:
                coming.append(reader.submit(read, following))
            yield tiles, pixels


class _TiledMaps:
    """Maps of a plane, or of a window of it, that are put together tile by tile.

    Attributes
    ----------
    channels : tuple of int
        Those that are put together, of what the network predicts.
    batches : list of list of Tile
    done, total : int
        Number of tiles.
    """

    def __init__(
        self, plane: Plane, config: UNetConfig, plan: InferencePlan, request: MapsRequest
    ) -> None:
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
        self.channels = KEPT_CHANNELS[: len(self._quantized)]
        if with_size:
            self.channels += (SIZE_CHANNEL,)
        self._finished: list[Box] = []
        if request.known is not None:
            self._quantized[:, *request.known.box] = request.known.quantized
            self._finished.append(request.known.box)
        self._plan = plan

    def add(self, tiles: list[Tile], fetch: FetchMaps) -> Step:
        """Write what was predicted for a batch of tiles; return how far the work is."""
        predictions = fetch()
        for tile, predicted in zip(tiles, predictions, strict=True):
            there, here = intersect_tile(tile, self._frame)
            maps = [*self._quantized, *([] if self._size is None else [self._size])]
            for kept, one in zip(maps, predicted, strict=True):
                kept[there] = one[here]
            self._finished.append(there)
        self.done += len(tiles)
        return Step(self.done, self.total)

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
