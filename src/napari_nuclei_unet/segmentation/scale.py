"""At which zoom the network sees a plane: nuclei should be about as large as it learnt them."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ..arrays.boxes import (
    Box,
    bounding_box,
    box_shape,
    enlarged,
    expand_box,
    full_box,
    intersect_boxes,
    scale_box,
)
from ..arrays.quantization import dequantize_unit, quantize_unit
from ..arrays.resampling import ZoomedView, as_fraction, resample_to_plane, resize_channels
from ..arrays.tiling import MappedView
from ..labels.diameter import equivalent_diameters, estimate_diameter
from ..memory import available_memory, is_out_of_memory
from ..models.model import Model
from ..progress import Step, Stop, forward_stop
from .device import InferencePlan
from .foreground import ForegroundCells
from .kernel_choice import KERNELS
from .network_form import network_form
from .normalization import Plane
from .predict import (
    WHOLE_PLANE,
    KnownMaps,
    MapsRequest,
    OutOfMemoryError,
    PredictedMaps,
    count_kept_maps,
    predict_maps_steps,
)
from .probe import Probe, find_probe
from .size_band import SizeBand, is_measured
from .watershed import SeparationParams, separate_nuclei

# So much around what is wanted of a plane is predicted with it, in pixels that the network sees:
# more than two typical nuclei, so that those inside are found as in the whole plane.
BOX_CONTEXT = 64
# Looks at the probe: as it is, then once or twice with what the look before has found.
MAX_PROBE_PREDICTIONS = 3
# Zoom of a second look at a probe in which nothing was found: very large nuclei may be there.
LARGE_NUCLEI_ZOOM = 0.25
# Maps in 16 bits, and one of them in float32, when they are resampled; measured, with copies.
ENLARGED_BYTES_PER_PIXEL = 12
NO_MEMORY_TO_ENLARGE = (
    "There is not enough memory to enlarge the image; small nuclei may be missed."
)


def context_width(zoom: float) -> int:
    """Return how far around a box maps are predicted with it, in pixels of the plane."""
    return round(BOX_CONTEXT / zoom)


def predict_zoomed_maps_steps(
    plane: Plane,
    model: Model,
    diameter: float | None,
    plan: InferencePlan,
    notices: list[str],
    box: Box | None = None,
) -> Generator[Step, Stop, tuple[PredictedMaps, float, float | None]]:
    """Predict the maps of a plane at the zoom that suits its nuclei.

    Parameters
    ----------
    plane : Plane
    model : Model
    diameter : float or None
        Of a typical nucleus in pixels; None: it is measured.
    plan : InferencePlan
    notices : list of str
    box : (slice, slice), optional
        Part of the plane that is needed; it is predicted with its context. The zoom suits the
        whole plane all the same, so that its parts are seen as the whole would be.

    Yields
    ------
    Step

    Returns
    -------
    maps : PredictedMaps
        In pixels of the plane.
    zoom : float
        At which the network saw the plane.
    diameter : float or None
        As given, or as measured; None where nothing was found.
    """
    KERNELS.expect(math.prod(plane.shape))
    known = None
    zoom = 1.0
    if model.card.sizes and diameter is not None:
        zoom = SizeBand.of(model.card, plane.shape).suit(plane).choose_zoom(diameter)
    elif is_measured(model.card, plane.shape):
        probe = find_probe(plane)
        band = SizeBand.of(model.card, plane.shape).suit(plane)
        looking = look_at_size_steps(probe, band, model, plan, notices)
        if probe.is_whole:
            return (yield from looking)
        seen, zoom, diameter = yield from forward_stop(looking, _without_progress)
        if seen.finished is not None:
            return create_empty_maps(plane, model, seen.plan, stopped=True), zoom, diameter
        if zoom == 1 and box is None:
            known = KnownMaps(probe.box, seen.quantized)
    request = MapsRequest(box, known=known, has_foreground=ForegroundCells(plane).has_foreground)
    maps = yield from _predict_at_zoom_steps(plane, model, zoom, plan, notices, request)
    return maps, zoom, diameter


def create_empty_maps(
    plane: Plane, model: Model, plan: InferencePlan, stopped: bool = False
) -> PredictedMaps:
    """Create maps of a plane without nuclei, or whose run was stopped before it began."""
    kept = count_kept_maps(model.network.config.out_channels)
    finished = np.zeros(plane.shape, bool) if stopped else None
    return PredictedMaps(np.zeros((kept, *plane.shape), np.uint16), plan, finished)


def _without_progress(step: Step) -> Step:
    """Show a step as one that has not done anything yet of the work that is counted."""
    return replace(step, done=0)


def look_at_size_steps(
    probe: Probe,
    band: SizeBand,
    model: Model,
    plan: InferencePlan,
    notices: list[str],
    by_pixel: bool = False,
) -> Generator[Step, Stop, tuple[PredictedMaps, float, float | None]]:
    """Find the zoom for a plane, and measure its nuclei, by looking at a probe of it.

    Parameters
    ----------
    probe : Probe
    band : SizeBand
    model, plan, notices
        As in :func:`predict_zoomed_maps_steps`, which returns the same of the whole plane.
    by_pixel : bool, optional
        As in ``diameter.estimate_diameter``.

    Returns
    -------
    maps : PredictedMaps
        Of the probe; at a zoom of 1 those that the whole plane has there.
    zoom, diameter
        As of :func:`predict_zoomed_maps_steps`.
    """
    maps = yield from _look_steps(probe, model, 1.0, plan, notices)
    diameter = measure_map_diameter(maps, model, 1.0, by_pixel)
    if maps.finished is not None:
        return maps, 1.0, diameter
    if diameter is None:
        far = yield from _look_steps(probe, model, LARGE_NUCLEI_ZOOM, maps.plan, notices)
        diameter = measure_map_diameter(far, model, LARGE_NUCLEI_ZOOM, by_pixel)
        if diameter is None or band.choose_zoom(diameter) >= 1:
            return maps, 1.0, None
    zoom = 1.0
    for _ in range(MAX_PROBE_PREDICTIONS - 1):
        wanted = band.choose_zoom(diameter)
        if wanted == zoom or band.holds(diameter * zoom):
            break
        try:
            maps = yield from _look_steps(probe, model, wanted, maps.plan, notices)
        except OutOfMemoryError:
            notices.append(NO_MEMORY_TO_ENLARGE)
            yield Step(0, 1, NO_MEMORY_TO_ENLARGE)
            break
        zoom, diameter = wanted, measure_map_diameter(maps, model, wanted, by_pixel) or diameter
        if maps.finished is not None:
            break
    return replace(maps, size=None), zoom, diameter


def _look_steps(
    probe: Probe, model: Model, zoom: float, plan: InferencePlan, notices: list[str]
) -> Generator[Step, Stop, PredictedMaps]:
    """Predict the maps of a probe, with size, at a zoom; the maps are in its pixels."""
    if zoom == 1:
        request = MapsRequest(probe.box, is_window=True, with_size=True)
        network = network_form(model, plan.precision)
        return (yield from predict_maps_steps(probe.plane, network, plan, notices, request))
    request = MapsRequest(with_size=True)
    part = probe.cut_out()
    return (yield from _predict_at_zoom_steps(part, model, zoom, plan, notices, request))


def measure_map_diameter(
    seen: PredictedMaps, model: Model, zoom: float, by_pixel: bool
) -> float | None:
    """Measure the typical diameter in pixels of the plane, in maps predicted at a zoom."""
    if seen.size is not None:
        diameter = estimate_diameter(seen.quantized[0], seen.size, by_pixel)
        return None if diameter is None else diameter / zoom
    params = SeparationParams(**model.card.thresholds)
    # the smallest area as it is: specks that are no nucleus at any zoom say nothing
    found = separate_nuclei(seen.quantized, replace(params, smoothing=params.smoothing / zoom))
    return float(np.median(equivalent_diameters(found)[1:])) if found.any() else None


def _predict_at_zoom_steps(
    plane: Plane,
    model: Model,
    zoom: float,
    plan: InferencePlan,
    notices: list[str],
    request: MapsRequest = WHOLE_PLANE,
) -> Generator[Step, Stop, PredictedMaps]:
    """Predict at a zoom; the maps, and the box of the request, are in pixels of the plane."""
    box = request.box
    if box is not None:
        box = expand_box(box, context_width(zoom), plane.shape)
    network = network_form(model, plan.precision)
    if zoom == 1:
        request = replace(request, box=box)
        return (yield from predict_maps_steps(plane, network, plan, notices, request))
    fraction = as_fraction(zoom)  # as planes that are seen block by block must have it
    try:
        zoomed = view_at_zoom(plane, fraction)
        if box is None and ENLARGED_BYTES_PER_PIXEL * math.prod(zoomed.shape) > available_memory():
            raise MemoryError
        place = None if box is None else _zoomed_box(box, plane.shape, zoomed.shape)
        request = replace(request, box=place, has_foreground=_in_plane(request, fraction, plane))
        maps = yield from predict_maps_steps(zoomed, network, plan, notices, request)
        if maps.finished is not None:
            return _restore_finished_part(maps, maps.finished, plane.shape)
        return _resample_maps(maps, fraction, plane.shape)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(
            "There is not enough memory to enlarge the image; crop it, or give a diameter."
        ) from error


def _in_plane(request: MapsRequest, zoom: Fraction, plane: Plane) -> Callable[[Box], bool] | None:
    """Return what asks for the foreground of a zoomed plane, by boxes of it."""
    asked = request.has_foreground
    if asked is None:
        return None
    whole = full_box(plane.shape)
    return lambda box: asked(intersect_boxes(scale_box(box, (1 / zoom, 1 / zoom)), whole))


def view_at_zoom(plane: Plane, zoom: Fraction) -> Plane:
    """Return a plane at the zoom at which the network sees it; it is resized when it is read."""
    normalized = MappedView(lambda part: plane.normalized(plane.pixels[part]), plane.pixels.shape)
    return Plane(ZoomedView(normalized, zoom), 0.0, 0.5, 1.0)


def _resample_maps(seen: PredictedMaps, zoom: Fraction, shape: tuple[int, int]) -> PredictedMaps:
    """Resample the maps of a zoomed plane to the pixels of the plane."""
    size = None if seen.size is None else resample_to_plane(seen.size[None], zoom, shape)[0]
    return PredictedMaps(resample_to_plane(seen.quantized, zoom, shape), seen.plan, None, size)


def _restore_finished_part(
    seen: PredictedMaps, finished: NDArray[np.bool_], shape: tuple[int, int]
) -> PredictedMaps:
    """Resample what a stopped run has finished to the pixels of the plane, and only that."""
    maps = np.zeros((len(seen.quantized), *shape), np.uint16)
    known = np.zeros(shape, bool)
    if finished.any():
        source = bounding_box(finished)
        rows, columns = (
            slice(round(part.start * new / old), max(round(part.stop * new / old), 1))
            for part, new, old in zip(source, shape, finished.shape, strict=True)
        )
        size = box_shape((rows, columns))
        part = dequantize_unit(seen.quantized[:, *source])
        maps[:, rows, columns] = quantize_unit(resize_channels(part, size))
        known[rows, columns] = enlarged(finished[source], size)
    return PredictedMaps(maps, seen.plan, known)


def _zoomed_box(box: Box, shape: tuple[int, int], zoomed: tuple[int, int]) -> Box:
    """Return the box of the zoomed plane that holds all that resizing a box of the plane needs."""
    ratios = [new / old for old, new in zip(shape, zoomed, strict=True)]
    return expand_box(scale_box(box, ratios), 2, zoomed)
