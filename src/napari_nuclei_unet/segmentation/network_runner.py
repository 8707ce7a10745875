"""A network that runs on batches of tiles, on a CPU or a graphics card."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..arrays.quantization import UNIT_STEPS
from ..arrays.tiling import Tile, read_tile
from ..network.unet import UNetForm
from .device import AUTOCAST_DTYPES, InferencePlan
from .normalization import Plane

# Networks that were copied to a device stay there.
MAX_COPIED_NETWORKS = 2
# Makes it wait for maps, shape (N, maps, Y, X), uint16 in steps of 1/65535.
FetchMaps = Callable[[], NDArray[np.uint16]]


class NetworkRunner:
    """Runs a network on tiles of a plane.

    On a graphics card pixels arrive as they are in the image, and what comes back are the maps that
    are wanted, in 16 bits: transfers are small, go on while the network runs, and normalising does
    not keep a core busy.

    Parameters
    ----------
    network : UNetForm
        On the CPU; it is not changed.
    plane : Plane
    plan : InferencePlan
    channels : sequence of int
        The maps that are wanted.
    """

    def __init__(
        self, network: UNetForm, plane: Plane, plan: InferencePlan, channels: tuple[int, ...]
    ) -> None:
        self._plane, self._plan, self._channels = plane, plan, list(channels)
        self._has_sign = True
        self._is_on_cpu, self._is_cuda = plan.device == "cpu", plan.device == "cuda"
        self._network = network if self._is_on_cpu else _copy_to_device(network, plan.device)

    @property
    def in_flight(self) -> int:
        """Batches that are worth submitting before the first is fetched."""
        return 1 if self._is_on_cpu else 2

    def read(self, tiles: list[Tile]) -> Tensor:
        """Read the pixels of tiles of one shape; may be called in another thread.

        Returns
        -------
        Tensor, shape (N, Y, X) or (N, Y, X, 3)
            Normalised, or as they are in the image if the device normalises them.
        """
        parts = [read_tile(self._plane.pixels, tile) for tile in tiles]
        if self._is_on_cpu or not can_normalize_tensor(self._plane, parts[0].dtype):
            parts = [self._plane.normalized(part) for part in parts]
        pixels = torch.from_numpy(view_signed(np.stack(parts)))
        self._has_sign = parts[0].dtype.kind != "u"
        return pixels.pin_memory() if self._is_cuda else pixels

    def submit(self, pixels: Tensor) -> FetchMaps:
        """Begin to predict the maps of what :meth:`read` returned.

        Returns
        -------
        callable
            Waits for the end, and returns the maps.
        """
        maps = self._predict(pixels)
        if not self._is_cuda:
            return lambda: maps.cpu().numpy().view(np.uint16)
        there = torch.empty(maps.shape, dtype=maps.dtype, pin_memory=True)
        there.copy_(maps, non_blocking=True)
        copied = torch.cuda.Event()
        copied.record()

        def fetch() -> NDArray[np.uint16]:
            copied.synchronize()
            return there.numpy().view(np.uint16)

        return fetch

    # a function of its own: around a ``yield`` the mode would leak into the caller of a generator
    @torch.inference_mode()
    def _predict(self, pixels: Tensor) -> Tensor:
        images = pixels.to(self._plan.device, non_blocking=True)
        if not images.is_floating_point():
            images = normalize_tensor(images, self._plane, self._has_sign)
        if images.ndim == 3:
            images = images[..., None].expand(-1, -1, -1, 3)
        # colours last is how CPUs and tensor cores want them, so that nothing is copied
        images = images.permute(0, 3, 1, 2)
        dtype, device = AUTOCAST_DTYPES.get(self._plan.precision), self._plan.device
        # of the whole program, so not where several threads might put it back
        cudnn = torch.backends.cudnn.flags(enabled=True, benchmark=True)
        with (
            torch.autocast(device, dtype=dtype, enabled=dtype is not None),
            cudnn if self._is_cuda else nullcontext(),
        ):
            logits = self._network(images)
        return quantize_logits(logits[:, self._channels])


@lru_cache(maxsize=MAX_COPIED_NETWORKS)
def _copy_to_device(network: UNetForm, device: str) -> UNetForm:
    """Copy a network to a device, once; a model is shared, so its network is not moved."""
    return copy.deepcopy(network).to(device)


def release_device_memory(device: str) -> None:
    """Release what was kept on a device, after it ran out of memory."""
    _copy_to_device.cache_clear()
    if device == "cuda":
        torch.cuda.empty_cache()
    if device == "mps":
        torch.mps.empty_cache()


def can_normalize_tensor(plane: Plane, dtype: np.dtype[np.generic]) -> bool:
    """Return whether :func:`normalize_tensor` gives what ``Plane.normalized`` would."""
    return dtype.kind in "bui" and dtype.itemsize <= 2 and not plane.is_blank


def normalize_tensor(pixels: Tensor, plane: Plane, has_sign: bool) -> Tensor:
    """Normalise pixels where they are, as ``Plane.normalized`` does.

    Parameters
    ----------
    pixels : Tensor, any shape, bool or integer of 8 or 16 bits
        As from :func:`view_signed`.
    plane : Plane
    has_sign : bool
        Whether the image has negative numbers.

    Returns
    -------
    Tensor, same shape, float32, values 0 to 1
    """
    if pixels.dtype == torch.int16 and not has_sign:
        pixels = pixels.to(torch.int32).bitwise_and_(0xFFFF)
    scaled = pixels.to(torch.float32)
    scaled.sub_(plane.low).div_(plane.high - plane.low).clamp_(0, 1)
    return scaled if plane.gamma == 1 else scaled.pow_(plane.gamma)


def quantize_logits(logits: Tensor) -> Tensor:
    """Convert logits to probabilities in steps of 1/65535.

    Parameters
    ----------
    logits : Tensor, any shape, floating

    Returns
    -------
    Tensor, same shape, int16
        The bits are those of uint16, with which torch does little.
    """
    steps = torch.sigmoid(logits.float()).mul_(UNIT_STEPS).add_(0.5)
    return steps.to(torch.int32).to(torch.int16)


def view_signed(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """View unsigned integers of 16 bits as signed ones, with which torch can do more."""
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    return pixels.view(np.int16) if pixels.dtype == np.uint16 else pixels
