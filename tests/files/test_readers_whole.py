"""Files that are not whole, or whose metadata count wrongly: the same pixels, or one sentence."""

import logging
import re
import shutil
import warnings
from pathlib import Path

import imagecodecs
import numpy as np
import PIL.Image
import pytest
import tifffile
import zarr

from napari_nuclei_unet import UserError, read_image
from napari_nuclei_unet.io.file_pixel_size import read_pixel_size
from napari_nuclei_unet.io.labels import read_record
from napari_nuclei_unet.io.open import list_images, open_image

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 1000, (4, 40, 48)).astype(np.uint16)
COLOURS = RNG.integers(0, 255, (40, 48, 3)).astype(np.uint8)
# Positions at which each file is cut.
CUTS = 40


def pages(path, description=None, count=4, **options):
    with tifffile.TiffWriter(path) as opened:
        for number in range(count):
            about = description if number == 0 else None
            opened.write(STACK[number], description=about, metadata=None, **options)
    return path


def positions(path):
    with tifffile.TiffWriter(path) as opened:
        for number in range(2):
            opened.write(STACK[number], metadata={"axes": "YX", "Name": f"Pos{number}"})


def pyramid(path):
    with tifffile.TiffWriter(path) as opened:
        opened.write(STACK[0], subifds=1, metadata=None)
        opened.write(STACK[0, ::2, ::2], subfiletype=1, metadata=None)


def pictures(path):
    PIL.Image.fromarray(COLOURS).save(
        path, save_all=True, append_images=[PIL.Image.fromarray(COLOURS[::-1])]
    )


def wide_png(path):
    path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(COLOURS.astype(np.uint16) * 200)))


def save_as(picture, **options):
    return lambda path: picture.save(path, **options)


def write_tiff(pixels, **options):
    return lambda path: tifffile.imwrite(path, pixels, **options)


PICTURE = PIL.Image.fromarray(COLOURS)
FILES = {
    "positions.ome.tif": positions,
    "positions.tif": positions,
    "pyramid.tif": pyramid,
    "pictures.tif": pictures,
    "plain.tif": pages,
    "packed.tif": lambda path: pages(path, compression="zlib", rowsperstrip=7),
    "big.tif": write_tiff(STACK, bigtiff=True, metadata={"axes": "ZYX"}),
    "motorola.tif": write_tiff(STACK, byteorder=">", metadata={"axes": "ZYX"}),
    "tiles.tif": write_tiff(STACK[0], tile=(16, 16), compression="zlib"),
    "jpeg.tif": write_tiff(COLOURS, photometric="ycbcr", compression="jpeg", tile=(16, 16)),
    "palette.tif": save_as(PICTURE.quantize(16)),
    "cmyk.tif": save_as(PICTURE.convert("CMYK"), compression="tiff_lzw"),
    "rgb.png": save_as(PICTURE),
    "palette.png": save_as(PICTURE.quantize(16)),
    "grey16.png": save_as(PIL.Image.fromarray(STACK[0])),
    "wide.png": wide_png,
    "rgb.jpg": save_as(PICTURE, quality=90),
    "progressive.jpg": save_as(PICTURE, progressive=True),
    **{
        f"{kind}_{compression}.tif": write_tiff(STACK, compression=compression, **options)
        for kind, options in {
            "shaped": {"metadata": {"axes": "ZYX"}},
            "imagej": {"imagej": True},
            "file.ome": {"metadata": {"axes": "ZYX"}, "ome": True},
        }.items()
        for compression in (None, "zlib", "lzw", "zstd")
    },
}


def read_all(path):
    return [np.asarray(open_image(path, scene=n).pixels) for n in range(len(list_images(path)))]


def read_or_refused(path):
    """Return the images of a file; None if a sentence that names it says why not."""
    try:
        return read_all(path)
    except UserError as error:
        message = str(error)
    assert str(path) in message
    return None


def is_equal(one, other):
    return len(one) == len(other) and all(
        a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_broke_off_is_read_the_same_or_refused(tmp_path, caplog, name):
    path, cut = tmp_path / name, tmp_path / f"cut_{name}"
    FILES[name](path)
    data, whole = path.read_bytes(), read_all(path)
    places = {0, 1, 7, 8, len(data) - 1, *RNG.integers(0, len(data), CUTS).tolist()}
    refused = 0
    for place in sorted(places):
        cut.write_bytes(data[:place])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = read_or_refused(cut)
        refused += found is None
        assert found is None or is_equal(found, whole), place
    assert refused > len(places) / 2
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_zarr_that_broke_off_is_read_the_same_or_refused(tmp_path, zarr_format):
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=STACK, chunks=(1, 20, 24), zarr_format=zarr_format)
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        data = file.read_bytes()
        for place in {0, len(data) - 1, *RNG.integers(0, len(data), 3).tolist()}:
            file.write_bytes(data[:place])
            found = read_or_refused(path)
            assert found is None or is_equal(found, [STACK]), (file, place)
        file.write_bytes(data)


def ome(**counts):
    counts = {"X": 48, "Y": 40, "Z": 4, "C": 1, "T": 1, "IFD": 0, "PlaneCount": 4} | counts
    sizes = " ".join(f'Size{axis}="{counts[axis]}"' for axis in "XYZCT")
    return (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0" '
        f'Name="one"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" {sizes}>'
        '<Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
        f'<TiffData IFD="{counts["IFD"]}" PlaneCount="{counts["PlaneCount"]}"/>'
        "</Pixels></Image></OME>"
    )


def imagej(**counts):
    return "ImageJ=1.53\n" + "".join(f"{name}={count}\n" for name, count in counts.items())


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}], ids=["plain", "zlib"])
@pytest.mark.parametrize(
    ("about", "words"),
    [
        (ome(Z=5), "5 planes, but contains 4"),
        (ome(Z=5, PlaneCount=5), "5 planes, but contains 4"),
        (ome(C=2), "8 planes, but contains 4"),
        (ome(T=3), "12 planes, but contains 4"),
        (ome(IFD=2), "4 planes, but contains 2"),
        (ome(Z=3), "describe 3 planes, but it contains 4"),
        (ome(X=50), "do not match"),
        (imagej(images=5, slices=5), "5 planes, but contains 4"),
        (imagej(images=6, channels=2, slices=3), "6 planes, but contains 4"),
        (imagej(images=5), "5 planes, but contains 4"),
        ('{"shape": [5, 40, 48]}', "5 planes, but contains 4"),
    ],
)
def test_metadata_that_count_wrongly_are_said_with_the_numbers(tmp_path, about, words, options):
    path = pages(tmp_path / "a.tif", about, **options)
    with pytest.raises(UserError, match=re.escape(str(path))) as error:
        read_image(path)
    assert words in str(error.value)


def test_of_an_acquisition_that_was_stopped_the_planes_that_are_there_are_read(tmp_path):
    image = open_image(pages(tmp_path / "a.ome.tif", ome(Z=6, PlaneCount=6)))
    assert image.pixels.shape == (6, 40, 48)
    np.testing.assert_array_equal(image.pixels[:4], STACK)
    np.testing.assert_array_equal(image.pixels[2, 3:9, ::2], STACK[2, 3:9, ::2])
    with pytest.raises(UserError, match=r"should have 6 planes, but contains 4.*from 0: Z 4, Z 5"):
        image.pixels[5, :3]


def test_an_image_of_which_nothing_was_written_is_said(tmp_path):
    second = re.search("<Image.*</Image>", ome(IFD=4))[0].replace(":0", ":1").replace("one", "two")
    both = ome().replace("</OME>", f"{second}</OME>")
    path = pages(tmp_path / "a.ome.tif", both)
    assert list_images(path) == ["one", "two"]
    np.testing.assert_array_equal(read_image(path, scene=0), STACK)
    with pytest.raises(UserError, match="of its image two it contains nothing"):
        read_image(path, scene=1)


@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 8}, {"tile": (16, 16)}])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(("tag", "value"), [(257, 4000), (256, 96), (258, 32), (277, 3)], ids=str)
def test_a_page_that_says_more_than_it_holds_is_refused(tmp_path, layout, compression, tag, value):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK[0], metadata=None, compression=compression, **layout)
    with tifffile.TiffFile(path, mode="r+") as opened:
        opened.pages[0].tags[tag].overwrite(value)
    with pytest.raises(UserError, match=re.escape(str(path))):
        read_image(path)


def test_chunks_and_tiles_that_were_left_out_are_no_fault(tmp_path):
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=STACK, chunks=(1, 20, 24), fill_value=0)
    (path / "c" / "0" / "0" / "0").unlink()
    expected = STACK.copy()
    expected[0, :20, :24] = 0
    np.testing.assert_array_equal(read_image(path), expected)
    sparse = tmp_path / "sparse.tif"
    tifffile.imwrite(sparse, STACK[0, :32, :32], tile=(16, 16), metadata=None, compression="zlib")
    with tifffile.TiffFile(sparse, mode="r+") as opened:
        for name in ("TileOffsets", "TileByteCounts"):
            tag = opened.pages[0].tags[name]
            tag.overwrite((tag.value[0], 0, *tag.value[2:]))
    expected = STACK[0, :32, :32].copy()
    expected[:16, 16:] = 0
    np.testing.assert_array_equal(read_image(sparse), expected)


def test_changed_bytes_are_read_or_refused(tmp_path):
    """Whatever they mean: never another exception."""
    for name in ("shaped_zlib.tif", "imagej_None.tif", "file.ome_lzw.tif", "rgb.png", "rgb.jpg"):
        path = Path(tmp_path / name)
        FILES[name](path)
        whole = path.read_bytes()
        for _ in range(CUTS):
            data = bytearray(whole)
            for place in RNG.integers(0, len(data), 3):
                data[place] = RNG.integers(0, 256)
            path.write_bytes(data)
            read_or_refused(path)


def test_a_copy_is_no_longer_refused_once_it_is_whole(tmp_path):
    path, copy = tmp_path / "a.tif", tmp_path / "copy.tif"
    FILES["imagej_None.tif"](path)
    copy.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(UserError, match="4 planes, but contains 1"):
        read_image(copy)
    shutil.copy(path, copy)
    np.testing.assert_array_equal(read_image(copy), STACK)


def test_a_stack_of_one_page_may_have_others_behind_it(tmp_path):
    """As tifffile writes it: one page for all planes."""
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as opened:
        opened.write(STACK, metadata={"axes": "ZYX"}, truncate=True)
        opened.write(STACK[:2, :20], metadata={"axes": "ZYX"}, truncate=True)
    first, second = read_all(path)
    np.testing.assert_array_equal(first, STACK)
    np.testing.assert_array_equal(second, STACK[:2, :20])
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(UserError, match=re.escape(str(path))):
        read_all(path)


def test_planes_are_never_what_lies_between_pages(tmp_path):
    path = pages(tmp_path / "a.tif", '{"shape": [5, 40, 48]}')
    with pytest.raises(UserError, match="5 planes, but contains 4"):
        open_image(path)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_damaged_picture_is_decoded_once(tmp_path, suffix):
    """One that claims a billion pixels would take a minute if each slice decoded it again."""
    path = tmp_path / f"a{suffix}"
    PIL.Image.fromarray(COLOURS).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    image = open_image(path)
    for _ in range(2):
        with pytest.raises(UserError, match=r"damaged|cannot be read|cut off"):
            np.asarray(image.pixels[:2])
        path.write_bytes(whole)  # what was opened was damaged


def test_a_tiff_without_pages_has_no_record_and_no_pixel_size(tmp_path):
    path = tmp_path / "a_labels.ome.tif"
    path.write_bytes(b"II*\0" + bytes(12))
    assert read_record(path) is None
    assert read_pixel_size(path) == read_pixel_size(tmp_path / "none.tif")
    assert read_or_refused(path) is None
