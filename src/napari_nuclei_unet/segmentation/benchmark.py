"""How fast segmenting is on this computer, stage by stage."""

from __future__ import annotations

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
from ..params import SegmentParams
from ..progress import run
from .device import InferencePlan, plan_inference
from .intensity_range import Brightness
from .normalization import check_plane
from .scale import predict_zoomed_maps_steps
from .segment import resolve_separation, segment
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
    """

    seconds: dict[str, float]
    megapixels: float
    nuclei: int
    zoom: float
    plan: InferencePlan
    threads: int
    peak_memory: int

    @property
    def end_to_end(self) -> float:
        """Seconds from pixels to labels, without the table of measurements."""
        return sum(value for stage, value in self.seconds.items() if stage != "measure")


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
    return min(
        (_time_once(image, model, params, device) for _ in range(runs)), key=_end_to_end_seconds
    )


def _end_to_end_seconds(one: BenchmarkResult) -> float:
    return one.end_to_end


def _time_once(
    image: NDArray[np.generic], model: Model, params: SegmentParams, device: str
) -> BenchmarkResult:
    seconds: dict[str, float] = {}

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        seconds[stage] = time.perf_counter() - start

    with timed("normalise"):
        plane = check_plane(image, Brightness.of(params))
    with timed("network"):
        how = plan_inference(params, device, model)
        seen, zoom, _ = run(predict_zoomed_maps_steps(plane, model, params.diameter, how, []))
    maps, how = seen.quantized, seen.plan
    with timed("separate"):
        labels = separate_nuclei(maps, resolve_separation(params, model.card, zoom))
    with timed("measure"):
        measure(labels, np.asarray(plane.pixels), maps[0])
    return BenchmarkResult(
        seconds=seconds,
        megapixels=plane.shape[0] * plane.shape[1] / 1e6,
        nuclei=int(labels.max(initial=0)),
        zoom=zoom,
        plan=how,
        threads=torch.get_num_threads(),
        peak_memory=_peak_memory(),
    )


def _peak_memory() -> int:
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource  # Windows has none

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else 1024 * peak)
