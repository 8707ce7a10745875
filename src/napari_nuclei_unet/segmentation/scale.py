"""At which zoom the network sees a plane: nuclei should be about as large as it learnt them."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from napari_nuclei_unet.arrays.boxes import Box, bounding_box, enlarged, expand_box
from napari_nuclei_unet.arrays.resampling import ZoomedView, as_fraction, resample_to_plane
from napari_nuclei_unet.labels.diameter import equivalent_diameters, estimate_diameter
from napari_nuclei_unet.models.model import Model, ModelCard
from napari_nuclei_unet.progress import Step, Stop, forward_stop
from napari_nuclei_unet.segmentation.device import Plan, is_out_of_memory
from napari_nuclei_unet.segmentation.normalization import Plane
from napari_nuclei_unet.segmentation.predict import Maps, OutOfMemoryError, predict_steps
from napari_nuclei_unet.segmentation.watershed import SMOOTHING, separate

# Of a larger plane only the liveliest square of this edge, in pixels, is measured.
PROBE = 1024
# So much around what is wanted of a plane is predicted with it, in pixels that the network sees:
# more than two typical nuclei, so that those inside are found as in the whole plane.
CONTEXT = 64
# Looks at the probe: as it is, then once or twice with what the look before has found.
LOOKS = 3
# Zoom of a second look at a probe in which nothing was found: very large nuclei may be there.
FAR_LOOK = 0.25
LEAST_ZOOM, MOST_ZOOM = 1 / 16, 3.0
# An enlarged plane has at most so many pixels, or its maps would not fit into memory.
MOST_PIXELS = 64e6
NO_MEMORY_TO_ZOOM = "There is not enough memory to enlarge the image; small nuclei may be missed."


def zoom_for(diameter: float, card: ModelCard, shape: tuple[int, ...]) -> float:
    """Zoom at which a model should see a plane; 1 where it takes the nuclei as they are.

    Parameters
    ----------
    diameter : float
        Of a typical nucleus in pixels of the plane.
    card : ModelCard
    shape : (int, int)
        Height and width of the plane in pixels.

    Returns
    -------
    float
        Pixels that the network sees for a pixel of the plane, along each axis.
    """
    smallest, largest = card.sizes
    if smallest <= diameter <= largest:
        return 1.0
    most = max(1.0, min(MOST_ZOOM, math.sqrt(MOST_PIXELS / math.prod(shape))))
    ideal = card.ideal or math.sqrt(smallest * largest)
    return float(as_fraction(min(max(ideal / diameter, LEAST_ZOOM), most)))


def context(zoom: float) -> int:
    """How far around a box maps are predicted with it, in pixels of the plane."""
    return round(CONTEXT / zoom)


def predict_fitting(
    plane: Plane,
    model: Model,
    diameter: float | None,
    how: Plan,
    notices: list[str],
    box: Box | None = None,
) -> Generator[Step, Stop, tuple[Maps, float, float | None]]:
    """Predict the maps of a plane at the zoom that suits its nuclei.

    Parameters
    ----------
    plane : Plane
    model : Model
    diameter : float or None
        Of a typical nucleus in pixels; None: it is measured.
    how : Plan
    notices : list of str
    box : (slice, slice), optional
        Part of the plane that is needed; it is predicted with its context. The zoom suits the
        whole plane all the same, so that its parts are seen as the whole would be.

    Yields
    ------
    Step

    Returns
    -------
    maps : Maps
        In pixels of the plane.
    zoom : float
        At which the network saw the plane.
    diameter : float or None
        As given, or as measured; None where nothing was found.
    """
    if not model.card.sizes:
        return (yield from _predict(plane, model, 1.0, how, notices, box)), 1.0, diameter
    if diameter is not None:
        zoom = zoom_for(diameter, model.card, plane.shape)
    else:
        probe = _probe(plane)
        looking = look(probe, plane.shape, model, how, notices)
        if probe is plane:
            return (yield from looking)
        seen, zoom, diameter = yield from forward_stop(looking, _before_work)
        if seen.finished is not None:
            return _nothing(plane, seen), zoom, diameter
    return (yield from _predict(plane, model, zoom, how, notices, box)), zoom, diameter


def _nothing(plane: Plane, seen: Maps) -> Maps:
    """Make maps of a plane whose run was stopped before it began."""
    values = np.zeros((len(seen.values), *plane.shape), np.float32)
    return Maps(values, seen.plan, np.zeros(plane.shape, bool))


def _before_work(step: Step) -> Step:
    """Show a step as one that has not done anything yet of the work that is counted."""
    return replace(step, done=0)


def look(
    probe: Plane, shape: tuple[int, ...], model: Model, how: Plan, notices: list[str]
) -> Generator[Step, Stop, tuple[Maps, float, float | None]]:
    """Find the zoom for a plane, and measure its nuclei, by looking at a probe of it.

    Parameters
    ----------
    probe : Plane
    shape : (int, int)
        Of what will be enlarged at once.
    model, how, notices
        As in :func:`predict_fitting`.

    Yields
    ------
    Step

    Returns
    -------
    maps : Maps
        Of the probe, at that zoom.
    zoom : float
    diameter : float or None
        In pixels of the plane; None where nothing was found.
    """
    maps = yield from _predict(probe, model, 1.0, how, notices)
    diameter = _measured(maps, model, 1.0)
    if maps.finished is not None:
        return maps, 1.0, diameter
    if diameter is None:
        far = yield from _predict(probe, model, FAR_LOOK, maps.plan, notices)
        diameter = _measured(far, model, FAR_LOOK)
        if diameter is None or zoom_for(diameter, model.card, shape) >= 1:
            return maps, 1.0, None
    zoom = 1.0
    for _ in range(LOOKS - 1):
        wanted = zoom_for(diameter, model.card, shape)
        seen = diameter * zoom
        if wanted == zoom or model.card.sizes[0] <= seen <= model.card.sizes[1]:
            break
        try:
            maps = yield from _predict(probe, model, wanted, maps.plan, notices)
        except OutOfMemoryError:
            notices.append(NO_MEMORY_TO_ZOOM)
            yield Step(0, 1, NO_MEMORY_TO_ZOOM)
            break
        zoom, diameter = wanted, _measured(maps, model, wanted) or diameter
        if maps.finished is not None:
            break
    return maps, zoom, diameter


def _measured(seen: Maps, model: Model, zoom: float) -> float | None:
    """Typical diameter in pixels of the plane, from maps that were predicted at a zoom."""
    maps = seen.values
    if len(maps) > 3:
        diameter = estimate_diameter(maps[0], maps[3])
        return None if diameter is None else diameter / zoom
    # the smallest area as it is: specks that are no nucleus at any zoom say nothing
    found = separate(maps, **model.card.thresholds, smoothing=SMOOTHING / zoom)
    return float(np.median(equivalent_diameters(found)[1:])) if found.any() else None


def _probe(plane: Plane) -> Plane:
    """Cut out where brightness varies most; a small plane is its own probe."""
    height, width = plane.shape
    if height * width <= PROBE**2:
        return plane
    parts = [plane.pixels[y : y + PROBE, x : x + PROBE] for y, x in corners(plane.shape)]
    best = int(np.argmax([liveliness(part) for part in parts]))
    return replace(plane, pixels=parts[best], invalid=None)


def corners(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """First pixels of the squares of a plane of which the liveliest is measured."""
    return [
        (top, left)
        for top in range(0, max(shape[0] - PROBE // 2, 1), PROBE)
        for left in range(0, max(shape[1] - PROBE // 2, 1), PROBE)
    ]


def liveliness(part: NDArray[np.generic]) -> float:
    """Say how much brightness varies: its standard deviation in every eighth pixel."""
    seen = part[::8, ::8].astype(np.float64)
    return float(np.where(np.isfinite(seen), seen, 0).std())


def _predict(
    plane: Plane,
    model: Model,
    zoom: float,
    how: Plan,
    notices: list[str],
    box: Box | None = None,
) -> Generator[Step, Stop, Maps]:
    """Predict at a zoom; the maps are in pixels of the plane."""
    if box is not None:
        box = expand_box(box, context(zoom), plane.shape)
    if zoom == 1:
        return (yield from predict_steps(plane, model.network, how, notices, box))
    fraction = as_fraction(zoom)  # as planes that are seen block by block must have it
    try:
        pixels = ZoomedView(plane.normalized(), fraction)
        height, width = pixels.shape[:2]
        zoomed = Plane(pixels[slice(0, height), slice(0, width)], 0.0, 0.5, 1.0)
        place = None if box is None else _zoomed_box(box, plane.shape, zoomed.shape)
        maps = yield from predict_steps(zoomed, model.network, how, notices, place)
        if maps.finished is not None:
            return _part(maps, maps.finished, plane.shape)
        return Maps(resample_to_plane(maps.values, fraction, plane.shape), maps.plan)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(
            "There is not enough memory to enlarge the image; crop it, or give a diameter."
        ) from error


def _part(seen: Maps, finished: NDArray[np.bool_], shape: tuple[int, int]) -> Maps:
    """Bring what a stopped run has finished to the pixels of the plane, and only that: at once."""
    values = np.zeros((len(seen.values), *shape), np.float32)
    known = np.zeros(shape, bool)
    if finished.any():
        source = bounding_box(finished)
        place = tuple(
            slice(round(part.start * new / old), max(round(part.stop * new / old), 1))
            for part, new, old in zip(source, shape, finished.shape, strict=True)
        )
        size = tuple(part.stop - part.start for part in place)
        values[:, *place] = _resized(seen.values[:, *source], size)
        known[place] = enlarged(finished[source], size)
    return Maps(values, seen.plan, known)


def _zoomed_box(box: Box, shape: tuple[int, int], zoomed: tuple[int, int]) -> Box:
    """Box of the zoomed plane that holds all that resizing needs for a box of the plane."""
    spans = []
    for part, old, new in zip(box, shape, zoomed, strict=True):
        ratio = new / old
        spans.append(slice(math.floor(part.start * ratio), math.ceil(part.stop * ratio)))
    return expand_box((spans[0], spans[1]), 2, zoomed)


def _resized(channels: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Resize (C, Y, X) by linear interpolation, over a wider window where it shrinks."""
    source = torch.from_numpy(np.ascontiguousarray(channels))[None]
    made = F.interpolate(source, shape, mode="bilinear", antialias=True, align_corners=False)
    return made[0].numpy()
