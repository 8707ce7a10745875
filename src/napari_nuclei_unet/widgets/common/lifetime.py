"""Objects of Qt that belong to an object of napari."""

from __future__ import annotations

import weakref

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
