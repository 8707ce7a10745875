"""Writers of small files of microscopes, after the public descriptions of their formats.

nd2 0.12, liffile 2026.2 and pylibCZIrw 6.1, which share no code with openreadout, read them, too.
"""

import struct
import uuid
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import tifffile

ND2_MAGIC = 0x0ABECEDA
CZI_PIXEL_TYPES = {("u1", 1): 0, ("u2", 1): 1, ("f4", 1): 2, ("u1", 3): 3}
# Positions in the header of a CZI.
CZI_DIRECTORY_AT, CZI_METADATA_AT = 32 + 52, 32 + 60


@dataclass(frozen=True)
class Tile:
    """A rectangle of a CZI: its pixels, (Y, X) or (Y, X, 3), and where they lie."""

    pixels: np.ndarray
    x: int = 0
    y: int = 0
    scene: int | None = None
    plane: tuple[int, int, int] = (0, 0, 0)  # channel, slice, time
    zoom: int = 1  # larger: pixels of a coarser level


def write_nd2(path, planes, pixel=0.25, step=None, names=("DAPI", "GFP")):
    """Planes: Z, Y, X, C."""
    slices, height, width, channels = planes.shape
    bits = 8 * planes.dtype.itemsize
    attributes = {
        "uiWidth": width, "uiWidthBytes": width * channels * bits // 8, "uiHeight": height,
        "uiComp": channels, "uiBpcInMemory": bits, "uiBpcSignificant": bits,
        "uiSequenceCount": slices, "uiTileWidth": width, "uiTileHeight": height,
        "eCompression": 2, "dCompressionParam": 0.0, "ePixelType": 1,
        "uiVirtualComponents": channels,
    }  # fmt: skip
    described = {
        f"a{n}": {"sDescription": names[n], "uiCompCount": 1, "uiColor": 0} for n in range(channels)
    }
    metadata = {
        "dCalibration": pixel, "bCalibrated": True, "dTimeMSec": 0.0,
        "sPicturePlanes": {"uiCount": channels, "uiCompCount": channels, "sPlaneNew": described},
    }  # fmt: skip
    chunks = [
        ("ImageAttributesLV!", _nd2_value("SLxImageAttributes", attributes)),
        ("ImageMetadataSeqLV|0!", _nd2_value("SLxPictureMetadata", metadata)),
    ]
    if step:
        loop = {"uiCount": slices, "dZStep": step, "dZLow": 0.0, "dZHigh": step * (slices - 1)}
        experiment = {"eType": 4, "uLoopPars": loop}
        chunks.append(("ImageMetadataLV!", _nd2_value("SLxExperiment", experiment)))
    for n, plane in enumerate(planes):
        chunks.append((f"ImageDataSeq|{n}!", struct.pack("<d", 0.0) + plane.tobytes()))
    content = _nd2_chunk("ND2 FILE SIGNATURE CHUNK NAME01!", b"Ver3.0".ljust(64, b"\0"))
    index = b""
    for name, data in chunks:
        index += name.encode() + struct.pack("<QQ", len(content), len(data))
        content += _nd2_chunk(name, data)
    index += b"ND2 CHUNK MAP SIGNATURE 0000001!" + struct.pack("<Q", len(content))
    Path(path).write_bytes(content + _nd2_chunk("ND2 FILEMAP SIGNATURE NAME 0001!", index))


def _nd2_chunk(name, data):
    # names of planes are padded, so that pixels begin 4096 bytes after their chunk
    padded = name.encode().ljust(4072 if name.startswith("ImageDataSeq") else 0, b"\0")
    return struct.pack("<IIQ", ND2_MAGIC, len(padded), len(data)) + padded + data


def _nd2_value(name, value):
    def head(kind):
        return struct.pack("BB", kind, len(name) + 1) + f"{name}\0".encode("utf-16-le")

    if isinstance(value, bool):
        return head(1) + struct.pack("B", value)
    if isinstance(value, int):
        return head(3) + struct.pack("<I", value)
    if isinstance(value, float):
        return head(6) + struct.pack("<d", value)
    if isinstance(value, str):
        return head(8) + f"{value}\0".encode("utf-16-le")
    items = b"".join(_nd2_value(key, inner) for key, inner in value.items())
    size = struct.pack("<IQ", len(value), len(head(11)) + 12 + len(items))
    return head(11) + size + items + bytes(8 * len(value))


def write_lif(path, images, pixel=0.5, step=2.0):
    """Pairs of a name and an image: C, Z, Y, X."""
    elements, blocks = "", b""
    for n, (name, pixels) in enumerate(images):
        name_of_block = f"MemBlock_{n}".encode("utf-16-le")
        data = np.ascontiguousarray(pixels.transpose(1, 0, 2, 3)).tobytes()
        elements += (
            f'<Element Name={quoteattr(name)} UniqueID="i{n}"><Data>'
            f"{_lif_image(pixels, pixel, step)}</Data>"
            f'<Memory Size="{len(data)}" MemoryBlockID="MemBlock_{n}"/><Children/></Element>'
        )
        head = struct.pack("<BQBI", 0x2A, len(data), 0x2A, len(name_of_block) // 2) + name_of_block
        blocks += struct.pack("<II", 0x70, len(head)) + head + data
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="first.lif" UniqueID="r"><Data>'
        '<Experiment Path=""/></Data><Memory Size="0" MemoryBlockID="MemBlock_none"/>'
        f"<Children>{elements}</Children></Element></LMSDataContainerHeader>"
    ).encode("utf-16-le")
    head = struct.pack("<IIBI", 0x70, 5 + len(xml), 0x2A, len(xml) // 2)
    Path(path).write_bytes(head + xml + blocks)


def _lif_image(pixels, pixel, step):
    channels, slices, height, width = pixels.shape
    item = pixels.itemsize
    plane = height * width * item
    axes = (
        (1, width, pixel, item),
        (2, height, pixel, width * item),
        (3, slices, step, plane * channels),
    )
    dimensions = "".join(
        f'<DimensionDescription DimID="{axis}" NumberOfElements="{length}" Origin="0" '
        f'Length="{1e-6 * size * (length - 1)}" Unit="m" BytesInc="{stride}" BitInc="0"/>'
        for axis, length, size, stride in axes
        if length > 1
    )
    described = "".join(
        f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="{8 * item}" '
        f'NameOfMeasuredQuantity="" Min="0" Max="1" '
        f'Unit="" LUTName="{lut}" IsLUTInverted="0" BytesInc="{n * plane}" BitInc="0"/>'
        for n, lut in zip(range(channels), ("Blue", "Green"), strict=False)
    )
    return (
        f"<Image><ImageDescription><Channels>{described}</Channels><Dimensions>{dimensions}"
        "</Dimensions></ImageDescription></Image>"
    )


def write_oif(path, pixels, step=1.0):
    """Pixels: C, Z, Y, X; a text file, and a folder of TIFF files beside it."""
    path = Path(path)
    folder = path.with_name(f"{path.name}.files")
    folder.mkdir()
    channels, slices, height, width = pixels.shape
    lines = ["[Version Info]", 'FileVersion="1.2.6.0"', 'SystemName="FLUOVIEW FV1000"',
             "[Axis Parameter Common]", "AxisCount=4", 'AxisOrder="XYZC"']  # fmt: skip
    axes = (("X", width, 1, "um"), ("Y", height, 1, "um"), ("C", channels, 1, ""),
            ("Z", slices, 1000 * step, "nm"))  # fmt: skip
    for n, (code, length, size, unit) in enumerate(axes):
        lines += [f"[Axis {n} Parameters Common]", f'AxisCode="{code}"', f"MaxSize={length}",
                  "StartPosition=0", f"EndPosition={size * (length - 1)}",
                  f"Interval={size}",
                  f'UnitName="{unit}"', f'PixUnit="{unit}"']  # fmt: skip
    lines += ["[Reference Image Parameter]", "ValidBitCounts=16", "ImageDepth=2"]
    lines.append("[ProfileSaveInfo]")
    for n, (c, z) in enumerate(np.ndindex(channels, slices)):
        name = f"s_C{c + 1:03d}Z{z + 1:03d}"
        tifffile.imwrite(folder / f"{name}.tif", pixels[c, z], metadata=None)
        number = [
            f"[Axis 2 Parameters]\r\nNumber={c + 1}",
            f"[Axis 3 Parameters]\r\nNumber={z + 1}",
        ]
        page = "\r\n".join(["[File Info]", f'DataName="{name}.tif"', *number])
        (folder / f"{name}.pty").write_text(f"\ufeff{page}", "utf-16-le")
        lines.append(f'IniFileName{n}="{folder.name}\\{name}.pty"')
    path.write_text("\ufeff" + "\r\n".join(lines), "utf-16-le")


def write_czi(path, tiles, pixel=None, step=None, names=()):
    """Tiles, which together are the planes of one or more scenes."""
    guid = uuid.uuid4().bytes
    header = struct.pack("<II8x16s16siQQiQ", 1, 0, guid, guid, 0, 0, 0, 0, 0)
    content = bytearray(_czi_segment("ZISRAWFILE", header.ljust(512, b"\0")))
    entries = b""
    for tile in tiles:
        entry = _czi_entry(tile, len(content))
        entries += entry
        colours = tile.pixels[..., ::-1] if tile.pixels.ndim == 3 else tile.pixels  # stored as BGR
        data = np.ascontiguousarray(colours).tobytes()
        head = (struct.pack("<iiq", 0, 0, len(data)) + entry).ljust(256, b"\0")
        content += _czi_segment("ZISRAWSUBBLOCK", head + data)
    struct.pack_into("<Q", content, CZI_DIRECTORY_AT, len(content))
    directory = struct.pack("<i", len(tiles)).ljust(128, b"\0") + entries
    content += _czi_segment("ZISRAWDIRECTORY", directory)
    struct.pack_into("<Q", content, CZI_METADATA_AT, len(content))
    xml = _czi_metadata(pixel, step, names).encode()
    content += _czi_segment(
        "ZISRAWMETADATA", struct.pack("<ii", len(xml), 0).ljust(256, b"\0") + xml
    )
    Path(path).write_bytes(content)


def _czi_segment(name, data):
    size = -len(data) % 32 + len(data)
    return struct.pack("<16sQQ", name.encode(), size, len(data)) + data.ljust(size, b"\0")


def _czi_entry(tile, position):
    height, width = tile.pixels.shape[:2]
    colours = 1 if tile.pixels.ndim == 2 else 3
    channel, z, time = tile.plane
    axes = [("X", tile.x, width * tile.zoom, width), ("Y", tile.y, height * tile.zoom, height),
            ("C", channel, 1, 1), ("Z", z, 1, 1), ("T", time, 1, 1)]  # fmt: skip
    if tile.scene is not None:
        axes.append(("S", tile.scene, 1, 1))
    kind = CZI_PIXEL_TYPES[tile.pixels.dtype.str[1:], colours]
    head = struct.pack("<2siqiiB5xi", b"DV", kind, position, 0, 0, 2 * (tile.zoom > 1), len(axes))
    return head + b"".join(
        struct.pack("<4siifi", axis.encode(), start, length, 0.0, stored)
        for axis, start, length, stored in axes
    )


def _czi_metadata(pixel, step, names):
    sizes = {"X": pixel, "Y": pixel, "Z": step}
    distances = "".join(
        f'<Distance Id="{axis}"><Value>{1e-6 * size!r}</Value></Distance>'
        for axis, size in sizes.items()
        if size
    )
    channels = "".join(
        f'<Channel Id="Channel:{n}" Name={quoteattr(name)}/>' for n, name in enumerate(names)
    )
    return (
        '<?xml version="1.0"?><ImageDocument><Metadata><Information><Image><Dimensions><Channels>'
        f"{channels}</Channels></Dimensions></Image></Information><Scaling><Items>{distances}"
        "</Items></Scaling></Metadata></ImageDocument>"
    )
