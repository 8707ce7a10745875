"""The layers of one image alone on the canvas; those of the user wait, hidden."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer

from ..layers.geometry import layer_shape
from ..layers.labels_record import get_record_entries
from ..layers.metadata_keys import CELLS_KEY, ERRORS_KEY, OVERLAY_KEYS, VALIDATION_AREAS_KEY
from ..layers.navigate import fit_view, viewer_camera

if TYPE_CHECKING:
    from napari.components import ViewerModel

# Marks of layers that show something of another one, and go with it.
DEPENDENT_KEYS = (*OVERLAY_KEYS, ERRORS_KEY, CELLS_KEY, VALIDATION_AREAS_KEY)
KEPT_OF_IMAGES = ("gamma", "colormap", "opacity", "blending", "interpolation2d")
PAINTING_TOOLS = ("paint", "erase", "fill", "polygon")
KEPT_OF_LABELS = ("contour", "opacity", "blending", "brush_size")


@dataclass(frozen=True, eq=False)
class ShownLayers:
    """The layers of an image of the list.

    Attributes
    ----------
    images : tuple of napari.layers.Image
    labels : napari.layers.Labels or None
    own : tuple of napari.layers.Layer
        Those that were opened for it; others were in the viewer before.
    """

    images: tuple[Image, ...] = ()
    labels: Labels | None = None
    own: tuple[Layer, ...] = ()

    @property
    def everything(self) -> list[Layer]:
        """All of them; labels in front of their image."""
        others = [*self.images, *([] if self.labels is None else [self.labels])]
        return [*others, *(layer for layer in self.own if layer not in others)]


class CanvasLayers:
    """Shows the layers of one image at a time, and brings back all others in the end.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.shown = ShownLayers()
        # whether the layers of the user were visible
        self._visible: weakref.WeakKeyDictionary[Layer, bool] = weakref.WeakKeyDictionary()
        self._contrast: dict[str, Any] = {}  # as images were opened, by the ids of their layers
        self._view: _View | None = None  # as it was before an image was opened

    def show(self, shown: ShownLayers) -> None:
        """Show layers that are in the viewer already, instead of those shown before."""
        before, view = self.shown, _View.of(self._viewer)
        if not before.everything:
            self._view = view if len(self._viewer.layers) > len(shown.own) else None
        tool = "" if before.labels is None else str(before.labels.mode)
        contrast = {str(one.unique_id): list(one.contrast_limits) for one in shown.images}
        self._carry_over_display(before, shown)
        self._contrast = contrast
        is_same = _same_canvas(before, shown)
        self._leave(before, shown)
        for layer in list(self._viewer.layers):
            if layer not in shown.everything:
                self._hide(layer)
        for layer in shown.everything:
            if layer not in shown.own:
                self._visible.setdefault(layer, layer.visible)
            layer.visible = True
        self.shown = shown
        if is_same:
            view.restore(self._viewer)
        else:
            fit_view(self._viewer, shown.everything)
        active = shown.labels if shown.labels is not None else next(iter(shown.images), None)
        self._viewer.layers.selection.active = active
        if tool in PAINTING_TOOLS and shown.labels is not None and shown.labels in shown.own:
            shown.labels.mode = tool

    def close(self) -> None:
        """Remove the layers that are shown, and show those of the user as they were."""
        self._leave(self.shown, ShownLayers())
        self.shown = ShownLayers()
        for layer in list(self._viewer.layers):
            if layer in self._visible:
                layer.visible = self._visible[layer]
        self._visible.clear()
        self._hide_orphans()
        if self._view is not None:
            self._view.restore(self._viewer)

    def _hide_orphans(self) -> None:
        """Hide validation areas of labels that are hidden."""
        hidden = {str(layer.unique_id) for layer in self._viewer.layers if not layer.visible}
        for layer in self._viewer.layers:
            if layer.metadata.get(VALIDATION_AREAS_KEY) in hidden:
                layer.visible = False

    def _hide(self, layer: Layer) -> None:
        if layer.visible:
            self._visible[layer] = True
            layer.visible = False
        else:
            self._visible.setdefault(layer, False)

    def _leave(self, before: ShownLayers, shown: ShownLayers) -> None:
        """Remove the layers opened for an image; hide those that others need."""
        kept = [layer for layer in shown.everything if layer in before.everything]
        own = [layer for layer in before.own if layer in self._viewer.layers and layer not in kept]
        ids = {str(layer.unique_id) for layer in own}
        for layer in list(self._viewer.layers):
            if layer not in kept and _shows_something_of(layer, ids):
                self._viewer.layers.remove(layer)
        for layer in own:
            if self._is_needed(layer, own):
                layer.visible = False
                self._visible[layer] = False
            else:
                self._viewer.layers.remove(layer)
        for layer in before.everything:  # of the user
            if layer in self._visible and layer not in kept and layer not in own:
                layer.visible = False

    def _is_needed(self, layer: Layer, own: Iterable[Layer]) -> bool:
        """Return whether labels of the user were made from an image."""
        others = [other for other in self._viewer.layers if other not in own]
        return any(
            get_record_entries(other).get("image") == str(layer.unique_id) for other in others
        )

    def _carry_over_display(self, before: ShownLayers, shown: ShownLayers) -> None:
        """Set the display of images and labels as it was of those shown before."""
        if before.labels is not None and shown.labels is not None:
            _copy_attributes(before.labels, shown.labels, KEPT_OF_LABELS)
        if len(before.images) != len(shown.images):
            return
        for old, new in zip(before.images, shown.images, strict=True):
            if old is new or new not in shown.own or old.rgb != new.rgb:
                continue
            _copy_attributes(old, new, KEPT_OF_IMAGES)
            opened_with = self._contrast.get(str(old.unique_id))
            is_same = layer_shape(old) == layer_shape(new) and old.dtype == new.dtype
            # as long as nobody has changed it, each image has its own
            if is_same and opened_with not in (None, list(old.contrast_limits)):
                new.contrast_limits = old.contrast_limits


@dataclass(frozen=True)
class _View:
    """What the canvas shows."""

    center: tuple[float, ...]
    zoom: float
    step: tuple[int, ...]

    @classmethod
    def of(cls, viewer: ViewerModel) -> _View:
        camera = viewer_camera(viewer)
        return cls(tuple(camera.center), float(camera.zoom), tuple(viewer.dims.current_step))

    def restore(self, viewer: ViewerModel) -> None:
        camera = viewer_camera(viewer)
        if len(self.step) == viewer.dims.ndim:
            viewer.dims.current_step = self.step
        camera.center, camera.zoom = self.center, self.zoom


def _same_canvas(before: ShownLayers, shown: ShownLayers) -> bool:
    """Return whether two images have the same place on the canvas."""
    if not before.images or not shown.images:
        return False
    old, new = before.images[0], shown.images[0]
    same_shape = layer_shape(old) == layer_shape(new)
    return same_shape and np.allclose(old.scale, new.scale, atol=0)


def _copy_attributes(old: Layer, new: Layer, names: Iterable[str]) -> None:
    for name in names:
        value = getattr(old, name)
        if getattr(new, name) != value:
            setattr(new, name, value)


def _shows_something_of(layer: Layer, ids: set[str]) -> bool:
    """Return whether a layer is marked as showing something of one of these layers."""
    for key in DEPENDENT_KEYS:
        marked = layer.metadata.get(key)
        owners = marked if isinstance(marked, list | tuple | set) else [marked]
        if any(owner in ids for owner in owners):
            return True
    return False
