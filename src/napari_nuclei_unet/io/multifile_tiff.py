"""OME-TIFF images in several files."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import tifffile

from ..errors import UserError
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
    if path.suffix.lower() not in TIFF_SUFFIXES or not path.is_file():
        return [path]
    try:
        with defer_tifffile_log(discard=True), tifffile.TiffFile(path) as opened:
            xml = opened.ome_metadata
        root = None if xml is None else ET.fromstring(xml)
    except Exception:  # whatever a decoder raises; opening the file reports it
        return [path]
    if root is None:
        return [path]
    if (referred := root.find("{*}BinaryOnly")) is not None:
        first = path.parent / referred.get("MetadataFile", path.name)
        others = list_tiff_files(first) if first != path and first.is_file() else []
        return others if path in others else [path]
    return list(dict.fromkeys([path, *(path.parent / name for name in _find_file_names(root))]))


@contextmanager
def defer_tifffile_log(discard: bool = False) -> Iterator[None]:
    """Collect what tifffile logs, and log it at the end unless an error is raised.

    Parameters
    ----------
    discard : bool, optional
        Never log it: it is logged when the file is opened later.
    """
    log, records = logging.getLogger("tifffile"), list[logging.LogRecord]()

    def keep(record: logging.LogRecord) -> bool:
        records.append(record)
        return False

    log.addFilter(keep)
    try:
        yield
    finally:
        log.removeFilter(keep)
    for record in () if discard else records:
        log.handle(record)


def _find_file_names(root: ET.Element) -> list[str]:
    """Find other files of the first image as tifffile does: a file contains its own id."""
    own, names = root.get("UUID"), []
    for uuid in root.iterfind("{*}Image[1]/{*}Pixels/{*}TiffData/{*}UUID"):
        own = own or uuid.text
        if uuid.text != own and "FileName" in uuid.attrib:
            names.append(uuid.attrib["FileName"])
    return names


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
        if not one.exists():
            raise UserError(
                f"{path} is one of {len(parts)} files of an image, and {one} is missing: put it "
                "there."
            )
    return tuple(parts)
