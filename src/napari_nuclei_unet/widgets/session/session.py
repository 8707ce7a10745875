"""The session: what all docks of a viewer share."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from ...limits import DEFAULT_LIMITS, Limits
from ..common.key_bindings import unwrap_proxy
from ..common.lifetime import delete_with
from ..layers.watcher import LayerWatcher
from .corrected_pairs import CorrectedPairs
from .image_links import ImageLinker
from .model_registry import MODEL_REGISTRY
from .predictions import Predictions
from .review_tour import ReviewTour
from .shared_form import SharedForm

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer
    from qtpy.QtWidgets import QWidget

    from ...provenance.project import ReviewPosition, SegmentSettings


class Session(QObject):
    """Models and predictions of a viewer; one for each, as from :meth:`of`.

    What is known of a labels layer is in its ``LabelsState``, which belongs to the layer.

    Attributes
    ----------
    limits : Limits
    models : ModelRegistry
        Shared by all viewers.
    predictions : Predictions
    watcher : LayerWatcher
        Of the viewer.
    segment_settings, review_position : SharedForm
        Of the docks "Segment nuclei" and "Review nuclei".
    review_tour : ReviewTour
        Of the review of many images.
    corrected_pairs : CorrectedPairs
        What was corrected in many images, for training.
    """

    def __init__(self, viewer: ViewerModel, limits: Limits) -> None:
        super().__init__()
        self.models = MODEL_REGISTRY
        self.limits, self.predictions = limits, Predictions(limits.cached_bytes)
        self.predictions.setParent(self)
        self.watcher = LayerWatcher(viewer, self)
        self.watcher.invalidated.connect(self._on_invalidated)
        self.segment_settings: SharedForm[SegmentSettings] = SharedForm()
        self.review_position: SharedForm[ReviewPosition] = SharedForm()
        self.review_tour = ReviewTour(self)
        self.corrected_pairs = CorrectedPairs(viewer, self)
        self._linker = ImageLinker(viewer, self)
        self._docks = 0

    @staticmethod
    def of(viewer: ViewerModel, limits: Limits = DEFAULT_LIMITS) -> Session:
        """Return the session of a viewer; a new one, if it has none."""
        viewer = unwrap_proxy(viewer)
        if viewer not in _sessions:
            _sessions[viewer] = Session(viewer, limits)
            delete_with(viewer, _sessions[viewer])
        return _sessions[viewer]

    def join(self, dock: QWidget) -> None:
        """Count a dock; predictions are dropped when the last one is gone."""
        self._docks += 1
        dock.destroyed.connect(self._leave)

    def _leave(self, *_: object) -> None:
        self._docks -= 1
        if not self._docks:
            self.predictions.clear()

    def _on_invalidated(self, layer: Layer) -> None:
        self.predictions.remove_layer(layer)


_sessions: weakref.WeakKeyDictionary[ViewerModel, Session] = weakref.WeakKeyDictionary()
