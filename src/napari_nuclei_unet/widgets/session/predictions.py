"""The predictions of planes, so that sliders need not run the network again."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from napari.layers import Labels
from qtpy.QtCore import QObject

from ...memory import available_memory
from ...provenance.record import Provenance
from ..layers.image_source import ImageSource
from ..layers.label_ids import LabelsIndex, plane_key
from .disk_cache import DiskCache
from .model_registry import ModelStamp
from .plane_result import PlaneResult
from .volume_result import SliceResult, VolumeResults


class Predictions(QObject):
    """Stores the results of planes, the least recently used ones in files.

    Attributes
    ----------
    max_bytes : int
        Maximum size of the maps in memory, for all images together; the rest goes into files. The
        plane used last always stays in memory.
    disk_cache : DiskCache
        The files.
    volumes : VolumeResults
        Of volumes, which stay in memory.
    """

    def __init__(self, max_bytes: int) -> None:
        super().__init__()
        self.max_bytes = max_bytes
        self._plane_results: OrderedDict[Any, PlaneResult] = OrderedDict()
        self.disk_cache = DiskCache(self)
        self.volumes = VolumeResults(max_bytes)
        self.disk_cache.failed.connect(self._drop)

    @property
    def results(self) -> list[PlaneResult]:
        """All results, the one that was used last at the end."""
        return list(self._plane_results.values())

    def add(self, plane_result: PlaneResult) -> None:
        """Store a prediction; the least recently used ones go to files when memory is exceeded."""
        key = plane_result.source.key, plane_result.source.region
        self._plane_results.pop(key, None)
        self._plane_results[key] = plane_result
        in_memory = [
            stored
            for stored in self._plane_results.values()
            if stored.size and not self.disk_cache.is_queued(stored)
        ]
        total = sum(stored.size for stored in in_memory)
        excess = total - min(self.max_bytes, (total + available_memory()) // 2)
        for stored in in_memory[:-1]:
            if excess <= 0:
                break
            excess -= stored.size
            self.disk_cache.put(stored)

    def find(self, source: ImageSource, model: ModelStamp) -> PlaneResult | None:
        """Find the result of a plane by this model: of the same region, or else the latest."""
        keys = [
            key
            for key, stored in self._plane_results.items()
            if key[0] == source.key and stored.model == model and stored.source.is_current
        ]
        if not keys:
            return None
        own_key = (source.key, source.region)
        key = own_key if own_key in keys else keys[-1]
        self._plane_results.move_to_end(key)
        return self._plane_results[key]

    def find_planes(self, source: ImageSource, model: ModelStamp) -> list[PlaneResult]:
        """Find the results of a stack: same image, channel, level and model."""
        stack_key = _stack_key(source)
        by_plane = {
            stored.source.key: stored  # of several regions the one used last
            for stored in self._plane_results.values()
            if _stack_key(stored.source) == stack_key and stored.model == model
        }
        return [stored for stored in by_plane.values() if stored.source.is_current]

    def find_latest(self, image: Any, index: LabelsIndex) -> PlaneResult | SliceResult | None:
        """Find the latest result of a plane, or of a slice of a volume, by any model."""
        for stored in reversed(self._plane_results.values()):
            same_plane = stored.source.image == image and stored.placement.index == index
            if same_plane and stored.source.is_current:
                return stored
        return self.volumes.find_slice(image, index)

    def get_provenance(self, layer: Labels, index: LabelsIndex) -> Provenance | None:
        """Return the provenance of a plane of labels, if it is known."""
        results = self._results_on(layer, index)
        return results[-1].provenance if results else None

    def get_provenances(self, layer: Labels) -> list[Provenance]:
        """Return the provenance of all stored planes of labels."""
        results = self._results_on(layer)
        by_plane = {plane_key(stored.placement.index): stored.provenance for stored in results}
        return [provenance for provenance in by_plane.values() if provenance is not None]

    def _results_on(
        self, layer: Labels | None, index: LabelsIndex | None = None
    ) -> list[PlaneResult]:
        """Return the results of a layer, or of a plane of it."""
        return [
            stored
            for stored in self._plane_results.values()
            if stored.layer == layer and index in (None, stored.placement.index)
        ]

    def contains(self, plane_result: PlaneResult) -> bool:
        """Return whether a result is still stored."""
        return (
            self._plane_results.get((plane_result.source.key, plane_result.source.region))
            is plane_result
        )

    def clear(self) -> None:
        """Drop all results, and their files."""
        self.volumes.clear()
        self._plane_results.clear()
        self.disk_cache.clear()

    def _drop(self, plane_result: PlaneResult) -> None:
        if self.contains(plane_result):
            del self._plane_results[plane_result.source.key, plane_result.source.region]

    def remove_layer(self, layer: Any) -> None:
        """Drop the results of an image or labels layer that was removed or has new content."""
        self.volumes.remove_layer(layer)
        for key, stored in list(self._plane_results.items()):
            if layer in (stored.source.image, stored.layer):
                del self._plane_results[key]


def _stack_key(source: ImageSource) -> tuple[Any, ...]:
    """Return a key that all planes of a stack share."""
    axis, index = source.plane_index.channel_axis, source.plane_index.index
    channel = None if axis is None else index[axis]
    return source.key[0], source.level, axis, channel, tuple(at is None for at in index)
