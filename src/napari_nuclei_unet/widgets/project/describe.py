"""A project of what is in a viewer."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer, Shapes, Tracks

from ...export.project_files import COPIED_KINDS, ProjectContent
from ...provenance.project import (
    ImagePart,
    Project,
    SavedImage,
    SavedLabels,
    SavedShapes,
    SavedTracks,
    SavedView,
)
from ...provenance.project_paths import ProjectFile
from ...provenance.record import PLUGIN
from ..layers.checksum import compute_pixel_checksum
from ..layers.export_result import build_result
from ..layers.geometry import full_resolution_data, layer_shape
from ..layers.image_file import OpenedFile, get_layer_path
from ..layers.labels_record import get_record_entries
from ..layers.labels_state import LabelsState
from ..layers.measured_planes import measured_plane_axes
from ..layers.metadata_keys import (
    ERRORS_KEY,
    IMAGE_FILE_KEY,
    LINKED_IDS_KEY,
    OVERLAY_KEYS,
    TRACKS_KEY,
    VALIDATION_AREAS_KEY,
    is_overlay,
)
from ..layers.tracks_table import tracks_table
from ..session.session import Session
from .saved_display import describe_display, describe_geometry

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from ...export import Result

# Images that are in no file and have more bytes are not saved with a project.
MAX_COPIED_BYTES = 2_000_000_000
# Layers that are made anew from others.
DERIVED_KEYS = (ERRORS_KEY, *OVERLAY_KEYS, VALIDATION_AREAS_KEY)


@dataclass(frozen=True, eq=False)
class DescribedViewer:
    """What of a viewer is saved.

    Attributes
    ----------
    content : ProjectContent
    notices : tuple of str
        What is not saved, and why.
    """

    content: ProjectContent
    notices: tuple[str, ...] = ()


class _Description:
    """Collects the layers of a project in a folder.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    folder : Path
    is_journal : bool
        Whether it must take no time: images are not copied, and no pixels are compared.
    """

    def __init__(self, viewer: ViewerModel, folder: Path, is_journal: bool) -> None:
        self._viewer, self._folder, self._is_journal = viewer, folder, is_journal
        self.images: list[SavedImage] = []
        self.labels: list[SavedLabels] = []
        self.tracks: list[SavedTracks] = []
        self.shapes: list[SavedShapes] = []
        self.results: dict[str, Result] = {}
        self.tables: dict[str, pd.DataFrame] = {}
        self.copies: dict[str, NDArray[Any]] = {}
        self.notices: list[str] = []

    def add(self, layer: Layer) -> None:
        """Add a layer, or say why it cannot be saved."""
        if isinstance(layer, Labels):
            self._add_labels(layer)
        elif isinstance(layer, Image):
            self._add_image(layer)
        elif isinstance(layer, Tracks):
            self.tables[layer.name] = tracks_table(layer)
            labels = self._name(layer.metadata.get(TRACKS_KEY))
            self.tracks.append(SavedTracks(**self._common(layer), file=None, labels=labels))
        elif isinstance(layer, Shapes):
            vertices = tuple(tuple(map(tuple, one.tolist())) for one in layer.data)
            types = tuple(layer.shape_type)
            self.shapes.append(SavedShapes(**self._common(layer), types=types, vertices=vertices))
        else:
            kind = type(layer).__name__.lower()
            self.notices.append(f"'{layer.name}' is not saved: projects have no {kind} layers.")

    def _common(self, layer: Layer) -> dict[str, Any]:
        return {
            "name": layer.name,
            "order": self._viewer.layers.index(layer),
            "geometry": describe_geometry(layer),
            "display": describe_display(layer),
        }

    def _name(self, unique_id: object) -> str | None:
        """Return the name of the layer with an id."""
        layers = self._viewer.layers
        return next((one.name for one in layers if str(one.unique_id) == unique_id), None)

    def _add_image(self, image: Image) -> None:
        pixels, path = full_resolution_data(image), get_layer_path(image)
        opened = image.metadata.get(IMAGE_FILE_KEY)
        part = None
        if isinstance(opened, OpenedFile):
            part = ImagePart(opened.scene, opened.level, opened.positions)
        axes = (image.ndim - 2, image.ndim - 1)
        checksum = compute_pixel_checksum(pixels, axes, self._is_journal or None)
        saved = SavedImage(
            **self._common(image),
            file=ProjectFile.of(path, self._folder) if path else None,
            part=part,
            reader=image.source.reader_plugin if part is None else None,
            sample=image.source.sample,
            shape=tuple(pixels.shape),
            checksum=checksum.crc,
            is_sampled=checksum.is_sampled,
            rgb=image.rgb,
        )
        if not path and image.source.sample is None and not self._is_journal:
            self._copy(image, pixels)
        self.images.append(saved)

    def _copy(self, image: Image, pixels: Any) -> None:
        """Have an image that is in no file saved with the project."""
        dtype = np.dtype(pixels.dtype)
        size = int(np.prod(pixels.shape)) * dtype.itemsize
        if dtype.kind in COPIED_KINDS and 0 < size <= MAX_COPIED_BYTES:
            self.copies[image.name] = np.asarray(pixels)
        else:
            self.notices.append(
                f"The image '{image.name}' is in no file, and is not saved: save it as TIFF, and "
                "open that."
            )

    def _add_labels(self, layer: Labels) -> None:
        data, axes = full_resolution_data(layer), (layer.ndim - 2, layer.ndim - 1)
        path = str(get_record_entries(layer).get("store") or get_layer_path(layer))
        is_stored = not isinstance(data, np.ndarray) and bool(path)
        if not is_stored and int(np.prod(data.shape)) > MAX_COPIED_BYTES:
            self.notices.append(f"The labels '{layer.name}' are too large to be saved.")
            return
        result = build_result(layer, axes)
        if measured_plane_axes(self._viewer, layer) != axes and len(result.table):
            self.notices.append(
                f"The table of '{layer.name}' is not saved, as it is of planes in another "
                "direction: measure them again."
            )
            result = replace(result, table=result.table.iloc[:0, :0])
        if not is_stored:
            self.results[layer.name] = result
        self.labels.append(
            SavedLabels(
                **self._common(layer),
                file=ProjectFile.of(path, self._folder) if is_stored else None,
                image=self._name(get_record_entries(layer).get("image")),
                shape=tuple(data.shape),
                axes=result.axes,
                dtype=np.dtype(data.dtype).name,
                has_table=bool(len(result.table)),
                linked_ids=layer.metadata.get(LINKED_IDS_KEY),
                unedited=() if self._is_journal else tuple(LabelsState.of(layer).unedited_planes),
            )
        )


def describe_viewer(viewer: ViewerModel, path: Path) -> DescribedViewer:
    """Describe all layers of a viewer, its view and the forms of the docks.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    path : Path
        Of the project file.
    """
    description, session = _Description(viewer, path.parent, is_journal=False), Session.of(viewer)
    for layer in viewer.layers:
        if not any(key in layer.metadata for key in DERIVED_KEYS):
            description.add(layer)
    return _finish(
        description,
        view=_describe_view(viewer),
        settings=session.segment_settings.value(),
        review=session.review_position.value(),
    )


def describe_labels(viewer: ViewerModel, path: Path, labels: Collection[Labels]) -> DescribedViewer:
    """Describe some labels and the images that they are of."""
    description = _Description(viewer, path.parent, is_journal=True)
    used = {get_record_entries(layer).get("image") for layer in labels}
    shapes = {layer_shape(layer) for layer in labels}
    for layer in viewer.layers:
        is_image = isinstance(layer, Image) and not is_overlay(layer)
        if layer in labels or (
            is_image and (str(layer.unique_id) in used or layer_shape(layer) in shapes)
        ):
            description.add(layer)
    return _finish(description)


def _finish(description: _Description, **others: Any) -> DescribedViewer:
    project = Project(
        plugin_version=version(PLUGIN),
        time=datetime.now().astimezone().isoformat(timespec="seconds"),
        images=tuple(description.images),
        labels=tuple(description.labels),
        tracks=tuple(description.tracks),
        shapes=tuple(description.shapes),
        **others,
    )
    content = ProjectContent(project, description.results, description.tables, description.copies)
    return DescribedViewer(content, tuple(description.notices))


def _describe_view(viewer: ViewerModel) -> SavedView:
    camera, dims = getattr(viewer, "scene", viewer).camera, viewer.dims
    active = viewer.layers.selection.active
    return SavedView(
        ndisplay=dims.ndisplay,
        order=tuple(dims.order),
        point=tuple(map(float, dims.point)),
        center=tuple(map(float, camera.center)),
        zoom=float(camera.zoom),
        angles=tuple(map(float, camera.angles)),
        active=None if active is None else active.name,
    )


def use_view(viewer: ViewerModel, view: SavedView) -> None:
    """Set sliders, camera and selection, as far as the viewer has the same axes."""
    camera, dims = getattr(viewer, "scene", viewer).camera, viewer.dims
    if sorted(view.order) == list(range(dims.ndim)) and len(view.point) == dims.ndim:
        dims.ndisplay, dims.order = view.ndisplay, view.order
        dims.set_point(range(dims.ndim), view.point)
        camera.center, camera.zoom, camera.angles = view.center, view.zoom, view.angles
    if view.active in viewer.layers:
        viewer.layers.selection.active = viewer.layers[view.active]
