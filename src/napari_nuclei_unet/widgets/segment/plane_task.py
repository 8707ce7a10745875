"""One run of the network on a layer: what goes into the thread, and what comes out."""

from __future__ import annotations

import dataclasses
import time
import zlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_nuclei_unet.arrays.axes import CutArray
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.progress import Step, Wish
from napari_nuclei_unet.widgets.common.job import use_threads
from napari_nuclei_unet.widgets.layers.checksum import content_of
from napari_nuclei_unet.widgets.layers.geometry import world_of
from napari_nuclei_unet.widgets.layers.image_source import Source, plane_axes
from napari_nuclei_unet.widgets.session.plane_result import Answer, lean

if TYPE_CHECKING:
    from napari_nuclei_unet.segmentation.segment import Prediction

# Squares of this edge, at so many places along each axis, tell an image from another.
PATCH, PATCHES = 64, 4


@dataclass(frozen=True)
class Wanted:
    """What the form says, when Segment is clicked."""

    source: Source
    model: str
    device: str
    params: SegmentParams
    threads_free: int


@dataclass(frozen=True, eq=False)
class Finished:
    """What the thread returns.

    Attributes
    ----------
    prediction : Prediction
    answer : Answer or None
        None: the run was stopped before all was finished.
    content : int
        Checksum of the plane's pixels.
    """

    prediction: Prediction
    answer: Answer | None
    content: int


class Run:
    """What is known of the run under way.

    Attributes
    ----------
    whole : bool
        Whether what it has finished is whole, so that nobody is asked what shall become of it.
    """

    whole = False

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.started = self.tiles_from = time.monotonic()
        self.said: set[str] = set()
        self.stopping = False
        self.seconds = 0.0

    def begin(self) -> None:
        """Work from now on."""
        self.started = time.monotonic()

    def end(self) -> None:
        """Work no more; ``seconds`` is what it took, without what questions took."""
        self.seconds += time.monotonic() - self.started

    def hears(self, notice: str) -> bool:
        """Take note of a notice; whether it is to be shown."""
        self.said.add(notice)
        return True

    def left(self, step: Step) -> str:
        """Say how much time is left, if it goes on as it has since ``tiles_from``."""
        left = (time.monotonic() - self.tiles_from) / step.done * (step.total - step.done)
        return f"{left:.0f} s left" if left < 120 else f"{left / 60:.0f} min left"

    def words(self, step: Step) -> str:
        """Say how far it is."""
        if self.stopping:
            return "Stopping …"
        if step.done == step.total:
            return "Separating nuclei …"
        if step.done == 0:  # the network is loaded, or tiles start again with less memory
            self.tiles_from = time.monotonic()
            return f"Tile 1 of {step.total}"
        return f"Tile {step.done} of {step.total} · {self.left(step)}"


def segment_source(wanted: Wanted) -> Generator[Step, Wish, Finished]:
    """Run in the thread; torch is imported here, not when the widget opens."""
    from napari_nuclei_unet.models.model import load_model
    from napari_nuclei_unet.segmentation.segment import predict_plane_steps

    use_threads(wanted.threads_free)
    source = wanted.source
    try:
        plane = source.cut_at_level.read(source.pixels)
        content = content_of(plane)
    except Exception as error:  # whatever lies behind a lazy layer: a file, a server, a graph
        raise UserError(f"The image could not be read: {error}") from error
    prediction = yield from predict_plane_steps(
        plane, load_model(wanted.model), wanted.params, wanted.device, source.region_at_level
    )
    prediction.record.update(origin(wanted, source, file_of(source, content)))
    finished = Finished(lean(prediction, source), None, content)
    if prediction.record["stopped"]:
        return finished
    return (yield from separate_source(wanted, finished, plane))


def separate_source(
    wanted: Wanted, finished: Finished, plane: NDArray[Any] | None = None
) -> Generator[Step, Wish, Finished]:
    """Run in the thread: find nuclei in what the network said; ``plane`` is what it saw."""
    from napari_nuclei_unet.segmentation.segment import retune

    yield Step(1, 1)
    made = retune(finished.prediction, wanted.params)
    return dataclasses.replace(finished, answer=Answer.of(made, wanted.source, plane))


def origin(wanted: Wanted, source: Source, file: str | None) -> dict[str, Any]:
    """Say in the record which model file, image and plane it was, for ``repeating``."""
    from napari_nuclei_unet.models.model import shipped_models
    from napari_nuclei_unet.provenance.reproduce import source_of

    made = source_of(
        source.cut_at_level,
        source.axes,
        file,
        source.level,
        np.dtype(source.pixels.dtype),
        (source.shape, source.shape_at_level),
    )
    free = [axis for axis, name in enumerate(source.axes) if name not in "CYX"]
    lengths = [[int(one.shape[axis]) for axis in free] for one in (source.full, source.pixels)]
    extra = {
        "layer": source.image.name,
        "multiscale": bool(source.image.multiscale),
        # of the axes of "planes"; where a level has fewer, its planes count otherwise
        "lengths": lengths[0] if lengths[0] == lengths[1] else None,
    }
    own = wanted.model in shipped_models()
    region = source.region
    return {
        "model_file": None if own else wanted.model,
        "source": made | extra,
        "region": None if region is None else [list(map(list, one)) for one in region.polygons],
    }


def file_of(source: Source, content: int) -> str | None:
    """Give the file that holds the image, if our reader gets the same plane from it."""
    path = source.path
    return str(path.resolve()) if path is not None and _holds(path, source, content) else None


def _holds(path: Path, source: Source, content: int) -> bool:
    """Whether our reader gets the same plane from a file: others may order its axes differently."""
    from napari_nuclei_unet.io.images import read_image, read_shape

    if read_shape(path, source.level) != tuple(source.pixels.shape):
        return False
    try:
        return content_of(source.cut_at_level.read(read_image(path, source.level))) == content
    except UserError:
        return False


def file_like(source: Source) -> str | None:
    """Give the file that holds the image, if our reader finds the same few squares in it."""
    from napari_nuclei_unet.io.lazy_images import open_lazily

    if (path := source.path) is None:
        return None
    try:
        pixels = open_lazily(path).pixels
        same = pixels.shape == tuple(source.full.shape)
        there = dataclasses.replace(source, data=[pixels] if source.image.multiscale else pixels)
        same = same and fingerprint(there) == fingerprint(source)
    except (UserError, OSError):
        return None
    return str(path.resolve()) if same else None


def fingerprint(source: Source) -> int:
    """Checksum of a few squares of a plane: an image that has changed is another."""
    pixels, made = CutArray(source.pixels, source.cut), 0
    rows, columns = (
        [int(at * max(edge - PATCH, 0) / (PATCHES - 1)) for at in range(PATCHES)]
        for edge in source.shape
    )
    for top in rows:
        for left in columns:
            try:
                square = pixels[top : top + PATCH, left : left + PATCH]
            except UserError:  # a block that cannot be read is told later
                continue
            made = zlib.crc32(np.ascontiguousarray(square).tobytes(), made)
    return made


def summary(answer: Answer, source: Source, seconds: float | None) -> str:
    """Say in words what was found.

    Parameters
    ----------
    answer : Answer
    source : Source
    seconds : float or None
        None: it was only tuned.
    """
    record = answer.result.record
    parts = parts_of_summary(answer.areas, source)
    if record.get("stopped"):
        parts[0] += " in the part that was finished"
    elif answer.inside is not None:
        parts[0] += " in the region"
    if record["zoom"] != 1:
        parts.append(f"network zoom {record['zoom']:.2g}")
    if seconds is not None:
        ran = record["ran_on"]
        parts.append(f"{seconds:.1f} s on {ran['device'].upper()}, {ran['precision']}")
    return " · ".join(parts)


def parts_of_summary(areas: NDArray[np.integer], source: Source) -> list[str]:
    """Say how many nuclei there are, and how large."""
    count = len(areas)
    parts = ["1 nucleus" if count == 1 else f"{count:,} nuclei"]
    return parts + ([f"median area {_area(float(np.median(areas)), source)}"] if count else [])


def _area(pixels: float, source: Source) -> str:
    """Area in the layer's units, or in pixels where it has none or several."""
    axes = list(plane_axes(source.cut))
    units = [source.image.units[axis] for axis in axes]
    unit, size = "px", 1.0
    if units[0] == units[1] and str(units[0]) != "pixel":
        _, linear = world_of(source.image)
        unit, size = f"{units[0]:~P}", abs(float(np.linalg.det(linear[np.ix_(axes, axes)])))
    value = pixels * size
    return f"{value:,.0f} {unit}²" if value >= 100 else f"{value:.3g} {unit}²"
