"""Outlines as GeoJSON (RFC 7946) in pixels, for QuPath 0.4 and later: nuclei, or cells."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from ..labels.cells import expand_nuclei
from ..labels.contours import Contour, Ring, trace_contours
from .qupath_classes import find_classification
from .result import Position, Result

# The plane of a feature without a position in QuPath.
QUPATH_DEFAULT_PLANE = {"c": -1, "z": 0, "t": 0}


@dataclass(frozen=True)
class OutlineOptions:
    """What is outlined.

    Attributes
    ----------
    cells : float or None
        Distance up to which nuclei are expanded to cells, halfway to their neighbours at most; a
        cell has the outline of its nucleus, too. None: nuclei only.
    in_micrometers : bool
        Whether it is in micrometers, else in pixels.
    """

    cells: float | None = None
    in_micrometers: bool = False


NUCLEI_ONLY = OutlineOptions()


def write_geojson(path: Path, result: Result, options: OutlineOptions = NUCLEI_ONLY) -> None:
    """Write a feature for each nucleus and plane.

    Parameters
    ----------
    path : Path
    result : Result
        Numbers of its table become measurements, text becomes metadata, and columns of classes a
        classification; numbers that are not finite are left out, as JSON has none.
    options : OutlineOptions, optional

    Raises
    ------
    UserError
        If cells are asked for in micrometers, and the size of a pixel is unknown.
    """
    with path.open("w", encoding="utf-8") as out:
        out.write('{"type":"FeatureCollection","features":[')
        for number, feature in enumerate(_features(result, options)):
            out.write(",\n" if number else "\n")
            out.write(json.dumps(feature, separators=(",", ":"), allow_nan=False))
        out.write("\n]}\n")


def _features(result: Result, options: OutlineOptions) -> Iterator[dict[str, Any]]:
    rows = _rows_by_nucleus(result)
    names = [name for name in result.lead if name in result.table]
    spacing = find_spacing(result, options.in_micrometers)
    for position, plane in result.planes():
        cells = _outline_cells(plane, options.cells, spacing)
        for contour in trace_contours(plane):
            row = rows.get((*(position[name] for name in names), contour.label), {})
            key = "/".join(map(str, (result.name, *position.values(), contour.label)))
            nucleus = _geometry(contour, position)
            cell = cells.get(contour.label)
            yield {
                "type": "Feature",
                "id": str(uuid5(NAMESPACE_OID, key.encode("utf-8", "backslashreplace").decode())),
                "geometry": _geometry(cell, position) if cell else nucleus,
                **({"nucleusGeometry": nucleus} if cell else {}),
                "properties": {
                    "objectType": "cell" if cell else "detection",
                    **_properties({"label": contour.label, **position, **row}),
                },
            }


def find_spacing(result: Result, in_micrometers: bool) -> tuple[float, float]:
    """Return the size of a pixel along Y and X, in the unit of distances.

    Raises
    ------
    UserError
        If that is micrometers, and the size of a pixel is unknown.
    """
    if not in_micrometers:
        return 1.0, 1.0
    if (size := result.micrometers) is None:
        raise UserError(f"The labels {result.name} have no pixel size: give distances in pixels.")
    return size


def _outline_cells(
    plane: NDArray[np.integer], distance: float | None, spacing: tuple[float, float]
) -> dict[int, Contour]:
    """Return the outlines of cells by label; none if they are not asked for."""
    if distance is None:
        return {}
    cells = trace_contours(expand_nuclei(plane, distance, spacing))
    return {contour.label: contour for contour in cells}


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
    classification = find_classification(text)
    return {
        "name": str(row["label"]),
        **({"classification": classification} if classification else {}),
        "measurements": numbers,
        **({"metadata": text} if text else {}),
    }
