"""Objects of Qt that belong to an object of napari."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

from napari.components import ViewerModel
from qtpy.compat import isalive
from qtpy.QtCore import QCoreApplication, QObject, QTimer, Slot

from .key_bindings import unwrap_proxy


def adopt(owner: QObject, *parts: QObject) -> None:
    """Have Qt delete parts with their owner, in the thread of the window.

    What belongs to nobody waits for Python's collector, which may run in any thread, and in the
    midst of any call: with PySide the program crashes now and then.
    """
    for part in parts:
        part.setParent(owner)


def adopt_event_filter(control: Any) -> None:
    """Have a control of magicgui own the filter that watches it, which belongs to nobody."""
    event_filter = getattr(control._widget, "_event_filter", None)  # noqa: SLF001 no other way
    if isinstance(event_filter, QObject):
        adopt(control.native, event_filter)


def delete_with(owner: object, dependent: QObject) -> None:
    """Delete an object of Qt when its owner is collected, but in the thread of the window.

    Python may collect garbage in any thread, and an object of Qt with a timer or pending events
    that is deleted in a foreign thread can crash the program.

    Parameters
    ----------
    owner : object
        Is not kept alive.
    dependent : QObject
        Must not refer to its owner, except weakly.
    """
    dependent.setParent(QCoreApplication.instance())
    weakref.finalize(owner, dependent.deleteLater).atexit = False


def call_when_destroyed(owner: QObject, function: Callable[[], object]) -> None:
    """Call a function when an object of Qt is destroyed, whoever destroys it.

    Python may have collected the object before. With it goes whatever its signals call, unless that
    is a slot of another object of Qt: such a one is kept here until then.

    Parameters
    ----------
    owner : QObject
    function : callable
        If it refers to the owner, that is kept until then.
    """
    call = _DestroyedCall(function)
    _waiting.add(call)
    owner.destroyed.connect(call.run)


def keep_until_destroyed(owner: QObject) -> None:
    """Keep an object of Qt until Qt destroys it: Python's collector never deletes it."""
    call_when_destroyed(owner, partial(_let_go, owner))


def stop_listening_when_destroyed(dock: QObject, viewer: ViewerModel) -> None:
    """Have the parts of a dock listen to a viewer until Qt destroys them, and no longer.

    napari forgets a listener when Python collects it, which is later, and until then it would be
    called.

    Parameters
    ----------
    dock : QObject
    viewer : napari.components.ViewerModel
        Is not kept alive.
    """
    drop = partial(_drop_destroyed_listeners, weakref.ref(unwrap_proxy(viewer)))
    # soon: parts are destroyed after it
    call_when_destroyed(dock, partial(QTimer.singleShot, 0, drop))


def _drop_destroyed_listeners(viewer: weakref.ref[ViewerModel]) -> None:
    if (of := viewer()) is None:
        return
    layers = of.layers
    groups: list[Any] = [layers.events, layers.selection.events, of.dims.events]
    for group in (*groups, *(layer.events for layer in layers)):
        for emitter in group.emitters.values():
            for callback in tuple(emitter.callbacks):
                listener = callback[0]() if isinstance(callback, tuple) else None
                if isinstance(listener, QObject) and not isalive(listener):  # type: ignore[no-untyped-call]
                    emitter.disconnect(listener)


def _let_go(_: QObject) -> None:
    """Do nothing: soon after it is called, what refers to the object is dropped."""


class _DestroyedCall(QObject):
    """A function that is called once, in the thread of the window."""

    def __init__(self, function: Callable[[], object]) -> None:
        super().__init__()
        self._function = function

    @Slot()
    def run(self) -> None:
        QTimer.singleShot(0, partial(_waiting.discard, self))  # not while its slot is called
        self._function()


_waiting: set[_DestroyedCall] = set()
