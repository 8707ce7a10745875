"""Outlines as an archive of ROIs, which the ROI Manager of ImageJ and Fiji opens."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from roifile import ROI_TYPE, ImagejRoi

from ..labels.contours import Contour, ContourPiece, trace_contours
from .result import Position, Result

# Segments of a path, as java.awt.geom.PathIterator numbers them.
PATH_MOVE, PATH_LINE, PATH_CLOSE = 0, 1, 4


def write_rois(path: Path, result: Result) -> None:
    """Write a ROI for each nucleus and plane.

    Parameters
    ----------
    path : Path
    result : Result
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for position, plane in result.planes():
            for contour in trace_contours(plane):
                roi = _set_position(_make_roi(contour), position)
                archive.writestr(f"{roi.name}.roi", roi.tobytes())


def _make_roi(contour: Contour) -> ImagejRoi:
    """Create a traced ROI, or a composite one of a nucleus with a hole or in pieces."""
    rings = tuple(ring for piece in contour.pieces for ring in piece)
    roi = ImagejRoi.frompoints(np.concatenate(rings), name=f"{contour.label:04}")
    if len(rings) == 1:
        roi.roitype = ROI_TYPE.TRACED
        return roi
    roi.roitype, roi.n_coordinates = ROI_TYPE.RECT, 0
    roi.integer_coordinates = roi.subpixel_coordinates = None
    roi.multi_coordinates = _encode_path(rings)
    roi.shape_roi_size = roi.multi_coordinates.size
    return roi


def _encode_path(rings: ContourPiece) -> NDArray[np.float32]:
    parts: list[NDArray[np.integer]] = []
    for ring in rings:
        kinds = np.full((len(ring), 1), PATH_LINE)
        kinds[0] = PATH_MOVE
        parts += [np.hstack([kinds, ring]).ravel(), np.array([PATH_CLOSE])]
    return np.concatenate(parts).astype(np.float32)


def _set_position(roi: ImagejRoi, position: Position) -> ImagejRoi:
    """Set the plane of a ROI. ImageJ counts from 1; 0 means every plane."""
    roi.name += "".join(f"_{axis}{at}" for axis, at in position.items())
    if len(position) == 1:
        # valid in a plain stack and in one with channels
        roi.position = next(iter(position.values())) + 1
    else:
        for axis in set(position) & set("czt"):
            setattr(roi, f"{axis}_position", position[axis] + 1)
    return roi
