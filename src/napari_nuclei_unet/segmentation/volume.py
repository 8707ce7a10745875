"""Segmenting a volume: one brightness and one size for all slices, and nuclei decided in 3-D."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from fractions import Fraction
from numbers import Real
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..arrays.boxes import Box, box_shape, enlarged, full_box
from ..arrays.resampling import resize_channels
from ..arrays.roi import Region
from ..errors import UserError
from ..models.model import THRESHOLD_NAMES, Model, ModelCard, load_model
from ..params import SegmentParams
from ..progress import Step, Stop, forward_stop
from ..provenance.record import Provenance
from .device import plan_inference
from .intensity_range import Brightness, automatic_gamma
from .plane_separation import resolve_separation
from .volume_blocks import BlockLabels, separate_in_blocks
from .volume_maps import SlicePredictor
from .volume_separation import VolumeMaps, VolumeSeparation
from .volume_survey import ReadSlice, survey_volume_steps

# Slices nearer or further apart than so many pixels are no slices of one stack.
MIN_SLICE_DISTANCE, MAX_SLICE_DISTANCE = 1e-6, 10_000
# Three slices or more that are together thinner than this share of a nucleus cannot be right.
MIN_HEIGHT_DIAMETERS = 0.1
STACK_TOO_THIN = (
    "All slices together are {:.3g} pixels thick, and a nucleus is {:.3g} pixels wide: see that "
    "`z_step` is right."
)
SLICES_TOO_FAR = (
    "The slices are {:.3g} pixels apart, further than a nucleus is wide ({:.3g} pixels), so that "
    "each section is a nucleus of its own: see that `z_step` is right."
)


@dataclass(frozen=True)
class FailedSliceStep(Step):
    """A slice could not be read; the notice says why."""


@dataclass(frozen=True, eq=False)
class VolumePrediction:
    """What the network said of a volume: all that :func:`retune_volume` needs.

    Attributes
    ----------
    maps : VolumeMaps
        In pixels that the network saw.
    size : (int, int)
        Height and width of a slice in pixels.
    zoom : Fraction
        At which the network saw the slices.
    inside : ndarray, shape (Y, X), bool, or None
        Where nuclei are wanted, in pixels of the slices.
    failed : dict of int to str
        Slices that could not be read, and why. They have no labels.
    empty : tuple of int
        Slices that hold one value only, and have none either.
    card : ModelCard
    provenance : Provenance
    notices : tuple of str
    """

    maps: VolumeMaps
    size: tuple[int, int]
    zoom: Fraction
    inside: NDArray[np.bool_] | None
    failed: dict[int, str]
    empty: tuple[int, ...]
    card: ModelCard
    provenance: Provenance
    notices: tuple[str, ...]

    @property
    def is_blank(self) -> bool:
        """Whether all slices hold one value only, so that the step says nothing."""
        return len(self.empty) == len(self.maps.nucleus)


@dataclass(frozen=True, eq=False)
class VolumeSegmentation:
    """Nuclei of a volume.

    Attributes
    ----------
    prediction : VolumePrediction
    found : BlockLabels
        In pixels that the network saw.
    threshold : float
        Of the nucleus map.
    provenance : Provenance
    notices : tuple of str
    """

    prediction: VolumePrediction
    found: BlockLabels
    threshold: float
    provenance: Provenance
    notices: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of nuclei."""
        return self.found.count

    @property
    def depth(self) -> int:
        """Number of slices."""
        return len(self.prediction.maps.nucleus)

    def read_labels(self, z: int, box: Box | None = None) -> NDArray[np.int32]:
        """Return the labels of a slice, or of a box of it, int32; 0 is background."""
        predicted = self.prediction
        part = full_box(predicted.size) if box is None else box
        if z in predicted.failed or z in predicted.empty:
            return np.zeros(box_shape(part), np.int32)
        if predicted.zoom == 1 and predicted.inside is None:
            return self.found.read(z, part)
        labels = self.found.read(z)
        if predicted.zoom != 1:
            labels = _restore_size(
                labels, predicted.maps.nucleus[z], predicted.size, self.threshold
            )
        return (labels if predicted.inside is None else labels * predicted.inside)[part]

    def read_probability(self, z: int, box: Box | None = None) -> NDArray[np.float32]:
        """Return the probability of nucleus in a slice, or a box of it, float32, 0 to 1."""
        nucleus, size = self.prediction.maps.nucleus[z], self.prediction.size
        part = full_box(size) if box is None else box
        if nucleus.shape == size:
            return nucleus[part].astype(np.float32) / 255
        return resize_channels(nucleus[None].astype(np.float32) / 255, size)[0][part]


def predict_volume_steps(
    read: ReadSlice,
    depth: int,
    step: float | None,
    model: str | Path | Model = "nuclei",
    params: SegmentParams | None = None,
    device: str = "auto",
    region: Region | None = None,
) -> Generator[Step, Stop, VolumePrediction | None]:
    """Predict the nucleus maps of all slices, seen with one brightness and one size.

    Parameters
    ----------
    read : callable
        Returns a slice, shape (Y, X) or (Y, X, C), given its number; raises UserError if it cannot.
    depth : int
        Number of slices.
    step : float or None
        Distance between slices in pixels; None: it is estimated from the shape of nuclei.
    model, params, device, region
        As in ``segment.segment_steps``.

    Yields
    ------
    Step
        After each slice, of ``depth``. Sent True, the run stops, and returns None.

    Returns
    -------
    VolumePrediction or None

    Raises
    ------
    UserError
        As ``segment.segment_steps``, and if no slice can be read.
    """
    started = time.perf_counter()
    model = model if isinstance(model, Model) else load_model(model)
    params = params or SegmentParams()
    check_step(step)
    plan = plan_inference(params, device, model)
    notices: list[str] = []
    given = Brightness.of(params), params.diameter
    looking = survey_volume_steps(read, depth, model, given, plan, notices)
    survey = yield from forward_stop(looking, lambda one: replace(one, done=0, total=depth))
    slices = SlicePredictor(model, plan, survey, depth, notices)
    for z in range(depth):
        if (yield Step(z, depth)):
            return None
        try:
            finished = yield from forward_stop(slices.steps(z, read(z)), slices.count)
        except UserError as error:
            slices.failed[z] = str(error)
            yield FailedSliceStep(z + 1, depth, f"Slice {z} was left out: {error}")
            continue
        if not finished:
            return None
    yield Step(depth, depth)
    maps = slices.finish(step)
    size = slices.size
    inside = None if region is None else region.mask(size)
    provenance = Provenance.of_run(
        model=model.card.name,
        model_sha256=model.card.sha256,
        device=device,
        region=None if region is None else region.polygons,
        params=params,
        ran_on=slices.plan,
        diameter=None if survey.diameter is None else round(survey.diameter, 1),
        zoom=round(float(slices.zoom), 4),
        gamma=automatic_gamma(survey.range.gamma, params),
        seconds=round(time.perf_counter() - started, 3),
        volume=True,
        z_step=round(maps.step / float(slices.zoom), 4),
    )
    return VolumePrediction(
        maps, size, slices.zoom, inside, slices.failed, tuple(slices.empty), model.card,
        provenance, tuple(notices),
    )  # fmt: skip


def check_step(step: float | None) -> None:
    """Raise an error if a distance between slices is none.

    Raises
    ------
    UserError
    """
    low, high = MIN_SLICE_DISTANCE, MAX_SLICE_DISTANCE
    if step is not None and not (isinstance(step, Real) and low <= step <= high):
        raise UserError(
            f"The distance between slices must be above 0, and {high:,} pixels at most, not "
            f"{step}: set `z_step`."
        )


def retune_volume(
    predicted: VolumePrediction, params: SegmentParams | None = None, block_voxels: int = 64_000_000
) -> VolumeSegmentation:
    """Find and separate nuclei in what the network said, without asking it again.

    Parameters
    ----------
    predicted : VolumePrediction
    params : SegmentParams, optional
        Thresholds, separation and smallest area, as of planes; what says how the network runs is
        ignored.
    block_voxels : int, optional
        Larger volumes are separated in columns of about so many voxels.

    Returns
    -------
    VolumeSegmentation
    """
    params, zoom = params or SegmentParams(), float(predicted.zoom)
    planes = resolve_separation(params, predicted.card, zoom)
    notices, maps = list(predicted.notices), predicted.maps
    measured = predicted.provenance.diameter
    assert measured is None or isinstance(measured, float)
    diameter = (measured or predicted.card.ideal or 1.0) * zoom
    area = None if params.minimum_area is None else round(params.minimum_area * zoom**2)
    separation = VolumeSeparation.of(planes, diameter, maps, area)
    found = separate_in_blocks(maps, separation, block_voxels)
    if maps.step > diameter and found.count:
        notices.append(SLICES_TOO_FAR.format(maps.step / zoom, diameter / zoom))
    height = len(maps.nucleus) * maps.step
    if len(maps.nucleus) > 2 and height < MIN_HEIGHT_DIAMETERS * diameter:
        notices.append(STACK_TOO_THIN.format(height / zoom, diameter / zoom))
    thresholds = {name: getattr(planes, name) for name in THRESHOLD_NAMES}
    # without one, the smallest volume is that of typical nuclei, whatever the model's area is
    thresholds["minimum_area"] = params.minimum_area
    used = dataclasses.replace(predicted.provenance.params, **thresholds)
    provenance = dataclasses.replace(predicted.provenance, params=used)
    return VolumeSegmentation(predicted, found, separation.threshold, provenance, tuple(notices))


def _restore_size(
    labels: NDArray[np.int32],
    nucleus: NDArray[np.uint8],
    size: tuple[int, int],
    threshold: float,
) -> NDArray[np.int32]:
    """Resize labels of a slice: each pixel over the threshold gets the id that is nearest."""
    probability = resize_channels(nucleus[None].astype(np.float32), size)[0]
    wide = np.where(labels > 0, labels, ndimage.grey_dilation(labels, (3, 3)))
    return np.where(probability > threshold * 255, enlarged(wide, size), 0).astype(np.int32)
