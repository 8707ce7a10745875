"""What a dock shows and a project saves; docks do not know who saves it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from qtpy.QtWidgets import QWidget

T = TypeVar("T")


class SharedForm(Generic[T]):
    """The value of a form of a dock; of a dock that is not open, the one that it begins with."""

    def __init__(self) -> None:
        self._value: T | None = None
        self._read: Callable[[], T | None] | None = None
        self._use: Callable[[T], object] | None = None

    def connect(
        self, dock: QWidget, read: Callable[[], T | None], use: Callable[[T], object]
    ) -> None:
        """Connect a dock that has been opened; it takes over a value that waits for it.

        Parameters
        ----------
        dock : QWidget
        read : callable
            Returns its value; None: there is none.
        use : callable
            Sets its value.
        """
        self._read, self._use = read, use
        dock.destroyed.connect(lambda *_: self._disconnect(read))
        if self._value is not None:
            value, self._value = self._value, None
            use(value)

    def value(self) -> T | None:
        """Return the present value; None: there is none."""
        return self._value if self._read is None else self._read()

    def set_value(self, value: T) -> None:
        """Set the value, now or when the dock is opened."""
        if self._use is None:
            self._value = value
        else:
            self._use(value)

    def _disconnect(self, read: Callable[[], T | None]) -> None:
        if self._read is read:
            self._read = self._use = None
