"""Nuclei that are annotated one by one, as masks in files: the layout of the Data Science Bowl.

Each image has a folder, ``<id>/images/*.png``, and beside it a mask for each nucleus,
``<id>/masks/*.png``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from .images import list_image_files
from .label_numbers import read_numbers

IMAGES_FOLDER, MASKS_FOLDER = "images", "masks"


def has_image_folders(folder: Path) -> bool:
    """Return whether a folder has the layout of the Data Science Bowl.

    Parameters
    ----------
    folder : Path
        One with images directly inside has not, whatever its folders are.
    """
    return folder.is_dir() and bool(_list_image_folders(folder)) and not list_image_files(folder)


def _list_image_folders(folder: Path) -> list[Path]:
    inside = (path for path in sorted(folder.iterdir()) if not path.name.startswith("."))
    return [path for path in inside if (path / IMAGES_FOLDER).is_dir()]


def find_images_in_folders(folder: Path) -> dict[str, Path]:
    """Find the images of the layout of the Data Science Bowl by their id, the folder's name.

    Raises
    ------
    UserError
        If a folder does not hold one image.
    """
    found = {}
    for own in _list_image_folders(folder):
        images = list_image_files(own / IMAGES_FOLDER)
        if len(images) != 1:
            raise UserError(
                f"{own / IMAGES_FOLDER} contains {len(images)} images: there must be one, with its "
                f"nuclei in {own / MASKS_FOLDER}."
            )
        found[own.name] = images[0]
    return found


@dataclass(frozen=True)
class NucleusMasks:
    """The nuclei of an image, each in a file of its own.

    Attributes
    ----------
    files : tuple of Path
        At least one.
    """

    files: tuple[Path, ...]

    def read(self, shape: tuple[int, ...] | None = None) -> NDArray[np.int32]:
        """Read the nuclei as labels, numbered in the order of their files.

        Parameters
        ----------
        shape : (int, int), optional
            Height and width of the image; that of the first mask without.

        Returns
        -------
        ndarray, shape (Y, X), int32
            Where nuclei overlap, as of :func:`merge_overlapping`.

        Raises
        ------
        UserError
            If a file is not the mask of one nucleus, or of another size.
        """
        expected = _read_mask(self.files[0]).shape if shape is None else shape
        nuclei = []
        for path in self.files:
            inside = _read_mask(path)
            if inside.shape != expected:
                raise UserError(
                    f"{path} has the size {inside.shape}; its image, or the masks beside it, "
                    f"{expected}."
                )
            nuclei.append(np.flatnonzero(inside))
        return merge_overlapping(nuclei, expected)


def find_nucleus_masks(folder: Path) -> dict[str, NucleusMasks]:
    """Find the masks of each image of the layout of the Data Science Bowl, by its id.

    Raises
    ------
    UserError
        If an image has none.
    """
    ids = _list_image_folders(folder)
    masks = {
        own.name: NucleusMasks(tuple(list_image_files(own / MASKS_FOLDER)))
        for own in ids
        if (own / MASKS_FOLDER).is_dir()
    }
    if bare := [own.name for own in ids if own.name not in masks or not masks[own.name].files]:
        raise UserError(
            f"{folder} has no masks for {len(bare)} of its {len(ids)} images: each needs masks in "
            f"{MASKS_FOLDER} beside {IMAGES_FOLDER}, the first without masks is {bare[0]}."
        )
    return masks


def _read_mask(path: Path) -> NDArray[np.bool_]:
    """Read the mask of one nucleus: 0 outside, and one other number inside."""
    numbers = read_numbers(path)
    if numbers.ndim == 3 and _is_grey(numbers):  # some programs save all as RGB
        numbers = numbers[..., 0]
    if numbers.ndim != 2:
        raise UserError(
            f"{path} is not a mask of a nucleus: it must be greyscale with the shape (Y, X), but "
            f"is {numbers.shape}."
        )
    inside = np.asarray(numbers != 0)
    if not inside.any():
        raise UserError(f"{path} is an empty mask: delete it, or draw its nucleus.")
    ids = np.unique(numbers[inside])
    if len(ids) > 1:
        raise UserError(
            f"{path} is not a mask of one nucleus: it must contain 0 and one other number, such as "
            f"255, but contains {len(ids)} others, as labels or smoothed edges do."
        )
    return inside


def _is_grey(pixels: NDArray[Any]) -> bool:
    """Return whether an image of colours has the same in all but its alpha channel."""
    return pixels.shape[-1] in (3, 4) and bool((pixels[..., :3] == pixels[..., :1]).all())


def merge_overlapping(
    nuclei: Sequence[NDArray[np.integer]], shape: tuple[int, ...]
) -> NDArray[np.int32]:
    """Merge nuclei that are given one by one into labels.

    A pixel of several nuclei belongs to the smallest of them, so that none disappears under a
    larger one; of nuclei of one size to the last. Of two that are the same one is left.

    Parameters
    ----------
    nuclei : sequence of ndarray, integer
        Positions of the pixels of each, counted along rows.
    shape : (int, int)
        Height and width.

    Returns
    -------
    ndarray, shape (Y, X), int32
        Nuclei from 1 on, in their order.
    """
    labels = np.zeros(shape, np.int32)
    by_area = sorted(range(len(nuclei)), key=lambda number: -len(nuclei[number]))
    for number in by_area:
        labels.ravel()[nuclei[number]] = number + 1
    return labels
