"""Objects of Qt that belong to an object of napari."""

from __future__ import annotations

import weakref
from collections.abc import Callable

from qtpy.QtCore import QCoreApplication, QObject


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

    Python may have collected the object before, with all that only its signals refer to, and PyQt
    crashes when it calls a function that was collected: it is kept alive here until then.

    Parameters
    ----------
    owner : QObject
    function : callable
        Must not refer to the owner, except weakly.
    """
    call = _DestroyedCall(function)
    _waiting.add(call)
    owner.destroyed.connect(call)


class _DestroyedCall:
    """A function that is called once."""

    def __init__(self, function: Callable[[], object]) -> None:
        self._function = function

    def __call__(self, *_: object) -> None:
        _waiting.discard(self)
        self._function()


_waiting: set[_DestroyedCall] = set()
