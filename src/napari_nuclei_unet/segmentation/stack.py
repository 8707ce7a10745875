"""Many planes of one array: each segmented as it would be alone, with one common total."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.axes import Channel, Colour, PlaneIndex
from ..arrays.roi import Polygons, Region
from ..arrays.selection import PlaneSelection, Positions, select_planes
from ..arrays.tiling import ArrayLike
from ..errors import UserError, convert_read_errors
from ..memory import explain_out_of_memory
from ..models.model import Model, load_model
from ..params import SegmentParams, with_changes
from ..progress import Step, Stop, forward_stop, run
from ..tracking.linking import check_linking, join_steps, number_unlinked
from .segment import Prediction, Segmentation, predict_plane_steps, retune, with_provenance

# What one plane adds to the total of a run: planes may have different numbers of tiles.
STACK_PROGRESS_PER_PLANE = 1000


@dataclass(frozen=True)
class PlaneStep(Step):
    """Progress of a run over many planes.

    Attributes
    ----------
    plane, planes : int
        The one at work, from 0, and how many there are.
    tile, tiles : int
        Of this plane, done and in all.
    """

    plane: int = 0
    planes: int = 1
    tile: int = 0
    tiles: int = 1


@dataclass(frozen=True, eq=False, kw_only=True)
class SegmentedPlaneStep(PlaneStep):
    """A plane is finished.

    Attributes
    ----------
    plane_index : PlaneIndex
        Which one.
    prediction : Prediction
        What the network said of it, for ``segment.retune``.
    result : Segmentation
        Its nuclei, numbered from 1 in every plane.
    """

    plane_index: PlaneIndex
    prediction: Prediction
    result: Segmentation


@dataclass(frozen=True)
class PlaneCounter:
    """Counts the steps of a plane, or of the slices of a volume, among those of all planes.

    Attributes
    ----------
    numbers : tuple of int
        Of the planes at work.
    before : int
        How many are done before them.
    planes : int
        How many there are in all.
    """

    numbers: tuple[int, ...]
    before: int
    planes: int

    @property
    def end(self) -> int:
        """What is done of ``total`` after these planes."""
        return (self.before + len(self.numbers)) * STACK_PROGRESS_PER_PLANE

    @property
    def total(self) -> int:
        """What is done after all planes."""
        return self.planes * STACK_PROGRESS_PER_PLANE

    def show(self, step: Step) -> PlaneStep:
        """Return a step of these planes as one of all; of a single one it counts tiles."""
        count, pieces = len(self.numbers), max(step.total, 1)
        done = STACK_PROGRESS_PER_PLANE * (self.before * pieces + count * step.done) // pieces
        plane = self.numbers[min(count * step.done // pieces, count - 1)]
        tiles = (step.done, pieces) if count == 1 else (0, 1)
        return PlaneStep(done, self.total, step.notice, plane, self.planes, *tiles)

    def show_failure(self, notice: str) -> Step:
        """Return the step with which these planes are passed over."""
        return Step(self.end, self.total, notice)


@dataclass(frozen=True)
class StackOutcome:
    """How a run over many planes has ended.

    Attributes
    ----------
    found : tuple of PlaneIndex
        Planes that were finished.
    failed : dict of PlaneIndex to str
        Planes that could not be read or segmented, and why.
    stopped : bool
        Whether it was told to stop before the last.
    """

    found: tuple[PlaneIndex, ...]
    failed: dict[PlaneIndex, str]
    stopped: bool


def segment_stack(
    image: ArrayLike,
    axes: str | None = None,
    *,
    channel: Channel | Colour | None = None,
    planes: Sequence[Positions] | None = None,
    model: str | Path | Model = "nuclei",
    device: str = "auto",
    join: str | None = None,
    region: Polygons | None = None,
    **params: Any,
) -> NDArray[np.int32]:
    """Find and separate the nuclei of many planes, each as ``segment`` would alone.

    Parameters
    ----------
    image : array-like
        Of numpy, dask or zarr; is only sliced, plane by plane. Colours of RGB are last.
    axes : str, optional
        A letter for each axis but that of colours, such as "TZCYX": Y and X are the plane, C are
        channels. Default: TZYX, TZCYX with a channel, as many as there are.
    channel : int, "mean", "red", "green" or "blue", optional
        Which channel is segmented; one must be given if there are several. Of RGB a colour, by
        name or number; without, all colours are seen together.
    planes : sequence, optional
        What is wanted of every axis beside plane and channel, in their order: a position, a
        sequence of positions, or None for all. Default: all planes.
    join : str, optional
        Letter of the axis along which cross sections are joined to nuclei, such as "z".
    model, device, region, **params
        As in ``segment``.

    Returns
    -------
    ndarray, shape (..., Y, X), int32
        0 is background, nuclei are 1..n in all planes. Axes of channels or one position are gone.

    Raises
    ------
    UserError
        If image, model or a parameter cannot be used; the message says what to do.

    Warns
    -----
    UserWarning
        Where something was ignored, or a plane could not be read and is empty.

    Examples
    --------
    >>> from napari_nuclei_unet import segment_stack
    >>> from napari_nuclei_unet.samples.images import read_sample
    >>> image, annotation = read_sample("fluorescence_small")
    >>> segment_stack(image[None], "ZYX", join="z").shape == image[None].shape
    True
    """
    picked = select_planes(image.shape, axes, planes or (), channel)
    check_linking(picked.lead, join, False)
    where = None if region is None else Region.of(region)
    wanted = with_changes(SegmentParams(), params)
    labels = np.zeros((len(picked.plane_indices), *picked.size), np.int32)

    def take(step: Step) -> None:
        if isinstance(step, SegmentedPlaneStep):
            labels[step.plane] = step.result.labels

    steps = segment_planes_steps(image, picked.plane_indices, model, wanted, device, where)
    run_with_warnings(steps, take)
    return _link_planes(labels, picked, join)


def run_with_warnings(steps: Generator[Step, Stop, object], take: Callable[[Step], None]) -> None:
    """Exhaust the steps of a run, and warn the caller's user of each notice once.

    Parameters
    ----------
    steps : generator
    take : callable
        Called with each step. What a step may bring, as its ``result``, has ``notices``, too.
    """
    said: dict[str, None] = {}

    def on_step(step: Step) -> None:
        take(step)
        found = getattr(step, "result", None)
        said.update(dict.fromkeys([step.notice, *(() if found is None else found.notices)]))

    with explain_out_of_memory():
        run(steps, on_step)
    for notice in filter(None, said):
        warnings.warn(notice, stacklevel=3)


def _link_planes(
    labels: NDArray[np.int32], picked: PlaneSelection, join: str | None
) -> NDArray[np.int32]:
    """Replace the labels of planes by ids that are unique, or joined along an axis."""
    if join is None:
        linked = number_unlinked([int(plane.max(initial=0)) for plane in labels])
    else:
        axis = picked.lead.index(join.upper())
        linked = run(join_steps(labels.__getitem__, picked.lengths, axis))
    for plane, ids in zip(labels, linked.ids, strict=True):
        plane[...] = ids[plane]
    return labels.reshape(picked.shape)


def segment_planes_steps(
    pixels: ArrayLike,
    plane_indices: Sequence[PlaneIndex],
    model: str | Path | Model = "nuclei",
    params: SegmentParams | None = None,
    device: str = "auto",
    region: Region | None = None,
) -> Generator[Step, Stop, StackOutcome]:
    """Segment planes of an array, one after the other; closing the generator cancels the run.

    Every plane is normalised and measured by itself, as by ``segment.segment_steps``.

    Parameters
    ----------
    pixels : array-like
        Is only sliced, plane by plane.
    plane_indices : sequence of PlaneIndex
    model, params, device, region
        As in ``segment.segment_steps``, of every plane.

    Yields
    ------
    PlaneStep
        After each batch of tiles. Sent True, the run stops, and drops the plane at work.
    SegmentedPlaneStep
        After each plane.
    Step
        With the notice that a plane could not be read; it goes on with the next.

    Returns
    -------
    StackOutcome

    Raises
    ------
    UserError
        If model, device or a parameter cannot be used, or no plane could be segmented.
    """
    model = model if isinstance(model, Model) else load_model(model)
    params = params or SegmentParams()
    found: list[PlaneIndex] = []
    failed: dict[PlaneIndex, str] = {}
    for number, cut in enumerate(plane_indices):
        count = PlaneCounter((number,), number, len(plane_indices))
        if (yield count.show(Step(0, 1))):
            return StackOutcome(tuple(found), failed, True)
        try:
            event = yield from _plane_steps(pixels, cut, (model, params, device, region), count)
        except UserError as error:
            failed[cut] = str(error)
            place = ", ".join(str(at) for at in cut.index if at is not None)
            yield count.show_failure(f"Plane {place} was left out: {error}")
            continue
        if event is None:
            return StackOutcome(tuple(found), failed, True)
        found.append(cut)
        if (yield event) and number + 1 < len(plane_indices):
            return StackOutcome(tuple(found), failed, True)
    if failed and not found:
        raise UserError(next(iter(failed.values())))
    return StackOutcome(tuple(found), failed, False)


def _plane_steps(
    pixels: ArrayLike,
    plane_index: PlaneIndex,
    settings: tuple[Model, SegmentParams, str, Region | None],
    count: PlaneCounter,
) -> Generator[Step, Stop, SegmentedPlaneStep | None]:
    """Segment one plane; None if it was told to stop."""
    model, params, device, region = settings
    started = time.perf_counter()
    steps = predict_plane_steps(_read_plane(pixels, plane_index), model, params, device, region)
    prediction = yield from forward_stop(steps, count.show)
    if prediction.provenance.stopped:
        return None
    result = retune(prediction, params)
    result = with_provenance(result, seconds=round(time.perf_counter() - started, 3))
    return SegmentedPlaneStep(
        done=count.end,
        total=count.total,
        plane=count.numbers[0],
        planes=count.planes,
        tile=1,
        plane_index=plane_index,
        prediction=prediction,
        result=result,
    )


def _read_plane(pixels: ArrayLike, plane_index: PlaneIndex) -> Any:
    with convert_read_errors("it", MemoryError):
        return plane_index.read(pixels)
