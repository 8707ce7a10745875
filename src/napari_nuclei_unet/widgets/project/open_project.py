"""A project, opened into a viewer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer

from ...errors import UserError
from ...export.read import read_labels_of_result, result_table_path, with_saved_table
from ...io.record_paths import is_far
from ...io.tables import read_saved_table
from ...provenance.project import (
    Project,
    SavedImage,
    SavedLabels,
    SavedLayer,
    SavedShapes,
    SavedTracks,
    read_project,
)
from ...tracking.lineage import drop_track_measurements
from ..layers.file_scale import is_sizeless
from ..layers.label_ids import LabelsIndex
from ..layers.labels_state import LabelsState, WrittenPart
from ..layers.linked_image import link_image
from ..layers.metadata_keys import LINKED_IDS_KEY, TRACKS_KEY
from ..layers.reader import labels_layer_data
from ..layers.tracks_layer import create_tracks_layer
from ..session.session import Session
from .describe import use_view
from .open_images import ImageOpener
from .saved_display import use_display, use_geometry

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ...export import Result


class ProjectOpener:
    """Opens a project into a viewer, beside what is there.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    path : Path
        Of the project file.

    Attributes
    ----------
    notices : list of str
        What is not as it was, a sentence each.
    layers : dict of str to Layer
        Those that were opened, by the name that they had.
    """

    def __init__(self, viewer: ViewerModel, path: Path) -> None:
        self._viewer, self._folder = viewer, path.parent
        self.notices: list[str] = []
        self.layers: dict[str, Layer] = {}
        self._images = ImageOpener(viewer, path.parent, self.notices.append)
        self._project = read_project(path)

    def open(self) -> None:
        """Open all that can be opened: images first, as the others lie on them."""
        project = self._project
        for saved in (*project.images, *project.labels, *project.shapes, *project.tracks):
            try:
                layer = self._open_layer(saved)
            except (UserError, OSError, MemoryError, ValueError) as error:
                self.notices.append(f"'{saved.name}' cannot be opened: {error}")
                continue
            if layer is not None:
                self.layers[saved.name] = layer
        self._images.finish()
        self._link(project)
        self._arrange(project)
        self._go_on(project)

    def _open_layer(self, saved: SavedLayer) -> Layer | None:
        if isinstance(saved, SavedImage):
            layer = self._images.open(saved)
        elif isinstance(saved, SavedLabels):
            layer = self._open_labels(saved)
        elif isinstance(saved, SavedTracks):
            layer = self._open_tracks(saved)
        else:
            assert isinstance(saved, SavedShapes)
            vertices = [np.asarray(one, float) for one in saved.vertices]
            ndim = len(saved.geometry.scale)
            layer = self._viewer.add_shapes(
                vertices or None, shape_type=list(saved.types) or "rectangle", ndim=ndim,
                scale=saved.geometry.scale, units=saved.geometry.units,
                face_color="transparent", edge_color="yellow",
            )  # fmt: skip
        if layer is not None and saved.name not in self._images.reused:
            layer.name = saved.name
            use_geometry(layer, saved.geometry)
            use_display(layer, saved.display)
        elif layer is not None and is_sizeless(layer):  # opened again, as its file
            use_geometry(layer, saved.geometry)
        return layer

    def _path(self, saved: SavedLabels | SavedTracks) -> Path:
        path = None if saved.file is None else saved.file.find(self._folder)
        if path is None:
            missing = "" if saved.file is None else saved.file.path
            raise UserError(f"{missing} is not there any more: put it back where it was.")
        if is_far(path, self._folder):
            self.notices.append(f"'{saved.name}' was opened from {path}.")
        return Path(path)

    def _open_labels(self, saved: SavedLabels) -> Labels:
        path = self._path(saved)
        result = read_labels_of_result(path)
        if int(np.prod(result.labels.shape)) != int(np.prod(saved.shape)):
            raise UserError(
                f"{path} has the shape {result.labels.shape}, not {saved.shape}: it is another one."
            )
        if isinstance(result.labels, np.ndarray):  # OME-TIFF has no axes of length 1
            result = replace(
                result,
                labels=result.labels.reshape(saved.shape).astype(saved.dtype),
                axes=saved.axes,
                spacing=saved.geometry.scale,
                units=tuple(None if unit == "pixel" else unit for unit in saved.geometry.units),
                starts=(),
            )
        result = self._with_table(result, saved, path)
        data, attributes, _ = labels_layer_data(result)
        if saved.linked_ids is not None:
            attributes["metadata"] |= {LINKED_IDS_KEY: saved.linked_ids}
        layer: Labels = self._viewer.add_labels(data, **attributes | {"name": saved.name})
        use_geometry(layer, saved.geometry)
        self._mark_unedited(LabelsState.of(layer), saved)
        return layer

    def _with_table(self, result: Result, saved: SavedLabels, path: Path) -> Result:
        try:
            if saved.has_table and not result_table_path(path).is_file():
                raise UserError(
                    f"The table of '{saved.name}' is missing: measure it again with Measure."
                )
            return with_saved_table(result, path)
        except UserError as error:
            self.notices.append(str(error))
            return result

    def _mark_unedited(self, state: LabelsState, saved: SavedLabels) -> None:
        for key in saved.unedited:
            index: LabelsIndex = tuple(slice(None) if at is None else at for at in key)
            if len(index) == state.layer.ndim and len(state.read_plane(index)):
                state.mark_written(WrittenPart(index, None))

    def _open_tracks(self, saved: SavedTracks) -> Layer | None:
        tracks = drop_track_measurements(read_saved_table(self._path(saved)))
        labels = self.layers.get(saved.labels or "")
        metadata = {} if labels is None else {TRACKS_KEY: str(labels.unique_id)}
        if not len(tracks):  # napari takes no empty tracks
            return None
        geometry = {
            name: getattr(saved.geometry, name) for name in ("scale", "units", "axis_labels")
        }
        return self._viewer.add_layer(create_tracks_layer(tracks, geometry, metadata=metadata))

    def _link(self, project: Project) -> None:
        """Link labels to their images."""
        for saved in project.labels:
            labels, image = self.layers.get(saved.name), self.layers.get(saved.image or "")
            if isinstance(labels, Labels) and isinstance(image, Image):
                try:
                    link_image(labels, image)
                except UserError as error:
                    self.notices.append(str(error))

    def _arrange(self, project: Project) -> None:
        """Put the layers in the order that they had, above those that were open before."""
        saved_layers = (*project.images, *project.labels, *project.shapes, *project.tracks)
        layers = self._viewer.layers
        for saved in sorted(saved_layers, key=lambda saved: saved.order):
            layer = self.layers.get(saved.name)
            if layer is not None and saved.name not in self._images.reused:
                layers.move(layers.index(layer), len(layers))

    def _go_on(self, project: Project) -> None:
        """Set view, forms and review as they were; layers may have other names by now."""
        names: dict[str | None, Any] = {name: layer.name for name, layer in self.layers.items()}
        session = Session.of(self._viewer)
        if project.view is None:
            self._viewer.reset_view()  # layers were scaled after they were shown
        if (view := project.view) is not None:
            use_view(self._viewer, replace(view, active=names.get(view.active)))
        if (settings := project.settings) is not None:
            region = names.get(settings.region, "") if settings.region_is_layer else settings.region
            session.segment_settings.set_value(
                replace(settings, image=names.get(settings.image), region=region)
            )
        if (review := project.review) is not None and review.labels in names:
            session.review_position.set_value(replace(review, labels=names[review.labels]))
