"""Measurements of a plane, or a volume, right after it was segmented."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays.axes import PlaneIndex, PlaneView
from ..arrays.boxes import Box, enlarged, expand_box, full_box
from ..arrays.channels import MultichannelView
from ..arrays.tiling import split_into_squares
from ..errors import UserError
from ..export.channels import channel_names, choose_channels
from ..export.measured_images import title_channel
from ..export.remeasure import MeasuredPixels, measure_plane
from ..labels.regionprops import Frame, measure
from ..labels.volume_regionprops import VolumeFrame, measure_volume
from .job import ImageJob

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from ..segmentation.segment import Segmentation
    from ..segmentation.volume import VolumeSegmentation

# Around a part of a large volume so many typical diameters are measured with it, so that the
# nuclei whose centroid is in the part are whole.
MEASURED_CONTEXT = 3
# In pixels, where none was found.
UNKNOWN_DIAMETER = 20.0


def measure_segmentation(job: ImageJob, plane: PlaneIndex, result: Segmentation) -> pd.DataFrame:
    """Measure the nuclei of a plane, in what was segmented, or in the channels of the settings.

    Parameters
    ----------
    job : ImageJob
    plane : PlaneIndex
        In the image.
    result : Segmentation
        At full resolution.
    """
    options, micrometers = job.settings.measure, job.grid.micrometers
    if options is None:
        pixels = np.asarray(result.plane.pixels)
        return measure(
            result.labels, pixels, result.quantized_maps[0], Frame(micrometers=micrometers)
        )
    names = channel_names(job.full, plane)
    numbers = choose_channels(names, options.channels)
    values = MultichannelView(job.full.pixels, plane)[:, :]
    measured = MeasuredPixels(
        np.atleast_3d(values)[..., numbers],
        [title_channel(names, number) for number in numbers],
        micrometers,
        result.quantized_maps[0],
    )
    return measure_plane(result.labels, measured, options)


def measure_segmented_volume(
    job: ImageJob, planes: Sequence[PlaneIndex], result: VolumeSegmentation
) -> pd.DataFrame:
    """Measure the nuclei of a volume, a large one in columns with all slices.

    Parameters
    ----------
    job : ImageJob
    planes : sequence of PlaneIndex
        Its slices in the image.
    result : VolumeSegmentation
    """
    # with the first result, not with the first dock
    import pandas as pd

    size = job.labels_size
    diameter = result.prediction.provenance.diameter
    assert not isinstance(diameter, tuple)
    scale = size[0] / result.prediction.size[0]
    context = round(MEASURED_CONTEXT * scale * (diameter or UNKNOWN_DIAMETER))
    edge = int((job.settings.limits.volume_block_voxels / len(planes)) ** 0.5)
    edge = edge if max(size) <= edge else max(edge - 2 * context, context, 1)
    tables = []
    for core in split_into_squares(size, edge):
        box = expand_box(core, context, size)
        table = _measure_box(job, planes, result, box)
        tables.append(table[_is_inside(table, core)] if box != full_box(size) else table)
    table = pd.concat(tables, ignore_index=True).sort_values("label", ignore_index=True)
    return _count_slices_in_image(table, job)


def _count_slices_in_image(table: pd.DataFrame, job: ImageJob) -> pd.DataFrame:
    """Return a table with positions along z in the image, of which some slices were selected."""
    selection, size = job.selection, job.voxel_micrometers
    first = selection.positions[selection.lead.index("Z")][0]
    moved = {"centroid_z": table["centroid_z"] + first}
    if size is not None:
        moved["centroid_z_um"] = table["centroid_z_um"] + first * size[0]
    return table.assign(**moved)


def read_full_labels(
    result: VolumeSegmentation, z: int, size: tuple[int, int], box: Box | None = None
) -> NDArray[np.int32]:
    """Return labels of a slice of this size, or of a box of it."""
    if size == result.prediction.size:
        return result.read_labels(z, box)
    return enlarged(result.read_labels(z), size, box)


def _is_inside(table: pd.DataFrame, core: Box) -> pd.Series[bool]:
    """Return which nuclei have their centroid in a box."""
    y, x = (
        table[name].between(part.start - 0.5, part.stop - 0.5, inclusive="left")
        for name, part in zip(("centroid_y", "centroid_x"), core, strict=True)
    )
    return y & x


def _measure_box(
    job: ImageJob, planes: Sequence[PlaneIndex], result: VolumeSegmentation, box: Box
) -> pd.DataFrame:
    """Measure all that lies in a box of the slices, in pixels of the labels."""
    size, depth = job.labels_size, range(len(planes))
    labels = np.stack([read_full_labels(result, z, size, box) for z in depth])
    if size == result.prediction.size:
        nucleus = np.stack([result.read_probability(z, box) for z in depth])
    else:
        nucleus = np.stack([enlarged(result.read_probability(z), size, box) for z in depth])
    options = job.settings.measure
    if options is None:
        image = _stack_readable([partial(_read_segmented, job, plane, box) for plane in planes])
        names: list[str] = []
    else:
        titles = channel_names(job.measured, planes[0])
        numbers = choose_channels(titles, options.channels)
        names = [title_channel(titles, number) for number in numbers]
        image = _stack_readable(
            [partial(_read_channels, job, plane, box, numbers) for plane in planes]
        )
        image = image[..., 0] if names == [""] else image
    frame = VolumeFrame(
        offset=(0, box[0].start, box[1].start),
        shape=(len(planes), *size),
        micrometers=job.voxel_micrometers,
    )
    return measure_volume(labels, image, nucleus, frame, names)


def _read_segmented(job: ImageJob, plane: PlaneIndex, box: Box) -> NDArray[Any]:
    return PlaneView(job.measured.pixels, plane)[box]


def _read_channels(
    job: ImageJob, plane: PlaneIndex, box: Box, numbers: Sequence[int]
) -> NDArray[Any]:
    return np.atleast_3d(MultichannelView(job.measured.pixels, plane)[box])[..., list(numbers)]


def _stack_readable(readers: Sequence[Callable[[], NDArray[Any]]]) -> NDArray[Any]:
    """Stack slices; one that cannot be read has no nuclei, and is 0."""
    slices: list[NDArray[Any] | None] = []
    for read in readers:
        try:
            slices.append(read())
        except UserError:
            slices.append(None)
    like = next(values for values in slices if values is not None)
    return np.stack([np.zeros_like(like) if values is None else values for values in slices])
