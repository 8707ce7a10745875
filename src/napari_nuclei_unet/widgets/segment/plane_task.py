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

from napari_nuclei_unet.arrays.axes import PlaneView
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.progress import Step, Stop
from napari_nuclei_unet.widgets.common.job import reserve_threads
from napari_nuclei_unet.widgets.layers.checksum import array_crc32
from napari_nuclei_unet.widgets.layers.geometry import pixel_to_world
from napari_nuclei_unet.widgets.layers.image_source import ImageSource, plane_axes
from napari_nuclei_unet.widgets.session.plane_result import RetunedPlane, detach_pixels

if TYPE_CHECKING:
    from napari_nuclei_unet.segmentation.segment import Prediction

# Squares of this edge, at so many places along each axis, tell an image from another.
SAMPLE_SQUARE_EDGE, SAMPLES_PER_AXIS = 64, 4


@dataclass(frozen=True)
class SegmentRequest:
    """What the form says, when Segment is clicked."""

    source: ImageSource
    model: str
    device: str
    params: SegmentParams
    threads_free: int


@dataclass(frozen=True, eq=False)
class PlaneTaskOutput:
    """What the thread returns.

    Attributes
    ----------
    prediction : Prediction
    retuned : Answer or None
        None: the run was stopped before all was finished.
    checksum : int
        Checksum of the plane's pixels.
    """

    prediction: Prediction
    retuned: RetunedPlane | None
    checksum: int


class PlaneTask:
    """What is known of the run under way.

    Attributes
    ----------
    whole : bool
        Whether what it has finished is whole, so that nobody is asked what shall become of it.
    """

    whole = False

    def __init__(self, request: SegmentRequest) -> None:
        self.request = request
        self.started = self.tiles_from = time.monotonic()
        self.warnings: set[str] = set()
        self.is_stopping = False
        self.seconds = 0.0

    def begin(self) -> None:
        """Work from now on."""
        self.started = time.monotonic()

    def end(self) -> None:
        """Work no more; ``seconds`` is what it took, without what questions took."""
        self.seconds += time.monotonic() - self.started

    def add_warning(self, notice: str) -> bool:
        """Take note of a notice; whether it is to be shown."""
        self.warnings.add(notice)
        return True

    def remaining_time(self, step: Step) -> str:
        """Say how much time is left, if it goes on as it has since ``tiles_from``."""
        left = (time.monotonic() - self.tiles_from) / step.done * (step.total - step.done)
        return f"{left:.0f} s left" if left < 120 else f"{left / 60:.0f} min left"

    def status(self, step: Step) -> str:
        """Say how far it is."""
        if self.is_stopping:
            return "Stopping …"
        if step.done == step.total:
            return "Separating nuclei …"
        if step.done == 0:  # the network is loaded, or tiles start again with less memory
            self.tiles_from = time.monotonic()
            return f"Tile 1 of {step.total}"
        return f"Tile {step.done} of {step.total} · {self.remaining_time(step)}"


def plane_task_steps(request: SegmentRequest) -> Generator[Step, Stop, PlaneTaskOutput]:
    """Run in the thread; torch is imported here, not when the widget opens."""
    from napari_nuclei_unet.models.model import load_model
    from napari_nuclei_unet.segmentation.segment import predict_plane_steps

    reserve_threads(request.threads_free)
    source = request.source
    try:
        plane = source.plane_index_at_level.read(source.pixels)
        content = array_crc32(plane)
    except Exception as error:  # whatever lies behind a lazy layer: a file, a server, a graph
        raise UserError(f"The image could not be read: {error}") from error
    prediction = yield from predict_plane_steps(
        plane, load_model(request.model), request.params, request.device, source.region_at_level
    )
    prediction.record.update(describe_origin(request, source, find_source_file(source, content)))
    finished = PlaneTaskOutput(detach_pixels(prediction, source), None, content)
    if prediction.record["stopped"]:
        return finished
    return (yield from separate_nuclei_steps(request, finished, plane))


def separate_nuclei_steps(
    request: SegmentRequest, finished: PlaneTaskOutput, plane: NDArray[Any] | None = None
) -> Generator[Step, Stop, PlaneTaskOutput]:
    """Run in the thread: find nuclei in what the network said; ``plane`` is what it saw."""
    from napari_nuclei_unet.segmentation.segment import retune

    yield Step(1, 1)
    made = retune(finished.prediction, request.params)
    return dataclasses.replace(finished, retuned=RetunedPlane.of(made, request.source, plane))


def describe_origin(
    request: SegmentRequest, source: ImageSource, file: str | None
) -> dict[str, Any]:
    """Say in the record which model file, image and plane it was, for ``repeating``."""
    from napari_nuclei_unet.models.model import shipped_models
    from napari_nuclei_unet.provenance.reproduce import describe_source

    made = describe_source(
        source.plane_index_at_level,
        source.axes,
        file,
        source.level,
        np.dtype(source.pixels.dtype),
        (source.shape, source.shape_at_level),
    )
    free = [axis for axis, name in enumerate(source.axes) if name not in "CYX"]
    lengths = [
        [int(one.shape[axis]) for axis in free] for one in (source.full_resolution, source.pixels)
    ]
    extra = {
        "layer": source.image.name,
        "multiscale": bool(source.image.multiscale),
        # of the axes of "planes"; where a level has fewer, its planes count otherwise
        "lengths": lengths[0] if lengths[0] == lengths[1] else None,
    }
    own = request.model in shipped_models()
    region = source.region
    return {
        "model_file": None if own else request.model,
        "source": made | extra,
        "region": None if region is None else [list(map(list, one)) for one in region.polygons],
    }


def find_source_file(source: ImageSource, content: int) -> str | None:
    """Give the file that holds the image, if our reader gets the same plane from it."""
    path = source.path
    return str(path.resolve()) if path is not None and _holds_plane(path, source, content) else None


def _holds_plane(path: Path, source: ImageSource, content: int) -> bool:
    """Whether our reader gets the same plane from a file: others may order its axes differently."""
    from napari_nuclei_unet.io.images import read_image, read_shape

    if read_shape(path, source.level) != tuple(source.pixels.shape):
        return False
    try:
        return (
            array_crc32(source.plane_index_at_level.read(read_image(path, source.level))) == content
        )
    except UserError:
        return False


def find_sampled_file(source: ImageSource) -> str | None:
    """Give the file that holds the image, if our reader finds the same few squares in it."""
    from napari_nuclei_unet.io.lazy_images import open_lazily

    if (path := source.path) is None:
        return None
    try:
        pixels = open_lazily(path).pixels
        same = pixels.shape == tuple(source.full_resolution.shape)
        there = dataclasses.replace(source, data=[pixels] if source.image.multiscale else pixels)
        same = same and sample_checksum(there) == sample_checksum(source)
    except (UserError, OSError):
        return None
    return str(path.resolve()) if same else None


def sample_checksum(source: ImageSource) -> int:
    """Checksum of a few squares of a plane: an image that has changed is another."""
    pixels, made = PlaneView(source.pixels, source.plane_index), 0
    rows, columns = (
        [
            int(at * max(edge - SAMPLE_SQUARE_EDGE, 0) / (SAMPLES_PER_AXIS - 1))
            for at in range(SAMPLES_PER_AXIS)
        ]
        for edge in source.shape
    )
    for top in rows:
        for left in columns:
            try:
                square = pixels[top : top + SAMPLE_SQUARE_EDGE, left : left + SAMPLE_SQUARE_EDGE]
            except UserError:  # a block that cannot be read is told later
                continue
            made = zlib.crc32(np.ascontiguousarray(square).tobytes(), made)
    return made


def summarize_plane(answer: RetunedPlane, source: ImageSource, seconds: float | None) -> str:
    """Say in words what was found.

    Parameters
    ----------
    answer : Answer
    source : Source
    seconds : float or None
        None: it was only tuned.
    """
    record = answer.result.record
    parts = summarize_areas(answer.areas, source)
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


def summarize_areas(areas: NDArray[np.integer], source: ImageSource) -> list[str]:
    """Say how many nuclei there are, and how large."""
    count = len(areas)
    parts = ["1 nucleus" if count == 1 else f"{count:,} nuclei"]
    return parts + (
        [f"median area {_format_area(float(np.median(areas)), source)}"] if count else []
    )


def _format_area(pixels: float, source: ImageSource) -> str:
    """Area in the layer's units, or in pixels where it has none or several."""
    axes = list(plane_axes(source.plane_index))
    units = [source.image.units[axis] for axis in axes]
    unit, size = "px", 1.0
    if units[0] == units[1] and str(units[0]) != "pixel":
        _, linear = pixel_to_world(source.image)
        unit, size = f"{units[0]:~P}", abs(float(np.linalg.det(linear[np.ix_(axes, axes)])))
    value = pixels * size
    return f"{value:,.0f} {unit}²" if value >= 100 else f"{value:.3g} {unit}²"
