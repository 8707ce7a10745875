"""Image files in, result files out."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import PIL.Image
import PIL.ImageMode
import tifffile
from numpy.typing import NDArray
from skimage.color import label2rgb
from skimage.segmentation import find_boundaries

from napari_nuclei_unet.core.measure import measure
from napari_nuclei_unet.core.planes import Plane
from napari_nuclei_unet.engine import Segmentation
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.writing import written

TIFF = (".tif", ".tiff")
SUFFIXES = (*TIFF, ".png", ".jpg", ".jpeg")
LABELS_END = "_labels.tif"
# What pictures of these modes become.
PLAIN = {"P": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "PA": "RGB", "LA": "L"}
UINT16_MAX = 65_535
RECORD = "napari_nuclei_unet"
# Labels of more bytes, before they are compressed, are written as BigTIFF.
LARGE_TIFF = 2**31


def find_images(paths: Iterable[str | Path]) -> list[Path]:
    """List image files; of a folder those that stand directly in it, in order of their names.

    Parameters
    ----------
    paths : iterable of str or Path
        Files and folders.

    Returns
    -------
    list of Path

    Raises
    ------
    UserError
        If a path does not exist, a folder holds no image, or two files would write the same
        results.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = [p for p in sorted(path.iterdir()) if _is_image(p)]
            if not inside:
                raise UserError(f"The folder {path} holds no TIFF, PNG or JPEG image.")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise UserError(f"There is no file or folder {path}.")
    stems: dict[str, Path] = {}
    for path in found:
        other = stems.setdefault(image_stem(path), path)
        if other != path:
            raise UserError(
                f"{other} and {path} would write the same result files: "
                "segment them into different folders."
            )
    return list(dict.fromkeys(found))


def _is_image(path: Path) -> bool:
    hidden = path.name.startswith(".")  # such as what macOS leaves on foreign disks
    return path.suffix.lower() in SUFFIXES and not hidden and path.is_file()


def image_stem(path: Path) -> str:
    """Name of a file without ``.tif``, ``.ome.tif`` and the like."""
    return path.stem.removesuffix(".ome")


def read_image(path: str | Path, level: int = 0) -> NDArray[np.generic]:
    """Read a TIFF, OME-TIFF, PNG or JPEG file.

    Parameters
    ----------
    path : str or Path
    level : int
        Of a pyramid in a TIFF; 0 is full resolution.

    Returns
    -------
    ndarray, shape (Y, X), (Y, X, 3) or (Y, X, 4), or that of a stack in a TIFF
        Colours are last; other axes of length 1 are dropped. Palettes and CMYK become RGB.

    Raises
    ------
    UserError
        If the file cannot be read as an image, or does not have this level.
    """
    path = Path(path)
    try:
        if path.suffix.lower() in TIFF:
            return _read_tiff(path, level)
        if level:
            raise UserError(f"{path} holds one resolution only: there is no level {level}.")
        return _read_picture(path)
    except UserError:
        raise
    except PermissionError as error:
        raise UserError(f"{path} cannot be read: permission denied.") from error
    except Exception as error:  # decoders raise all sorts, each meaning the same to the user
        raise UserError(
            f"{path} cannot be read: it is no image of a known kind, or damaged ({_first(error)})."
        ) from error


def _first(error: Exception) -> str:
    """One line of what a library says."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def read_shape(path: str | Path, level: int = 0) -> tuple[int, ...] | None:
    """Shape that :func:`read_image` would give, without reading pixels; None where it cannot."""
    path = Path(path)
    try:
        if path.suffix.lower() in TIFF:
            with tifffile.TiffFile(path) as opened:
                series = opened.series[0]
                return _in_order(np.broadcast_to(0, series.levels[level].shape), series.axes).shape
        if level or not _is_image(path):
            return None
        with PIL.Image.open(path) as picture:
            bands = PIL.ImageMode.getmode(PLAIN.get(picture.mode, picture.mode)).bands
            return (picture.height, picture.width, *([len(bands)] if len(bands) > 1 else []))
    except Exception:  # whatever a decoder raises; who reads the file will say it
        return None


def read_axes(path: str | Path) -> str | None:
    """Letters of the axes of what :func:`read_image` gives, without colours, if the file says them.

    Only of a TIFF with one letter for each axis that this program knows: T, Z, C, Y, X and others,
    but not Q, by which tifffile means an axis without a name.
    """
    path = Path(path)
    if path.suffix.lower() not in TIFF:
        return None
    try:
        with tifffile.TiffFile(path) as opened:
            series = opened.series[0]
            pairs = zip(series.axes, series.shape, strict=True)
            axes = "".join(name for name, length in pairs if length > 1 or name in "YX")
    except Exception:  # whatever a decoder raises; who reads the file will say it
        return None
    axes = axes.replace("S", "")
    known = len(set(axes)) == len(axes) and {"Y", "X"} <= set(axes) and not set(axes) & set("QI")
    return axes if known else None


def _read_tiff(path: Path, level: int) -> NDArray[np.generic]:
    with tifffile.TiffFile(path) as opened:
        series = opened.series[0]
        if not 0 <= level < len(series.levels):
            raise UserError(f"{path} has the levels 0 to {len(series.levels) - 1}, and no {level}.")
        return _in_order(np.asarray(series.levels[level].asarray()), series.axes)


def _in_order(image: NDArray[np.generic], axes: str) -> NDArray[np.generic]:
    """Drop axes of length 1 beside those of the plane, and put colours last."""
    for axis in reversed(range(image.ndim)):
        if image.shape[axis] == 1 and axes[axis] not in "YX":
            image = image.squeeze(axis)
            axes = axes[:axis] + axes[axis + 1 :]
    return np.moveaxis(image, axes.index("S"), -1) if "S" in axes else image


def _read_picture(path: Path) -> NDArray[np.generic]:
    with PIL.Image.open(path) as opened:
        mode = PLAIN.get(opened.mode)
        return np.asarray(opened.convert(mode) if mode else opened)


def write_results(folder: Path, stem: str, result: Segmentation) -> None:
    """Write ``<stem>_labels.tif`` and ``<stem>_nuclei.csv`` of one image, or neither.

    Parameters
    ----------
    folder : Path
    stem : str
        Start of the files' names.
    result : Segmentation

    Raises
    ------
    UserError
        If a file cannot be written, or labels that are not ours stand in its place.
    """
    labels, table = folder / f"{stem}{LABELS_END}", folder / f"{stem}_nuclei.csv"
    refuse_foreign(labels)
    measured = measure(result.labels, result.plane.pixels, result.maps[0])
    with written(labels) as labels_aside, written(table) as table_aside:
        write_labels(labels_aside, result.labels, result.record)
        write_table(table_aside, measured)


def refuse_foreign(labels: Path) -> None:
    """Refuse to overwrite labels that this program did not make.

    Raises
    ------
    UserError
    """
    if labels.exists() and read_record(labels) is None:
        raise UserError(
            f"{labels} was not made by this program and is not overwritten: choose another folder."
        )


def read_record(path: str | Path) -> dict[str, Any] | None:
    """Read what made the labels of a TIFF of this program; None of any other file."""
    try:
        with tifffile.TiffFile(path) as opened:
            about = opened.pages.first.description
            record = _annotated(about) if opened.is_ome else json.loads(about)[RECORD]
    except (tifffile.TiffFileError, ET.ParseError, OSError, ValueError, KeyError, TypeError):
        return None
    return record if isinstance(record, dict) else None


def _annotated(xml: str) -> Any:
    """Read the record in an annotation of OME-XML."""
    found = ET.fromstring(xml).find(f".//{{*}}MapAnnotation//{{*}}M[@K='{RECORD}']")
    return None if found is None else json.loads(found.text or "")


def write_labels(path: Path, labels: NDArray[np.integer], record: dict[str, Any]) -> None:
    """Write labels as TIFF: uint16, or uint32 past 65,535 nuclei; zlib.

    Parameters
    ----------
    path : Path
    labels : ndarray, shape (Y, X), integer
    record : dict
        What made them; goes into the description as JSON.
    """
    dtype = np.uint16 if labels.max(initial=0) <= UINT16_MAX else np.uint32
    tifffile.imwrite(
        path,
        labels.astype(dtype),
        compression="zlib",
        description=json.dumps({RECORD: record}),
        metadata=None,
    )


def write_stack(
    path: Path,
    planes: Iterable[NDArray[np.integer]],
    like: tuple[tuple[int, ...], str],
    most: int,
    record: dict[str, Any],
) -> None:
    """Write labels of many planes as TIFF, plane by plane: zlib, with the letters of their axes.

    Parameters
    ----------
    path : Path
    planes : iterable of ndarray, shape (Y, X), integer
        In order, the last axis fastest.
    like : (tuple of int, str)
        Shape of all labels, and a letter for each axis.
    most : int
        Largest label: uint16, or uint32 past 65,535.
    record : dict
        As in :func:`write_labels`.
    """
    shape, axes = like
    dtype = np.dtype(np.uint16 if most <= UINT16_MAX else np.uint32)
    tifffile.imwrite(
        path,
        (plane.astype(dtype) for plane in planes),
        shape=shape,
        dtype=dtype,
        bigtiff=math.prod(shape) * dtype.itemsize > LARGE_TIFF,
        compression="zlib",
        photometric="minisblack",
        metadata={"axes": axes, RECORD: record},
    )


def write_table(path: Path, table: dict[str, NDArray[Any]]) -> None:
    """Write a table as CSV.

    Parameters
    ----------
    path : Path
    table : dict of str to ndarray, shape (n,)
        Columns, as from ``core.measure.measure``.
    """
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(table)
        for row in zip(*table.values(), strict=True):
            writer.writerow(f"{one:.9g}" if isinstance(one, np.floating) else one for one in row)


def read_labels(path: Path) -> NDArray[Any]:
    """Read labels of one plane.

    Raises
    ------
    UserError
        If the file does not hold whole numbers from 0 up, one per pixel.
    """
    labels = read_image(path)
    if labels.ndim != 2 or labels.dtype.kind not in "ui":
        raise UserError(
            f"{path} holds no labels: whole numbers of shape (Y, X) are needed, this is "
            f"{labels.dtype} of shape {labels.shape}."
        )
    if labels.min(initial=0) < 0:
        raise UserError(f"{path} holds negative numbers: 0 is background, nuclei count from 1.")
    return labels


def write_overlay(path: Path, plane: Plane, labels: NDArray[np.integer]) -> None:
    """Write a PNG of the image with its nuclei tinted and outlined.

    Parameters
    ----------
    path : Path
    plane : Plane
    labels : ndarray, shape (Y, X), integer
    """
    tinted = label2rgb(labels, plane.normalized(), alpha=0.3, bg_label=0, saturation=1)
    tinted[find_boundaries(labels, mode="inner")] = (1.0, 0.85, 0.2)
    with written(path) as aside:
        PIL.Image.fromarray((255 * tinted.clip(0, 1)).astype(np.uint8)).save(aside)
