"""A review that goes over many images: of each, only the doubtful nuclei."""

from __future__ import annotations

import weakref

from napari.layers import Labels
from qtpy.QtCore import QObject, Signal

from ..common.key_bindings import unwrap_proxy


class ReviewTour(QObject):
    """The labels whose doubtful nuclei are reviewed now; who opens them and who reviews them meet.

    Attributes
    ----------
    max_confidence : float
        Nuclei up to it are reviewed.
    title : str
        Which image this is, such as "Image 2 of 5".

    Signals
    -------
    begun : napari.layers.Labels
        Their doubtful nuclei are to be reviewed, the least confident first.
    ended : napari.layers.Labels
        None of theirs is left.
    """

    begun = Signal(object)
    ended = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.max_confidence, self.title = 1.0, ""
        self._layer: weakref.ref[Labels] | None = None

    @property
    def layer(self) -> Labels | None:
        """The labels that are reviewed; None: there is no tour."""
        return None if self._layer is None else self._layer()

    def is_on(self, layer: Labels) -> bool:
        """Return whether the doubtful nuclei of labels are reviewed."""
        return self.layer is not None and self.layer is unwrap_proxy(layer)

    def begin(self, layer: Labels, max_confidence: float, title: str) -> None:
        """Begin the review of the doubtful nuclei of labels."""
        self._layer = weakref.ref(unwrap_proxy(layer))
        self.max_confidence, self.title = max_confidence, title
        self.begun.emit(layer)

    def end(self) -> None:
        """Report that none is left."""
        layer = self.layer
        self.stop()
        if layer is not None:
            self.ended.emit(layer)

    def stop(self) -> None:
        """Stop: from now on all nuclei of any labels are reviewed."""
        self._layer = None
