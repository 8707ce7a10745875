"""Labels that were read are linked to their image, whichever of the two comes first."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from napari.layers import Labels
from qtpy.QtCore import QObject

from ..layers.linked_image import link_opened_image
from ..layers.metadata_keys import LABELS_IMAGE_KEY

if TYPE_CHECKING:
    from napari.components import ViewerModel


class ImageLinker(QObject):
    """Links labels that say which file their image is, as soon as that is a layer.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Is not kept alive.
    parent : QObject
    """

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = weakref.ref(viewer)
        viewer.layers.events.inserted.connect(self._link)
        self._link()

    def _link(self, *_: object) -> None:
        viewer = self._viewer()
        for layer in () if viewer is None else list(viewer.layers):
            if isinstance(layer, Labels) and LABELS_IMAGE_KEY in layer.metadata:
                link_opened_image(viewer, layer)
