"""Annotated images from files: images, their labels, and a table of groups."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.boxes import full_box
from ..errors import UserError
from ..io.file_kinds import describe_kind
from ..io.images import find_images, read_plane
from ..io.labels import read_labels
from ..io.lazy_images import image_stem
from ..io.mask_names import are_labels, find_masks, strip_mask_name
from ..io.nucleus_masks import (
    NucleusMasks,
    find_images_in_folders,
    find_nucleus_masks,
    has_image_folders,
)
from ..io.run_length_table import RUN_LENGTHS_SUFFIX, NucleusRuns, read_run_length_table
from ..io.tables import read_table
from ..labels.masks import check_all_instances
from ..params import TrainParams
from ..segmentation.normalization import check_plane
from .annotation import BLANK_UNDER_LABELS
from .example import Example, make_example
from .finetune_data import Pair, ValidationAreas
from .split import split_by_group

# The annotation of an image: a file of labels, masks of single nuclei, or run lengths.
Annotation = Path | NucleusMasks | NucleusRuns


def read_examples(
    images: Path, labels: Path | None = None, groups: Path | None = None
) -> list[Example]:
    """Read annotated images.

    Parameters
    ----------
    images : Path
        Folder of images, or one in the layout of the Data Science Bowl
        (:mod:`..io.nucleus_masks`).
    labels : Path, optional
        As of :func:`find_annotations`. Without it the masks in the layout of the Data Science Bowl
        are taken.
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
    examples = [_read_example(*files) for files in _pair_files(images, labels, groups)]
    check_all_instances({example.name: np.asarray(example.ids) for example in examples})
    return examples


def read_pairs(
    images: Path, labels: Path | None, groups: Path | None, params: TrainParams
) -> list[Pair]:
    """Read annotated images to fine-tune on; arguments and errors as of :func:`read_examples`.

    Parameters
    ----------
    images : Path
    labels, groups : Path or None
        With groups, whole images are the validation set, by field group; without, areas of them.
    params : TrainParams
        Sets the size of the validation set.

    Returns
    -------
    list of Pair
    """
    found = _pair_files(images, labels, groups)
    rows = [
        _GroupRow(stem, row.get("field_group") or stem, row.get("modality", ""))
        for stem, *_, row in found
    ]
    chosen = (
        {row.name for row in split_by_group(rows, params.validation, params.seed)[1]}
        if groups
        else ()
    )
    pairs = []
    for stem, path, truth, _ in found:
        image, annotation = _read_pair(stem, path, truth)
        boxes: ValidationAreas = {(): [full_box(annotation.shape)] if stem in chosen else []}
        pairs.append(Pair(image, annotation, stem, validation_areas=boxes if groups else None))
    check_all_instances({pair.name: np.asarray(pair.labels) for pair in pairs})
    return pairs


@dataclass(frozen=True)
class _GroupRow:
    """Row of an image in the table of groups."""

    name: str
    group: str
    kind: str


def _pair_files(
    images: Path, labels: Path | None, groups: Path | None
) -> list[tuple[str, Path, Annotation, dict[str, str]]]:
    """Find the pairs of files: stem, image, annotation, and row of the table of each."""
    by_stem = _find_images_by_stem(images)
    if labels is None and not has_image_folders(images):
        raise UserError(
            f"{images} has no folder of an image with the folders images and masks in it, as the "
            "Data Science Bowl has: labels are needed besides, a folder of them or a table of "
            "run lengths."
        )
    labels = images if labels is None else labels
    annotations = find_annotations(labels, by_stem)
    _check_partners(images, by_stem, labels, annotations)
    rows: dict[str, dict[str, str]] = {stem: {} for stem in by_stem}
    if groups is not None:
        rows = read_groups(groups, by_stem, ("field_group", "modality"))
    return [(stem, path, annotations[stem], rows[stem]) for stem, path in by_stem.items()]


def _check_partners(
    images: Path, by_stem: Collection[str], labels: Path, annotations: Collection[str]
) -> None:
    """Raise an error where an image has no labels, or the reverse."""
    missing, odd = set(by_stem) - set(annotations), set(annotations) - set(by_stem)
    for names, here, there, what in (
        (missing, images, labels, "labels"),
        (odd, labels, images, "an image"),
    ):
        if names:
            raise UserError(
                f"Every image needs labels of the same name, and the reverse: {there} has no "
                f"partner for {len(names)} of {here}, the first is {min(names)}, which needs "
                f"{what}."
            )


def _find_images_by_stem(images: Path) -> dict[str, Path]:
    if has_image_folders(images):
        return find_images_in_folders(images)
    paths = _find_readable(images)
    masks = find_masks(paths)
    return {image_stem(path): path for path in paths if path not in masks}


def _find_readable(path: Path) -> list[Path]:
    """Find the images of a folder; a file that is none, such as a zipped download, is told."""
    if path.is_file() and (reason := describe_kind(path)):
        raise UserError(reason)
    return find_images([path])


def find_annotations(path: Path, images: Collection[str] = ()) -> Mapping[str, Annotation]:
    """Find the annotations of images, by the stem of their image.

    Parameters
    ----------
    path : Path
        Folder of label images, one in the layout of the Data Science Bowl, or a table of run
        lengths (:mod:`..io.run_length_table`).
    images : collection of str, optional
        Stems of the images.

    Returns
    -------
    mapping of str to Annotation

    Raises
    ------
    UserError
        If there is none.
    """
    if path.suffix.lower() == RUN_LENGTHS_SUFFIX and path.is_file():
        return read_run_length_table(path)
    if has_image_folders(path):
        return find_nucleus_masks(path)
    return find_labels_by_stem(path, images)


def find_labels_by_stem(folder: Path, images: Collection[str] = ()) -> dict[str, Path]:
    """Find label files by the stem of their image.

    Parameters
    ----------
    folder : Path
        Labels may have the names that ``segment`` and other programs give them, such as
        a_labels.tif and a_cp_masks.png. Where they lie beside their images, these are left out.
    images : collection of str, optional
        Stems of the images.

    Returns
    -------
    dict of str to Path
    """
    paths = _find_readable(folder)
    masks = find_masks(paths)
    stems = {path: image_stem(path) for path in paths if not masks or path in masks}
    return {
        stem if stem in images else strip_mask_name(stem): path
        for path, stem in stems.items()
        if are_labels(stem)
    }


def read_groups(
    path: Path, stems: Collection[str], columns: Sequence[str]
) -> dict[str, dict[str, str]]:
    """Read columns of a table of images.

    Parameters
    ----------
    path : Path
        A CSV table with a column ``id``, the stem of an image's name.
    stems : collection of str
        The images.
    columns : sequence of str
        The columns to read.

    Returns
    -------
    dict of dict
        For each stem the columns; empty text where a cell is missing.

    Raises
    ------
    UserError
        If it is no such table, or has no row for an image, or several that differ.
    """
    try:
        table = read_table(
            path, dtype=str, keep_default_na=False, usecols=["id", *columns], index_col=False
        )
    except (OSError, ValueError) as error:
        wanted = ", ".join(("id", *columns))
        raise UserError(f"{path} is not a CSV table with the columns {wanted}.") from error
    table = table.drop_duplicates()
    twice = set(table["id"][table["id"].duplicated()])
    if named_twice := [stem for stem in stems if stem in twice]:
        raise UserError(f"{path} has several rows for {named_twice[0]}, which differ: keep one.")
    rows = table.drop_duplicates("id").set_index("id").to_dict("index")
    if missing := [stem for stem in stems if stem not in rows]:
        raise UserError(
            f"{path} has no row for {len(missing)} of the images, the first is {missing[0]}."
        )
    return rows


def _read_pair(
    stem: str, image: Path, annotation: Annotation
) -> tuple[NDArray[Any], NDArray[np.integer]]:
    pixels = read_plane(image)
    shape = pixels.shape[:2]
    truth = read_labels(annotation) if isinstance(annotation, Path) else annotation.read(shape)
    if truth.shape != shape:
        raise UserError(f"{stem}: the image has the size {shape}, its labels {truth.shape}.")
    return pixels, truth


def _read_example(stem: str, image: Path, annotation: Annotation, row: dict[str, str]) -> Example:
    pixels, truth = _read_pair(stem, image, annotation)
    try:
        plane = check_plane(pixels)
    except UserError as error:
        raise UserError(f"{stem}: {error}") from error
    if plane.is_blank and truth.any():
        raise UserError(f"{stem}: {BLANK_UNDER_LABELS}")
    group, kind = row.get("field_group") or stem, row.get("modality", "")
    return make_example(stem, plane.normalized(), truth, group, kind)
