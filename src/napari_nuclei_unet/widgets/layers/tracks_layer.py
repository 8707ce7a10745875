"""The Tracks layer of a labels layer: what it shows of lineages, and how it is found again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels, Tracks
from napari.utils.colormaps import label_colormap

from .metadata_keys import TRACKS_KEY
from .placement import get_geometry

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel

    from ...tracking.lineage import TrackScale

LINEAGE_COLUMN = "lineage"
# Of napari's labels, by which a lineage has the colour of the label of its first ancestor.
LABEL_COLORS = 49
# Of a tail, in frames: longer ones cover the nuclei of a dense film.
TAIL_FRAMES = 10
TAIL_WIDTH = 3


def tracks_layer_arguments(tracks: pd.DataFrame, scale: TrackScale) -> dict[str, Any]:
    """Return the arguments of a Tracks layer, coloured as the first ancestors' labels are.

    Parameters
    ----------
    tracks : pandas.DataFrame
        As in ``linking.LinkedLabels``; not empty, as napari takes no empty tracks.
    scale : TrackScale
    """
    # imports pandas, which would delay the start of napari
    from ...tracking.lineage import TRACK_MEASUREMENTS, measure_tracks
    from ...tracking.linking import to_napari_tracks

    rows = measure_tracks(tracks, scale)
    known = [name for name in TRACK_MEASUREMENTS if name in rows]
    vertices, graph = to_napari_tracks(rows.drop(columns=known))
    # napari has no colour for nan, which is the speed of a first moment
    features = rows[["parent", *known]].fillna(0)
    features["is_division"] = features["is_division"].astype(int)
    return {
        "data": vertices,
        "graph": {child: mothers for child, mothers in graph.items() if _are_in(rows, mothers)},
        "features": features,
        "color_by": LINEAGE_COLUMN,
        "colormaps_dict": {LINEAGE_COLUMN: label_colormap(LABEL_COLORS, background_value=0)},
        "blending": "translucent",  # added to bright nuclei, colours become white
        "tail_length": TAIL_FRAMES,
        "tail_width": TAIL_WIDTH,
    }


def _are_in(rows: pd.DataFrame, tracks: list[int]) -> bool:
    return bool(np.isin(tracks, rows["track"]).all())


def create_tracks_layer(
    tracks: pd.DataFrame, geometry: Mapping[str, Any], **attributes: Any
) -> Tracks:
    """Create the Tracks layer of labels.

    Parameters
    ----------
    tracks : pandas.DataFrame
        As of :func:`tracks_layer_arguments`.
    geometry : mapping of str
        Of the labels, as from ``placement.get_geometry``; time is their first axis.
    **attributes
        Others, as napari's layer takes them.
    """
    scale = _geometry_track_scale(geometry)
    return Tracks(**tracks_layer_arguments(tracks, scale), **geometry, **attributes)


def _geometry_track_scale(geometry: Mapping[str, Any]) -> TrackScale:
    from ...arrays.axes import axis_letters
    from ...tracking.lineage import TrackScale

    names = ("t", *geometry["axis_labels"][1:])
    letters = axis_letters(names, (len(names) - 2, len(names) - 1))
    units = [None if str(unit) == "pixel" else str(unit) for unit in geometry["units"]]
    return TrackScale.of(letters, tuple(map(float, geometry["scale"])), units)


def update_tracks_layer(layer: Tracks, tracks: pd.DataFrame) -> None:
    """Show other tracks in a layer, coloured as it was."""
    arguments = tracks_layer_arguments(tracks, _geometry_track_scale(get_geometry(layer)))
    color_by, layer.color_by = layer.color_by, "track_id"  # which new data have before features
    layer.data = arguments["data"]
    layer.features = arguments["features"]
    layer.graph = arguments["graph"]
    layer.color_by = color_by if color_by in layer.properties_to_color_by else LINEAGE_COLUMN


def find_tracks_layer(viewer: ViewerModel, labels: Labels) -> Tracks | None:
    """Find the tracks of labels, also of those that were read with them from a file.

    They are none of labels that have other axes by now.
    """
    marks = {str(labels.unique_id), labels.metadata.get(TRACKS_KEY)} - {None}
    for layer in viewer.layers:
        is_its = isinstance(layer, Tracks) and layer.metadata.get(TRACKS_KEY) in marks
        if is_its and layer.ndim == labels.ndim:
            return layer
    return None
