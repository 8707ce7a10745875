"""The progress bar of a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from ..io.paths import printable
from ..progress import Step, Stop, run
from ._common import name_flags

if TYPE_CHECKING:
    from tqdm import tqdm as Bar

_Result = TypeVar("_Result")
SURVEYING_TEXT = "looking at the image"


def run_with_bar(steps: Generator[Step, Stop, _Result], name: str) -> _Result:
    """Run a generator of steps to its end, with a progress bar and notices on stderr.

    Parameters
    ----------
    steps : generator
        Of ``progress.Step``; those of several planes have the current one.
    name : str
        Of the image.
    """
    from tqdm import tqdm  # here, so that --help starts fast

    written: set[str] = set()

    def write(notice: str) -> None:
        if notice and notice not in written:
            written.add(notice)
            tqdm.write(printable(f"{name}: {name_flags(notice)}"), file=sys.stderr)

    with tqdm(
        desc=f"{name}, {SURVEYING_TEXT}", leave=False, disable=None, **_terminal_size()
    ) as bar:

        def update(step: Step) -> None:
            write(step.notice)
            bar.unit, bar.n, bar.total, position = _bar_state(step)
            bar.set_description_str(f"{name}{position}", refresh=False)
            bar.refresh()

        result = run(steps, update)
    for notice in getattr(result, "notices", ()):
        write(notice)
    return result


def images_bar(total: int) -> Bar[None]:
    """Return a progress bar of images that are segmented side by side."""
    from tqdm import tqdm

    return tqdm(
        desc="segmenting", total=total, unit="image", leave=False, disable=None, **_terminal_size()
    )


def hidden_bar() -> AbstractContextManager[object]:
    """Hide the bar while something else is printed."""
    from tqdm import tqdm

    return tqdm.external_write_mode()


def _terminal_size() -> dict[str, int]:
    """Return a size for a terminal that does not report its own, where tqdm would show nothing."""
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):  # no terminal
        return {}
    return {} if columns else {"ncols": 79, "nrows": 24}


def _bar_state(step: Any) -> tuple[str, float, int, str]:
    """Return the unit, the number done and in total, and the current plane and block."""
    planes = getattr(step, "planes", 1)
    plane = f", plane {step.plane + 1} of {planes}" if planes > 1 else ""
    if hasattr(step, "tiles"):
        return "tile", step.tile, step.tiles, plane
    if hasattr(step, "blocks"):  # a block takes minutes, and its tiles count
        percent = round(100 * step.done / max(step.total, 1), 1)
        return "%", percent, 100, f"{plane}, {_block_text(step)}"
    return "part", step.done, step.total, plane


def _block_text(step: Any) -> str:
    """Return the current block; their number is known once the plane has been surveyed."""
    begins = step.done * step.planes == step.plane * step.total
    if begins and step.blocks == 1:
        return SURVEYING_TEXT
    return f"block {step.block + 1} of {step.blocks}"
