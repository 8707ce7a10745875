"""OME-TIFF images in several files."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import tifffile

from ..errors import UserError
from .linked_files import is_below
from .openable import check_openable
from .read_errors import silence_tifffile
from .suffixes import TIFF_SUFFIXES


def list_tiff_files(path: Path) -> list[Path]:
    """List the files that hold the image of a TIFF, mostly only this one.

    Parameters
    ----------
    path : Path

    Returns
    -------
    list of Path
        First the one with the metadata: this one, if its OME-XML names others, or the one to which
        it refers.
    """
    return _list_files(path, follows=True)


def _list_files(path: Path, follows: bool) -> list[Path]:
    if path.suffix.lower() not in TIFF_SUFFIXES or not path.is_file():
        return [path]
    try:
        with silence_tifffile(), tifffile.TiffFile(path) as opened:
            xml = opened.ome_metadata
        root = None if xml is None else ET.fromstring(xml)
    except Exception:  # whatever a decoder raises; opening the file reports it
        return [path]
    if root is None:
        return [path]
    if (referred := root.find("{*}BinaryOnly")) is not None:
        name = referred.get("MetadataFile", path.name)
        first = path.parent / name
        # two files may refer to each other
        is_other = follows and is_below(name) and first.is_file()
        others = _list_files(first, False) if is_other else []
        return others if path in others else [path]
    return list(
        dict.fromkeys([path, *(path.parent / name for name in _find_file_names(root, path))])
    )


def _find_file_names(root: ET.Element, path: Path) -> list[str]:
    """Find other files of the images of which a part is in this one, or else of the first.

    As tifffile does: a file contains its own id.
    """
    images = root.findall("{*}Image")
    here = [image for image in images if any(_find_files(image, root, path, own=True))]
    names = [name for image in here or images[:1] for name in _find_files(image, root, path)]
    return list(dict.fromkeys(names))


def _find_files(image: ET.Element, root: ET.Element, path: Path, own: bool = False) -> list[str]:
    """Return names of the files of an image: other ones, or this one wherever it is named."""
    found = []
    for data in image.iterfind("{*}Pixels/{*}TiffData"):
        uuid = data.find("{*}UUID")
        name = path.name if uuid is None else uuid.get("FileName", path.name)
        if not is_below(name):  # opening the file reports it
            continue
        is_own = uuid is None or uuid.text == root.get("UUID") or name.lower() == path.name.lower()
        if is_own == own:
            found.append(name)
    return found


def require_tiff_files(path: Path) -> tuple[Path, ...]:
    """List the files of an image that is read by this one.

    Raises
    ------
    UserError
        If one is missing: where it should be, the image would be black.
    """
    parts = list_tiff_files(path)
    if parts[0] != path:  # it can be read, but by itself
        return (path,)
    for one in parts:
        check_openable(one)
        if not one.exists():
            raise UserError(
                f"{path} is one of the {len(parts)} files of an image, and {one} is missing: put "
                "it beside the others."
            )
    return tuple(parts)
