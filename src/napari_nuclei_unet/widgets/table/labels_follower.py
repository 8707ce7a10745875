"""The labels layer that a dock shows: the active one, or the one that was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from qtpy.QtCore import QObject, QTimer, Signal

from ..common.controls import with_properties
from ..common.key_bindings import unwrap_proxy
from ..layers.metadata_keys import list_nuclei

if TYPE_CHECKING:
    from napari.components import ViewerModel

# While labels are painted or retuned, their table is shown at most this often.
FEATURES_DELAY_MS = 100


class LabelsFollower(QObject):
    """Follows the active labels layer of a viewer, its table and its selected label.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    parent : QObject

    Signals
    -------
    layer_changed
        There is another :attr:`layer`, or none.
    features_changed
        Its table has changed, some time ago.
    label_selected : int
        In the layer.
    """

    layer_changed = Signal()
    features_changed = Signal()
    label_selected = Signal(int)

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.layer: Labels | None = None
        self._label = 0  # that is selected
        self._timer = with_properties(QTimer(self), singleShot=True, interval=FEATURES_DELAY_MS)
        self._timer.timeout.connect(self.features_changed)
        viewer.layers.selection.events.active.connect(self._follow)
        viewer.layers.events.removed.connect(self._follow)
        viewer.layers.events.inserted.connect(self._follow)
        self._follow()

    def release(self, *_: object) -> None:
        """Listen to nothing any more."""
        layers = self._viewer.layers
        events = (layers.events.removed, layers.events.inserted, layers.selection.events.active)
        for event in events:
            event.disconnect(self._follow)
        self._listen_to(None)

    def _follow(self, *_: object) -> None:
        offered = [unwrap_proxy(one) for one in list_nuclei(self._viewer)]
        active = unwrap_proxy(self._viewer.layers.selection.active)
        wanted = [layer for layer in (active, self.layer) if layer in offered] + offered[::-1]
        layer = wanted[0] if wanted else None
        if layer is not self.layer:
            self._listen_to(layer)
            self.layer_changed.emit()

    def _listen_to(self, layer: Labels | None) -> None:
        if self.layer is not None:
            self.layer.events.features.disconnect(self._on_features)
            self.layer.events.selected_label.disconnect(self._on_selected_label)
        self.layer = layer
        if layer is not None:
            self._label = int(layer.selected_label)
            layer.events.features.connect(self._on_features)
            layer.events.selected_label.connect(self._on_selected_label)

    def _on_features(self, _: Any) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def _on_selected_label(self, event: Any) -> None:
        label = int(event.source.selected_label)
        if label != self._label:  # new colours send this event, too
            self._label = label
            self.label_selected.emit(label)
