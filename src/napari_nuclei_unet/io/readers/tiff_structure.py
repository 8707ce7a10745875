"""Whether the file of a TIFF is whole: the list of its pages, and their tags."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import UserError
from .tiff_counts import count_claimed_planes

# Bytes of a value, by the type of a tag.
TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
              16: 8, 17: 8, 18: 8}  # fmt: skip
# Tags on which pixels, their axes and their size depend: bits, description, strips, samples,
# resolution, palette, tiles, levels, tables of JPEG, and what ImageJ adds.
NEEDED_TAGS = frozenset(
    (258, 270, 273, 277, 279, 282, 283, 320, 324, 325, 330, 338, 339, 347, 50838, 50839)
)
# Kinds whose writers leave the pointer behind the last page undefined.
UNTERMINATED_KINDS = ("is_lsm", "is_stk", "is_ndpi", "is_scanimage", "is_micromanager")


def check_pages(path: Path, opened: Any) -> int | None:
    """Raise an error if the list of pages, or what a page says, breaks off.

    A decoder passes over what lies behind the end of the file, and so returns fewer planes, or
    planes without the names of their axes.

    Parameters
    ----------
    path : Path
    opened : tifffile.TiffFile

    Returns
    -------
    int or None
        The number of pages; None where their list has no certain end.

    Raises
    ------
    UserError
    """
    if any(getattr(opened, kind) for kind in UNTERMINATED_KINDS):
        return None
    pages = _walk_pages(opened)
    if not pages.is_broken:
        return pages.count
    whole = pages.count
    if not whole:
        raise UserError(f"{path} cannot be read: it is damaged, or not a TIFF.")
    claimed = count_claimed_planes(opened)
    if claimed is None or claimed <= whole:
        held = f"it breaks off after {whole} of its pages"
    else:
        held = f"it should have {claimed} planes, but contains {whole}"
    raise UserError(f"{path} is incomplete: {held}. Copy it again, or save it again.")


@dataclass(frozen=True)
class _PageList:
    """The number of whole pages, and whether the list breaks off behind them."""

    count: int
    is_broken: bool


def _walk_pages(opened: Any) -> _PageList:
    """Follow the list of pages to its end."""
    file, form, size = opened.filehandle, opened.tiff, opened.filehandle.size
    at = _read_number(file, 4 if form.version == 42 else 8, form.offsetsize, form.byteorder)
    seen: set[int] = set()
    while at:
        count = None if at in seen else _read_number(file, at, form.tagnosize, form.byteorder)
        if count is None:
            return _PageList(len(seen), True)
        raw = file.read(count * form.tagsize)
        if len(raw) < count * form.tagsize or _lies_outside(raw, form, size):
            return _PageList(len(seen), True)
        seen.add(at)
        end = at + form.tagnosize + count * form.tagsize
        at = _read_number(file, end, form.offsetsize, form.byteorder)
    return _PageList(len(seen), at is None or not seen)


def _read_number(file: Any, at: int, length: int, byteorder: str) -> int | None:
    """Read a whole number; None behind the end of the file."""
    if at >= file.size:
        return None
    file.seek(at)
    raw = file.read(length)
    order = "little" if byteorder == "<" else "big"
    return None if len(raw) < length else int.from_bytes(raw, order)  # type: ignore[arg-type]


def _lies_outside(raw: bytes, form: Any, size: int) -> bool:
    """Return whether the value of a tag lies behind the end of the file."""
    layout = struct.Struct(f"{form.byteorder}HH{'II' if form.offsetsize == 4 else 'QQ'}")
    for code, kind, count, value in layout.iter_unpack(raw):
        length = TYPE_SIZES.get(kind, 0) * count
        if length > form.offsetsize and value + length > size and code in NEEDED_TAGS:
            return True
    return False
