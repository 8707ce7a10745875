"""Objects of Qt that belong to an object of napari."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial

from qtpy.QtCore import QCoreApplication, QObject, QTimer, Slot


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
        Must not refer to the owner, except weakly.
    """
    call = _DestroyedCall(function)
    _waiting.add(call)
    owner.destroyed.connect(call.run)


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
