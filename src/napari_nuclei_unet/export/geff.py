"""Tracks as GEFF, the Graph Exchange File Format, for motile_tracker and others."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import UserError
from ..io.labels import RECORD_KEY
from ..io.readers.ome_zarr import ZARR_METADATA_FILES
from ..io.store_files import check_contains_only
from ..io.tables import TIME_COLUMN
from ..tracking.graph import TrackGraph, build_track_graph, number_tracks
from ..tracking.lineage import TrackScale, measure_tracks
from .result import Result

if TYPE_CHECKING:
    from geff import GeffMetadata

GEFF_SUFFIX = ".geff"
# Properties of nodes: the label in the labels, the track, and the track of the first ancestor.
SEGMENTATION, TRACKLET, LINEAGE = "seg_id", "tracklet", "lineage"
# Arrays of a property.
PROPERTY_ARRAYS = ("values", "missing", "data")


def is_geff_installed() -> bool:
    """Return whether the package geff, which is optional, is installed."""
    return find_spec("geff") is not None


def check_geff_installed() -> None:
    """Raise an error if the package geff is not installed.

    Raises
    ------
    UserError
    """
    if not is_geff_installed():
        raise UserError(
            "GEFF needs the package geff: install it with pip install 'napari-nuclei-unet[geff]'."
        )


def write_geff(path: Path, result: Result) -> None:
    """Write the tracks of a result: a node for each nucleus and frame, an edge for each link.

    Parameters
    ----------
    path : Path
        A folder, which must not exist.
    result : Result
        Columns of its table with numbers become properties of the nodes.

    Raises
    ------
    UserError
        If the result has no tracks, or geff is not installed.
    """
    if result.tracks is None:
        raise UserError(
            f"There are no tracks for {result.name}: link its nuclei over time with `track` first."
        )
    check_geff_installed()
    from geff.core_io import write_arrays  # optional dependency

    graph = build_track_graph(result.tracks)
    properties = _node_properties(graph, result)
    write_arrays(
        path,
        np.arange(len(graph.nodes), dtype=np.uint64),
        {name: {"values": values, "missing": None} for name, values in properties.items()},
        graph.edges.astype(np.uint64),
        {},
        _describe(graph, result, list(properties)),
    )


def check_only_own_geff(path: Path) -> None:
    """Raise an error if a GEFF contains something that others have put there.

    Raises
    ------
    UserError
    """
    nodes, edges = _read_own_properties(path)
    check_contains_only(path, path, {"nodes", "edges", *ZARR_METADATA_FILES})
    for part, names in (("nodes", nodes), ("edges", edges)):
        check_contains_only(path, path / part, {"ids", "props", *ZARR_METADATA_FILES})
        props = path / part / "props"
        if props.is_dir():
            check_contains_only(path, props, names | {*ZARR_METADATA_FILES})
        for name in names:
            if (props / name).is_dir():
                check_contains_only(path, props / name, {*PROPERTY_ARRAYS, *ZARR_METADATA_FILES})


def _read_own_properties(path: Path) -> tuple[set[str], set[str]]:
    """Read which properties of nodes and of edges this program has written.

    Where that is not known, they are all that the metadata list.
    """
    from ..io.zarr_nodes import open_group  # takes a moment to load

    try:
        about: Any = open_group(path).attrs["geff"]
        own = (about.get("extra") or {}).get(RECORD_KEY)
        if own is not None:
            return set(own["node_props"]), set()
        return set(about["node_props_metadata"]), set(about["edge_props_metadata"])
    except Exception:  # whatever zarr raises for damaged metadata
        return set(), set()


def _node_properties(graph: TrackGraph, result: Result) -> dict[str, NDArray[Any]]:
    scale = TrackScale.of(result.axes, result.spacing, result.units)
    known = {"track", "parent", LINEAGE, "frame"}  # or named as GEFF has them
    nodes = graph.nodes.rename(columns={TIME_COLUMN: "t"})  # the name of the axis
    measured = measure_tracks(graph.nodes, scale).rename(columns={TIME_COLUMN: "t"})
    if measured.empty:  # of a table without rows pandas does not know the types
        measured = measured.astype(np.float64)
    own = {name: measured[name].to_numpy() for name in measured if name not in known}
    track = nodes["track"].to_numpy(np.int64)
    own |= {SEGMENTATION: track, TRACKLET: track, LINEAGE: graph.lineages}
    lead = [name for name in result.lead if name != "z" or not result.record.get("volume")]
    keys = [name for name in (*lead, "label") if name in result.table]
    if "label" not in keys:
        return own
    rows = nodes.rename(columns={"track": "label"})[keys]
    joined = rows.merge(result.table.drop_duplicates(keys), on=keys, how="left")
    others = [name for name in joined if name not in (*keys, *own)]
    return own | {name: joined[name].to_numpy() for name in others if _is_number(joined[name])}


def _is_number(column: pd.Series[Any]) -> bool:
    return column.dtype.kind in "biuf"


def _describe(graph: TrackGraph, result: Result, properties: list[str]) -> GeffMetadata:
    """Return axes, with their sizes where known, and what the properties mean."""
    from geff import GeffMetadata
    from geff_spec import Axis  # one of geff's own

    sizes = dict(zip(result.axes.lower(), result.spacing, strict=False))
    units = dict(zip(result.axes.lower(), result.units, strict=False))
    axes = []
    for name in (*result.lead, "y", "x"):
        kind = {"t": "time", "z": "space", "y": "space", "x": "space"}.get(name)
        unit = {"time": "frame", "space": "pixel"}.get(kind or "")
        is_known = kind is not None and units.get(name) is not None
        scale = {"scale": sizes[name], "scaled_unit": units[name]} if is_known else {}
        axes.append(Axis(name=name, type=kind, unit=unit, **scale))
    meaning = {"lineage": LINEAGE, **({"tracklet": TRACKLET} if graph.has_whole_tracks else {})}
    return GeffMetadata(
        directed=True,
        axes=axes,
        node_props_metadata={},
        edge_props_metadata={},
        track_node_props=meaning,
        extra={RECORD_KEY: {"node_props": properties}},  # others may be added
    )


def read_geff(path: str | Path) -> pd.DataFrame:
    """Read tracks from a GEFF, of this program or another.

    Parameters
    ----------
    path : str or Path
        Its nodes have a time, ``t`` or ``time``, and ``y`` and ``x``.

    Returns
    -------
    pandas.DataFrame
        As that of ``<name>_tracks.csv``: ``track``, other axes, ``time``, ``y``, ``x``, ``parent``.

    Raises
    ------
    UserError
        If it is no GEFF, has no such nodes, or geff is not installed.
    """
    check_geff_installed()
    from geff.core_io import read_to_memory

    from ..io.zarr_nodes import FileStore  # takes a moment to load

    try:
        read = read_to_memory(FileStore(Path(path)))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} is not a readable GEFF: {error}.") from error
    names = [axis.name for axis in read["metadata"].axes or []]
    properties = {name: read["node_props"][name]["values"] for name in names}
    properties = {TIME_COLUMN if name == "t" else name: properties[name] for name in names}
    names = list(properties)
    if missing := {TIME_COLUMN, "y", "x"} - set(names):
        raise UserError(f"{path} has no axis {min(missing)}: its nodes need time (or t), y and x.")
    labels = read["node_props"].get(SEGMENTATION)
    track = number_tracks(read["node_ids"], read["edge_ids"], labels and labels["values"])
    table = pd.DataFrame({**properties, "track": track.tracks, "parent": track.parents})
    others = [name for name in names if name not in (TIME_COLUMN, "z", "y", "x")]
    table[TIME_COLUMN] = table[TIME_COLUMN].astype(np.int64)
    places = [name for name in ("z", "y", "x") if name in names]
    ordered = table[["track", *others, TIME_COLUMN, *places, "parent"]]
    return ordered.sort_values(["track", TIME_COLUMN], ignore_index=True)
