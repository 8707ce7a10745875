"""Image files in, result files out."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import tifffile
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import label2rgb
from skimage.segmentation import find_boundaries

from napari_nuclei_unet.core.learning import Example
from napari_nuclei_unet.core.measure import measure
from napari_nuclei_unet.core.planes import Plane, check_plane
from napari_nuclei_unet.engine import Segmentation
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.writing import written

TIFF = (".tif", ".tiff")
SUFFIXES = (*TIFF, ".png", ".jpg", ".jpeg")
LABELS_END = "_labels.tif"
UINT16_MAX = 65_535
RECORD = "napari_nuclei_unet"


def find_images(paths: Iterable[str | Path], skip: str = "") -> list[Path]:
    """List image files; of a folder those that stand directly in it, in order of their names.

    Parameters
    ----------
    paths : iterable of str or Path
        Files and folders.
    skip : str, optional
        Files of folders whose names end so are left out.

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
            inside = [p for p in sorted(path.iterdir()) if _is_image(p, skip)]
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


def _is_image(path: Path, skip: str) -> bool:
    hidden = path.name.startswith(".")  # such as what macOS leaves on foreign disks
    wanted = path.suffix.lower() in SUFFIXES and not (skip and path.name.endswith(skip))
    return wanted and not hidden and path.is_file()


def image_stem(path: Path) -> str:
    """Name of a file without ``.tif``, ``.ome.tif`` and the like."""
    return path.stem.removesuffix(".ome")


def read_image(path: Path) -> NDArray[np.generic]:
    """Read a TIFF, OME-TIFF, PNG or JPEG file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    ndarray, shape (Y, X), (Y, X, 3) or (Y, X, 4), or that of a stack in a TIFF
        Colours are last; other axes of length 1 are dropped. Palettes and CMYK become RGB.

    Raises
    ------
    UserError
        If the file cannot be read as an image.
    """
    try:
        return _read_tiff(path) if path.suffix.lower() in TIFF else _read_picture(path)
    except PermissionError as error:
        raise UserError(f"{path} cannot be read: permission denied.") from error
    except Exception as error:  # decoders raise all sorts, each meaning the same to the user
        raise UserError(
            f"{path} cannot be read: it is no image of a known kind, or damaged ({_first(error)})."
        ) from error


def _first(error: Exception) -> str:
    """One line of what a library says."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _read_tiff(path: Path) -> NDArray[np.generic]:
    with tifffile.TiffFile(path) as opened:
        series = opened.series[0]
        image, axes = np.asarray(series.asarray()), series.axes
    for axis in reversed(range(image.ndim)):
        if image.shape[axis] == 1 and axes[axis] not in "YX":
            image = image.squeeze(axis)
            axes = axes[:axis] + axes[axis + 1 :]
    return np.moveaxis(image, axes.index("S"), -1) if "S" in axes else image


def _read_picture(path: Path) -> NDArray[np.generic]:
    with PIL.Image.open(path) as opened:
        plain = {"P": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "PA": "RGB", "LA": "L"}
        mode = plain.get(opened.mode)
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
    if labels.exists() and not _ours(labels):
        raise UserError(
            f"{labels} was not made by this program and is not overwritten: choose another folder."
        )
    measured = measure(result.labels, result.plane.pixels, result.maps[0])
    with written(labels) as labels_aside, written(table) as table_aside:
        write_labels(labels_aside, result.labels, result.record)
        write_table(table_aside, measured)


def _ours(path: Path) -> bool:
    try:
        with tifffile.TiffFile(path) as opened:
            return RECORD in opened.pages.first.description
    except (tifffile.TiffFileError, OSError):
        return False


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
            writer.writerow(f"{value:.9g}" if value.dtype.kind == "f" else value for value in row)


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


def read_examples(images: Path, labels: Path, groups: Path | None = None) -> list[Example]:
    """Read annotated images.

    Parameters
    ----------
    images, labels : Path
        Folders; labels have the stem of their image.
    groups : Path, optional
        CSV with the columns ``id`` (the stem), ``field_group`` and ``modality``; both may be
        empty. Images of a field group are split together; modalities are balanced.

    Returns
    -------
    list of Example

    Raises
    ------
    UserError
        If a file of a pair is missing, cannot be read, or their sizes differ.
    """
    found = [{image_stem(p): p for p in find_images([images])}, _labels_by_stem(labels)]
    for here, there, what in ((0, 1, "labels"), (1, 0, "an image")):
        if odd := sorted(found[here].keys() - found[there].keys()):
            raise UserError(
                f"Every image needs labels of the same name, and the reverse: "
                f"{(images, labels)[there]} has no partner for {len(odd)} files of "
                f"{(images, labels)[here]}, the first is {odd[0]}, which needs {what}."
            )
    rows: dict[str, dict[str, str]] = {stem: {} for stem in found[0]}
    if groups is not None:
        rows = read_groups(groups, found[0], ("field_group", "modality"))
    examples = [_example(stem, path, found[1][stem], rows[stem]) for stem, path in found[0].items()]
    refuse_masks(one.ids for one in examples)
    return examples


def _labels_by_stem(folder: Path) -> dict[str, Path]:
    """Label files by the stem of their image: what ``segment`` wrote counts, too."""
    ending = LABELS_END.removesuffix(".tif")
    return {image_stem(path).removesuffix(ending): path for path in find_images([folder])}


def refuse_masks(annotations: Iterable[NDArray[np.integer]]) -> None:
    """Refuse labels that say where nuclei are, but not which pixels are one nucleus.

    Parameters
    ----------
    annotations : iterable of ndarray, shape (Y, X), integer

    Raises
    ------
    UserError
        If none holds more than one id, and an id lies in separate places.
    """
    pieces = 0
    for labels in annotations:
        if np.unique(labels[labels > 0]).size > 1:
            return
        pieces = max(pieces, ndimage.label(labels > 0)[1])
    if pieces > 1:
        raise UserError(
            "The labels are masks: every nucleus needs a number of its own; "
            "skimage.measure.label(mask) gives one to each connected part."
        )


def read_groups(
    path: Path, stems: Iterable[str], columns: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Read what a table says of images.

    Parameters
    ----------
    path : Path
        A CSV table with a column ``id``, the stem of an image's name.
    stems : iterable of str
        The images.
    columns : sequence of str
        What else is read.

    Returns
    -------
    dict of dict
        For each stem the columns; empty text where a cell is missing.

    Raises
    ------
    UserError
        If it is no such table, or has no row for an image.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as table:
            rows = {
                row["id"]: {name: row[name] or "" for name in columns}
                for row in csv.DictReader(table)
            }
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        wanted = ", ".join(("id", *columns))
        raise UserError(f"{path} is no CSV table with the columns {wanted}.") from error
    if missing := [stem for stem in stems if stem not in rows]:
        raise UserError(
            f"{path} has no row for {len(missing)} of the images, the first is {missing[0]}."
        )
    return rows


def _example(stem: str, image: Path, labels: Path, row: dict[str, str]) -> Example:
    try:
        plane = check_plane(read_image(image))
    except UserError as error:
        raise UserError(f"{stem}: {error}") from error
    truth = read_labels(labels)
    if truth.shape != plane.shape:
        raise UserError(f"{stem}: the image has the size {plane.shape}, its labels {truth.shape}.")
    # numbered anew: ids may be larger than float32 can tell apart; 0 stays 0
    ids = np.unique(np.append(0, truth), return_inverse=True)[1][1:].reshape(truth.shape)
    pixels = plane.normalized()
    pixels = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    return Example(
        name=stem,
        image=torch.from_numpy(np.ascontiguousarray(pixels)).expand(3, -1, -1),
        labels=torch.from_numpy(ids.astype(np.float32))[None],
        group=row.get("field_group") or stem,
        kind=row.get("modality", ""),
    )
