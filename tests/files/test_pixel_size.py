"""Pixel sizes that stand in files: units in any spelling, and what is none of a microscope."""

import math

import numpy as np
import PIL.Image
import PIL.PngImagePlugin
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st
from microscope_files import Tile, write_czi

from napari_nuclei_unet import open_lazily
from napari_nuclei_unet.io.file_pixel_size import PixelSize, read_pixel_size
from napari_nuclei_unet.io.pixel_size import (
    MAX_PIXEL_UM,
    PRINTER_DPI,
    check_spacings,
    parse_spacing,
)
from napari_nuclei_unet.io.units import parse_unit, to_micrometers

PLANE = np.zeros((20, 30), np.uint8)
UM = "micrometer"


@pytest.mark.parametrize(
    "text",
    ["µm", "μm", "um", "UM", "micron", "Microns", "micrometer", "micrometers", "micrometre",
     "Micrometres", "\\u00B5m", "\\u00b5m", "\\u03bcm", "\\xb5m", "Âµm", "Î¼m", " µm ", "µm\0",
     "&micro;m", "&#181;m"],
)  # fmt: skip
def test_micrometers_in_any_spelling(text):
    assert parse_unit(text) == UM


def test_other_units():
    names = {
        "nm": "nanometer", "Nanometers": "nanometer", "mm": "millimeter", "cm": "centimeter",
        "m": "meter", "pm": "picometer", "Å": "angstrom", "Ã…": "angstrom", "Ångström": "angstrom",
        "inch": "inch", "inches": "inch", "in": "inch", "pt": "point", "points": "point",
        "s": "second", "sec": "second", "ms": "millisecond", "min": "minute", "h": "hour",
        "µs": "microsecond", "feet": "foot", "km": "kilometer",
        "pixel": None, "": None, "px": None, "reference frame": None, None: None, "bananas": None,
    }  # fmt: skip
    assert {text: parse_unit(text) for text in names} == names
    lengths = {
        "nanometer": 1e-3,
        UM: 1,
        "millimeter": 1e3,
        "meter": 1e6,
        "inch": 25400,
        "pixel": None,
    }
    assert {unit: to_micrometers(1, unit) for unit in lengths} == lengths
    assert to_micrometers(72, "point") == pytest.approx(25400)


def write_ome(path, **sizes):
    tifffile.imwrite(path, PLANE, ome=True, metadata={"axes": "YX", **sizes})
    return read_pixel_size(path)


OME = {
    "micrometers": ({"X": 0.25, "Y": 0.5}, (0.5, 0.25)),
    "nanometers": ({"X": 250, "Y": 250, "unit": "nm"}, (0.25, 0.25)),
    "millimeters": ({"X": 0.001, "Y": 0.001, "unit": "mm"}, (1, 1)),
    "meters": ({"X": 3.25e-7, "Y": 3.25e-7, "unit": "m"}, (0.325, 0.325)),
    "inches": ({"X": 1e-5, "Y": 1e-5, "unit": "in"}, (0.254, 0.254)),
    "points": ({"X": 1e-3, "Y": 1e-3, "unit": "pt"}, (0.352778, 0.352778)),
    "greek": ({"X": 0.25, "Y": 0.25, "unit": "\u03bcm"}, (0.25, 0.25)),
    "pixels": ({"X": 1, "Y": 1, "unit": "pixel"}, None),
    "zero": ({"X": 0, "Y": 0}, None),
    "negative": ({"X": -0.25, "Y": -0.25}, None),
    "nan": ({"X": math.nan, "Y": math.nan}, None),
    "infinite": ({"X": math.inf, "Y": math.inf}, None),
    "text": ({"X": "a", "Y": "b"}, None),
    "one side": ({"X": 0.25}, None),
    "one side is broken": ({"X": 0.25, "Y": 0}, None),
    "72 dpi": ({"X": 352.8, "Y": 352.8}, None),
    "300 dpi": ({"X": 84.667, "Y": 84.667}, None),
    "96 dpi in inches": ({"X": 1 / 96, "Y": 1 / 96, "unit": "in"}, None),
    "a millimeter": ({"X": 1, "Y": 1, "unit": "mm"}, None),
    "a slide at low magnification": ({"X": 10, "Y": 10}, (10, 10)),
}


@pytest.mark.parametrize("case", OME)
def test_ome(case, tmp_path):
    sizes, expected = OME[case]
    unit = sizes.get("unit")
    given = {f"PhysicalSize{axis}": sizes[axis] for axis in "XY" if axis in sizes}
    given |= {f"{key}Unit": unit for key in list(given) if unit}
    found = write_ome(tmp_path / "a.ome.tif", **given)
    assert (found and (found.y, found.x)) == (expected and pytest.approx(expected, rel=1e-5))
    if expected is None and "one side" not in case:  # it is no size of the opened image, either
        assert open_lazily(tmp_path / "a.ome.tif").units == (None, None)


@pytest.mark.parametrize(
    ("unit", "pixels", "expected"),
    [("micron", 4, 0.25), ("um", 4, 0.25), ("\\u00B5m", 4, 0.25), ("nm", 0.004, 0.25),
     ("inch", 72, None), ("inch", 300, None), ("inch", 101_600, 0.25), ("mm", 4000, 0.25),
     ("cm", 118.11, None), ("cm", 40_000, 0.25), ("pixel", 1, None), ("", 4, None),
     ("m", 4, None)],
)  # fmt: skip
def test_imagej(unit, pixels, expected, tmp_path):
    metadata = {"unit": unit, "spacing": 2.0} if unit else {}
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.zeros((3, 20, 30), np.uint8),
        imagej=True,
        resolution=(pixels, pixels),
        metadata={"axes": "ZYX", **metadata},
    )
    found = read_pixel_size(tmp_path / "a.tif")
    assert (found and found.x) == (expected and pytest.approx(expected))
    if unit == "nm":
        assert found.z == pytest.approx(0.002)


@pytest.mark.parametrize("dpi", [72, 75, 96, 150, 300, 600, 1200, 2400, 4800])
def test_settings_of_printers_are_no_sizes_in_any_tag(dpi, tmp_path):
    for unit, pixels in (
        ("INCH", dpi),
        ("CENTIMETER", dpi / 2.54),
        ("CENTIMETER", round(dpi / 2.54, 2)),
    ):
        tifffile.imwrite(
            tmp_path / "a.tif",
            PLANE,
            resolution=(pixels, pixels),
            resolutionunit=unit,
            metadata=None,
        )
        assert read_pixel_size(tmp_path / "a.tif") is None
        assert open_lazily(tmp_path / "a.tif").scale == (1, 1)
    PIL.Image.fromarray(PLANE).save(tmp_path / "a.png", dpi=(dpi, dpi))
    assert read_pixel_size(tmp_path / "a.png") is None


def test_centimeters_of_a_microscope_are_sizes(tmp_path):
    for tag, expected in ((40_000, 0.25), (30_769, 0.325), (15_384.6, 0.65)):
        tifffile.imwrite(
            tmp_path / "a.tif", PLANE, resolution=(tag, tag), resolutionunit="CENTIMETER"
        )
        assert read_pixel_size(tmp_path / "a.tif").x == pytest.approx(expected, rel=1e-3)
    PIL.Image.fromarray(PLANE).save(tmp_path / "a.png", dpi=(101_600, 101_600))
    assert read_pixel_size(tmp_path / "a.png").x == pytest.approx(0.25, rel=1e-3)


@given(st.floats(), st.sampled_from([UM, "nanometer", "inch", None]))
def test_a_size_is_possible_or_left_out(size, unit):
    known = check_spacings({axis: parse_spacing(size, unit) for axis in "YX"})
    assert known.keys() in ({"Y", "X"}, set())
    if known and unit:
        length = to_micrometers(*known["Y"])
        assert 0 < length <= MAX_PIXEL_UM
        assert not any(math.isclose(length * dpi, 25400, rel_tol=1e-4) for dpi in PRINTER_DPI)


def test_aperio_writes_micrometers_into_its_description(tmp_path):
    text = "Aperio Image Library v12.0.16 \r\n20x30 [0,0 20x30]|AppMag = 20|MPP = 0.4990|Left = 1"
    tifffile.imwrite(tmp_path / "a.svs", PLANE, description=text, metadata=None)
    assert read_pixel_size(tmp_path / "a.svs") == PixelSize(0.499, 0.499)


def test_ngff_in_any_unit(tmp_path):
    for unit, factor in (("nanometer", 1000), ("micrometer", 1), ("µm", 1), ("millimeter", 1e-3)):
        group = zarr.open_group(tmp_path / f"{factor}{len(unit)}.zarr", mode="w", zarr_format=2)
        group.create_array("0", shape=(3, 20, 30), dtype="u1")
        axes = [{"name": name, "type": "space", "unit": unit} for name in "zyx"]
        scale = {"type": "scale", "scale": [2 * factor, 0.25 * factor, 0.25 * factor]}
        datasets = [{"path": "0", "coordinateTransformations": [scale]}]
        group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
        found = read_pixel_size(tmp_path / f"{factor}{len(unit)}.zarr")
        assert (found.z, found.y, found.x) == pytest.approx((2, 0.25, 0.25))


def test_a_czi_of_a_printer_has_no_size(tmp_path):
    pytest.importorskip("openreadout", reason="the extra 'formats' is not installed")
    for pixel, expected in ((0.325, 0.325), (352.778, None), (None, None)):
        write_czi(tmp_path / "a.czi", [Tile(PLANE)], pixel)
        found = read_pixel_size(tmp_path / "a.czi")
        assert (found and found.x) == (expected and pytest.approx(expected))


def test_a_file_without_a_size_or_that_cannot_be_read_has_none(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PLANE)
    (tmp_path / "b.tif").write_bytes(b"II*\0")
    (tmp_path / "c.png").write_bytes(b"")
    PIL.Image.fromarray(PLANE).save(tmp_path / "d.png")
    for name in ("a.tif", "b.tif", "c.png", "d.png", "gone.tif"):
        assert read_pixel_size(tmp_path / name) is None
