"""What a dock shows and a project saves; docks do not know who saves it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

from qtpy.QtWidgets import QWidget

from ..common.lifetime import call_when_destroyed

T = TypeVar("T")
DockT = TypeVar("DockT", bound=QWidget)


class SharedForm(Generic[T]):
    """The value of a form of a dock; of a dock that is not open, the one that it begins with."""

    def __init__(self) -> None:
        self._value: T | None = None
        self._dock: weakref.ref[Any] | None = None
        self._read: Callable[[Any], T | None]
        self._use: Callable[[Any, T], object]

    def connect(
        self, dock: DockT, read: Callable[[DockT], T | None], use: Callable[[DockT, T], object]
    ) -> None:
        """Connect a dock that has been opened; it takes over a value that waits for it.

        Parameters
        ----------
        dock : QWidget
            Is not kept alive.
        read : callable
            Returns its value; None: there is none.
        use : callable
            Sets its value.
        """
        self._dock, self._read, self._use = weakref.ref(dock), read, use
        call_when_destroyed(dock, partial(self._disconnect, self._dock))
        if self._value is not None:
            value, self._value = self._value, None
            use(dock, value)

    def value(self) -> T | None:
        """Return the present value; None: there is none."""
        dock = None if self._dock is None else self._dock()
        return self._value if dock is None else self._read(dock)

    def set_value(self, value: T) -> None:
        """Set the value, now or when the dock is opened."""
        dock = None if self._dock is None else self._dock()
        if dock is None:
            self._value = value
        else:
            self._use(dock, value)

    def _disconnect(self, dock: weakref.ref[Any]) -> None:
        if self._dock is dock:
            self._dock = None
