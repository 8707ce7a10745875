"""The bar that shows how far a run is."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from typing import Any, TypeVar

from napari_nuclei_unet.cli._common import name_flags
from napari_nuclei_unet.progress import Step, Stop, run

_Result = TypeVar("_Result")
SURVEYING_TEXT = "looking at the image"


def run_with_bar(steps: Generator[Step, Stop, _Result], name: str) -> _Result:
    """Exhaust a generator of steps, and say on stderr what the user has to know.

    Parameters
    ----------
    steps : generator
        Of ``prediction.Step``; of many planes it says which one is at work.
    name : str
        Of the image.
    """
    from tqdm import tqdm

    said: set[str] = set()

    def say(notice: str) -> None:
        if notice and notice not in said:
            said.add(notice)
            tqdm.write(f"{name}: {name_flags(notice)}", file=sys.stderr)

    with tqdm(
        desc=f"{name}, {SURVEYING_TEXT}", leave=False, disable=None, **_terminal_size()
    ) as bar:

        def show(step: Step) -> None:
            say(step.notice)
            bar.unit, bar.n, bar.total, place = _bar_state(step)
            bar.set_description_str(f"{name}{place}", refresh=False)
            bar.refresh()

        result = run(steps, show)
    for notice in getattr(result, "notices", ()):
        say(notice)
    return result


def _terminal_size() -> dict[str, int]:
    """Size of a terminal that does not say it; tqdm would show nothing there."""
    try:
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):  # no terminal
        return {}
    return {} if columns else {"ncols": 79, "nrows": 24}


def _bar_state(step: Any) -> tuple[str, float, int, str]:
    """Say the unit, how many are done and in all, and which plane and block are at work."""
    planes = getattr(step, "planes", 1)
    plane = f", plane {step.plane + 1} of {planes}" if planes > 1 else ""
    if hasattr(step, "tiles"):
        return "tile", step.tile, step.tiles, plane
    if hasattr(step, "blocks"):  # a block takes minutes, and its tiles count
        percent = round(100 * step.done / max(step.total, 1), 1)
        return "%", percent, 100, f"{plane}, {_block_text(step)}"
    return "part", step.done, step.total, plane


def _block_text(step: Any) -> str:
    """Say which block is at work; how many there are is known once the plane was looked at."""
    begins = step.done * step.planes == step.plane * step.total
    if begins and step.blocks == 1:
        return SURVEYING_TEXT
    return f"block {step.block + 1} of {step.blocks}"
