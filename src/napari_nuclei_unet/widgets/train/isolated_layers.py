"""One image shown alone with its labels, and what was shown before."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from napari.layers import Layer

from ..common.key_bindings import unwrap_proxy

if TYPE_CHECKING:
    from napari.components import ViewerModel


class IsolatedLayers:
    """Hides all layers but some, until :meth:`restore`.

    What the user shows or hides meanwhile stays as it is.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._before: WeakKeyDictionary[Layer, bool] = WeakKeyDictionary()
        self._now: WeakKeyDictionary[Layer, bool] = WeakKeyDictionary()

    def show_only(self, shown: Collection[Layer]) -> None:
        """Show these layers, and hide all others."""
        names = [layer.unique_id for layer in shown]
        for layer in map(unwrap_proxy, self._viewer.layers):
            if layer not in self._now or layer.visible != self._now[layer]:
                self._before[layer] = layer.visible
            self._now[layer] = layer.visible = layer.unique_id in names

    def restore(self, *_: object) -> None:
        """Show and hide layers as they were."""
        for layer in map(unwrap_proxy, self._viewer.layers):
            if layer in self._before and layer.visible == self._now[layer]:
                layer.visible = self._before[layer]
        self._before.clear()
        self._now.clear()
