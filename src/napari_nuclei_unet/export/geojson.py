"""Outlines as GeoJSON (RFC 7946) in pixels, for QuPath 0.4 and later."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from ..labels.contours import Contour, Ring, trace_contours
from .result import Position, Result

# The plane of a feature without a position in QuPath.
QUPATH_DEFAULT_PLANE = {"c": -1, "z": 0, "t": 0}


def write_geojson(path: Path, result: Result) -> None:
    """Write a feature for each nucleus and plane.

    Parameters
    ----------
    path : Path
    result : Result
        Numbers of its table become measurements, text becomes metadata; numbers that are not finite
        are left out, as JSON has none.
    """
    with path.open("w", encoding="utf-8") as out:
        out.write('{"type":"FeatureCollection","features":[')
        for number, feature in enumerate(_features(result)):
            out.write(",\n" if number else "\n")
            out.write(json.dumps(feature, separators=(",", ":"), allow_nan=False))
        out.write("\n]}\n")


def _features(result: Result) -> Iterator[dict[str, Any]]:
    rows = _rows_by_nucleus(result)
    names = [name for name in result.lead if name in result.table]
    for position, plane in result.planes():
        for contour in trace_contours(plane):
            row = rows.get((*(position[name] for name in names), contour.label), {})
            key = "/".join(map(str, (result.name, *position.values(), contour.label)))
            yield {
                "type": "Feature",
                "id": str(uuid5(NAMESPACE_OID, key)),
                "geometry": _geometry(contour, position),
                "properties": _properties({"label": contour.label, **position, **row}),
            }


def _rows_by_nucleus(result: Result) -> dict[tuple[int, ...], dict[str, Any]]:
    """Return the rows of the table by position and label."""
    if "label" not in result.table:
        return {}
    keys = [name for name in (*result.lead, "label") if name in result.table]
    return {tuple(int(row[k]) for k in keys): row for row in result.table.to_dict("records")}


def _geometry(contour: Contour, position: Position) -> dict[str, Any]:
    pieces = [[_close_ring(ring) for ring in rings] for rings in contour.pieces]
    whole = len(pieces) == 1
    return {
        "type": "Polygon" if whole else "MultiPolygon",
        "coordinates": pieces[0] if whole else pieces,
        **({"plane": QUPATH_DEFAULT_PLANE | _qupath_position(position)} if position else {}),
    }


def _close_ring(ring: Ring) -> list[list[int]]:
    corners: list[list[int]] = ring.tolist()
    return [*corners, corners[0]]


def _qupath_position(position: Position) -> Position:
    return {name: at for name, at in position.items() if name in QUPATH_DEFAULT_PLANE}


def _properties(row: dict[str, Any]) -> dict[str, Any]:
    text = {name: value for name, value in row.items() if isinstance(value, str)}
    numbers = {
        name: +value  # QuPath needs 1, not true
        for name, value in row.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }
    return {
        "objectType": "detection",
        "name": str(row["label"]),
        "measurements": numbers,
        **({"metadata": text} if text else {}),
    }
