"""A signal for layers that are removed, and images whose pixels are replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QObject, Signal

if TYPE_CHECKING:
    from napari.components import ViewerModel


class LayerWatcher(QObject):
    """Watches the layers of a viewer.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    parent : QObject

    Signals
    -------
    invalidated : napari.layers.Layer
        It was removed, or is an image whose pixels were replaced.
    """

    invalidated = Signal(object)

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.layers.events.inserted.connect(self._on_inserted)
        for layer in viewer.layers:
            self._watch(layer)

    def _on_inserted(self, event: Any) -> None:
        self._watch(event.value)

    def _watch(self, layer: Any) -> None:
        if isinstance(layer, Image):
            layer.events.data.connect(self._on_data)

    def _on_data(self, event: Any) -> None:
        self.invalidated.emit(event.source)

    def _on_removed(self, event: Any) -> None:
        self.invalidated.emit(event.value)
