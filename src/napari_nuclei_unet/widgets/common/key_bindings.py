"""Keys that are bound to one labels layer at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.layers import Labels


class KeyBindings:
    """Binds keys to one layer at a time, and restores its own bindings afterwards.

    Parameters
    ----------
    actions : dict of str to callable
        By key.
    """

    def __init__(self, actions: dict[str, Callable[..., Any]]) -> None:
        # new functions, so that these bindings differ from those of another object
        self._actions = {key: lambda _, act=act: act() for key, act in actions.items()}
        self._layer: Labels | None = None
        self._before: dict[str, Any] = {}

    def bind(self, layer: Labels | None) -> None:
        """Bind the keys to a layer, for while it is selected; None: to none."""
        self._release()
        if layer is None:
            return
        self._layer = unwrap_proxy(layer)
        for key, act in self._actions.items():
            self._before[key] = self._layer.bind_key(key, act, overwrite=True)

    def _release(self) -> None:
        layer, self._layer = self._layer, None
        if layer is None:
            return
        for key, act in self._actions.items():
            bound = layer.bind_key(key, None)
            previous = self._before.pop(key) if bound is act else bound
            if previous is not None:
                layer.bind_key(key, previous, overwrite=True)


def unwrap_proxy(layer: Labels) -> Labels:
    """Return the layer itself: a plugin gets it in a proxy, which is a new one each time."""
    return getattr(layer, "__wrapped__", layer)
