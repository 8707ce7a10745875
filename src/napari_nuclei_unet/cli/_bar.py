"""The bar that shows how far a run is."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from napari_nuclei_unet.prediction import Step, Wish

Result = TypeVar("Result")


def with_bar(steps: Generator[Step, Wish, Result], name: str) -> Result:
    """Exhaust a generator of steps, and say on stderr what the user has to know.

    Parameters
    ----------
    steps : generator
        Of ``prediction.Step``; of many planes it says which one is at work.
    name : str
        Of the image.
    """
    from tqdm import tqdm

    from napari_nuclei_unet.prediction import run

    said: set[str] = set()

    def say(notice: str) -> None:
        if notice and notice not in said:
            said.add(notice)
            tqdm.write(f"{name}: {notice}", file=sys.stderr)

    with tqdm(desc=name, leave=False, disable=None) as bar:

        def show(step: Step) -> None:
            say(step.notice)
            bar.unit, bar.n, bar.total, plane = _shown(step)
            bar.set_description_str(f"{name}{plane}", refresh=False)
            bar.refresh()

        result = run(steps, show)
    for notice in getattr(result, "notices", ()):
        say(notice)
    return result


def _shown(step: Any) -> tuple[str, int, int, str]:
    """Say the unit, how many are done and in all, and which plane is at work."""
    planes = getattr(step, "planes", 1)
    plane = f", plane {step.plane + 1} of {planes}" if planes > 1 else ""
    if hasattr(step, "tiles"):
        return "tile", step.tile, step.tiles, plane
    if hasattr(step, "blocks"):
        return "block", step.block, step.blocks, plane
    return "part", step.done, step.total, plane
