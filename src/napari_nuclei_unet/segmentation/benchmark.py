"""How fast segmenting is on this computer, stage by stage."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from ..labels.regionprops import measure
from ..models.model import Model
from ..network.unet import UNetForm
from ..params import SegmentParams
from ..progress import run
from .device import InferencePlan, plan_inference
from .flops import count_flop_per_pixel
from .intensity_range import Brightness
from .network_form import network_form
from .normalization import check_plane
from .plane_separation import resolve_separation
from .scale import predict_zoomed_maps_steps
from .segment import segment
from .watershed import separate_nuclei

BENCHMARK_STAGES = ("normalise", "network", "separate", "measure")
WARM_UP_EDGE = 256


@dataclass(frozen=True)
class BenchmarkResult:
    """What one run took.

    Attributes
    ----------
    seconds : dict of str to float
        For each of ``BENCHMARK_STAGES``.
    megapixels : float
    nuclei : int
    zoom : float
        At which the network saw the image.
    plan : InferencePlan
        Device, precision, tile and batch.
    threads : int
        Of torch, on a CPU.
    peak_memory : int
        Most that the whole process has had in memory so far, in bytes.
    cpu_seconds : dict of str to float
        Of all threads of this process together, for each of ``BENCHMARK_STAGES``.
    cores : int
        That this process may use.
    read_per_pixel : float
        Pixels that went through the network for each that it kept, which is what tiles read twice
        and what finding the size of nuclei takes; both as the network sees them.
    network_gflop : float
        Floating-point operations of the network in this run, in billions.
    bytes_per_pixel : float
        Memory for a pixel of the image, beyond what the process had before.
    """

    seconds: dict[str, float]
    megapixels: float
    nuclei: int
    zoom: float
    plan: InferencePlan
    threads: int
    peak_memory: int
    cpu_seconds: dict[str, float]
    cores: int
    read_per_pixel: float
    network_gflop: float
    bytes_per_pixel: float

    @property
    def end_to_end(self) -> float:
        """Seconds from pixels to labels, without the table of measurements."""
        return sum(self.seconds[stage] for stage in BENCHMARK_STAGES if stage != "measure")

    @property
    def gflops(self) -> float:
        """GFLOP per second of the network, with all that is done around it in its stage."""
        return self.network_gflop / self.seconds["network"]

    def core_use(self, stage: str) -> float:
        """Return the share of all cores that was at work in a stage."""
        return self.cpu_seconds[stage] / (self.seconds[stage] * self.cores)


def run_benchmark(
    image: NDArray[np.generic], model: Model, params: SegmentParams, device: str, runs: int
) -> BenchmarkResult:
    """Segment an image several times, after warming up, and keep the fastest run.

    Parameters
    ----------
    image : ndarray, shape (Y, X) or (Y, X, 3)
    model : Model
    params : SegmentParams
    device : {"auto", "cpu", "cuda", "mps"}
    runs : int
        At least 1.

    Returns
    -------
    BenchmarkResult
    """
    segment(image[:WARM_UP_EDGE, :WARM_UP_EDGE], model, device=device, precision=params.precision)
    before = psutil.Process().memory_info().rss
    return min(
        (_time_once(image, model, params, device, before) for _ in range(runs)),
        key=_end_to_end_seconds,
    )


def _end_to_end_seconds(one: BenchmarkResult) -> float:
    return one.end_to_end


def _time_once(
    image: NDArray[np.generic], model: Model, params: SegmentParams, device: str, before: int
) -> BenchmarkResult:
    seconds: dict[str, float] = {}
    cpu_seconds: dict[str, float] = {}

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        start, cpu_start = time.perf_counter(), time.process_time()
        yield
        seconds[stage] = time.perf_counter() - start
        cpu_seconds[stage] = time.process_time() - cpu_start

    with timed("normalise"):
        plane = check_plane(image, Brightness.of(params))
    how = plan_inference(params, device, model)
    network = network_form(model, how.precision)
    with _count_pixels(network) as read, timed("network"):
        seen, zoom, diameter = run(
            predict_zoomed_maps_steps(plane, model, params.diameter, how, [])
        )
    maps, how = seen.quantized, seen.plan
    with timed("separate"):
        labels = separate_nuclei(maps, resolve_separation(params, model.card, zoom, diameter))
    with timed("measure"):
        measure(labels, np.asarray(plane.pixels), maps[0])
    pixels, peak = plane.shape[0] * plane.shape[1], _peak_memory()
    return BenchmarkResult(
        seconds=seconds,
        megapixels=pixels / 1e6,
        nuclei=int(labels.max(initial=0)),
        zoom=zoom,
        plan=how,
        threads=torch.get_num_threads(),
        peak_memory=peak,
        cpu_seconds=cpu_seconds,
        cores=_count_cores(),
        read_per_pixel=sum(read) / (pixels * zoom**2),
        network_gflop=count_flop_per_pixel(model.network) * sum(read) / 1e9,
        bytes_per_pixel=max(peak - before, 0) / pixels,
    )


@contextmanager
def _count_pixels(network: UNetForm) -> Iterator[list[int]]:
    """Count the pixels of each batch that goes through a network, or through copies of it."""
    counts: list[int] = []

    def count(_network: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        batch, _, height, width = inputs[0].shape
        counts.append(batch * height * width)

    hook = network.register_forward_pre_hook(count)
    try:
        yield counts
    finally:
        hook.remove()


def _count_cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _peak_memory() -> int:
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource  # Windows has none

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else 1024 * peak)
