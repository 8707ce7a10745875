"""Blocks computed by the workers of a dask scheduler: on this machine, or on many."""

from __future__ import annotations

import asyncio
import re
from asyncio import CancelledError
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..arrays.axes import PlaneIndex, PlaneView
from ..arrays.tiling import ArrayLike
from ..errors import UserError
from ..io.json_text import read_json
from ..io.lazy_images import LazyArray
from ..io.open import open_lazily
from ..limits import DEFAULT_LIMITS
from ..models.model import load_model
from ..progress import Step, Stop, run
from .block import BlockResult, BlockTask, segment_block_steps
from .processes import POLL_INTERVAL, TASKS_PER_WORKER, WORKERS_CRASHED, compute_in_processes
from .run import ComputeBlocks
from .stages import SegmentedBlockStep

if TYPE_CHECKING:
    from distributed import Client, Future

DISTRIBUTED_MISSING = (
    "Computing on a cluster needs dask.distributed: install it with "
    "pip install 'napari-nuclei-unet[cluster]'."
)
SCHEDULER_GONE = "The scheduler is gone: start it, then run it again to resume."
LOCAL_PREFIX = "local:"
# With a port, or with what may have none, such as inproc.
ADDRESS_PATTERN = re.compile(r"\w+://.+|[^/]+:\d+")


@dataclass(frozen=True)
class FilePlane:
    """A plane of a file that every worker can open under the same path.

    Attributes
    ----------
    path : str
    level : int
    plane_index : PlaneIndex
    stamp : tuple of int
        Tells a file from the one that it has replaced.
    scene : int or None
        Number of the image in a file of several.
    """

    path: str
    level: int
    plane_index: PlaneIndex
    stamp: tuple[int, ...] = ()
    scene: int | None = None

    def open(self) -> ArrayLike:
        """Return the plane; a file is opened once a process."""
        return PlaneView(
            _open_pixels(self.path, self.level, self.scene, self.stamp), self.plane_index
        )


@lru_cache(maxsize=4)
def _open_pixels(path: str, level: int, scene: int | None, _: tuple[int, ...]) -> LazyArray:
    return open_lazily(path, level, scene).pixels


@contextmanager
def connect_to_cluster(
    address: str, model: str, timeout: float = DEFAULT_LIMITS.scheduler_timeout
) -> Iterator[ComputeBlocks]:
    """Connect to a scheduler.

    Parameters
    ----------
    address : str
        ``tcp://host:port``, the path of a scheduler file, or ``local:N`` for N processes here,
        which need no scheduler.
    model : str
        Name or file; the workers must have the same.
    timeout : float, optional
        Seconds in which the scheduler must answer.

    Yields
    ------
    callable
        Instead of ``run.compute_locally_steps``. Tasks hold their planes as :class:`FilePlane`.

    Raises
    ------
    UserError
        If a scheduler is asked for, and dask.distributed is missing, the scheduler does not
        answer or has no worker, or a worker has another version of this program or another model
        of this name.
    """
    if address.startswith(LOCAL_PREFIX):
        with compute_in_processes(_count_processes(address)) as compute:
            yield compute
        return
    try:  # optional dependency
        import distributed  # noqa: F401
    except ImportError as error:
        raise UserError(DISTRIBUTED_MISSING) from error
    with _connect_client(address, timeout) as client:
        _check_workers(client, address, model)
        yield lambda tasks: _compute_on_workers_steps(client, tasks)


def _count_processes(address: str) -> int:
    count = address.removeprefix(LOCAL_PREFIX)
    if not count.isdecimal() or not int(count):
        raise UserError(f"'{address}' is not a scheduler: local: takes a number of processes.")
    return int(count)


@contextmanager
def _connect_client(address: str, timeout: float) -> Iterator[Client]:
    from distributed import Client

    where = _resolve_address(address)
    try:
        with ThreadPoolExecutor(1) as aside:  # there may be a loop of asyncio in this thread
            aside.submit(asyncio.run, _check_scheduler(where, timeout)).result()
        client = Client(where, timeout=timeout, set_as_default=False)
    except Exception as error:  # whatever comes of reading what something else has sent
        raise UserError(
            f"The scheduler {address} cannot be reached: check its address, and whether it is "
            "running."
        ) from error
    with client:
        yield client


def _resolve_address(address: str) -> str:
    """Return the address of a scheduler, which may stand in a file."""
    file = Path(address)
    if file.is_file():
        try:
            return str(read_json(file)["address"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{file} is not a scheduler file: give one written by dask.") from error
    if not ADDRESS_PATTERN.fullmatch(address):
        raise UserError(
            f"'{address}' is not a scheduler: give tcp://host:port, an existing scheduler file, or "
            "local:N for N processes on this computer."
        )
    return address


async def _check_scheduler(address: str, timeout: float) -> None:
    """Refuse, in time, what does not answer as a scheduler does; a client might wait for ever."""
    from distributed.core import rpc
    from distributed.security import Security

    how = Security().get_connection_args("client")
    async with asyncio.timeout(timeout), rpc(address, connection_args=how) as scheduler:
        told = await scheduler.identity()
    if told["type"] != "Scheduler":
        raise ValueError(f"{address} is a {told['type']}")


def _check_workers(client: Client, address: str, model: str) -> None:
    if not client.scheduler_info(n_workers=-1)["workers"]:
        raise UserError(f"The scheduler {address} has no worker yet: start some, then try again.")
    own = _versions(model)
    try:
        theirs = client.run(_versions, model, on_error="return")
    except OSError as error:
        raise UserError(f"A worker of {address} does not answer: {error}") from error
    for worker, found in theirs.items():
        if isinstance(found, ImportError) or not isinstance(found, tuple):
            raise UserError(f"The worker {worker} cannot compute blocks: {found}")
        for what, here, there in zip(("version", "model"), own, found, strict=True):
            if here != there:
                raise UserError(
                    f"The worker {worker} has {what} {there} of this program and this computer "
                    f"{here}: install the same on both."
                    if what == "version"
                    else f"The worker {worker} has another model '{model}' ({there[:12]}, here "
                    f"{here[:12]}): give all the same file."
                )


def _versions(model: str) -> tuple[str, str]:
    """Return the version of this program and the checksum of a model, as a worker has them."""
    return version("napari-nuclei-unet"), load_model(model).card.sha256


def segment_block(task: BlockTask) -> BlockResult:
    """Find the nuclei of a block; what a worker does.

    Its labels are packed by dask on their way.
    """
    found = run(segment_block_steps(task))
    assert found is not None  # nobody can stop it
    return found


def _compute_on_workers_steps(
    client: Client, tasks: Sequence[BlockTask]
) -> Generator[Step, Stop, None]:
    """Find the nuclei of blocks on workers; answers come in the order of the tasks."""
    waiting = list(reversed(tasks))
    under_way: list[Future[Any]] = []
    wish: Stop = None
    try:
        while (waiting or under_way) and not wish:
            ahead = TASKS_PER_WORKER * max(len(client.scheduler_info(n_workers=-1)["workers"]), 1)
            while waiting and len(under_way) < ahead:
                under_way.append(client.submit(segment_block, waiting.pop(), pure=False, retries=2))
            first = under_way[0]
            if not _is_ready(client, first):
                wish = yield Step(0, 1)
                continue
            under_way.pop(0)
            wish = yield SegmentedBlockStep(done=1, total=1, found=_get_result(first))
    finally:
        client.cancel(under_way)


def _is_ready(client: Client, future: Future[Any]) -> bool:
    """Return whether a future is done, or becomes so in a moment."""
    from distributed import wait

    try:
        with client.as_current():
            wait([future], timeout=POLL_INTERVAL)
    except TimeoutError:
        return False
    except CancelledError as error:
        raise UserError(SCHEDULER_GONE) from error
    return True


def _get_result(future: Future[Any]) -> Any:
    from distributed.scheduler import KilledWorker

    try:
        return future.result()
    except CancelledError as error:
        raise UserError(SCHEDULER_GONE) from error
    except KilledWorker as error:
        raise UserError(WORKERS_CRASHED) from error
