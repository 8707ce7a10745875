"""Images and labels that were corrected, collected for training."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from ...provenance.record import FINGERPRINT_KEY
from ..layers.geometry import full_resolution_data, layer_shape
from ..layers.labels_record import get_record_entries
from ..layers.metadata_keys import LABELS_LAYER_ENDING, METADATA_KEY
from ..layers.volumes import VOLUME_KEY

if TYPE_CHECKING:
    from napari.components import ViewerModel

# Of the name of an image that was collected.
COPY_ENDING = " (training)"
# Entries of the record that copies of planes do not have.
DROPPED_ENTRIES = ("layer", "plane", "planes_written", "join", "track", "along", VOLUME_KEY,
                   FINGERPRINT_KEY)  # fmt: skip


@dataclass(frozen=True, eq=False)
class CorrectedPair:
    """An image that was collected, and its labels: copies, which later runs do not change.

    Attributes
    ----------
    name : str
        Of what they were copied from.
    image : napari.layers.Image
    labels : napari.layers.Labels
    """

    name: str
    image: Image
    labels: Labels


class CorrectedPairs(QObject):
    """The pairs that were collected in a viewer, whose layers are hidden in it.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
        Is not kept alive.
    parent : QObject

    Signals
    -------
    added : CorrectedPair
    """

    added = Signal(object)

    def __init__(self, viewer: ViewerModel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = weakref.ref(viewer)
        self._pairs: list[CorrectedPair] = []

    def value(self) -> tuple[CorrectedPair, ...]:
        """Return the pairs whose layers are still there."""
        viewer = self._viewer()
        layers = [] if viewer is None else list(viewer.layers)
        self._pairs = [one for one in self._pairs if one.image in layers and one.labels in layers]
        return tuple(self._pairs)

    def add(
        self, name: str, image: Image, labels: Labels, planes: Sequence[tuple[int, ...]]
    ) -> CorrectedPair:
        """Collect planes of an image and its labels; they replace those collected of it before.

        Parameters
        ----------
        name : str
        image : napari.layers.Image
        labels : napari.layers.Labels
        planes : sequence of tuple of int
            Their positions on all axes of the labels but the last two.
        """
        viewer = self._viewer()
        assert viewer is not None  # it owns the layers
        for pair in [pair for pair in self.value() if pair.name == name]:
            viewer.layers.remove(pair.labels)
            viewer.layers.remove(pair.image)
        active = viewer.layers.selection.active
        pair = _copy_planes(name, image, labels, planes)
        viewer.add_layer(pair.image)
        viewer.add_layer(pair.labels)
        viewer.layers.selection.active = active
        self._pairs = [*self.value(), pair]
        self.added.emit(pair)
        return pair


def _copy_planes(
    name: str, image: Image, labels: Labels, planes: Sequence[tuple[int, ...]]
) -> CorrectedPair:
    """Copy planes; of labels whose axes are others than those of the image all of them."""
    pixels, ids = full_resolution_data(image), full_resolution_data(labels)
    if planes and layer_shape(image)[: labels.ndim] == tuple(ids.shape):
        pixels, ids = (_take_planes(data, planes) for data in (pixels, ids))
    pixels, ids = np.array(pixels), np.array(ids)
    copy = Image(
        pixels, rgb=image.rgb, name=f"{name}{COPY_ENDING}", visible=False,
        **_take_geometry(image, pixels.ndim - image.rgb),
        **{key: getattr(image, key) for key in ("colormap", "contrast_limits", "gamma")},
    )  # fmt: skip
    record: dict[str, Any] = {
        key: value
        for key, value in get_record_entries(labels).items()
        if key not in DROPPED_ENTRIES
    }
    metadata = {METADATA_KEY: record | {"image": str(copy.unique_id)}} if record else {}
    copied_labels = Labels(
        ids, name=f"{copy.name}{LABELS_LAYER_ENDING}", visible=False, metadata=metadata,
        **_take_geometry(labels, ids.ndim),
    )  # fmt: skip
    return CorrectedPair(name, copy, copied_labels)


def _take_planes(data: Any, planes: Sequence[tuple[int, ...]]) -> NDArray[Any]:
    """Return one plane, or a stack of several."""
    taken = [np.asarray(data[plane]) for plane in planes]
    return taken[0] if len(taken) == 1 else np.stack(taken)


def _take_geometry(layer: Image | Labels, ndim: int) -> dict[str, Any]:
    """Return scale and place of the last axes of a layer; an axis of copied planes has none."""
    if ndim == layer.ndim:
        return {"scale": layer.scale, "translate": layer.translate, "units": layer.units}
    count = ndim - 2
    return {
        "scale": (*(1.0,) * count, *layer.scale[-2:]),
        "translate": (*(0.0,) * count, *layer.translate[-2:]),
        "units": (*("pixel",) * count, *layer.units[-2:]),
    }
