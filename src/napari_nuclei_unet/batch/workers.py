"""Images of a run side by side, each in a thread of its own: how many, and which."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from ..errors import UserError
from ..labels.threads import limit_threads
from ..memory import available_memory
from ..network.unet import UNetConfig
from ..progress import interruptible
from ..segmentation.device import BYTES_PER_FLOAT32, CPU_TILE, plan_inference
from ..segmentation.network_form import network_form
from .job import ImageJob
from .labels_format import count_plane_bytes
from .settings import JobSettings

# Share of the free memory that all workers may take.
WORKER_MEMORY_SHARE = 0.5
# A worker has at least so much, or there are fewer of them.
MIN_WORKER_BYTES = 250_000_000
# Of a plane in memory: pixels, maps, what separation and measuring need. As measured, 33 to 57, and
# 163 where small nuclei are enlarged 2.9 times.
BYTES_PER_PIXEL = 160
# A plane may be enlarged so much before it goes through the network, as an area.
TYPICAL_ENLARGEMENT = 4
# Of the names of the threads.
THREAD_PREFIX = "image"

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class WorkerPlan:
    """How the images of a run are shared out.

    Attributes
    ----------
    workers : int
        Images at once.
    worker_threads : int
        Threads of torch for each of them.
    threads : int
        Threads of torch for an image that runs alone.
    worker_bytes : int
        Memory that a worker may take.
    """

    workers: int
    worker_threads: int
    threads: int
    worker_bytes: int

    def suits(self, job: ImageJob) -> bool:
        """Return whether an image runs beside others; else it runs alone, with all threads."""
        if job.results.is_store:
            return False
        pixels = math.prod(job.grid.shape)
        return (
            pixels <= job.settings.limits.worker_pixels
            and _estimate_bytes(job) <= self.worker_bytes
        )


def plan_workers(wanted: int | None, images: int, settings: JobSettings) -> WorkerPlan:
    """Plan how many images are segmented at once.

    Parameters
    ----------
    wanted : int or None
        None: one for each thread of torch, as far as memory allows; on a graphics card one.
    images : int
    settings : JobSettings

    Raises
    ------
    UserError
        If the number is less than 1.
    """
    if wanted is not None and wanted < 1:
        raise UserError(f"`workers` is {wanted}: give 1 or more, or leave it out.")
    threads, free = torch.get_num_threads(), available_memory()
    fitting = int(WORKER_MEMORY_SHARE * free) // MIN_WORKER_BYTES
    most = threads if wanted is None else wanted
    if images > 1 and not _runs_on_cpu(settings) and wanted is None:
        most = 1
    workers = max(min(most, images, fitting), 1)
    return WorkerPlan(
        workers,
        max(threads // workers, 1),
        threads,
        int(WORKER_MEMORY_SHARE * free) // workers,
    )


def _runs_on_cpu(settings: JobSettings) -> bool:
    """Return whether the CPU is used; what all workers need of it is made before they do."""
    try:
        plan = plan_inference(settings.params, settings.device, settings.model)
    except UserError:  # said of every image
        return True
    network_form(settings.model, plan.precision)
    return plan.device == "cpu"


def _estimate_bytes(job: ImageJob) -> int:
    """Estimate the memory that an image takes."""
    config: UNetConfig = job.settings.model.network.config
    height, width = job.full_size
    seen = min(TYPICAL_ENLARGEMENT * height * width, (CPU_TILE + 2 * config.halo) ** 2)
    read = count_plane_bytes(job.full, height * width)
    network = BYTES_PER_FLOAT32 * config.working_channels * seen
    return int(BYTES_PER_PIXEL * height * width + network + read)


class WorkerThreads:
    """Threads whose work can be interrupted.

    As a context manager it interrupts in the end what is still under way.

    Parameters
    ----------
    plan : WorkerPlan
    """

    def __init__(self, plan: WorkerPlan) -> None:
        self._plan = plan
        self._executor = ThreadPoolExecutor(plan.workers, THREAD_PREFIX, self._limit_torch)
        self._is_stopped = threading.Event()

    def __enter__(self) -> WorkerThreads:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        # for threads to come: the number for the last thread that set it is their default
        torch.set_num_threads(self._plan.threads)

    def submit(self, work: Callable[[], _Result]) -> Future[_Result]:
        """Have a thread do some work, in the order in which it was submitted."""
        return self._executor.submit(self._run, work)

    def stop(self) -> None:
        """Interrupt what is under way, drop what has not begun, and wait for the end.

        Work raises ``progress.Interrupted`` where it asks, as the network does after each layer.
        """
        self._is_stopped.set()
        self._executor.shutdown(cancel_futures=True)

    def _limit_torch(self) -> None:
        torch.set_num_threads(self._plan.worker_threads)  # of OpenMP, for this thread alone
        limit_threads(self._plan.worker_threads)

    def _run(self, work: Callable[[], Any]) -> Any:
        if self._is_stopped.is_set():
            raise CancelledError
        with interruptible(self._is_stopped.is_set):
            return work()
