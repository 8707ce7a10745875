"""Blocks computed by processes of this computer, which only the process that started them reaches.

They talk over pipes: a scheduler would listen at a port, and run what any user of the computer
sends there.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_end
from threading import Thread
from typing import Literal

import torch

from ..errors import UserError
from ..memory import require_memory
from ..progress import Step, Stop, run
from .block import BlockResult, BlockTask, segment_block_steps
from .run import ComputeBlocks
from .stages import SegmentedBlockStep

WORKERS_CRASHED = (
    "A block crashed several workers, most likely because they ran out of memory: give them more."
)
# Of a process: Python, the network, and the smallest block.
PROCESS_BYTES = 500_000_000
# Blocks under way, or waiting to be written, for each worker.
TASKS_PER_WORKER = 2
# How often a block may crash a process before the run ends.
MAX_CRASHES = 3
# Seconds between looks whether the run shall stop.
POLL_INTERVAL = 0.2


@contextmanager
def compute_in_processes(
    count: int, method: Literal["spawn", "forkserver"] = "spawn"
) -> Iterator[ComputeBlocks]:
    """Start processes that share the cores of this computer, and end with this one.

    Parameters
    ----------
    count : int
    method : {"spawn", "forkserver"}, optional
        How they start. Forks of a process with threads, as torch has, may hang.

    Yields
    ------
    callable
        Instead of ``run.compute_locally_steps``.

    Raises
    ------
    UserError
        If there is not enough memory for so many.
    """
    require_memory(
        count * PROCESS_BYTES,
        f"{count} processes take at least",
        "start fewer of them, or give them more memory.",
    )
    pool = _Pool(count, method)
    try:
        yield pool
    finally:
        pool.close()


class _Pool:
    """Processes that are replaced when one of them has crashed, and that never outlive this one.

    Attributes
    ----------
    processes : int
    """

    def __init__(self, processes: int, method: str) -> None:
        self.processes, self._method = processes, method
        # Processes start in a thread of their own: Ctrl-C does not break off what it does, and is
        # kept from what it starts, from the beginning.
        self._starter = ThreadPoolExecutor(1, initializer=_block_interrupts)
        self._start()

    def __call__(self, tasks: Sequence[BlockTask]) -> Generator[Step, Stop, None]:
        """Find the nuclei of blocks; as ``run.compute_locally_steps``."""
        return _compute_steps(self, tasks)

    def _start(self) -> None:
        context = get_context(self._method)
        self._stopped, self._open_end = context.Pipe(duplex=False)
        threads = max(1, (os.cpu_count() or 1) // self.processes)
        self._executor = ProcessPoolExecutor(
            self.processes, context, _begin_process, (threads, self._stopped)
        )

    def submit(self, task: BlockTask) -> Future[BlockResult | None]:
        return self._starter.submit(self._executor.submit, _segment_block, task).result()

    def restart(self) -> None:
        self._end()
        self._start()

    def close(self) -> None:
        """End the processes; those at work drop their blocks."""
        self._starter.shutdown(cancel_futures=True)
        self._end()

    def _end(self) -> None:
        self._open_end.close()
        self._executor.shutdown(cancel_futures=True)
        self._stopped.close()


def _block_interrupts() -> None:
    """Keep Ctrl-C from this thread, and from what it starts, where a system can."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


# Of a process: a pipe whose other end is closed when its blocks are not wanted any more.
_stopped: list[Connection] = []


def _begin_process(threads: int, stopped: Connection) -> None:
    """Prepare a process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that writes
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    _stopped.append(stopped)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, also if that was killed."""
    parent = parent_process()
    assert parent is not None
    wait_for_end([parent.sentinel])
    os._exit(1)


def _segment_block(task: BlockTask) -> BlockResult | None:
    """Find the nuclei of a block; None if that is not wanted any more."""
    return run(segment_block_steps(task), lambda _: _is_stopped())


def _is_stopped() -> bool:
    try:
        return _stopped[-1].poll()
    except OSError:  # as Windows says it
        return True


def _compute_steps(pool: _Pool, tasks: Sequence[BlockTask]) -> Generator[Step, Stop, None]:
    """Find the nuclei of blocks in processes; answers come in the order of the tasks."""
    waiting, wish, crashes = deque(tasks), None, 0
    under_way: deque[tuple[BlockTask, Future[BlockResult | None]]] = deque()
    try:
        while (waiting or under_way) and not wish:
            try:
                while waiting and len(under_way) < TASKS_PER_WORKER * pool.processes:
                    under_way.append((waiting[0], pool.submit(waiting[0])))
                    waiting.popleft()
                first = under_way[0][1]
                if not wait([first], timeout=POLL_INTERVAL).done:
                    wish = yield Step(0, 1)
                    continue
                found = first.result()
                assert found is not None  # nobody has stopped it
            except BrokenProcessPool as error:
                crashes += 1
                if crashes == MAX_CRASHES:
                    raise UserError(WORKERS_CRASHED) from error
                waiting.extendleft(task for task, _ in reversed(under_way))
                under_way.clear()
                pool.restart()
                continue
            under_way.popleft()
            crashes = 0
            wish = yield SegmentedBlockStep(done=1, total=1, found=found)
    finally:
        for _, future in under_way:
            future.cancel()
