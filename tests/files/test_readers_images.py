"""Which image of a file is read, and by which axes."""

import re

import numpy as np
import pytest
import tifffile
import zarr
from conftest import discs

from napari_nuclei_unet import UserError, open_lazily, read_image
from napari_nuclei_unet.batch.inputs import find_inputs, select_scene
from napari_nuclei_unet.io.open import list_images

ONE = discs((80, 96), [(20, 20), (60, 70)]).astype(np.uint16) + np.arange(96, dtype=np.uint16)
TWO = discs((80, 96), [(20, 70), (40, 40), (60, 20)]).astype(np.uint16)
LARGE = discs((160, 192), [(40, 60), (90, 90), (120, 160)], radius=12).astype(np.uint16)
APERIO = "Aperio Image Library v1\r\n256x256 [0,0 256x256] (64x64) J2K|AppMag = 20|MPP = 0.5"


def shrunk(pixels, factor):
    height, width = (length // factor for length in pixels.shape)
    return pixels.reshape(height, factor, width, factor).mean((1, 3)).astype(pixels.dtype)


def write(path, *pages):
    """Write pages, each with options of its own."""
    with tifffile.TiffWriter(path) as opened:
        for pixels, options in pages:
            opened.write(pixels, **options)
    return path


def images_of(path):
    return [read_image(path, scene=number) for number in range(len(list_images(path)))]


BARE = {"metadata": None}
REDUCED = {"metadata": None, "subfiletype": 1}
SLIDE = np.dstack([LARGE // 2, LARGE // 3, LARGE // 4]).astype(np.uint8)
RGB = {"metadata": None, "photometric": "rgb"}


@pytest.mark.parametrize(
    ("pages", "images"),
    [
        ([(ONE, {}), (LARGE[:90], {})], [ONE, LARGE[:90]]),
        ([(ONE, BARE), (LARGE, BARE)], [ONE, LARGE]),
        ([(LARGE, BARE), (TWO, BARE)], [LARGE, TWO]),
        ([(ONE, BARE), (TWO, BARE)], [np.stack([ONE, TWO])]),
        ([(shrunk(ONE, 4), REDUCED), (ONE, BARE)], [ONE]),
        ([(shrunk(ONE, 4), BARE), (ONE, BARE)], [ONE]),
        ([(shrunk(ONE, 4).astype(np.uint8), {}), (ONE, {})], [ONE]),
        ([(np.dstack([shrunk(ONE, 4)] * 3), RGB), (ONE, BARE)], [ONE]),
        ([(LARGE[:, :], {}), (shrunk(LARGE, 8), REDUCED)], [LARGE]),
    ],
)
def test_each_image_of_a_tiff_is_one_and_previews_are_none(tmp_path, pages, images):
    found = images_of(write(tmp_path / "a.tif", *pages))
    assert len(found) == len(images)
    for one, other in zip(found, images, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("is_sampled", [True, False])
@pytest.mark.parametrize("flagged", [BARE, REDUCED])
def test_pages_of_less_and_less_resolution_are_levels(tmp_path, factor, is_sampled, flagged):
    noise = np.random.default_rng(0).integers(0, 999, (144, 144)).astype(np.uint16)
    sizes = [factor, factor**2]
    lower = [noise[::n, ::n] if is_sampled else shrunk(noise, n) for n in sizes]
    pages = [(noise, BARE), *((level, flagged) for level in lower)]
    path = write(tmp_path / "a.tif", *pages)
    assert len(list_images(path)) == 1
    for level, pixels in enumerate([noise, *lower]):
        np.testing.assert_array_equal(read_image(path, level), pixels)
        assert open_lazily(path, level).scale == (factor**level,) * 2
    with pytest.raises(UserError, match="no level 3"):
        read_image(path, 3)


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
def test_levels_inside_a_page_are_levels(tmp_path, name):
    lower = [LARGE[::2, ::2], LARGE[::4, ::4]]
    path = write(
        tmp_path / name, (LARGE, {"subifds": 2}), *((one, {"subfiletype": 1}) for one in lower)
    )
    assert len(list_images(path)) == 1
    for level, pixels in enumerate([LARGE, *lower]):
        np.testing.assert_array_equal(read_image(path, level), pixels)


def test_of_a_slide_only_the_specimen_is_read(tmp_path):
    tile = RGB | {"tile": (64, 64)}
    path = write(
        tmp_path / "a.svs",
        (SLIDE, tile | {"description": APERIO}),
        (SLIDE[::8, ::8], RGB | {"description": "Aperio thumbnail"}),
        (SLIDE[::2, ::2], tile | {"description": "Aperio level"}),
        (SLIDE[:40, :50], RGB | {"description": "Aperio label", "subfiletype": 1}),
        (SLIDE[:60, :90], RGB | {"description": "Aperio macro", "subfiletype": 9}),
    )
    assert len(list_images(path)) == 1
    np.testing.assert_array_equal(read_image(path), SLIDE)
    np.testing.assert_array_equal(read_image(path, 1), SLIDE[::2, ::2])


def test_a_stack_of_imagej_with_a_thumbnail_is_the_stack(tmp_path):
    about = {"description": "ImageJ=1.53\nimages=2\nslices=2\n", "metadata": None}
    path = write(tmp_path / "a.tif", (np.stack([ONE, TWO]), about), (shrunk(ONE, 4), REDUCED))
    np.testing.assert_array_equal(read_image(path), [ONE, TWO])


def positions(path, *names):
    pages = [
        (pixels, {"metadata": {"axes": "YX", "Name": name, "PhysicalSizeX": size}})
        for pixels, name, size in zip((ONE, TWO), names, (0.5, 0.25), strict=True)
    ]
    return write(path, *pages)


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (("Pos0", "Pos1"), ["a_Pos0", "a_Pos1"]),
        (("A/1: x", "A/2: x"), ["a_A_1_ x", "a_A_2_ x"]),
        (("same", "Same"), ["a_0", "a_1"]),
        (("..", "nul"), ["a_0", "a_1"]),
    ],
)
def test_positions_have_results_of_their_own(tmp_path, names, stems):
    path = positions(tmp_path / "a.ome.tif", *names)
    inputs = find_inputs([path])
    assert [item.stem for item in inputs] == stems
    assert [item.title for item in inputs] == [f"a.ome.tif/{name}" for name in names]
    for item, pixels, size in zip(inputs, (ONE, TWO), (0.5, 0.25), strict=True):
        image = open_lazily(path, scene=item.scene)
        np.testing.assert_array_equal(image.pixels[...], pixels)
        assert (image.scale[1], image.name) == (size, item.stem)
    assert select_scene(inputs, 1) == inputs[1:]
    with pytest.raises(UserError, match="no image 2"):
        select_scene(inputs, 2)


@pytest.mark.parametrize("read", [read_image, open_lazily])
def test_of_several_images_one_is_to_be_chosen(tmp_path, read):
    path = positions(tmp_path / "a.ome.tif", "Pos0", "Pos1")
    with pytest.raises(UserError, match=re.escape(f"{path} contains several images")) as error:
        read(path)
    assert "one of the 2" in str(error.value)
    with pytest.raises(UserError, match="no 2"):
        read(path, scene=2)


OME = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{uuid}">{images}</OME>'
IMAGE = (
    '<Image ID="Image:{n}" Name="Pos{n}"><Pixels ID="Pixels:{n}" DimensionOrder="XYCZT" '
    'Type="uint16" SizeX="96" SizeY="80" SizeC="1" SizeZ="1" SizeT="1"><Channel ID="Channel:{n}:0" '
    'SamplesPerPixel="1"/><TiffData IFD="0" PlaneCount="1"><UUID FileName="Pos{n}.ome.tif">u{n}'
    "</UUID></TiffData></Pixels></Image>"
)


def test_each_file_of_positions_is_its_own(tmp_path):
    """Each file has the metadata of all, as Micro-Manager writes them."""
    images = "".join(IMAGE.format(n=n) for n in range(2))
    paths = [tmp_path / f"Pos{n}.ome.tif" for n in range(2)]
    for n, pixels in enumerate((ONE, TWO)):
        about = OME.format(uuid=f"u{n}", images=images)
        tifffile.imwrite(paths[n], pixels, description=about, metadata=None)
    for given in ([tmp_path], paths, paths[::-1]):
        inputs = find_inputs(given)
        assert sorted(item.path for item in inputs) == paths
    np.testing.assert_array_equal(read_image(paths[1]), TWO)
    paths[0].unlink()
    np.testing.assert_array_equal(read_image(paths[1]), TWO)


def test_names_of_dimensions_are_the_axes_of_zarr(tmp_path):
    pixels = np.zeros((3, 2, 20, 30), np.uint8)
    for names, axes in (
        (("time", "channel", "y", "x"), "TCYX"),
        (("z", "c", "Y", "X"), "ZCYX"),
        (("a", "a", "y", "x"), None),
        (None, None),
    ):
        path = tmp_path / f"{names}.zarr"
        zarr.create_array(path, data=pixels, dimension_names=names)
        assert open_lazily(path).axes == axes
    path = tmp_path / "old.zarr"
    zarr.create_array(path, data=pixels, zarr_format=2).attrs["_ARRAY_DIMENSIONS"] = list("tcyx")
    assert open_lazily(path).axes == "TCYX"


def test_four_channels_last_are_no_colours_of_zarr(tmp_path):
    path = tmp_path / "a.zarr"
    zarr.create_array(path, data=np.zeros((20, 30, 4), np.uint16), dimension_names=list("yxc"))
    assert (open_lazily(path).axes, open_lazily(path).is_rgb) == ("YXC", False)
