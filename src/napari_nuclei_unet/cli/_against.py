"""``bench --against``: another program's command in turn with this one."""

from __future__ import annotations

import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Of a command: where the image that is segmented has its place.
IMAGE_PLACEHOLDER = "{image}"


@dataclass(frozen=True)
class SpeedComparison:
    """Seconds of runs that were made in turn.

    Attributes
    ----------
    against : str
        Command of the peer.
    peer_seconds, process_seconds : tuple of float
        Of whole processes: the peer's, and ``nuclei-unet segment`` with all that it loads, reads
        and writes.
    end_to_end_seconds : tuple of float
        From pixels to labels in a process that has segmented before.
    """

    against: str
    peer_seconds: tuple[float, ...]
    process_seconds: tuple[float, ...]
    end_to_end_seconds: tuple[float, ...]

    @property
    def process_ratio(self) -> float:
        """How many times as fast the whole process is: a ratio of medians."""
        return statistics.median(self.peer_seconds) / statistics.median(self.process_seconds)

    @property
    def end_to_end_ratio(self) -> float:
        """How many times as fast it is from pixels to labels as the whole of the peer."""
        return statistics.median(self.peer_seconds) / statistics.median(self.end_to_end_seconds)

    def to_json(self) -> dict[str, object]:
        """Convert to what JSON can hold."""
        ratios = {"process_ratio": self.process_ratio, "end_to_end_ratio": self.end_to_end_ratio}
        return asdict(self) | ratios

    def lines(self) -> Iterator[str]:
        """Iterate over the lines of a table."""
        yield f"in turn, medians of {len(self.peer_seconds)}"
        for name, seconds, ratio in (
            ("peer", self.peer_seconds, ""),
            ("process", self.process_seconds, f"{self.process_ratio:8.2f} times as fast"),
            ("end to end*", self.end_to_end_seconds, f"{self.end_to_end_ratio:8.2f} times as fast"),
        ):
            yield f"{name:12} {statistics.median(seconds):8.2f} s {ratio}".rstrip()


def compare_in_turn(
    command: str, image: Path, flags: Sequence[str], time_once: Callable[[], float], runs: int
) -> SpeedComparison:
    """Run a peer's command, our own command and our own code in turn.

    Parameters
    ----------
    command : str
        As for a shell, but no shell runs it; ``{image}`` in it becomes the path of the image.
    image : Path
    flags : sequence of str
        Of ``nuclei-unet segment``.
    time_once : callable
        Segments in this process, and returns seconds.
    runs : int
        Of each.

    Returns
    -------
    SpeedComparison

    Raises
    ------
    UserError
        If the command is not found or fails.
    """
    peer = _split(command, image)
    with tempfile.TemporaryDirectory() as folder:
        ours = [sys.executable, "-m", "napari_nuclei_unet.cli", "segment", str(image), *flags]
        own = [*ours, "--overwrite", "--out", folder]
        times = [(_time_process(peer), _time_process(own), time_once()) for _ in range(runs)]
    peers, processes, in_memory = zip(*times, strict=True)
    return SpeedComparison(command, peers, processes, in_memory)


@contextmanager
def image_file(path: Path | None, image: NDArray[np.generic]) -> Iterator[Path]:
    """Write an image that has no file to a temporary one; return its path."""
    if path is not None:
        yield path
        return
    import tifffile  # here, so that --help starts fast

    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "sample.tif"
        tifffile.imwrite(written, image)
        yield written


def _split(command: str, image: Path) -> list[str]:
    try:
        parts = shlex.split(command)
    except ValueError as error:
        raise UserError(f"--against: '{command}' has a quotation mark without its pair.") from error
    if not parts:
        raise UserError("--against is empty: give the command of a program.")
    return [part.replace(IMAGE_PLACEHOLDER, str(image)) for part in parts]


def _time_process(command: list[str]) -> float:
    """Run a command to its end; return its seconds."""
    start = time.perf_counter()
    try:
        ended = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
        )
    except OSError as error:
        raise UserError(
            f"--against: '{command[0]}' cannot be run ({error.strerror}): give a program by its "
            "path, or one that the shell finds."
        ) from error
    if ended.returncode:
        written = (ended.stderr.strip() or ended.stdout.strip()).splitlines()
        reason = f": {written[-1]}" if written else ""
        raise UserError(f"'{shlex.join(command)}' failed with exit code {ended.returncode}{reason}")
    return time.perf_counter() - start
