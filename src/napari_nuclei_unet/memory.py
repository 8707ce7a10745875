"""How much memory this process may take, and what is said where that is not enough."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from .errors import UserError

# How torch and oneDNN put it, in lower case.
OUT_OF_MEMORY_MESSAGES = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "alloc_failed",
    "unable to find an engine",
    "unable to find a valid cudnn",
    "bad_alloc",
    "could not create a primitive",
    "cannot allocate memory",
    "failed to map segment from shared object",
)
MEMORY_SHORT = (
    "There is not enough memory: close other programs, segment a part of the image, or use "
    "`format` zarr."
)
CGROUP_ROOT = Path("/sys/fs/cgroup")
# In a container of cgroup v1 without a limit it is a number of pages near 2**63.
NO_LIMIT = 2**60
MEBIBYTE = 2**20
SLURM_VARIABLES = ("SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU", "SLURM_CPUS_ON_NODE")
# What torch, the shipped model and its smallest tile take beyond what the command line has before:
# resident, and of address space, to which libraries count as a whole and threads reserve more.
# Measured: `python benchmarks/larger_than_memory.py --sizes 128 --limits 380`, and `--ulimit`.
NETWORK_BYTES = 330_000_000
NETWORK_ADDRESS_SPACE, THREAD_ADDRESS_SPACE, MAX_RESERVING_THREADS = 600_000_000, 100_000_000, 8
NETWORK_SUBJECT = "Loading the network takes"


@dataclass(frozen=True)
class _CgroupFiles:
    """Names of the files of a control group, by the version of cgroups."""

    limits: tuple[str, ...]
    usage: str
    reclaimable: str  # cache of files that the system takes back before a limit is reached


_V1 = _CgroupFiles(("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file")
_V2 = _CgroupFiles(("memory.max", "memory.high"), "memory.current", "inactive_file")


def available_memory() -> int:
    """Return the bytes of memory that this process may still take.

    Whatever ends first counts: what is free on the machine, the limits of the control groups of a
    container or job, the memory that SLURM has allotted, and the limits of ``ulimit``.
    """
    return max(min(_free_resident(), _free_under_ulimit("RLIMIT_AS", "vms")), 0)


def _free_resident() -> int:
    """Return what is left of all limits but that of the address space."""
    used = psutil.Process().memory_info().rss
    free = [int(psutil.virtual_memory().available), *free_in_slurm(os.environ, used)]
    if sys.platform == "linux":
        free += free_in_cgroups(_read_text(Path("/proc/self/cgroup")), CGROUP_ROOT)
    return min(*free, _free_under_ulimit("RLIMIT_DATA", "data"))


def require_network_memory() -> None:
    """Raise an error if there is too little memory to load torch, a model and its smallest tile.

    Has to be called before torch is imported, which may end the process. Once torch is there, it
    does nothing.

    Raises
    ------
    UserError
        With the number.
    """
    if "torch" in sys.modules:
        return
    used = psutil.Process().memory_info()
    threads = os.environ.get("OMP_NUM_THREADS", "")
    count = int(threads) if threads.isdecimal() else os.cpu_count() or 1
    reserved = THREAD_ADDRESS_SPACE * min(count, MAX_RESERVING_THREADS)
    _require(
        NETWORK_BYTES, _free_resident(), NETWORK_SUBJECT, _advise_limit(NETWORK_BYTES, used.rss)
    )
    need, free = NETWORK_ADDRESS_SPACE + reserved, _free_under_ulimit("RLIMIT_AS", "vms")
    _require(need, free, NETWORK_SUBJECT, _advise_limit(need, used.vms))


def require_memory(need: int, subject: str, advice: str) -> None:
    """Raise an error with the number if so much memory may not be taken.

    Parameters
    ----------
    need : int
        Bytes.
    subject : str
        First words of the message: what needs it, and its verb.
    advice : str
        Last words: what to do.

    Raises
    ------
    UserError
    """
    _require(need, available_memory(), subject, advice)


def require_memory_or_more(need: int, subject: str) -> None:
    """Raise an error as :func:`require_memory`; its advice is the limit that is needed in all."""
    used = psutil.Process().memory_info()
    is_resident = _free_resident() <= _free_under_ulimit("RLIMIT_AS", "vms")
    require_memory(need, subject, _advise_limit(need, used.rss if is_resident else used.vms))


def _advise_limit(need: int, used: int) -> str:
    total = format_gigabytes(used + need)
    return f"close other programs, or give it at least {total} of memory in all."


def _require(need: int, free: int, subject: str, advice: str) -> None:
    if need > free:
        raise UserError(
            f"{subject} {format_gigabytes(need)} of memory, of which "
            f"{format_gigabytes(max(free, 0))} are free: {advice}"
        ) from MemoryError()


def format_gigabytes(size: int) -> str:
    """Return bytes as a text in GB."""
    return f"{size / 1e9:.2f} GB" if size < 1e9 else f"{size / 1e9:.1f} GB"


def free_in_cgroups(memberships: str, root: Path) -> list[int]:
    """Return what is left of the limits of a process' control groups, and those above them.

    Inside a container the paths may be those of the host, which are not there; the group of the
    container then lies at the root.

    Parameters
    ----------
    memberships : str
        Of ``/proc/self/cgroup``: a line for each hierarchy.
    root : Path
        Where hierarchies are mounted.

    Returns
    -------
    list of int
        Bytes; empty if nothing is limited.
    """
    free: list[int] = []
    for line in memberships.splitlines():
        _, _, named = line.partition(":")
        controllers, _, path = named.partition(":")
        if "memory" in controllers.split(","):
            top, files = root / "memory", _V1
        elif not controllers:
            top, files = root, _V2
        else:
            continue
        group = top.joinpath(*Path(path.lstrip("/")).parts)
        for folder in (group, *group.parents):
            free += _free_in_group(folder, files)
            if folder == top:
                break
    return free


def _free_in_group(folder: Path, files: _CgroupFiles) -> list[int]:
    limits = [_read_text(folder / name).strip() for name in files.limits]
    finite = [int(text) for text in limits if text.isdigit() and int(text) < NO_LIMIT]
    usage = _read_text(folder / files.usage).strip()
    if not finite or not usage.isdigit():
        return []
    stat = dict(line.split(" ", 1) for line in _read_text(folder / "memory.stat").splitlines())
    return [min(finite) - int(usage) + int(stat.get(files.reclaimable, 0))]


def _read_text(path: Path) -> str:
    """Return the content of a file of the system; "" if there is none."""
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""


def free_in_slurm(environment: Mapping[str, str], used: int) -> list[int]:
    """Return what is left of the memory that SLURM has allotted to a job on this machine.

    Not every cluster enforces it by control groups, but then it ends the job.

    Parameters
    ----------
    environment : mapping
        Has SLURM's variables, in MB, in a job.
    used : int
        Bytes that this process has.

    Returns
    -------
    list of int
        Bytes; empty outside of a job, or where all of the memory is allotted.
    """
    values = [environment.get(name, "") for name in SLURM_VARIABLES]
    per_node, per_cpu, cpus = (int(text) if text.isdigit() else 0 for text in values)
    return [MEBIBYTE * size - used for size in (per_node, per_cpu * cpus) if size]


def _free_under_ulimit(limit: str, used: str) -> int:
    """Return what is left of a limit of ``ulimit``, given what of psutil counts to it."""
    if sys.platform != "linux":
        return sys.maxsize
    import resource  # Windows has none

    soft, _ = resource.getrlimit(getattr(resource, limit))
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize
    return soft - int(getattr(psutil.Process().memory_info(), used))


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether torch or numpy, or loading them, ran out of memory, on whatever device."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in OUT_OF_MEMORY_MESSAGES)


@contextmanager
def explain_out_of_memory(sentence: str = MEMORY_SHORT) -> Iterator[None]:
    """Raise a sentence for the user where memory runs out; it decorates functions, too.

    Raises
    ------
    UserError
        Instead of what torch or numpy raise.
    """
    try:
        yield
    except (RuntimeError, MemoryError, ImportError) as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(sentence) from error
