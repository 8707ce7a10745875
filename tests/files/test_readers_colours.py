"""What is RGB, what are channels, and what becomes of other kinds of colours."""

import imagecodecs
import numpy as np
import PIL.Image
import PIL.ImageCms
import pytest
import tifffile

from napari_nuclei_unet import read_image, segment_stack
from napari_nuclei_unet.arrays.selection import select_planes
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.io.open import open_image

ROWS, COLUMNS = np.mgrid[:48, :64]
COLOURS = np.stack([40 + 3 * COLUMNS, 220 - 3 * ROWS, 90 + COLUMNS + ROWS], -1).astype(np.uint8)
COLOURS[10:30, 10:30] = (90, 60, 140)
PICTURE = PIL.Image.fromarray(COLOURS)
GREY = COLOURS[..., 0]
LAB = PIL.ImageCms.profileToProfile(
    PICTURE, PIL.ImageCms.createProfile("sRGB"), PIL.ImageCms.createProfile("LAB"), outputMode="LAB"
)


def as_pillow_shows(path):
    with PIL.Image.open(path) as opened:
        return np.asarray(opened.convert("RGB"))


@pytest.mark.parametrize(
    ("name", "picture", "options"),
    [
        ("palette.tif", PICTURE.quantize(16), {}),
        ("palette.png", PICTURE.quantize(16), {}),
        ("many.png", PICTURE.quantize(256), {}),
        ("two.png", PICTURE.quantize(2), {}),
        ("cmyk.tif", PICTURE.convert("CMYK"), {}),
        ("packed.tif", PICTURE.convert("CMYK"), {"compression": "jpeg"}),
        ("cmyk.jpg", PICTURE.convert("CMYK"), {}),
        ("lab.tif", LAB, {}),
        ("lab_lzw.tif", LAB, {"compression": "tiff_lzw"}),
        ("ycbcr.tif", PICTURE.convert("YCbCr"), {}),
        ("jpeg.tif", PICTURE, {"compression": "jpeg"}),
        ("plain.tif", PICTURE, {}),
    ],
)
def test_colours_of_any_kind_are_those_that_pillow_shows(tmp_path, name, picture, options):
    picture.save(tmp_path / name, **options)
    image = open_image(tmp_path / name)
    assert (image.is_rgb, image.axes) == (True, "YX")
    shown = as_pillow_shows(tmp_path / name)
    np.testing.assert_array_equal(image.pixels[...], shown)
    np.testing.assert_array_equal(image.pixels[5:9, 7:20], shown[5:9, 7:20])
    np.testing.assert_array_equal(image.pixels[5:9, 3, 1], shown[5:9, 3, 1])


@pytest.mark.parametrize(
    ("pixels", "photometric", "tolerance"),
    [
        (np.asarray(PICTURE.convert("YCbCr")), "ycbcr", 4),
        (np.asarray(PICTURE.convert("CMYK")), "separated", 1),
        (np.asarray(PICTURE.convert("CMYK")).astype(np.uint16) * 257, "separated", 1),
        (np.asarray(LAB) ^ np.array([0, 128, 128], np.uint8), "icclab", 15),
        (COLOURS, "rgb", 0),
        (COLOURS.astype(np.uint16) * 257, "rgb", 0),
    ],
)
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_samples_become_rgb_whichever_way_they_lie(
    tmp_path, pixels, photometric, tolerance, planar
):
    path = tmp_path / "a.tif"
    options = {"subsampling": (1, 1)} if photometric == "ycbcr" else {}
    stored = np.moveaxis(pixels, -1, 0) if planar == "separate" else pixels
    tifffile.imwrite(path, stored, photometric=photometric, planarconfig=planar, **options)
    read = read_image(path)
    assert read.dtype == pixels.dtype
    expected = COLOURS.astype(float) * (257 if read.dtype == np.uint16 else 1)
    step = 257 if read.dtype == np.uint16 else 1
    assert np.abs(read - expected).max() <= tolerance * step


def lookup_table(name):
    ramp = np.arange(256) * 257
    none = np.zeros(256, int)
    return {
        "grey": [ramp] * 3,
        "inverted": [ramp[::-1]] * 3,
        "green": [none, ramp, none],
        "magenta": [ramp, none, ramp],
        "hot": [np.clip(3 * ramp - n * 65535, 0, 65535) for n in range(3)],
    }[name]


@pytest.mark.parametrize("name", ["grey", "inverted", "green", "magenta", "hot"])
def test_a_lookup_table_leaves_values(tmp_path, name):
    table = np.array(lookup_table(name), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", GREY, photometric="palette", colormap=table)
    picture = PIL.Image.fromarray(GREY).convert("P")
    picture.putpalette((table >> 8).T.astype(np.uint8).tobytes())
    picture.save(tmp_path / "a.png")
    for path in (tmp_path / "a.tif", tmp_path / "a.png"):
        image = open_image(path)
        assert not image.is_rgb
        np.testing.assert_array_equal(image.pixels[...], GREY)


def test_white_is_bright_where_it_is_zero(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", 255 - GREY, photometric="miniswhite")
    tifffile.imwrite(tmp_path / "bit.tif", GREY < 128, photometric="miniswhite")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), GREY)
    np.testing.assert_array_equal(read_image(tmp_path / "bit.tif"), GREY >= 128)


@pytest.mark.parametrize(
    ("samples", "extra", "axes", "shape"),
    [
        (2, None, "YXC", (48, 64, 2)),
        (3, None, "YXC", (48, 64, 3)),
        (4, None, "YXC", (48, 64, 4)),
        (2, ["unassalpha"], "YX", (48, 64)),
        (2, ["assocalpha"], "YX", (48, 64)),
        (4, ["unspecified", "unspecified", "unassalpha"], "YXC", (48, 64, 3)),
    ],
)
def test_grey_samples_are_channels_but_for_what_is_called_alpha(
    tmp_path, samples, extra, axes, shape
):
    path, pixels = tmp_path / "a.tif", np.dstack([COLOURS, COLOURS])[..., :samples]
    tifffile.imwrite(
        path, pixels, photometric="minisblack", planarconfig="contig", extrasamples=extra
    )
    image = open_image(path)
    assert (image.is_rgb, image.axes, image.pixels.shape) == (False, axes, shape)
    expected = pixels[..., : shape[2]] if len(shape) == 3 else pixels[..., 0]
    np.testing.assert_array_equal(image.pixels[...], expected)


@pytest.mark.parametrize("planar", [True, False])
def test_four_channels_ask_for_one(tmp_path, planar):
    path, pixels = tmp_path / "a.tif", np.dstack([COLOURS, GREY]).astype(np.uint16)
    if planar:
        stored, how = np.moveaxis(pixels, -1, 0), "separate"
    else:
        stored, how = pixels, "contig"
    tifffile.imwrite(path, stored, photometric="minisblack", planarconfig=how)
    image = open_image(path)
    given = (image.pixels.shape, None, ())
    with pytest.raises(UserError, match="4 channels"):
        select_planes(*given, None, image.axes, image.is_rgb)
    selection = select_planes(*given, 3, image.axes, image.is_rgb)
    np.testing.assert_array_equal(selection.first_plane.read(image.pixels), pixels[..., 3])


@pytest.mark.parametrize("metadata", [{"axes": "YXC"}, {"axes": "YXQ"}, None])
def test_three_planes_last_are_no_colours(tmp_path, metadata):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, COLOURS, photometric="minisblack", metadata=metadata)
    image = open_image(path)
    assert not image.is_rgb
    with pytest.raises(UserError, match="3 channels"):
        select_planes(image.pixels.shape, None, (), None, image.axes, image.is_rgb)


@pytest.mark.parametrize("samples", [1, 2, 3, 4])
def test_png_keeps_16_bits(tmp_path, samples):
    pixels = np.dstack([COLOURS, GREY]).astype(np.uint16)[..., :samples] * 251
    pixels = np.ascontiguousarray(pixels[..., 0] if samples == 1 else pixels)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(pixels))
    read = read_image(tmp_path / "a.png")
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, pixels[..., 0] if samples == 2 else pixels)


def test_png_of_any_size_is_read_without_a_warning(tmp_path, recwarn):
    limit = PIL.Image.MAX_IMAGE_PIXELS
    PIL.Image.new("1", (20_000, 10_000)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").shape == (10_000, 20_000)
    assert limit == PIL.Image.MAX_IMAGE_PIXELS
    assert not recwarn.list


def test_a_colour_is_chosen_by_name_or_number(bright_file):
    grey = np.zeros((60, 80), np.uint8)
    grey[20:32, 30:42] = 200
    pixels = np.stack([np.dstack([grey[::-1], grey * 0, grey])] * 2)
    found = [
        segment_stack(pixels, channel=channel, model=bright_file, diameter=12.0)
        for channel in (2, "blue", "red")
    ]
    np.testing.assert_array_equal(found[0], found[1])
    assert found[0][0, 25, 35] > 0 == found[2][0, 25, 35]
    with pytest.raises(UserError, match="red, green or blue"):
        segment_stack(pixels, channel="mean", model=bright_file)
    with pytest.raises(UserError, match="not RGB"):
        segment_stack(pixels[..., 0], "ZYX", channel="blue", model=bright_file)
