"""One run of the network on a plane: the input of the thread, and its output."""

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

from ...arrays.axes import PlaneView
from ...errors import UserError, convert_read_errors
from ...models.model import load_model, shipped_models
from ...params import SegmentParams
from ...progress import Step, Stop
from ...provenance.record import Provenance, SourceImage
from ..common.job import reserve_threads
from ..layers.checksum import array_crc32
from ..layers.geometry import pixel_to_world
from ..layers.image_source import ImageSource, plane_axes
from ..session.plane_result import RetunedPlane, detach_pixels

if TYPE_CHECKING:
    from ...segmentation.segment import Prediction

# Squares of this edge, at so many places along each axis, identify an image.
SAMPLE_SQUARE_EDGE, SAMPLES_PER_AXIS = 64, 4


@dataclass(frozen=True)
class SegmentRequest:
    """Values of the form when Segment is clicked."""

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
    retuned : RetunedPlane or None
        None: the run was stopped before it was finished.
    checksum : int
        Checksum of the plane's pixels.
    """

    prediction: Prediction
    retuned: RetunedPlane | None
    checksum: int


class PlaneTask:
    """State of a run.

    Attributes
    ----------
    whole : bool
        Whether finished planes are complete, so that the user is not asked to keep them.
    """

    whole = False

    def __init__(self, request: SegmentRequest) -> None:
        self.request = request
        self.started = self.tiles_from = time.monotonic()
        self.warnings: set[str] = set()
        self.is_stopping = False
        self.seconds = 0.0

    def begin(self) -> None:
        """Start the clock."""
        self.started = time.monotonic()

    def end(self) -> None:
        """Stop the clock; ``seconds`` is the time of the run, without waiting for the user."""
        self.seconds += time.monotonic() - self.started

    def add_warning(self, notice: str) -> bool:
        """Record a warning; return whether to show it."""
        self.warnings.add(notice)
        return True

    def with_remaining_time(self, message: str, step: Step, begins: bool) -> str:
        """Add the remaining time, from the speed since the last step that ``begins``."""
        if begins:
            self.tiles_from = time.monotonic()
            return message
        seconds = (time.monotonic() - self.tiles_from) / step.done * (step.total - step.done)
        left = f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
        return f"{message} · {left} left"

    def status(self, step: Any) -> str:
        """Return the text that describes the progress."""
        return "Stopping …" if self.is_stopping else self._progress(step)

    def _progress(self, step: Any) -> str:
        if step.done == step.total:
            return "Separating nuclei …"
        begins = step.done == 0  # the network is loading, or tiles restart with less memory
        message = f"Tile {max(step.done, 1)} of {step.total}"
        return self.with_remaining_time(message, step, begins)


def plane_task_steps(request: SegmentRequest) -> Generator[Step, Stop, PlaneTaskOutput]:
    """Segment a plane; runs in the thread."""
    # torch, and readers of files, are imported when they are needed: napari starts faster
    from ...segmentation.segment import predict_plane_steps, with_provenance

    started = time.perf_counter()
    reserve_threads(request.threads_free)
    source = request.source
    with convert_read_errors("The image"):
        plane = source.plane_index_at_level.read(source.pixels)
        crc = array_crc32(plane)
    prediction = yield from predict_plane_steps(
        plane, load_model(request.model), request.params, request.device, source.region_at_level
    )
    origin = describe_origin(request, source, find_source_file(source, crc))
    prediction = with_provenance(prediction, seconds=_seconds_since(started), **origin)
    output = PlaneTaskOutput(detach_pixels(prediction, source), None, crc)
    if prediction.provenance.stopped:
        return output
    return (yield from separate_nuclei_steps(request, output, plane))


def separate_nuclei_steps(
    request: SegmentRequest, output: PlaneTaskOutput, plane: NDArray[Any] | None = None
) -> Generator[Step, Stop, PlaneTaskOutput]:
    """Separate the nuclei of a prediction of the pixels ``plane``; runs in the thread."""
    from ...segmentation.segment import retune, with_provenance

    yield Step(1, 1)
    started = time.perf_counter() - (output.prediction.provenance.seconds or 0)
    segmentation = retune(output.prediction, request.params)
    segmentation = with_provenance(segmentation, seconds=_seconds_since(started))
    return dataclasses.replace(output, retuned=RetunedPlane.of(segmentation, request.source, plane))


def _seconds_since(started: float) -> float:
    return round(time.perf_counter() - started, 3)


def describe_origin(
    request: SegmentRequest, source: ImageSource, file: str | None
) -> dict[str, Any]:
    """Return the part of the provenance that identifies model file, image and plane."""
    axes = [axis for axis, name in enumerate(source.axes) if name not in "CYX"]
    lengths = [
        tuple(int(array.shape[axis]) for axis in axes)
        for array in (source.full_resolution, source.pixels)
    ]
    described = SourceImage.of(
        source.plane_index_at_level,
        source.axes,
        np.dtype(source.pixels.dtype),
        source.shape,
        level_size=source.shape_at_level,
        level=source.level,
        path=file,
        layer=source.image.name,
        multiscale=bool(source.image.multiscale),
        # None where the level has fewer planes, numbered otherwise
        lengths=lengths[0] if lengths[0] == lengths[1] else None,
    )
    return {
        "model_file": None if request.model in shipped_models() else request.model,
        "source": described,
        "region": None if source.region is None else source.region.polygons,
    }


def find_source_file(source: ImageSource, crc: int) -> str | None:
    """Find the file of the image, if our reader reads the same plane from it."""
    path = source.path
    return str(path.resolve()) if path is not None and _holds_plane(path, source, crc) else None


def _holds_plane(path: Path, source: ImageSource, crc: int) -> bool:
    """Return whether our reader reads the same plane: other readers may reorder the axes."""
    from ...io.images import read_image, read_shape

    if read_shape(path, source.level) != tuple(source.pixels.shape):
        return False
    try:
        return array_crc32(source.plane_index_at_level.read(read_image(path, source.level))) == crc
    except UserError:
        return False


def find_sampled_file(source: ImageSource) -> str | None:
    """Find the file of the image, if our reader reads the same few squares from it."""
    from ...io.lazy_images import open_lazily

    if (path := source.path) is None:
        return None
    try:
        pixels = open_lazily(path).pixels
        same = pixels.shape == tuple(source.full_resolution.shape)
        stored = dataclasses.replace(source, data=[pixels] if source.image.multiscale else pixels)
        same = same and sample_checksum(stored) == sample_checksum(source)
    except (UserError, OSError):
        return None
    return str(path.resolve()) if same else None


def sample_checksum(source: ImageSource) -> int:
    """Compute a checksum of a few squares of a plane, which detects a changed image."""
    pixels, checksum = PlaneView(source.pixels, source.plane_index), 0
    rows, columns = (
        [
            int(number * max(edge - SAMPLE_SQUARE_EDGE, 0) / (SAMPLES_PER_AXIS - 1))
            for number in range(SAMPLES_PER_AXIS)
        ]
        for edge in source.shape
    )
    for top in rows:
        for left in columns:
            try:
                square = pixels[top : top + SAMPLE_SQUARE_EDGE, left : left + SAMPLE_SQUARE_EDGE]
            except UserError:  # a block that cannot be read is reported later
                continue
            checksum = zlib.crc32(np.ascontiguousarray(square).tobytes(), checksum)
    return checksum


def summarize_plane(retuned: RetunedPlane, source: ImageSource, seconds: float | None) -> str:
    """Summarize the nuclei of a plane in words.

    Parameters
    ----------
    retuned : RetunedPlane
    source : ImageSource
    seconds : float or None
        None: the plane was only retuned.
    """
    provenance = retuned.result.provenance
    parts = summarize_areas(retuned.areas, source)
    if provenance.stopped:
        parts[0] += " in the part that was finished"
    elif retuned.inside is not None:
        parts[0] += " in the region"
    if provenance.zoom != 1:
        parts.append(f"network zoom {provenance.zoom:.2g}")
    if seconds is not None:
        parts.append(format_speed(seconds, provenance))
    return " · ".join(parts)


def format_speed(seconds: float, provenance: Provenance) -> str:
    """Format how long a run took, and on what."""
    ran = provenance.ran_on
    return f"{seconds:.1f} s" + (f" on {ran.device.upper()}, {ran.precision}" if ran else "")


def summarize_areas(areas: NDArray[np.integer], source: ImageSource) -> list[str]:
    """Summarize the number of nuclei and their median area."""
    count = len(areas)
    parts = ["1 nucleus" if count == 1 else f"{count:,} nuclei"]
    return parts + (
        [f"median area {_format_area(float(np.median(areas)), source)}"] if count else []
    )


def _format_area(pixels: float, source: ImageSource) -> str:
    """Format an area in the layer's units, or in pixels where it has none or several."""
    axes = list(plane_axes(source.plane_index))
    units = [source.image.units[axis] for axis in axes]
    unit, size = "px", 1.0
    if units[0] == units[1] and str(units[0]) != "pixel":
        _, linear = pixel_to_world(source.image)
        unit, size = f"{units[0]:~P}", abs(float(np.linalg.det(linear[np.ix_(axes, axes)])))
    value = pixels * size
    return f"{value:,.0f} {unit}²" if value >= 100 else f"{value:.3g} {unit}²"
