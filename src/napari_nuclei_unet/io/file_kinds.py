"""Kinds of files that are not read here, known by their first bytes or their suffix."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from .openable import check_openable
from .suffixes import TIFF_SUFFIXES

FIJI = "open it in Fiji and save it as OME-TIFF"
EDITOR = "save it as PNG or TIFF"
PYTHON = "save its array with tifffile.imwrite"
EXTRACT = "extract it and give the folder or the files inside"
NO_IMAGE = "give an image, such as a TIFF"
HEAD_BYTES = 1024


@dataclass(frozen=True)
class FileKind:
    """A kind of file.

    Attributes
    ----------
    name : str
        With its article.
    advice : str
        What to do with it; empty: it can be read under another suffix.
    marks : tuple of (int, bytes)
        Any of them shows the kind: bytes at a position.
    suffixes : tuple of str
        Show it where no mark of any kind is found.
    read_as : tuple of str
        Suffixes under which such a file is read.
    """

    name: str
    advice: str
    marks: tuple[tuple[int, bytes], ...] = ()
    suffixes: tuple[str, ...] = ()
    read_as: tuple[str, ...] = ()


HDF5_MARK = b"\x89HDF\r\n\x1a\n"
# Order counts: of kinds that share a mark, the first one.
_KINDS = (
    FileKind("a MATLAB file", f"write the image with imwrite in MATLAB, or {PYTHON}",
             ((0, b"MATLAB "),), (".mat",)),
    FileKind("an HDF5 file", f"{FIJI} (plugin HDF5), or {PYTHON}",
             tuple((at, HDF5_MARK) for at in (0, 512)),
             (".h5", ".hdf5", ".hdf", ".he5", ".h5ad", ".ilp", ".nwb", ".emd"), (".ims",)),
    FileKind("a JPEG 2000 image", FIJI,
             ((0, b"\0\0\0\x0cjP  "), (0, b"\xff\x4f\xff\x51")),
             (".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".jpc")),
    FileKind("a JPEG XL image", EDITOR, ((0, b"\0\0\0\x0cJXL "), (0, b"\xff\x0a")), (".jxl",)),
    FileKind("a JPEG XR image", EDITOR, ((0, b"II\xbc\x01"),), (".jxr", ".wdp")),
    FileKind("a DICOM file", FIJI, ((128, b"DICM"),), (".dcm", ".dicom", ".ima")),
    FileKind("an MRC file", FIJI, ((208, b"MAP "),),
             (".mrc", ".mrcs", ".rec", ".ccp4", ".map", ".st", ".ali")),
    FileKind("a NumPy array", PYTHON, ((0, b"\x93NUMPY"),), (".npy",)),
    FileKind("a GIF image", EDITOR, ((0, b"GIF8"),), (".gif",)),
    FileKind("a WebP image", EDITOR, ((8, b"WEBP"),), (".webp",)),
    FileKind("an AVI video", FIJI, ((8, b"AVI "),), (".avi",)),
    FileKind("an image in HEIC or AVIF", EDITOR,
             tuple((4, b"ftyp" + brand) for brand in (b"heic", b"heix", b"mif1", b"avif")),
             (".heic", ".heif", ".avif")),
    FileKind("a video", FIJI, ((4, b"ftyp"), (0, b"\x1aE\xdf\xa3")),
             (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".mpg", ".wmv")),
    FileKind("a BMP image", EDITOR, (), (".bmp", ".dib")),
    FileKind("a Photoshop file", EDITOR, ((0, b"8BPS"),), (".psd", ".psb")),
    FileKind("a PDF", "extract its images", ((0, b"%PDF"),), (".pdf", ".ai")),
    FileKind("a PostScript file", "extract its images", ((0, b"%!PS"),), (".ps", ".eps")),
    FileKind("a FITS file", FIJI, ((0, b"SIMPLE  ="),), (".fits", ".fit", ".fts")),
    FileKind("a NIfTI file", FIJI, ((344, b"n+1\0"), (344, b"ni1\0")), (".nii",)),
    FileKind("an NRRD file", FIJI, ((0, b"NRRD0"),), (".nrrd", ".nhdr")),
    FileKind("a MetaImage", FIJI, ((0, b"ObjectType"), (0, b"NDims")), (".mha", ".mhd")),
    FileKind("an ICS file", FIJI, ((0, b"\t\nics_version"), (0, b"\t\r\nics_version")),
             (".ics", ".ids")),
    FileKind("a Gatan file", FIJI, ((0, b"\0\0\0\x03"), (0, b"\0\0\0\x04")), (".dm3", ".dm4")),
    FileKind("a DeltaVision file", FIJI, (), (".dv", ".r3d")),
    FileKind("a SlideBook file", FIJI, (), (".sld", ".sldy")),
    FileKind("a Volocity file", FIJI, (), (".mvd2", ".acff")),
    FileKind("a slide of 3DHISTECH", "export it as TIFF in SlideViewer", (), (".mrxs",)),
    FileKind("a camera's raw image", "develop it and save it as TIFF", (),
             (".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".dng")),
    FileKind("a portable pixmap", EDITOR, (), (".pgm", ".ppm", ".pbm", ".pnm", ".pam", ".pfm")),
    FileKind("an image of an unusual kind", FIJI, (),
             (".tga", ".pcx", ".sgi", ".exr", ".hdr", ".dds", ".ico", ".icns", ".xpm", ".raw",
              ".svg", ".djvu", ".ecw", ".flif", ".qoi")),
    FileKind("a compressed file", EXTRACT,
             ((0, b"\x1f\x8b"), (0, b"BZh"), (0, b"\xfd7zXZ"), (0, b"7z\xbc\xaf"), (0, b"Rar!"),
              (0, b"\x28\xb5\x2f\xfd")),
             (".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst", ".tar")),
    FileKind("a zipped folder", EXTRACT, ((0, b"PK\x03\x04"), (0, b"PK\x05\x06")), (".zip",)),
    FileKind("a table or text", NO_IMAGE, (),
             (".csv", ".tsv", ".txt", ".xls", ".xlsx", ".json", ".xml", ".md", ".log", ".ini",
              ".yaml", ".yml", ".toml", ".html", ".doc", ".docx", ".rtf", ".odt", ".ods")),
    FileKind("a table of arrays", PYTHON, ((0, b"PAR1"),), (".npz", ".parquet", ".feather")),
    FileKind("a PNG image", "", ((0, b"\x89PNG\r\n\x1a\n"),), read_as=(".png",)),
    FileKind("a JPEG image", "", ((0, b"\xff\xd8\xff"),), read_as=(".jpg", ".jpeg")),
    FileKind("a TIFF image", "",
             ((0, b"II*\0"), (0, b"MM\0*"), (0, b"II+\0"), (0, b"MM\0+")), read_as=TIFF_SUFFIXES),
    FileKind("a Nikon ND2 file", "", ((0, b"\xda\xce\xbe\x0a"),), read_as=(".nd2",)),
    FileKind("a Zeiss CZI file", "", ((0, b"ZISRAWFILE"),), read_as=(".czi",)),
    FileKind("a Leica LIF file", "", ((0, b"\x70\0\0\0"),), read_as=(".lif", ".lof")),
    FileKind("a BMP image", EDITOR, ((0, b"BM"),)),
)  # fmt: skip
ZIPPED_ZARR = FileKind(
    "a zipped OME-Zarr", "extract it and give the folder that ends in .zarr", suffixes=(".ozx",)
)
# Names of files that any zarr has, one of them.
ZARR_MEMBERS = ("zarr.json", ".zattrs", ".zgroup", ".zarray")


def find_kind(path: Path) -> FileKind | None:
    """Return the kind of a file that cannot be read under its name; None if it may be.

    Parameters
    ----------
    path : Path

    Returns
    -------
    FileKind or None
    """
    suffix = path.suffix.lower()
    found = next(_find_kinds(path, suffix), None)
    return None if found is None or suffix in found.read_as else found


def describe_kind(path: Path) -> str | None:
    """Return a sentence that names the kind of a file and says what to do; None if unknown."""
    if path.is_file() and not path.stat().st_size:
        return f"{path} is empty: copy or save it again."
    kind = find_kind(path)
    if kind is None:
        return None
    if not kind.advice:
        return f"{path} is {kind.name}: rename it to end in {kind.read_as[0]}."
    return f"{path} is no image that can be read, but {kind.name}: {kind.advice}."


def _find_kinds(path: Path, suffix: str) -> Iterator[FileKind]:
    head = _read_head(path)
    if suffix == ".ozx" or (head.startswith(b"PK") and _is_zipped_zarr(path)):
        yield ZIPPED_ZARR
    if suffix in (".npz", ".xlsx", ".docx", ".ods", ".odt"):  # these are zipped, too
        head = b""
    for kind in _KINDS:
        if any(head[at : at + len(mark)] == mark for at, mark in kind.marks):
            yield kind
    for kind in _KINDS:
        if suffix in kind.suffixes:
            yield kind


def _read_head(path: Path) -> bytes:
    try:
        check_openable(path)
        with path.open("rb") as opened:
            return opened.read(HEAD_BYTES)
    except (OSError, UserError):
        return b""


def _is_zipped_zarr(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return path.name.lower().endswith(".zarr.zip")
    return any(name.rpartition("/")[2] in ZARR_MEMBERS for name in names)
