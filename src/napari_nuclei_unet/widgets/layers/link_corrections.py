"""Corrected links of a labels layer, in its metadata and in the record of a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from napari.layers import Labels

from ...tracking.corrections import LinkCorrections
from .labels_record import get_record_entries
from .metadata_keys import LINK_CORRECTIONS_KEY, LINKED_IDS_KEY

# Of a record that is saved.
RECORD_ENTRY = "link_corrections"


def has_linked_frames(layer: Labels) -> bool:
    """Return whether the ids of labels are tracks, and not outdated."""
    record = get_record_entries(layer)
    return bool(record.get("track") if record else layer.metadata.get(LINKED_IDS_KEY) == "link")


def get_link_corrections(layer: Labels) -> LinkCorrections:
    """Return what was corrected in the links of labels."""
    found = layer.metadata.get(LINK_CORRECTIONS_KEY)
    return found if isinstance(found, LinkCorrections) else LinkCorrections()


def set_link_corrections(layer: Labels, corrections: LinkCorrections) -> None:
    """Keep what was corrected in the links of labels, for when they are linked again."""
    layer.metadata = {**layer.metadata, LINK_CORRECTIONS_KEY: corrections}


def record_with_corrections(layer: Labels) -> dict[str, Any]:
    """Return the record of labels as it is saved."""
    # imports pandas, which would delay the start of napari
    from ...tracking.link_edits import corrections_to_json

    corrections = get_link_corrections(layer)
    record = {key: v for key, v in get_record_entries(layer).items() if key != RECORD_ENTRY}
    if not record or corrections == LinkCorrections():
        return record
    return record | {RECORD_ENTRY: corrections_to_json(corrections)}


def read_recorded_corrections(record: Mapping[str, Any]) -> dict[str, LinkCorrections]:
    """Return the metadata of labels whose saved record has corrections; empty if it has none."""
    from ...tracking.link_edits import corrections_from_json

    if RECORD_ENTRY not in record:
        return {}
    return {LINK_CORRECTIONS_KEY: corrections_from_json(record[RECORD_ENTRY])}
