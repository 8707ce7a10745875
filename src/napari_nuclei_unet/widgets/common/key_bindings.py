"""Keys of one labels layer, as long as they are wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.layers import Labels


class KeyBindings:
    """Binds keys to one layer at a time; it has them back as they were.

    Parameters
    ----------
    acts : dict of str to callable
        What each key does.
    """

    def __init__(self, actions: dict[str, Callable[..., Any]]) -> None:
        # of this object alone, so that another one's keys are told from ours
        self._actions = {key: lambda _, act=act: act() for key, act in actions.items()}
        self._layer: Labels | None = None
        self._before: dict[str, Any] = {}

    def bind(self, layer: Labels | None) -> None:
        """Let keys work while this layer is selected; None: no more."""
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
            found = layer.bind_key(key, None)
            other = self._before.pop(key) if found is act else found
            if other is not None:
                layer.bind_key(key, other, overwrite=True)


def unwrap_proxy(layer: Labels) -> Labels:
    """Give the layer itself: a plugin gets it in a proxy, which is another one every time."""
    return getattr(layer, "__wrapped__", layer)
