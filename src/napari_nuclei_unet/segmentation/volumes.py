"""Volumes of one array, such as the time points of a film: each by itself, with one total."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.axes import Channel, Colour, PlaneIndex, group_slices
from ..arrays.relabel import relabel_sequential
from ..arrays.roi import Polygons, Region
from ..arrays.selection import PlaneSelection, Positions, select_planes
from ..arrays.tiling import ArrayLike
from ..errors import UserError, convert_read_errors
from ..limits import DEFAULT_LIMITS
from ..models.model import Model, load_model
from ..params import SegmentParams, with_changes
from ..progress import Step, Stop, forward_stop
from .stack import PlaneCounter, PlaneStep, run_with_warnings
from .volume import (
    FailedSliceStep,
    VolumePrediction,
    VolumeSegmentation,
    predict_volume_steps,
    retune_volume,
)

DEPTH_AXIS = "Z"
ONE_PLANE = "a single plane: choose more slices, or segment it without volumes"


@dataclass(frozen=True)
class VolumeSlices:
    """The slices of volumes.

    Attributes
    ----------
    plane_indices : sequence of PlaneIndex
        Of all slices of all volumes.
    volumes : sequence of tuple of int
        For each volume the numbers of its slices in ``plane_indices``, in their order.
    """

    plane_indices: Sequence[PlaneIndex]
    volumes: Sequence[tuple[int, ...]]

    @classmethod
    def of(cls, picked: PlaneSelection) -> VolumeSlices:
        """Return the slices of selected planes, along axis Z.

        Raises
        ------
        UserError
            If there is no axis Z.
        """
        return cls(picked.plane_indices, number_slices(picked))


@dataclass(frozen=True, eq=False, kw_only=True)
class SegmentedVolumeStep(PlaneStep):
    """A volume is finished.

    Attributes
    ----------
    numbers : tuple of int
        Of its slices among all planes.
    prediction : VolumePrediction
        What the network said of it, for ``volume.retune_volume``.
    result : VolumeSegmentation
        Its nuclei, numbered from 1 in every volume.
    """

    numbers: tuple[int, ...]
    prediction: VolumePrediction
    result: VolumeSegmentation


@dataclass(frozen=True)
class VolumesOutcome:
    """How a run over volumes has ended.

    Attributes
    ----------
    failed : dict of int to str
        Planes that could not be read, by number, and why.
    stopped : bool
        Whether it was told to stop before the last.
    """

    failed: dict[int, str]
    stopped: bool


def segment_volume(
    image: ArrayLike,
    axes: str | None = None,
    *,
    z_step: float | None = None,
    channel: Channel | Colour | None = None,
    planes: Sequence[Positions] | None = None,
    model: str | Path | Model = "nuclei",
    device: str = "auto",
    region: Polygons | None = None,
    **params: Any,
) -> NDArray[np.int32]:
    """Find and separate the nuclei of a volume, or of each volume of a series.

    All slices of a volume are seen with one brightness and one size. The network sees them one by
    one; what is a nucleus is decided in three dimensions.

    Parameters
    ----------
    image : array-like
        Of numpy, dask or zarr; is only sliced, plane by plane. Colours of RGB are last.
    axes : str, optional
        As in ``segment_stack``; one of them is Z.
    z_step : float, optional
        Distance between slices in pixels. Default: estimated from the shape of nuclei.
    channel, planes, model, device, region, **params
        As in ``segment_stack``. The smallest area is that of a section through the middle.

    Returns
    -------
    ndarray, shape (..., Z, Y, X), int32
        0 is background; nuclei are 1..n, in a series numbered on from volume to volume.

    Raises
    ------
    UserError
        If image, model or a parameter cannot be used; the message says what to do.

    Warns
    -----
    UserWarning
        Where something was ignored, estimated, or could not be read.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_nuclei_unet import segment_volume
    >>> from napari_nuclei_unet.samples.images import read_sample
    >>> image, annotation = read_sample("fluorescence_small")
    >>> labels = segment_volume(np.stack([image] * 5), z_step=4)
    >>> labels.shape == (5, *image.shape)
    True
    """
    picked = select_planes(image.shape, axes, planes or (), channel)
    where = None if region is None else Region.of(region)
    wanted = with_changes(SegmentParams(), params)
    labels = np.zeros((len(picked.plane_indices), *picked.size), np.int32)
    count = 0

    def take(step: Step) -> None:
        nonlocal count
        if isinstance(step, SegmentedVolumeStep):
            found = np.stack([step.result.read_labels(z) for z in range(step.result.depth)])
            numbered, ids = relabel_sequential(found)  # a region may have none of a nucleus
            labels[list(step.numbers)] = np.where(numbered > 0, numbered + count, 0)
            count += ids.size - 1

    slices = VolumeSlices.of(picked)
    steps = segment_volumes_steps(image, slices, z_step, model, (wanted, device, where))
    run_with_warnings(steps, take)
    return labels.reshape(picked.shape)


def segment_volumes_steps(
    pixels: ArrayLike,
    slices: VolumeSlices,
    z_step: float | None,
    model: str | Path | Model,
    settings: tuple[SegmentParams, str, Region | None],
    block_voxels: int = DEFAULT_LIMITS.volume_block_voxels,
) -> Generator[Step, Stop, VolumesOutcome]:
    """Segment the volumes of an array, one after the other.

    Parameters
    ----------
    pixels : array-like
        Is only sliced, plane by plane.
    slices : VolumeSlices
    z_step : float or None
        Distance between slices in pixels; None: estimated in the first volume that is not empty.
    model
        As in ``segment.segment_steps``.
    settings : (SegmentParams, str, Region or None)
        Parameters, device and region.
    block_voxels : int, optional
        As in ``volume.retune_volume``.

    Yields
    ------
    PlaneStep
        After each slice. Sent True, the run stops, and drops the volume at work.
    SegmentedVolumeStep
        After each volume.
    Step
        With the notice that a slice could not be read.

    Returns
    -------
    VolumesOutcome

    Raises
    ------
    UserError
        As ``segment.segment_steps``, and if no slice of a volume can be read.
    """
    model = model if isinstance(model, Model) else load_model(model)
    params, device, region = settings
    failed: dict[int, str] = {}
    before = 0
    for numbers in slices.volumes:
        counter = PlaneCounter(numbers, before, len(slices.plane_indices))
        before += len(numbers)
        read = _SliceReader(pixels, [slices.plane_indices[number] for number in numbers])
        steps = predict_volume_steps(read, len(numbers), z_step, model, params, device, region)
        try:
            prediction = yield from forward_stop(steps, partial(_count_slice, counter))
        except UserError as error:
            if len(slices.volumes) == 1:
                raise
            failed |= dict.fromkeys(numbers, str(error))
            yield counter.show_failure(f"Plane {numbers[0]} and its stack: {error}")
            continue
        if prediction is None:
            return VolumesOutcome(failed, True)
        result = retune_volume(prediction, params, block_voxels)
        if z_step is None and not prediction.is_blank:
            z_step = prediction.provenance.z_step  # estimated once, where there is something
        failed |= {numbers[z]: reason for z, reason in prediction.failed.items()}
        yield SegmentedVolumeStep(
            done=counter.end,
            total=counter.total,
            plane=numbers[-1],
            planes=counter.planes,
            numbers=numbers,
            prediction=prediction,
            result=result,
        )
    if failed and len(failed) == len(slices.plane_indices):
        raise UserError(next(iter(failed.values())))
    return VolumesOutcome(failed, False)


def check_depth_axis(lead: str) -> None:
    """Raise an error if planes with these axes before those of the plane are no slices.

    Raises
    ------
    UserError
    """
    if DEPTH_AXIS not in lead:
        names = ", ".join(lead)
        have = f"{names}: name the axes with `axes`, such as ZYX" if lead else ONE_PLANE
        raise UserError(f"A volume needs slices along an axis Z, but there is only {have}.")


def number_slices(picked: PlaneSelection) -> list[tuple[int, ...]]:
    """Return the numbers of the slices of each volume.

    Raises
    ------
    UserError
        If there is no axis Z.
    """
    check_depth_axis(picked.lead)
    return group_slices(picked.plane_indices, picked.axes.index(DEPTH_AXIS))


@dataclass(frozen=True, eq=False)
class _SliceReader:
    """Reads the slices of a volume."""

    pixels: ArrayLike
    indices: Sequence[PlaneIndex]

    def __call__(self, z: int) -> Any:
        with convert_read_errors("it", MemoryError):
            return self.indices[z].read(self.pixels)


def _count_slice(counter: PlaneCounter, step: Step) -> Step:
    """Return a step of a volume as one of all; one that failed is no plane at work."""
    shown = counter.show(step)
    is_failed = isinstance(step, FailedSliceStep)
    return Step(shown.done, shown.total, shown.notice) if is_failed else shown
