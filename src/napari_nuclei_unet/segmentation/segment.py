"""Segmenting a plane: the one straight line from pixels to separated nuclei."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..arrays.boxes import bounding_box, box_shape
from ..arrays.quantization import dequantize_unit
from ..arrays.roi import Polygons, Region
from ..limits import DEFAULT_LIMITS
from ..memory import explain_out_of_memory
from ..models.model import THRESHOLD_NAMES, Model, ModelCard, load_model
from ..params import SegmentParams, with_changes
from ..progress import Step, Stop, forward_stop, run
from ..provenance.record import Provenance
from .device import plan_inference
from .intensity_range import Brightness, automatic_gamma
from .left_out import LeftOutNuclei
from .normalization import Plane, check_plane
from .plane_separation import resolve_separation, separate_inside
from .scale import context_width, create_empty_maps, predict_zoomed_maps_steps
from .watershed import smooth_distance


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the network said of one plane: all that :func:`retune` needs to find nuclei.

    Attributes
    ----------
    plane : Plane
    quantized_maps : ndarray, shape (1, Y, X) or (2, Y, X), uint16
        Nucleus, and of most models distance, in steps of 1/65535; 0 where nothing was predicted.
    inside : ndarray, shape (Y, X), bool, or None
        Where nuclei are wanted, and the run was not stopped before; None: everywhere.
    card : ModelCard
        Has the thresholds for what is not set.
    zoom : float
        At which the network saw the plane.
    provenance : Provenance
        As in :class:`Segmentation`, with the parameters as they were given.
    notices : tuple of str
    """

    plane: Plane
    quantized_maps: NDArray[np.uint16]
    inside: NDArray[np.bool_] | None
    card: ModelCard
    zoom: float
    provenance: Provenance
    notices: tuple[str, ...]

    @property
    def maps(self) -> NDArray[np.float32]:
        """The maps as float32, 0 to 1, shape (1, Y, X) or (2, Y, X), converted at every call.

        The first is the probability of nucleus, the second, which most models have, the distance.
        """
        return dequantize_unit(self.quantized_maps)

    @property
    def record(self) -> dict[str, Any]:
        """The provenance as JSON can hold it."""
        return self.provenance.to_json()


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What was found in one plane.

    Attributes
    ----------
    plane : Plane
        What was segmented.
    labels : ndarray, shape (Y, X), int32
        0 is background; nuclei are 1..n, each connected.
    quantized_maps : ndarray, shape (1, Y, X) or (2, Y, X), uint16
        As in :class:`Prediction`.
    provenance : Provenance
        What made this result, and what makes it again.
    notices : tuple of str
        Sentences for the user: what was ignored, what was not as wished.
    inside : ndarray, shape (Y, X), bool, or None
        Where labels were looked for; None: everywhere. They are 0 elsewhere.
    left_out : LeftOutNuclei or None
        What was separated with them, and is no nucleus by the parameters; None: it is not known.
    """

    plane: Plane
    labels: NDArray[np.int32]
    quantized_maps: NDArray[np.uint16]
    provenance: Provenance
    notices: tuple[str, ...]
    inside: NDArray[np.bool_] | None = None
    left_out: LeftOutNuclei | None = None

    @property
    def maps(self) -> NDArray[np.float32]:
        """The maps as float32, 0 to 1, shape (1, Y, X) or (2, Y, X), converted at every call.

        The first is the probability of nucleus, the second, which most models have, the distance.
        """
        return dequantize_unit(self.quantized_maps)

    @property
    def record(self) -> dict[str, Any]:
        """The provenance as JSON can hold it."""
        return self.provenance.to_json()

    @property
    def count(self) -> int:
        """Number of nuclei."""
        return int(self.labels.max(initial=0))


R = TypeVar("R", Prediction, Segmentation)


def segment(
    image: NDArray[np.generic],
    model: str | Path | Model = "nuclei",
    *,
    device: str = "auto",
    region: Polygons | None = None,
    **params: Any,
) -> NDArray[np.int32]:
    """Find and separate the nuclei of one image plane.

    Parameters
    ----------
    image : ndarray, shape (Y, X), (Y, X, 3) or (Y, X, 4)
        Grey, RGB or RGBA; bool, integer or floating, in any range.
    model : str, Path or Model
        Name of a shipped model, path of a ``.safetensors`` file, or what ``load_model`` gave.
    device : {"auto", "cpu", "cuda", "mps"}
        auto takes a graphics card where there is one.
    region : sequence of polygons, optional
        What is segmented: polygons of (y, x) in pixels, of which whole numbers are the centres.
        Brightness and size of nuclei are those of the whole plane; nuclei at the edge are cut.
    **params
        Fields of :class:`~napari_nuclei_unet.SegmentParams`.

    Returns
    -------
    ndarray, shape (Y, X), int32
        0 is background; nuclei are 1..n without gaps, each 4-connected.

    Raises
    ------
    UserError
        If image, model, device or a parameter cannot be used; the message says what to do.

    Warns
    -----
    UserWarning
        Where something was ignored, such as NaN or an alpha channel.

    Examples
    --------
    >>> from napari_nuclei_unet import segment
    >>> from napari_nuclei_unet.samples.images import read_sample
    >>> image, annotation = read_sample("fluorescence_small")
    >>> labels = segment(image)
    >>> labels.shape == image.shape
    True
    """
    where = None if region is None else Region.of(region)
    wanted = with_changes(SegmentParams(), params)
    with explain_out_of_memory():
        result = run(segment_steps(image, model, wanted, device, where))
    for notice in result.notices:
        warnings.warn(notice, stacklevel=2)
    return result.labels


def segment_steps(
    image: NDArray[np.generic],
    model: str | Path | Model = "nuclei",
    params: SegmentParams | None = None,
    device: str = "auto",
    region: Region | None = None,
) -> Generator[Step, Stop, Segmentation]:
    """Segment one plane piece by piece; closing the generator cancels the run.

    Parameters
    ----------
    image, model, device
        As in :func:`segment`.
    params : SegmentParams, optional
        What is None in it is taken from the model's card.
    region : Region, optional
        What is segmented; the whole plane without.

    Yields
    ------
    Step
        After each batch of tiles, and when a notice has to be given. Sent True, the run stops, and
        returns what is finished.

    Returns
    -------
    Segmentation

    Raises
    ------
    UserError
        As :func:`segment`.
    """
    started = time.perf_counter()
    params = params or SegmentParams()
    predicted = yield from predict_plane_steps(image, model, params, device, region)
    made = retune(predicted, params)
    return with_provenance(made, seconds=round(time.perf_counter() - started, 3))


def predict_plane_steps(
    image: NDArray[np.generic],
    model: str | Path | Model = "nuclei",
    params: SegmentParams | None = None,
    device: str = "auto",
    region: Region | None = None,
) -> Generator[Step, Stop, Prediction]:
    """Predict the maps of one plane; arguments, steps and errors as in :func:`segment_steps`.

    Returns
    -------
    Prediction
        For :func:`retune`, as often as wanted.
    """
    params = params or SegmentParams()
    plane = check_plane(image, Brightness.of(params))
    model = model if isinstance(model, Model) else load_model(model)
    how = plan_inference(params, device, model)
    inside = None if region is None else region.mask(plane.shape)
    notices = list(plane.notices)
    zoom, diameter = 1.0, params.diameter
    if plane.is_blank:
        maps = create_empty_maps(plane, model, how)
        notices.append("All pixels have the same value: there is nothing to find.")
    else:
        box = None if inside is None else bounding_box(inside)
        DEFAULT_LIMITS.require_plane_memory(plane.shape if box is None else box_shape(box))
        maps, zoom, diameter = yield from forward_stop(
            predict_zoomed_maps_steps(plane, model, params.diameter, how, notices, box)
        )
    if plane.invalid is not None:
        maps.quantized[0][plane.invalid] = 0
    if maps.finished is not None:
        inside = maps.finished if inside is None else maps.finished & inside
    provenance = Provenance.of_run(
        model=model.card.name,
        model_sha256=model.card.sha256,
        device=device,
        region=None if region is None else region.polygons,
        stopped=maps.finished is not None,
        params=params,
        ran_on=maps.plan,
        diameter=None if diameter is None else round(diameter, 1),
        zoom=round(zoom, 4),
        gamma=automatic_gamma(plane.gamma, params),
    )
    return Prediction(plane, maps.quantized, inside, model.card, zoom, provenance, tuple(notices))


def compute_relief(predicted: Prediction) -> NDArray[np.floating] | None:
    """Compute what :func:`retune` needs at every call, whatever the parameters are.

    Returns
    -------
    ndarray, shape (Y, X), floating, or None
        None: there is no such thing.
    """
    if predicted.inside is not None:
        return None  # a part of the plane is small
    smoothing = resolve_separation(SegmentParams(), predicted.card, predicted.zoom).smoothing
    return smooth_distance(predicted.quantized_maps, smoothing)


def retune(
    predicted: Prediction,
    params: SegmentParams | None = None,
    relief: NDArray[np.floating] | None = None,
) -> Segmentation:
    """Find and separate nuclei in what the network said, without asking it again.

    Parameters
    ----------
    predicted : Prediction
    params : SegmentParams, optional
        Thresholds, separation, smallest area and whether fragments are left out; what says how
        the network runs is ignored.
    relief : ndarray, optional
        As from :func:`compute_relief`, where the same prediction is retuned often.

    Returns
    -------
    Segmentation

    Raises
    ------
    UserError
        If there is not enough memory.
    """
    params = params or SegmentParams()
    diameter = predicted.provenance.diameter
    assert not isinstance(diameter, tuple)  # of one plane
    separation = resolve_separation(params, predicted.card, predicted.zoom, diameter)
    context = context_width(predicted.zoom)
    with explain_out_of_memory():
        found = separate_inside(
            predicted.quantized_maps, predicted.inside, context, separation, relief
        )
    thresholds = {name: getattr(separation, name) for name in THRESHOLD_NAMES}
    thresholds["leave_out_fragments"] = params.leave_out_fragments
    used = dataclasses.replace(predicted.provenance.params, **thresholds)
    provenance = dataclasses.replace(
        predicted.provenance, params=used, left_out=found.left_out.counts
    )
    return Segmentation(
        predicted.plane,
        found.labels,
        predicted.quantized_maps,
        provenance,
        predicted.notices,
        predicted.inside,
        found.left_out,
    )


def with_provenance(result: R, **changes: Any) -> R:
    """Return a result with other values in its provenance."""
    return dataclasses.replace(result, provenance=dataclasses.replace(result.provenance, **changes))
