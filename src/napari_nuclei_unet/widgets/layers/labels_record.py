"""Record in the metadata of a labels layer: what made it, and which layers it belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Labels

from ...provenance.record import Provenance
from .label_ids import LabelsIndex, plane_key
from .metadata_keys import LINKED_IDS_KEY, METADATA_KEY

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer


@dataclass(frozen=True)
class LabelsRecord:
    """Record of labels.

    Attributes
    ----------
    provenance : Provenance
        Of the plane that was written last.
    image : str or None
        Unique id of the image layer.
    planes_written : tuple of tuple of (int or None)
        Indices of all planes that were written, with None for the axes of the plane.
    """

    provenance: Provenance
    image: str | None = None
    planes_written: tuple[tuple[int | None, ...], ...] = ()

    @classmethod
    def from_json(cls, record: object) -> LabelsRecord:
        """Convert from the metadata of a layer, or from what a file holds.

        Raises
        ------
        UserError
            If it is damaged.
        """
        provenance = Provenance.from_json(record)
        assert isinstance(record, Mapping)  # or from_json raises
        return cls(provenance, record.get("image"), _read_planes(record))


def _read_planes(record: Mapping[str, Any]) -> tuple[tuple[int | None, ...], ...]:
    """Return the planes that a record says were written; none if it is damaged there."""
    planes = record.get("planes_written") or ()
    try:
        read = tuple(tuple(None if at is None else int(at) for at in plane) for plane in planes)
    except (TypeError, ValueError):
        return ()
    return read if len({len(plane) for plane in read}) == 1 else ()


def get_record_entries(layer: Layer) -> dict[str, Any]:
    """Return the record of a layer as JSON holds it; empty if it has none."""
    record = layer.metadata.get(METADATA_KEY)
    return record if isinstance(record, dict) else {}


def set_record_entries(layer: Layer, /, **entries: Any) -> None:
    """Set entries of the record of a layer."""
    layer.metadata = {**layer.metadata, METADATA_KEY: get_record_entries(layer) | entries}


def write_record(
    layer: Labels,
    image: Image,
    index: LabelsIndex,
    provenance: Provenance,
    others: Sequence[LabelsIndex] = (),
) -> None:
    """Write the record of a labels layer into its metadata; napari redraws its window for that.

    Parameters
    ----------
    layer : napari.layers.Labels
    image : napari.layers.Image
    index : tuple of (int or slice)
        Of the plane that was written last.
    provenance : Provenance
        Of that plane.
    others : sequence of tuple of (int or slice)
        Of planes written before, and not recorded yet.
    """
    planes = [list(plane_key(written)) for written in (*others, index)]
    own = {"image": str(image.unique_id), "layer": str(layer.unique_id), "plane": planes[-1]}
    record = provenance.to_json() | own
    if len(planes[-1]) > 2:
        before = [list(plane) for plane in list_written_planes(layer)]
        record["planes_written"] = before + [plane for plane in planes if plane not in before]
    layer.metadata = {**layer.metadata, METADATA_KEY: record}


def list_written_planes(layer: Layer) -> list[tuple[int | None, ...]]:
    """Return which planes of a layer have been written, as its record says; None for their axes."""
    return list(_read_planes(get_record_entries(layer)))


def find_labels_layer(viewer: ViewerModel, image: Image, ndim: int) -> Labels | None:
    """Find the labels layer that holds the nuclei of an image layer; a copy of it does not."""
    for layer in viewer.layers:
        record = get_record_entries(layer)
        recorded = (record.get("image"), record.get("layer"))
        is_own = recorded == (str(image.unique_id), str(layer.unique_id))
        if isinstance(layer, Labels) and is_own and layer.ndim == ndim:
            return layer
    return None


def find_result_layer(viewer: ViewerModel, image: Image | None) -> Labels | None:
    """Find a labels layer with a record: the selected one, or the one of an image layer."""
    active = viewer.layers.selection.active
    if isinstance(active, Labels) and METADATA_KEY in active.metadata:
        return active
    for ndim in () if image is None else (image.ndim, image.ndim - 1):
        if (layer := find_labels_layer(viewer, image, ndim)) is not None:
            return layer
    return None


def detach_labels(labels: Labels) -> None:
    """Detach a labels layer from its image: the next result gets a layer of its own."""
    set_record_entries(labels, layer=None)


def is_attached(labels: Labels) -> bool:
    """Return whether results of its image are written into a labels layer."""
    return get_record_entries(labels).get("layer") == str(labels.unique_id)


def stale_ids_warning(labels: Labels, which: str = " of this plane") -> str:
    """Return a warning if ids no longer match across planes, as some were rewritten; or ""."""
    action, record = labels.metadata.get(LINKED_IDS_KEY), get_record_entries(labels)
    if action is None or record.get("join") or record.get("track"):
        return ""
    if action == "link":
        return f" · nuclei{which} are not linked any more: click Link over time"
    return f" · sections{which} are separate again: click Join slices"
