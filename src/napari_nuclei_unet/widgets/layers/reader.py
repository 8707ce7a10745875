"""napari's reader of labels that were saved: with image, record, table, states and tracks."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari import current_viewer

from ...errors import UserError
from ..common.notify import show_warning
from .image_file import get_layer_path
from .labels_display import nuclei_colormap
from .labels_image import LayerData, OpenedImage, open_labels_image
from .link_corrections import read_recorded_corrections
from .linked_image import LabelsImage, is_same_path
from .metadata_keys import (
    LABELS_IMAGE_KEY,
    LABELS_LAYER_ENDING,
    LINKED_IDS_KEY,
    METADATA_KEY,
    SAVED_TABLE_KEY,
    TRACKS_KEY,
)
from .tracks_layer import tracks_layer_arguments

if TYPE_CHECKING:
    from ...export.result import Result


def get_reader(path: str | list[str]) -> Callable[[str], list[LayerData]] | None:
    """Return a reader for labels of this program; None for anything else.

    Parameters
    ----------
    path : str or list of str
    """
    # readers of files are imported when they are needed: napari starts faster
    from ...io.labels import read_record
    from ...io.ome_zarr import is_labels_store

    if isinstance(path, list) or not (is_labels_store(path) or read_record(path) is not None):
        return None
    return read_layers


@dataclass(frozen=True, eq=False)
class ResultLayers:
    """What a result is shown with.

    Attributes
    ----------
    image : OpenedImage
    labels : LayerData
    tracks : tuple of LayerData
        None or one.
    notices : tuple of str
        What is not as it was.
    """

    image: OpenedImage
    labels: LayerData
    tracks: tuple[LayerData, ...]
    notices: tuple[str, ...]


def read_layers(path: str) -> list[LayerData]:
    """Read the image of labels, if it is there and not open yet, labels and their tracks as layers.

    A table that does not belong to the labels is reported, and left out.

    Raises
    ------
    UserError
        If the labels cannot be read.
    """
    read = read_result_layers(path)
    for notice in read.notices:
        show_warning(notice)
    return [*_missing_layers(read.image), read.labels, *read.tracks]


def read_result_layers(path: str, image_path: Path | None = None) -> ResultLayers:
    """Read labels, their image and their tracks, and touch no viewer: a thread may do it.

    Parameters
    ----------
    path : str
        Of the labels.
    image_path : Path, optional
        Of their image, where that is known.

    Raises
    ------
    UserError
        If the labels cannot be read.
    """
    from ...export.read import read_labels_of_result, read_result  # imports pandas

    notices = []
    try:
        result = read_result(path)
    except UserError as error:
        result = read_labels_of_result(path)  # raises an error if these are the fault
        notices.append(str(error))
    image = open_labels_image(result, Path(path), image_path)
    if image.notice:
        notices.append(image.notice)
    labels = labels_layer_data(result, image)
    tracks = _tracks_layers(result, mark := uuid.uuid4().hex)
    if tracks:
        labels[1]["metadata"] |= {TRACKS_KEY: mark, LINKED_IDS_KEY: "link"}
    return ResultLayers(image, labels, tuple(tracks), tuple(notices))


def _missing_layers(image: OpenedImage) -> tuple[LayerData, ...]:
    """Return the layers of an image, unless the viewer has it already."""
    viewer = current_viewer()
    opened = [] if viewer is None else [get_layer_path(layer) for layer in viewer.layers]
    is_open = any(is_same_path(path, str(image.path)) for path in opened)
    return () if is_open else image.layers


def labels_layer_data(result: Result, image: OpenedImage | None = None) -> LayerData:
    """Convert a result to a labels layer, which is linked to its image when that is there."""
    features = result.table.rename(columns={"label": "index"})
    metadata: dict[str, Any] = {METADATA_KEY: result.record}
    metadata |= read_recorded_corrections(result.record)
    if len(features.columns):
        metadata[SAVED_TABLE_KEY] = list(result.starts or (0,) * len(result.lead))
    if image is not None and image.path is not None:
        metadata[LABELS_IMAGE_KEY] = LabelsImage(str(image.path), image.name)
    attributes = {
        "name": f"{result.name}{LABELS_LAYER_ENDING}",
        "metadata": metadata,
        "features": features,
        "colormap": nuclei_colormap(),
        **_geometry(result),
    }
    return result.labels, attributes, "labels"


def _geometry(result: Result) -> dict[str, Any]:
    return {
        "scale": result.spacing or (1.0,) * len(result.axes),
        "units": tuple(unit or "pixel" for unit in result.units or (None,) * len(result.axes)),
        "axis_labels": tuple(result.axes.lower()),
    }


def _tracks_layers(result: Result, mark: str) -> list[LayerData]:
    from ...tracking.lineage import TrackScale

    if result.tracks is None or not len(result.tracks):  # napari takes no empty tracks
        return []
    scale = TrackScale.of(result.axes, result.spacing, result.units)
    attributes = tracks_layer_arguments(result.tracks, scale)
    vertices = attributes.pop("data")
    vertices[:, 1:-2] -= np.asarray(result.starts or 0)
    attributes |= {
        "name": f"{result.name}{LABELS_LAYER_ENDING} tracks",
        "metadata": {TRACKS_KEY: mark},
        **_geometry(result),
    }
    return [(vertices, attributes, "tracks")]
