"""The result in grey while its errors are shown, so that their colours stand out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import QObject

from ..common.key_bindings import unwrap_proxy

if TYPE_CHECKING:
    from napari.components import ViewerModel

GREY_NAME = "grey behind errors"
GREY = "#808080"


class GreyedResult(QObject):
    """Greys a labels layer while the layer of its errors is visible, and restores its colours.

    Colours that were chosen meanwhile stay.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    parent : QObject
    """

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._result: Labels | None = None
        self._errors: Labels | None = None
        self._colours: Any = None  # of the result; None while it has them
        viewer.layers.events.removed.connect(self._update)

    def follow(self, result: Labels, errors: Labels) -> None:
        """Grey a result as long as its errors are visible; another one is restored."""
        if self._errors is not None:
            self._errors.events.visible.disconnect(self._update)
        if self._result is not unwrap_proxy(result):
            self._restore()
        self._result, self._errors = unwrap_proxy(result), unwrap_proxy(errors)
        self._errors.events.visible.connect(self._update)
        self._update()

    def _update(self, *_: object) -> None:
        if self._result is None or self._errors is None:
            return
        layers = self._viewer.layers
        if self._errors in layers and self._errors.visible and self._result in layers:
            self._grey()
        else:
            self._restore()

    def _grey(self) -> None:
        assert self._result is not None
        if self._colours is None:
            self._colours = self._result.colormap
            colours = {None: GREY, 0: "transparent"}
            self._result.colormap = DirectLabelColormap(color_dict=colours, name=GREY_NAME)

    def _restore(self) -> None:
        colours, self._colours = self._colours, None
        if self._result is None or colours is None:
            return
        if self._result.colormap.name == GREY_NAME:
            self._result.colormap = colours
