"""Which device runs the network, in which precision, and how much goes into it at once."""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..memory import available_memory
from ..models.model import Model
from ..network.fusion import has_bf16
from ..network.quantization import can_quantize
from ..network.quantized_conv import Quantization, QuantizedConv, find_max_weight
from ..params import DEVICES, SegmentParams
from ..provenance.record import InferenceSettings

MIN_TILE = 128
# On a CPU larger tiles waste less on overlap, but their maps fit no cache, and smaller ones take
# less memory (docs/decisions/0019-pixels-read.md).
CPU_TILE, GPU_TILE = 1472, 2048
GPU_BATCH = 8
# 16 bits that the hardware claims to multiply are refused where they take so many times longer.
MAX_HALF_PRECISION_SLOWDOWN = 1.5
# A convolution like those of the network is measured so often. In 8 bits so much faster that fewer
# pixels tell.
TIMING_ROUNDS, TIMED_SHAPE, SMALL_SHAPE = 5, (1, 48, 160, 160), (1, 48, 64, 64)
AUTOCAST_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
# Share of the free memory that the activations of one batch may take.
ACTIVATION_MEMORY_SHARE = 0.25
BYTES_PER_FLOAT32 = 4  # of a number in fp32


@dataclass(frozen=True)
class InferencePlan(InferenceSettings):
    """How tiles go through the network; can be made smaller where memory runs out.

    Attributes
    ----------
    averages_orientations : bool
        Whether each goes through in eight orientations.
    """

    averages_orientations: bool = False

    def smaller(self) -> InferencePlan | None:
        """Return a plan with half as much in memory at once, or None after the smallest."""
        if self.batch > 1:
            return replace(self, batch=self.batch // 2)
        if self.tile > MIN_TILE:
            return replace(self, tile=max(self.tile // 2, MIN_TILE))
        if self.device != "cpu":
            precision = _resolve_precision("cpu", "fp32" if self.precision == "fp32" else "auto")
            return replace(self, device="cpu", precision=precision, tile=CPU_TILE, batch=1)
        return None

    def __str__(self) -> str:
        return f"{self.batch} tile(s) of {self.tile} px at a time on {self.device.upper()}"


def plan_inference(
    params: SegmentParams, device: str, model: Model, cpu_tile: int = CPU_TILE
) -> InferencePlan:
    """Plan how the network of a model runs on this machine.

    Parameters
    ----------
    params : SegmentParams
        ``tile``, ``batch`` and ``precision`` are obeyed where they are set.
    device : {"auto", "cpu", "cuda", "mps"}
    model : Model
        Tells how much memory a pixel takes, and what its network can do.
    cpu_tile : int, optional
        Size of tiles on a CPU, in pixels, where none is set and memory suffices.

    Returns
    -------
    InferencePlan

    Raises
    ------
    UserError
        If the device is not there, or cannot work in the wanted precision.
    """
    config, device = model.network.config, _resolve_device(device)
    precision = _choose_precision(device, params.precision, model)
    pixels = (
        ACTIVATION_MEMORY_SHARE
        * _free_memory(device)
        / (BYTES_PER_FLOAT32 * config.working_channels)
    )
    tile, batch = params.tile, params.batch
    if tile == 0:
        tile = cpu_tile if device == "cpu" else GPU_TILE
        while tile > MIN_TILE and (tile + 2 * config.halo) ** 2 > pixels:
            tile //= 2
    if batch == 0:
        fitting = int(pixels // (tile + 2 * config.halo) ** 2)
        batch = 1 if device == "cpu" else min(max(fitting, 1), GPU_BATCH)
    return InferencePlan(device, precision, tile, batch, params.average_orientations)


def choose_device_and_precision(device: str, precision: str) -> tuple[str, str]:
    """Choose where a network is trained and in which number format.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda", "mps"}
    precision : {"auto", "fp32", "bf16", "fp16"}

    Returns
    -------
    device, precision : str
        Never ``auto``.

    Raises
    ------
    UserError
        If the device is not there, or cannot work in the wanted precision.
    """
    device = _resolve_device(device)
    return device, _resolve_precision(device, precision)


@cache
def _find_malloc_trim() -> Callable[[int], int] | None:
    """Ask the C library of Linux for its way to give memory back; others do so by themselves."""
    if sys.platform != "linux":
        return None
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # another C library than glibc
        return None
    return trim


def release_memory() -> None:
    """Release free memory to the system.

    glibc keeps what large temporary arrays leave behind: of a 4096 x 4096 plane 0.9 GB.
    """
    if (trim := _find_malloc_trim()) is not None:
        trim(0)


def _resolve_device(device: str) -> str:
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if device == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if there[name])
    if device not in there:
        raise UserError(f"There is no device '{device}': choose one of {', '.join(DEVICES)}.")
    if not there[device]:
        raise UserError(
            f"This computer has no {device.upper()} that torch can use: choose cpu or auto."
        )
    return device


def _choose_precision(device: str, wanted: str, model: Model) -> str:
    """Choose a number format, of which 8 bits are one if the model has a form in them."""
    if wanted == "int8":
        if device != "cpu":
            raise UserError("int8 works on the CPU only: choose another precision, or the CPU.")
        if not can_quantize(model.network):
            raise UserError(
                "int8 needs the plain encoder, zero padding, and a torch with its operators, "
                "which this model or computer does not have: choose auto, fp32 or bf16."
            )
        return "int8"
    precision = _resolve_precision(device, wanted)
    if wanted != "auto" or device != "cpu" or _is_surely_faster(device):
        return precision
    # models from before there were 8 bits give what they gave
    is_prepared = bool(model.card.activation_ranges) and can_quantize(model.network)
    return "int8" if is_prepared and _is_quantized_faster(precision) else precision


def _resolve_precision(device: str, wanted: str) -> str:
    if wanted == "fp16" and device == "cpu":
        raise UserError("fp16 works on graphics cards only; on the CPU, choose auto, fp32 or bf16.")
    if wanted != "auto":
        return wanted
    candidate = _supported_half_precision(device)
    if candidate is None:
        return "fp32"
    return (
        candidate
        if _is_surely_faster(device) or _is_measurably_faster(device, candidate)
        else "fp32"
    )


def _is_surely_faster(device: str) -> bool:
    """Return whether 16 bits need no measurement, which other busy programs could falsify."""
    return device == "cpu" and _claims("amx_tile")


def _supported_half_precision(device: str) -> str | None:
    """Return the 16-bit format that the hardware says it multiplies itself."""
    if device == "cpu":
        able = _claims("amx_tile") or _claims("avx512_bf16")
        return "bf16" if able and has_bf16() else None
    if device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16"
    return "fp16"


def _claims(instructions: str) -> bool:
    """Return whether the processor says that it has instructions."""
    ask = getattr(torch.cpu, "get_capabilities", None)
    if ask is not None:
        return bool(ask().get(instructions))
    # older torch has no public way to ask, and what it has may go
    return bool(getattr(torch.cpu, f"_is_{instructions}_supported", bool)())


@cache
def _is_measurably_faster(device: str, precision: str) -> bool:
    """Measure, once a process, whether 16 bits really are what the hardware promises.

    Other programs may be at work: what they add must not decide, so only clearly slower 16 bits
    are refused.
    """
    half, full = (time_convolution(device, one, TIMED_SHAPE) for one in (precision, "fp32"))
    return half < MAX_HALF_PRECISION_SLOWDOWN * full


@cache
def _is_quantized_faster(precision: str) -> bool:
    """Measure, once a process, whether a convolution is faster in 8 bits than in another format.

    Where the processor multiplies them itself it takes a fourth to a half of the time.
    """
    few, many = (time_convolution("cpu", one, SMALL_SHAPE) for one in ("int8", precision))
    return few < many


@torch.inference_mode()
def time_convolution(device: str, precision: str, shape: tuple[int, int, int, int]) -> float:
    """Measure a 3x3 convolution of as many channels as it is given.

    Parameters
    ----------
    device : {"cpu", "cuda", "mps"}
    precision : {"fp32", "bf16", "fp16", "int8"}
    shape : (int, int, int, int)
        Images, channels, height and width.

    Returns
    -------
    float
        Seconds of the shortest of a few runs; the first is slow.
    """
    channels = shape[1]
    layer = nn.Conv2d(channels, channels, 3, padding=1).to(device)
    layer = layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    convolve: Callable[[Tensor], Tensor] = layer
    dtype = AUTOCAST_DTYPES.get(precision)
    images = torch.rand(shape, device=device).to(dtype or torch.float32)
    if precision == "int8":
        steps, images = Quantization(1.0), images.byte()
        convolve = QuantizedConv(layer, steps, steps, False, find_max_weight())
    images = images.contiguous(memory_format=torch.channels_last)
    times = []
    with torch.autocast(device, dtype=dtype, enabled=dtype is not None):
        for _ in range(TIMING_ROUNDS):
            start = time.perf_counter()
            convolve(images)[0, 0, 0, 0].item()  # waits for the device
            times.append(time.perf_counter() - start)
    return min(times)


def _free_memory(device: str) -> int:
    """Return the bytes of memory that are available now."""
    if device == "cuda":
        return int(torch.cuda.mem_get_info()[0])
    return available_memory()
