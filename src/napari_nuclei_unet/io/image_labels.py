"""Labels in the OME-Zarr of their image, as ``labels/<name>``."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from .image_group import LABELS_GROUP, ImageGroup
from .json_text import read_json
from .locks import write_lock
from .ngff import ZARR_FORMATS, NgffVersion, read_ngff
from .paths import sanitize_name
from .read_errors import convert_decoder_errors
from .readers.ome_zarr import find_outer_zarr, is_zarr, name_zarr
from .zarr_levels import convert_write_errors

DEFAULT_NAME = "nuclei"
# Hidden folders beside ``labels``: labels before they are complete, and those they replace.
NEW_FOLDER, OLD_FOLDER = ".nuclei_unet_new", ".nuclei_unet_old"


def check_name(image: ImageGroup, name: str, overwrite: bool) -> None:
    """Raise a UserError if labels cannot have this name or be written, or others have it."""
    _check_links(image)
    is_name = sanitize_name(name, "") == name != ""
    if not is_name or name.startswith((".", "__")) or name.lower().endswith(".zarr"):
        raise UserError(
            f"Labels cannot have the name {name!r}: use letters, digits, spaces, - and _."
        )
    if (image.labels / name).exists() and not overwrite:
        raise UserError(
            f"{image.path} already has labels {name}: choose another name, or `overwrite` them."
        )


def _check_links(image: ImageGroup) -> None:
    """Raise a UserError if labels would be written into a folder that is not of the image."""
    for folder in (image.labels, image.path / NEW_FOLDER, image.path / OLD_FOLDER):
        if folder.is_symlink():
            raise UserError(
                f"{folder} is a link to another folder, in which nothing is written: put a copy "
                "of that in its place."
            )


@contextmanager
def write_aside(image: ImageGroup, name: str, overwrite: bool) -> Iterator[Path]:
    """Write labels aside, then move them to their place and list them.

    Parameters
    ----------
    image : ImageGroup
    name : str
    overwrite : bool
        Replace labels of this name, whoever wrote them.

    Yields
    ------
    Path
        Of the group to write. Unless it is complete nothing appears among the labels.

    Raises
    ------
    UserError
        If it cannot be written, as from :func:`check_name`, or if another program writes labels
        of this image.
    """
    # here and below: takes a moment to load, and few images are zarr
    import zarr

    new, old = image.path / NEW_FOLDER / name, image.path / OLD_FOLDER / name
    target = image.labels / name
    with write_lock(image.labels), convert_write_errors(image.path):
        _check_links(image)
        _restore(image)
        check_name(image, name, overwrite)
        _check_group(image.labels, image.version)
        try:
            new.parent.mkdir(exist_ok=True)
            yield new
            group = zarr.open_group(
                image.labels, mode="a", zarr_format=ZARR_FORMATS[image.version],
                use_consolidated=False,
            )  # fmt: skip
            names = _list_names(image.labels, group.attrs)
            if target.exists():
                old.parent.mkdir(exist_ok=True)
                os.replace(target, old)  # at once: half of it would look complete
            os.replace(new, target)
            group.update_attributes(_list_labels(group.attrs, names, name, image.version))
        finally:
            _restore(image)
        _consolidate_again(image.labels)


def _restore(image: ImageGroup) -> None:
    """Remove what an interrupted writing has left, and put back what it would have replaced."""
    old = image.path / OLD_FOLDER
    for one in old.iterdir() if old.is_dir() else ():
        if not (image.labels / one.name).exists():
            os.replace(one, image.labels / one.name)
    for folder in (old, image.path / NEW_FOLDER):
        shutil.rmtree(folder, ignore_errors=True)


def _check_group(labels: Path, version: NgffVersion) -> None:
    """Raise a UserError if a folder that exists cannot become, or is not, a group of labels."""
    import zarr

    from .zarr_nodes import open_node

    if not is_zarr(labels):
        return
    with convert_decoder_errors(labels):
        node = open_node(labels, use_consolidated=False)
    if isinstance(node, zarr.Array) or node.metadata.zarr_format != ZARR_FORMATS[version]:
        raise UserError(f"{labels} is not a labels group of NGFF {version}: move it away first.")


def _list_names(labels: Path, attributes: Mapping[str, Any]) -> list[str]:
    """Return the names of labels that are listed; if none are, of those in the folder."""
    listed: Any = read_ngff(attributes).get("labels")
    return list(listed or sorted(p.name for p in labels.iterdir() if p.is_dir() and is_zarr(p)))


def _list_labels(
    attributes: Mapping[str, Any], names: list[str], name: str, version: NgffVersion
) -> dict[str, Any]:
    """Return the attributes of a group of labels with one more, where it is not listed yet."""
    listed = {"labels": [*names, *([] if name in names else [name])]}
    if version == "0.4":
        return listed
    known: Any = attributes.get("ome", {})
    return {"ome": {"version": version, **known, **listed}}


def _consolidate_again(labels: Path) -> None:
    """Write consolidated metadata anew, where there are any: readers would see no new labels."""
    import zarr

    labels = labels.absolute()
    top = find_outer_zarr(labels)
    inside = [one for one in (labels, *labels.parents) if one == top or top in one.parents]
    for folder in filter(has_consolidated_metadata, inside):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that zarr 3 has no standard for it
            zarr.consolidate_metadata(str(folder))


def has_consolidated_metadata(folder: Path) -> bool:
    """Return whether the metadata of all that is inside stand at the top of a folder of zarr."""
    if (folder / ".zmetadata").is_file():
        return True
    try:
        return bool(read_json(folder / "zarr.json")["consolidated_metadata"])
    except (OSError, ValueError, TypeError, KeyError, UserError):
        return False


@dataclass(frozen=True)
class LabelsPlace:
    """Where labels in an image are.

    Attributes
    ----------
    name : str
        Of the labels.
    image : Path
    """

    name: str
    image: Path

    @property
    def stem(self) -> str:
        """Name of other files of the labels; without theirs if that is the usual one."""
        stem = name_zarr(self.image)
        return stem if self.name == DEFAULT_NAME else f"{stem}_{self.name}"

    @property
    def folder(self) -> Path:
        """Folder beside the image for other files of the labels."""
        return find_outer_zarr(self.image).parent


def find_labels_place(labels: str | Path) -> LabelsPlace | None:
    """Return where labels are that are in an image; None of any others."""
    path = Path(labels).absolute()
    is_inside = path.parent.name == LABELS_GROUP and is_zarr(path.parents[1]) and is_zarr(path)
    return LabelsPlace(path.name, path.parents[1]) if is_inside else None
