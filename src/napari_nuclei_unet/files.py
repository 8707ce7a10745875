"""Image files in, result files out."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import tifffile
import torch
from numpy.typing import NDArray
from skimage.color import label2rgb
from skimage.segmentation import find_boundaries

from napari_nuclei_unet.core.learning import Example
from napari_nuclei_unet.core.measure import measure
from napari_nuclei_unet.core.planes import Plane, check_plane, normalize
from napari_nuclei_unet.engine import Segmentation
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.writing import written

TIFF = (".tif", ".tiff")
SUFFIXES = (*TIFF, ".png", ".jpg", ".jpeg")
LABELS_END = "_labels.tif"
UINT16_MAX = 65_535


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
            inside = [
                p
                for p in sorted(path.iterdir())
                if p.suffix.lower() in SUFFIXES and not (skip and p.name.endswith(skip))
            ]
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
                f"{other} and {path} would write the same result files; "
                "segment them into different folders."
            )
    return list(dict.fromkeys(found))


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
    ndarray, shape (Y, X), (Y, X, 3) or (Y, X, 4), or as stored in a TIFF
        Axes of length 1 are dropped.

    Raises
    ------
    UserError
        If the file cannot be read as an image.
    """
    try:
        image = tifffile.imread(path) if path.suffix.lower() in TIFF else imageio.imread(path)
    except PermissionError as error:
        raise UserError(f"{path} cannot be read: permission denied.") from error
    except Exception as error:  # decoders raise all sorts, each meaning the same to the user
        raise UserError(f"{path} is no image that can be read, or it is damaged.") from error
    image = np.asarray(image)
    keep = tuple(n for axis, n in enumerate(image.shape) if n > 1 or axis >= image.ndim - 2)
    return image.reshape(keep) if image.ndim > 3 else image


def write_results(folder: Path, stem: str, result: Segmentation, plane: Plane) -> list[Path]:
    """Write labels and table of one image.

    Parameters
    ----------
    folder : Path
    stem : str
        Start of the files' names.
    result : Segmentation
    plane : Plane
        What was segmented.

    Returns
    -------
    list of Path
        ``<stem>_labels.tif`` (uint16, or uint32 past 65,535 nuclei; zlib; the record as JSON
        in the description) and ``<stem>_nuclei.csv``.
    """
    labels_path, table_path = folder / f"{stem}{LABELS_END}", folder / f"{stem}_nuclei.csv"
    dtype = np.uint16 if result.count <= UINT16_MAX else np.uint32
    with written(labels_path) as aside:
        tifffile.imwrite(
            aside,
            result.labels.astype(dtype),
            compression="zlib",
            description=json.dumps({"napari_nuclei_unet": result.record}),
            metadata=None,
        )
    table = measure(result.labels, plane.pixels, result.maps[0])
    with written(table_path) as aside, aside.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(table)
        for row in zip(*table.values(), strict=True):
            writer.writerow(f"{value:.6g}" if value.dtype.kind == "f" else value for value in row)
    return [labels_path, table_path]


def read_labels(path: Path) -> NDArray[Any]:
    """Read labels of one plane.

    Raises
    ------
    UserError
        If the file does not hold whole numbers, one per pixel.
    """
    labels = read_image(path)
    if labels.ndim != 2 or labels.dtype.kind not in "ui":
        raise UserError(
            f"{path} holds no labels: whole numbers of shape (Y, X) are needed, this is "
            f"{labels.dtype} of shape {labels.shape}."
        )
    return labels


def write_overlay(path: Path, plane: Plane, labels: NDArray[np.integer]) -> None:
    """Write a PNG of the image with its nuclei tinted and outlined.

    Parameters
    ----------
    path : Path
    plane : Plane
        Not blank.
    labels : ndarray, shape (Y, X), integer
    """
    image = normalize(plane.pixels, plane.low, plane.high)
    tinted = label2rgb(labels, image, alpha=0.3, bg_label=0, saturation=1)
    tinted[find_boundaries(labels, mode="inner")] = (1.0, 0.85, 0.2)
    with written(path) as aside:
        imageio.imwrite(aside, (255 * tinted.clip(0, 1)).astype(np.uint8))


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
    found = [{image_stem(p): p for p in find_images([folder])} for folder in (images, labels)]
    if odd := sorted(found[0].keys() ^ found[1].keys()):
        raise UserError(
            f"Every image needs labels of the same name; {len(odd)} have no partner, "
            f"the first is {odd[0]}."
        )
    rows: dict[str, dict[str, str]] = {}
    if groups is not None:
        with groups.open(newline="", encoding="utf-8") as table:
            rows = {row["id"]: row for row in csv.DictReader(table)}
    return [
        _example(stem, path, found[1][stem], rows.get(stem, {})) for stem, path in found[0].items()
    ]


def _example(stem: str, image: Path, labels: Path, row: dict[str, str]) -> Example:
    plane = check_plane(read_image(image))
    truth = read_labels(labels)
    if truth.shape != plane.shape:
        raise UserError(f"{stem}: the image has the size {plane.shape}, its labels {truth.shape}.")
    pixels = normalize(plane.pixels, plane.low, plane.high if not plane.blank else plane.low + 1)
    pixels = np.stack([pixels] * 3) if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    return Example(
        name=stem,
        image=torch.from_numpy(np.ascontiguousarray(pixels)),
        labels=torch.from_numpy(truth.astype(np.float32))[None],
        group=row.get("field_group") or stem,
        kind=row.get("modality", ""),
    )
