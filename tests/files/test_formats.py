"""Files of microscopes, and files of kinds that are not read."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
from microscope_files import Tile, write_czi, write_lif, write_nd2, write_oif

from napari_nuclei_unet import UserError, open_lazily, read_image
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.io.file_kinds import describe_kind
from napari_nuclei_unet.io.suffixes import MICROSCOPE_KINDS, TIFF_SUFFIXES

UM = "micrometer"


def volume(channels=2, slices=3, height=20, width=30):
    count = channels * slices * height * width
    return np.arange(count, dtype=np.uint16).reshape(channels, slices, height, width)


def write_volume(path, pixels):
    """Write C, Z, Y, X of 0.5 µm, in slices of 2 µm, in the format of the suffix."""
    if path.suffix == ".nd2":
        write_nd2(path, pixels.transpose(1, 2, 3, 0), 0.5, 2.0)
    elif path.suffix == ".lif":
        write_lif(path, [("Series 1", pixels)], 0.5, 2.0)
    elif path.suffix == ".oif":
        write_oif(path, pixels, 2.0)
    else:
        tiles = [Tile(pixels[c, z], plane=(c, z, 0)) for c, z in np.ndindex(pixels.shape[:2])]
        write_czi(path, tiles, 0.5, 2.0, ("DAPI", "GFP"))
    return path


@pytest.fixture
def openreadout():
    return pytest.importorskip("openreadout", reason="the extra 'formats' is not installed")


@pytest.mark.parametrize("suffix", [".nd2", ".czi", ".lif", ".oif"])
def test_planes_sizes_and_channels_come_from_the_file(suffix, tmp_path, openreadout):
    pixels = volume()
    image = open_lazily(write_volume(tmp_path / f"a.b{suffix}", pixels))
    assert (image.axes, image.name, image.is_rgb) == ("CZYX", "a.b", False)
    assert len(image.channel_names) == 2
    assert image.scale[1] == pytest.approx(2)
    assert image.units[1] == UM
    if suffix != ".oif":  # what its axes say is no size to openreadout
        np.testing.assert_allclose(image.scale[2:], 0.5)
        assert image.units[2:] == (UM, UM)
    if suffix in (".nd2", ".czi"):
        assert image.channel_names == ("DAPI", "GFP")
    np.testing.assert_array_equal(image.pixels[...], pixels)
    for index in (
        (1, 2),
        (0, slice(1, 3), slice(4, 9), slice(25, None, 2)),
        (..., 3),
        (1, 1, 5, 6),
    ):
        np.testing.assert_array_equal(image.pixels[index], pixels[index])
    assert image.pixels[1, 0, 5:5].shape == (0, 30)
    np.testing.assert_array_equal(read_image(tmp_path / f"a.b{suffix}"), pixels)


def test_only_the_sliced_plane_is_read(tmp_path, openreadout):
    pixels = volume()
    path = write_volume(tmp_path / "a.czi", pixels)
    content = bytearray(path.read_bytes())
    at = content.index(pixels[1, 2].tobytes())
    image = open_lazily(path)
    content[at : at + 2] = b"\xff\xff"
    path.write_bytes(content)
    np.testing.assert_array_equal(image.pixels[1, 1], pixels[1, 1])
    assert image.pixels[1, 2, 0, 0] == 65535  # was not read before


def test_scenes_of_any_size_are_images(bright_file, tmp_path, openreadout):
    tiles = [
        Tile(volume(1, 1, 20, 30)[0, 0], scene=0),
        Tile(volume(1, 1, 40, 25)[0, 0], 100, 0, scene=1),
        Tile(volume(1, 2, 20, 30)[0, 1], 200, 0, scene=2),
    ]
    write_czi(tmp_path / "a.czi", tiles)
    assert open_lazily(tmp_path / "a.czi", scene=1).pixels.shape == (40, 25)
    for read in (open_lazily, read_image):
        with pytest.raises(UserError, match=r"a\.czi contains .*images: .*scene"):
            read(tmp_path / "a.czi")
    with pytest.raises(UserError, match="no number 3"):
        open_lazily(tmp_path / "a.czi", scene=3)
    with pytest.raises(UserError, match="no level 1"):
        open_lazily(tmp_path / "a.czi", 1, scene=0)
    command = ["segment", str(tmp_path / "a.czi"), "--model", str(bright_file)]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    sizes = {
        path.name: tifffile.imread(path).shape
        for path in (tmp_path / "out").glob("*_labels.ome.tif")
    }
    assert sizes == {
        "a_Scene 0_labels.ome.tif": (20, 30),
        "a_Scene 1_labels.ome.tif": (40, 25),
        "a_Scene 2_labels.ome.tif": (20, 30),
    }


def test_series_of_one_name_have_results_of_their_own(bright_file, tmp_path, openreadout):
    write_lif(tmp_path / "a.lif", [("Pos/1", volume(1, 1)), ("Pos/1", volume(1, 1))])
    command = ["segment", str(tmp_path / "a.lif"), "--model", str(bright_file)]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("*.tif")) == [
        "a_Pos_1_0_labels.ome.tif", "a_Pos_1_1_labels.ome.tif",
    ]  # fmt: skip


def test_a_mosaic_is_one_plane(tmp_path, openreadout):
    whole = volume(1, 1, 40, 60)[0, 0]
    corners = [(y, x) for y in (0, 20) for x in (0, 30)]
    write_czi(tmp_path / "a.czi", [Tile(whole[y : y + 20, x : x + 30], x, y) for y, x in corners])
    np.testing.assert_array_equal(open_lazily(tmp_path / "a.czi").pixels[...], whole)


def test_levels_of_a_pyramid(tmp_path, openreadout):
    whole = volume(1, 1, 40, 60)[0, 0]
    write_czi(tmp_path / "a.czi", [Tile(whole), Tile(whole[::2, ::2], zoom=2)], 0.5)
    for level, pixels in enumerate((whole, whole[::2, ::2])):
        image = open_lazily(tmp_path / "a.czi", level)
        np.testing.assert_array_equal(image.pixels[...], pixels)
        assert image.scale == pytest.approx((0.5 * 2**level, 0.5 * 2**level))
    with pytest.raises(UserError, match="levels 0 to 1, and no level 2"):
        open_lazily(tmp_path / "a.czi", 2)


def test_colours_are_those_that_the_file_says(tmp_path, openreadout):
    colours = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    write_czi(tmp_path / "a.czi", [Tile(colours)])
    image = open_lazily(tmp_path / "a.czi")
    assert (image.axes, image.is_rgb) == ("YX", True)
    np.testing.assert_array_equal(image.pixels[...], colours)
    np.testing.assert_array_equal(image.pixels[2:9, 1::3, 1], colours[2:9, 1::3, 1])


@pytest.mark.parametrize("suffix", [".nd2", ".czi", ".lif"])
@pytest.mark.parametrize("part", [0.0, 0.02, 0.1, 0.45, 0.8, 0.97])
def test_a_file_that_broke_off_is_one_sentence(
    suffix, part, bright_file, tmp_path, capfd, openreadout
):
    path = write_volume(tmp_path / f"cut{suffix}", volume())
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    tifffile.imwrite(tmp_path / "whole.tif", volume()[0, 0])
    command = ["segment", str(path), str(tmp_path / "whole.tif"), "--model", str(bright_file)]
    assert main([*command, "--channel", "0", "--out", str(tmp_path / "out")]) == 2
    told = capfd.readouterr()
    assert told.err.count("\n") == told.err.count("cut.") - told.err.count(f"/cut{suffix}") == 1
    assert "whole.tif: 1 nucleus" in told.out or "whole.tif: 0 nuclei" in told.out
    assert not list((tmp_path / "out").glob("cut*"))


def test_planes_that_were_not_taken_are_named_and_fail(tmp_path, capfd, bright_file, openreadout):
    tiles = [Tile(volume()[0, z], plane=(0, 2 * z, 0)) for z in range(3)]
    write_czi(tmp_path / "stopped.czi", tiles)
    image = open_lazily(tmp_path / "stopped.czi")
    np.testing.assert_array_equal(image.pixels[2], volume()[0, 1])
    with pytest.raises(UserError, match=r"stopped\.czi .*z=1"):
        image.pixels[...]
    command = ["segment", str(tmp_path / "stopped.czi"), "--model", str(bright_file)]
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    told = capfd.readouterr().err
    assert "Plane 1 was left out" in told
    assert "Plane 3 was left out" in told
    summary = (tmp_path / "out" / "nuclei_summary.csv").read_text("utf-8")
    assert ",failed," in summary
    assert "Plane 3" in summary


def test_bytes_that_changed_are_an_image_or_one_sentence(tmp_path, openreadout):
    draw = np.random.default_rng(3)
    told, too_large = [], 0
    for suffix in (".nd2", ".czi", ".lif"):
        content = write_volume(tmp_path / f"a{suffix}", volume()).read_bytes()
        for n in range(40):
            broken = bytearray(content)
            for at in draw.integers(0, len(content), 12):
                broken[at] = draw.integers(256)
            path = tmp_path / f"b{n}{suffix}"
            path.write_bytes(broken)
            try:
                open_lazily(path, scene=0).pixels[...]
            except UserError as error:
                told.append((path.name, str(error)))
            except MemoryError:  # of a size that a byte has made
                too_large += 1
    assert len(told) > 20
    assert not [text for name, text in told if name not in text or "\n" in text or "check" in text]


def test_without_the_extra_one_sentence_says_what_to_install(tmp_path):
    for suffix, kind in MICROSCOPE_KINDS.items():
        path = tmp_path / f"a{suffix}"
        path.write_bytes(b"anything")
        script = (
            "import sys; sys.modules['openreadout'] = None\n"
            "from napari_nuclei_unet.io.readers.microscopes import list_scenes\n"
            "from napari_nuclei_unet import UserError, open_lazily\n"
            "from pathlib import Path\n"
            "for read in (list_scenes, open_lazily):\n"
            "    try: read(Path(sys.argv[1]))\n"
            "    except UserError as error: print(error)\n"
        )
        if suffix in (".nd2", ".ims"):
            ended = subprocess.run(
                [sys.executable, "-c", script, str(path)],
                capture_output=True,
                text=True,
                check=True,
            )
            said = ended.stdout.splitlines()
            assert len(said) == 2
            assert all(kind in line and "napari-nuclei-unet[formats]" in line for line in said)


def test_without_the_extra_a_folder_says_what_it_passed_over(tmp_path, bright_file):
    folder = tmp_path / "in"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", volume()[0, 0])
    write_volume(folder / "b.nd2", volume())
    for given, code, words in (
        (folder, 0, "1 file passed over: 1 of a microscope (pip install"),
        (folder / "b.nd2", 2, "b.nd2 is a file of Nikon ND2, which an extra reads"),
    ):
        script = (
            "import sys; sys.modules['openreadout'] = None\n"
            "from napari_nuclei_unet.cli import main\n"
            "sys.exit(main(sys.argv[1:]))"
        )
        command = ["segment", str(given), "--model", str(bright_file), "--out", str(tmp_path / "o")]
        ended = subprocess.run(
            [sys.executable, "-c", script, *command], capture_output=True, text=True, check=False
        )
        assert ended.returncode == code
        assert words in ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr


def png_bytes():
    made = io.BytesIO()
    PIL.Image.new("L", (8, 8)).save(made, "PNG")
    return made.getvalue()


def zipped_zarr():
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a.zarr/zarr.json", "{}")
    return made.getvalue()


FOREIGN = {
    "a.h5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "HDF5", "OME-TIFF"),
    "b.tif": (b"\x89HDF\r\n\x1a\n" + bytes(99), "HDF5", "OME-TIFF"),
    "c.mat": (b"MATLAB 5.0 MAT-file" + bytes(99), "MATLAB", "tifffile"),
    "d.mat": (b"MATLAB 7.3 MAT-file".ljust(512) + b"\x89HDF\r\n\x1a\n", "MATLAB", "tifffile"),
    "e.jp2": (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99), "JPEG 2000", "OME-TIFF"),
    "f.png": (b"\xff\x4f\xff\x51" + bytes(99), "JPEG 2000", "OME-TIFF"),
    "g.zip": (zipped_zarr(), "zipped OME-Zarr", "extract"),
    "h.ozx": (zipped_zarr(), "zipped OME-Zarr", "extract"),
    "i.zip": (b"PK\x03\x04" + bytes(99), "zipped folder", "extract"),
    "j.dcm": (bytes(128) + b"DICM" + bytes(99), "DICOM", "OME-TIFF"),
    "k.mrc": (bytes(208) + b"MAP " + bytes(99), "MRC", "OME-TIFF"),
    "l.npy": (b"\x93NUMPY\x01\0" + bytes(99), "NumPy", "tifffile"),
    "m.gif": (b"GIF89a" + bytes(99), "GIF", "PNG"),
    "n.webp": (b"RIFF\0\0\0\0WEBPVP8 ", "WebP", "PNG"),
    "o.bmp": (b"BM" + bytes(99), "BMP", "PNG"),
    "q.pdf": (b"%PDF-1.7", "PDF", "extract"),
    "r.csv": (b"a,b\n1,2\n", "table", "image"),
    "s.dv": (bytes(99), "DeltaVision", "OME-TIFF"),
    "t.nii.gz": (b"\x1f\x8b\x08" + bytes(99), "compressed", "extract"),
    "u.xlsx": (b"PK\x03\x04" + bytes(99), "table", "image"),
    "v.png": (b"", "empty", "v.png"),
    "w.tif": (b"ZISRAWFILE" + bytes(99), "CZI", ".czi"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_of_another_kind_is_named_with_what_to_do(name, tmp_path, capfd, bright_file):
    content, kind, advice = FOREIGN[name]
    path = tmp_path / name
    path.write_bytes(content)
    command = ["segment", str(path), "--model", str(bright_file), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    told = capfd.readouterr().err
    assert told.count("\n") == 1
    assert name in told
    assert kind in told
    assert advice in told
    with pytest.raises(UserError, match=kind):
        read_image(path)


def test_an_image_that_can_be_read_is_of_no_other_kind(tmp_path):
    pixels = volume()[0, 0]
    for suffix in TIFF_SUFFIXES:
        tifffile.imwrite(tmp_path / f"a{suffix}", pixels)
        assert describe_kind(tmp_path / f"a{suffix}") is None
        if suffix != ".ndpi":  # by its name, tifffile knows another layout
            np.testing.assert_array_equal(read_image(tmp_path / f"a{suffix}"), pixels)
    (tmp_path / "b.png").write_bytes(png_bytes())
    (tmp_path / "b.tif").write_bytes(png_bytes())
    assert "rename it to end in .png" in describe_kind(tmp_path / "b.tif")
    assert describe_kind(tmp_path / "b.png") is None
    assert describe_kind(Path(tmp_path)) is None


def test_every_suffix_of_tifffile_is_that_of_an_image():
    named = {f".{name}" for name in tifffile.TIFF.FILE_EXTENSIONS if "." not in name}
    assert named <= set(TIFF_SUFFIXES)
