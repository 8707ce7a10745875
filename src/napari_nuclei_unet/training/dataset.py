"""Annotated images from files: images, their labels, and a table of groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..arrays.boxes import full_box
from ..errors import UserError
from ..io.images import find_images, image_stem, read_image
from ..io.labels import LABELS_ENDING, read_labels
from ..io.tables import read_table
from ..params import TrainParams
from ..segmentation.normalization import check_plane
from .example import Example, make_example
from .finetune_data import Pair, ValidationAreas
from .split import split_by_group


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
    examples = [_read_example(*files) for files in _pair_files(images, labels, groups)]
    check_instance_labels(example.ids for example in examples)
    return examples


def read_pairs(images: Path, labels: Path, groups: Path | None, params: TrainParams) -> list[Pair]:
    """Read annotated images to fine-tune on; arguments and errors as of :func:`read_examples`.

    Parameters
    ----------
    images, labels : Path
    groups : Path or None
        With it, whole images are the validation set, by field group; without, areas of them.
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
    check_instance_labels(np.asarray(pair.labels) for pair in pairs)
    return pairs


@dataclass(frozen=True)
class _GroupRow:
    """Row of an image in the table of groups."""

    name: str
    group: str
    kind: str


def _pair_files(
    images: Path, labels: Path, groups: Path | None
) -> list[tuple[str, Path, Path, dict[str, str]]]:
    """Find the pairs of files: stem, image, labels, and row of the table of each."""
    found = [{image_stem(p): p for p in find_images([images])}, find_labels_by_stem(labels)]
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
    return [(stem, path, found[1][stem], rows[stem]) for stem, path in found[0].items()]


def find_labels_by_stem(folder: Path) -> dict[str, Path]:
    """Find label files by the stem of their image, those that ``segment`` wrote included."""
    return {image_stem(path).removesuffix(LABELS_ENDING): path for path in find_images([folder])}


def check_instance_labels(annotations: Iterable[NDArray[np.integer]]) -> None:
    """Raise an error for semantic labels: every nucleus needs an id of its own.

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
    """Read columns of a table of images.

    Parameters
    ----------
    path : Path
        A CSV table with a column ``id``, the stem of an image's name.
    stems : iterable of str
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
        If it is no such table, or has no row for an image.
    """
    try:
        table = read_table(
            path, dtype=str, keep_default_na=False, usecols=["id", *columns], index_col=False
        )
    except (OSError, ValueError) as error:
        wanted = ", ".join(("id", *columns))
        raise UserError(f"{path} is no CSV table with the columns {wanted}.") from error
    rows = table.drop_duplicates("id", keep="last").set_index("id").to_dict("index")
    if missing := [stem for stem in stems if stem not in rows]:
        raise UserError(
            f"{path} has no row for {len(missing)} of the images, the first is {missing[0]}."
        )
    return rows


def _read_pair(stem: str, image: Path, labels: Path) -> tuple[NDArray[Any], NDArray[np.integer]]:
    pixels, truth = read_image(image), read_labels(labels)
    if truth.shape != pixels.shape[:2]:
        raise UserError(
            f"{stem}: the image has the size {pixels.shape[:2]}, its labels {truth.shape}."
        )
    return pixels, truth


def _read_example(stem: str, image: Path, labels: Path, row: dict[str, str]) -> Example:
    pixels, truth = _read_pair(stem, image, labels)
    try:
        plane = check_plane(pixels)
    except UserError as error:
        raise UserError(f"{stem}: {error}") from error
    group, kind = row.get("field_group") or stem, row.get("modality", "")
    return make_example(stem, plane.normalized(), truth, group, kind)
