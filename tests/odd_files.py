"""Files that claim to be of some kind: bombs, loops, entities, pickles, and text of no table."""

import json
import pickle
import struct
import zlib

import numpy as np
import tifffile
from mutations import pick

ABSURD = (0, 1, 2**16 - 1, 2**31 - 1, 2**32 - 1)
# First bytes of files of microscopes, and of other programs.
MAGIC = {
    "a.nd2": b"\xda\xce\xbe\x0a", "b.nd2": b"\x00\x00\x00\x0cjP  \r\n\x87\n",
    "a.czi": b"ZISRAWFILE\0\0\0\0\0\0", "a.lif": b"\x70\0\0\0", "a.oif": b"\xff\xfe[\0",
    "a.ims": b"\x89HDF\r\n\x1a\n", "a.vsi": b"II*\0", "a.lsm": b"II*\0\x08\0\0\0",
    "a.svs": b"MM\0*", "a.tif": b"II+\0\x08\0\0\0", "a.gif": b"GIF89a", "a.bmp": b"BM",
    "a.webp": b"RIFF\xff\xff\xff\xffWEBP", "a.jp2": b"\x00\x00\x00\x0cjP  \r\n\x87\n",
    "a.npy": b"\x93NUMPY\x01\0\xff\xff", "a.zip": b"PK\3\4", "a.dcm": bytes(128) + b"DICM",
    "a.png": b"\x89PNG\r\n\x1a\n", "a.jpg": b"\xff\xd8\xff\xe0\xff\xff",
}  # fmt: skip


def make_magic(name):
    """Return a maker of a file whose first bytes are right, and the others by chance."""

    def make(rng, path, _):
        path.write_bytes(MAGIC[name] + rng.bytes(int(rng.integers(3000))))

    return name, make


def _png_chunk(kind, data):
    crc = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def png_bomb(rng, path, _):
    """A small PNG of an absurd size, or that is unpacked to 100 MB of text."""
    size = struct.pack(">II", pick(rng, ABSURD), pick(rng, ABSURD))
    header = size + bytes([pick(rng, (1, 8, 16)), pick(rng, (0, 2, 3, 6)), 0, 0, 0])
    text = b"a\0\0" + zlib.compress(bytes(100_000_000), 9)
    parts = [
        (b"IHDR", header),
        (b"zTXt", text),
        (b"IDAT", zlib.compress(bytes(9999))),
        (b"IEND", b""),
    ]
    data = b"".join(_png_chunk(*part) for part in parts)
    path.write_bytes(MAGIC["a.png"] + data)


def jpeg_bomb(rng, path, base):
    """A JPEG that claims far more pixels than it has."""
    data = bytearray((base / "images" / "a.jpg").read_bytes())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", *(pick(rng, (0, 1, 20_000, 65_535)) for _ in "ab"))
    path.write_bytes(data)


def tiff_loop(rng, path, base):
    """A TIFF whose last directory leads back to the first, or to itself."""
    data = bytearray((base / "images" / pick(rng, ("plain.tif", "stack.tif"))).read_bytes())
    first = struct.unpack("<I", data[4:8])[0]
    at = first
    while True:
        end = at + 2 + 12 * struct.unpack("<H", data[at : at + 2])[0]
        following = struct.unpack("<I", data[end : end + 4])[0]
        if not following:
            break
        at = following
    data[end : end + 4] = struct.pack("<I", pick(rng, (first, at, 4, len(data) - 1)))
    path.write_bytes(data)


def tiff_sizes(rng, path, _):
    """A TIFF of one small strip that claims an absurd size."""
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8), metadata=None)
    with tifffile.TiffFile(path, mode="r+") as opened:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            opened.pages.first.tags[name].overwrite(pick(rng, ABSURD))


def billion_laughs(rng, path, _):
    """An OME-TIFF whose XML has entities that grow by the power, or name a file."""
    entities = '<!ENTITY a0 "ha">' + "".join(
        f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12)
    )
    outside = '<!ENTITY a11 SYSTEM "file:///etc/passwd">'
    tifffile.imwrite(path, np.zeros((2, 60, 80), np.uint8), metadata={"axes": "TYX"})
    xml = tifffile.tiffcomment(path)
    top = xml.index("<OME")
    text = pick(rng, (entities, outside))
    xml = f"<!DOCTYPE OME [{text}]>{xml[top:]}".replace('SizeT="2"', 'SizeT="2" Name="&a11;"')
    tifffile.tiffcomment(path, xml.encode())


def seg_npy(_, path, base):
    """What Cellpose saves: a pickle, which would run a program when it is read."""

    class Run:
        def __reduce__(self):
            return (open, (str(base / "was_run"), "w"))

    with path.open("wb") as file:
        header = str({"descr": "|O", "fortran_order": False, "shape": ()}).encode()
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header + b"\n")
        pickle.dump({"masks": Run()}, file)


def geojson(rng, path, _):
    """Outlines as QuPath writes them, of which one is absurd."""
    corners = pick(rng, ([], [[0, 0]], [[0, 1e308], [1e308, 0], [5, 5]], [["x", None]], "x"))
    shape = {"type": "Polygon", "coordinates": [corners]}
    content = {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "geometry": shape}] * 3,
    }
    path.write_text(json.dumps(content))


MAKERS = [
    *map(make_magic, MAGIC), ("bomb.png", png_bomb), ("bomb.jpg", jpeg_bomb),
    ("loop.tif", tiff_loop), ("sizes.tif", tiff_sizes), ("laughs.ome.tif", billion_laughs),
    ("a_seg.npy", seg_npy), ("a_seg.tif", seg_npy), ("a.geojson", geojson), ("a.json", geojson),
]  # fmt: skip
TABLES = [
    lambda rng: b"",
    lambda rng: b"\0" * int(rng.integers(1, 5000)),
    lambda rng: b"label,centroid_y,confidence\n" + b"1,\0,\0\n" * 5,
    lambda rng: b"ImageId,EncodedPixels\na," + b"1 " * int(rng.integers(1, 20_000)) + b"\n",
    lambda rng: b"ImageId,EncodedPixels\na,1 99999999999999999999\nb,-1 -1\n",
    lambda rng: b"ImageId,EncodedPixels\n" + b"a,1 2\n" * 10_000,
    lambda rng: b'id,modality\n"a,one\nb,two\n',
    lambda rng: b"id,field_group,modality\n" + b"a,1,2\n" * 3,
    lambda rng: b"id," * 5_000 + b"\n" + b"a," * 5_000,
    lambda rng: b"\xff\xfei\0d\0,\0m\0",
    lambda rng: b"label;centroid_y;confidence\r1;2,5;x\r",
    lambda rng: rng.bytes(int(rng.integers(1, 4000))),
]
