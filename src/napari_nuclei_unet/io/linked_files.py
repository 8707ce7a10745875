"""Files that a file names: whoever wrote it shall not choose which files of a computer are read."""

from __future__ import annotations

import os
from pathlib import Path, PureWindowsPath
from typing import Any
from xml.etree import ElementTree as ET

import tifffile

from ..errors import UserError
from .openable import check_openable

# Beside the files of an image of Micro-Manager; names all of them.
NDTIFF_INDEX = "NDTiff.index"


def is_below(name: str) -> bool:
    """Return whether a path that a file names stays in its folder, by its text.

    Links of the file system are followed like folders: a file cannot make them.
    """
    path, depth = PureWindowsPath(name), 0  # which reads paths of all systems
    if path.root or (path.drive and os.name == "nt"):
        return False
    for part in path.parts:
        depth += -1 if part == ".." else 1
        if depth < 0:
            return False
    return True


def check_below(file: Path, name: str) -> None:
    """Refuse a path outside of its folder that a file names.

    Raises
    ------
    UserError
    """
    if not is_below(name):
        raise UserError(
            f"{file} refers to {name}, which is outside its folder and is not opened: export the "
            "image again, with all its files in one folder."
        )


def check_tiff_references(path: Path, opened: Any) -> None:
    """Refuse a TIFF for which tifffile would open files outside of its folder, or what is no file.

    Parameters
    ----------
    path : Path
    opened : tifffile.TiffFile
        None of its series has been read yet.

    Raises
    ------
    UserError
    """
    index = path.with_name(NDTIFF_INDEX)
    if opened.is_ndtiff and index.is_file():
        for name in {fields[1] for fields in tifffile.read_ndtiff_index(index)}:
            check_below(index, name)
    for name in _list_other_names(opened):
        check_below(path, name)
        check_openable(path.parent / name)
    if opened.is_micromanager:  # its files are found by their names
        for other in path.parent.iterdir():
            check_openable(other)


def _list_other_names(opened: Any) -> set[str]:
    """List the names of other files in the OME-XML of a TIFF."""
    xml = (opened.ome_metadata if opened.is_ome else None) or ""
    if "UUID" not in xml:
        return set()
    try:
        root = ET.fromstring(xml)
    except ET.ParseError:  # then nothing is followed
        return set()
    others = (uuid for uuid in root.iterfind(".//{*}UUID") if uuid.text != root.get("UUID"))
    return {uuid.get("FileName", "") for uuid in others}
