"""Images opened without reading them, and labels written block by block; all in real files."""

import itertools
import json
import re
import tracemalloc

import numpy as np
import pytest
import tifffile
import zarr

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.io.locks import write_lock
from napari_nuclei_unet.io.ngff import LabelsGrid
from napari_nuclei_unet.io.ome_zarr import LabelsStore
from napari_nuclei_unet.io.open import open_lazily
from napari_nuclei_unet.io.readers.ome_zarr import is_zarr, list_zarr_images

UM = "micrometer"
PLANE = LabelsGrid((60, 80), "YX", (0.5, 0.5), (UM, UM))


def multiscales(axes, scales):
    """Metadata of an image whose levels have these scales."""
    steps = [[{"type": "scale", "scale": scale}] for scale in scales]
    return [{
        "version": "0.4",
        "axes": axes,
        "datasets": [{"path": str(level), "coordinateTransformations": step}
                     for level, step in enumerate(steps)],
    }]  # fmt: skip


def write_image(path, pixels, version="0.4"):
    """A (C, Y, X) image with two levels, as other programs write it."""
    micro = {"type": "space", "unit": UM}
    axes = [{"name": "c", "type": "channel"}, {"name": "y", **micro}, {"name": "x", **micro}]
    about = {"multiscales": multiscales(axes, [[1, 0.5, 0.25], [1, 1, 0.5]])}
    if version == "0.5":
        about = {"ome": {"version": "0.5", **about}}
    group = zarr.create_group(path, zarr_format=2 if version == "0.4" else 3, attributes=about)
    for level, data in enumerate([pixels, pixels[:, ::2, ::2]]):
        group.create_array(str(level), data=data, chunks=(1, 16, 16))
    return path


@pytest.fixture
def pixels():
    return np.arange(2 * 40 * 50, dtype=np.uint16).reshape(2, 40, 50)


def told(*words):
    """What a UserError says: one sentence with these words."""
    return pytest.raises(UserError, match="^.*" + ".*".join(map(re.escape, words)) + r".*\.$")


# reading


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_an_ome_zarr_is_opened_at_every_level(tmp_path, pixels, version):
    path = write_image(tmp_path / "cells.ome.zarr", pixels, version)
    full, half = open_lazily(path), open_lazily(path, 1)
    assert (full.axes, full.scale, full.units) == ("CYX", (1, 0.5, 0.25), (None, UM, UM))
    assert (full.name, full.pixels.shape, full.pixels.dtype) == ("cells", (2, 40, 50), np.uint16)
    assert half.scale == (1, 1, 0.5)
    np.testing.assert_array_equal(full.pixels[...], pixels)
    np.testing.assert_array_equal(half.pixels, pixels[:, ::2, ::2])
    assert is_zarr(path)
    assert list_zarr_images(path) == [("cells", path)]
    with told("0 to 1", "level 2"):
        open_lazily(path, 2)


def test_the_scale_of_the_whole_image_counts_too(tmp_path, pixels):
    path = write_image(tmp_path / "a.zarr", pixels)
    group = zarr.open_group(path, mode="r+")
    image = dict(group.attrs["multiscales"][0])
    image["coordinateTransformations"] = [{"type": "scale", "scale": [1, 10, 10]}]
    group.attrs["multiscales"] = [image]
    assert open_lazily(path, 1).scale == (1, 10, 5)


def test_axes_may_be_named_as_old_files_do(tmp_path):
    for names, axes in [(["c", "y", "x"], "CYX"), (None, "TCZYX")]:
        image = {"datasets": [{"path": "0"}], **({"axes": names} if names else {})}
        path = tmp_path / f"{axes}.zarr"
        group = zarr.create_group(path, zarr_format=2, attributes={"multiscales": [image]})
        group.create_array("0", data=np.ones([2] * len(axes), np.uint8))
        assert open_lazily(path).axes == axes
        assert open_lazily(path).scale == (1.0,) * len(axes)


def test_a_plain_zarr_array_has_no_axes(tmp_path, pixels):
    for version in (2, 3):
        path = tmp_path / f"{version}.zarr"
        zarr.create_array(path, data=pixels, zarr_format=version)
        lazy = open_lazily(path)
        assert (lazy.axes, lazy.scale, lazy.units) == (None, (1.0,) * 3, (None,) * 3)
        np.testing.assert_array_equal(lazy.pixels[1, 3:7], pixels[1, 3:7])
        assert list_zarr_images(path) == [(str(version), path)]
        with told("level 0", "no level 1"):
            open_lazily(path, 1)


def test_a_part_is_what_numpy_gives(tmp_path, pixels):
    tifffile.imwrite(tmp_path / "a.tif", pixels, tile=(16, 16), compression="zlib")
    lazy = open_lazily(tmp_path / "a.tif").pixels
    for index in [1, -1, (0, 5), (slice(None), 3), (..., slice(2, -2)), (..., 7), np.int64(1),
                  (1, slice(-5, None), slice(1, 30, 3)), (slice(1, 1),), (...,)]:  # fmt: skip
        np.testing.assert_array_equal(lazy[index], pixels[index])
    for index in [2, (0, 0, 0, 0), (0, -41), slice(None, None, -1), (..., 0, ...)]:
        with pytest.raises(IndexError):
            lazy[index]


def test_an_ome_tiff_says_axes_and_sizes(tmp_path):
    stack = np.random.default_rng(0).integers(0, 999, (2, 3, 2, 20, 30)).astype(np.uint16)
    sizes = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 500, "PhysicalSizeYUnit": "nm",
             "PhysicalSizeZ": 2, "TimeIncrement": 30, "TimeIncrementUnit": "s"}  # fmt: skip
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "TZCYX", **sizes})
    lazy = open_lazily(tmp_path / "a.ome.tif")
    assert (lazy.name, lazy.axes, lazy.scale) == ("a", "TZCYX", (30, 2, 1, 500, 0.25))
    assert lazy.units == ("second", UM, None, "nanometer", UM)
    np.testing.assert_array_equal(lazy.pixels[1, 2, 0, 3:9], stack[1, 2, 0, 3:9])


def test_axes_of_length_one_are_dropped_but_those_of_the_plane(tmp_path):
    stack = np.arange(3 * 30, dtype=np.uint8).reshape(1, 3, 1, 1, 30)
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "TZCYX"}, tile=(16, 16))
    lazy = open_lazily(tmp_path / "a.ome.tif")
    assert (lazy.axes, lazy.pixels.shape) == ("ZYX", (3, 1, 30))
    np.testing.assert_array_equal(lazy.pixels[2], stack[0, 2, 0])


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_a_hyperstack_of_imagej(tmp_path, byteorder):
    stack = np.random.default_rng(0).integers(0, 999, (3, 2, 20, 30)).astype(np.uint16)
    about = {"axes": "ZCYX", "spacing": 1.5, "unit": "um"}
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata=about, resolution=(4, 2),
                     byteorder=byteorder)  # fmt: skip
    lazy = open_lazily(tmp_path / "a.tif")
    assert (lazy.axes, lazy.scale, lazy.units) == ("ZCYX", (1.5, 1, 0.5, 0.25), (UM, None, UM, UM))
    part = lazy.pixels[1, 0]
    np.testing.assert_array_equal(part, stack[1, 0])
    assert part.dtype.isnative
    assert part.flags.writeable


def test_resolutions_count_in_centimeters_only(tmp_path):
    plane = np.zeros((20, 30), np.uint8)
    for unit, scale in [("CENTIMETER", (2, 1)), ("INCH", (1, 1))]:
        path = tmp_path / f"{unit}.tif"
        tifffile.imwrite(path, plane, resolution=(10_000, 5_000), resolutionunit=unit)
        assert open_lazily(path).scale == scale
    assert open_lazily(path).units == (None, None)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_colours_are_last_and_have_no_letter(tmp_path, planar, compression):
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    stored = image if planar == "contig" else np.moveaxis(image, -1, 0)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stored, photometric="rgb", planarconfig=planar, compression=compression)
    lazy = open_lazily(path)
    assert (lazy.axes, len(lazy.scale), len(lazy.units)) == ("YX", 2, 2)
    np.testing.assert_array_equal(lazy.pixels[2:9, 3:5], image[2:9, 3:5])
    np.testing.assert_array_equal(lazy.pixels[4], image[4])
    np.testing.assert_array_equal(lazy.pixels[..., 1], image[..., 1])


def test_a_pyramid_in_a_tiff(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (64, 96)).astype(np.uint8)
    path = tmp_path / "a.ome.tif"
    about = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    with tifffile.TiffWriter(path) as out:
        out.write(image, subifds=1, tile=(16, 16), metadata=about)
        out.write(image[::2, ::2], subfiletype=1, tile=(16, 16))
    lazy = open_lazily(path, 1)
    assert (lazy.axes, lazy.scale, lazy.units) == ("YX", (1, 1), (UM, UM))
    np.testing.assert_array_equal(lazy.pixels, image[::2, ::2])
    with told("0 to 1", "level 2"):
        open_lazily(path, 2)


def test_a_tiff_without_names_of_axes(tmp_path, pixels):
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    lazy = open_lazily(tmp_path / "a.tif")
    assert (lazy.axes, lazy.scale) == (None, (1.0,) * 3)


def test_only_the_tiles_in_the_slice_are_read(tmp_path):
    """The last tile is spoiled: the corner is read, and the end says what is wrong."""
    noise = np.random.default_rng(0).integers(0, 255, (256, 256)).astype(np.uint8)
    tiff, store = tmp_path / "a.tif", tmp_path / "a.zarr"
    tifffile.imwrite(tiff, noise, tile=(64, 64), compression="zlib")
    with tifffile.TiffFile(tiff) as opened:
        page = opened.pages[0]
        at, length = page.dataoffsets[-1], page.databytecounts[-1]
    with tiff.open("r+b") as out:
        out.seek(at)
        out.write(b"\xff" * length)
    zarr.create_array(store, data=noise, chunks=(64, 64), zarr_format=2)
    (store / "3.3").write_bytes(b"no chunk")
    for path in (tiff, store):
        lazy = open_lazily(path).pixels
        np.testing.assert_array_equal(lazy[:100, :100], noise[:100, :100])
        with told(path.name, "damaged"):
            lazy[200:, 200:]


def test_a_plane_in_one_piece_is_not_read_whole(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((4000, 4000), np.uint8))
    tracemalloc.start()
    lazy = open_lazily(tmp_path / "a.tif").pixels
    assert lazy[3990:, 3990:].sum() == 100
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6


def write_plate(path, version):
    fields = ["A/1/0", "A/1/1", "B/2/0"]
    wells = [{"path": "A/1", "rowIndex": 0, "columnIndex": 0},
             {"path": "B/2", "rowIndex": 1, "columnIndex": 1},
             {"path": "B/3", "rowIndex": 1, "columnIndex": 2}]  # fmt: skip
    plate = {"rows": [{"name": "A"}, {"name": "B"}], "wells": wells}
    form = 2 if version == "0.4" else 3
    about = {"plate": plate}
    zarr.create_group(path, zarr_format=form, attributes=about if form == 2 else {"ome": about})
    for well in ("A/1", "B/2"):
        images = [{"path": field[4:]} for field in fields if field.startswith(well)]
        about = {"well": {"images": images}}
        about = about if form == 2 else {"ome": about}
        zarr.create_group(path / well[0], zarr_format=form)
        zarr.create_group(path / well, zarr_format=form, attributes=about)
    for number, field in enumerate(fields):
        write_image(path / field, np.full((2, 20, 20), number, np.uint8), version)
    return fields


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_the_fields_of_a_plate(tmp_path, version):
    path = tmp_path / "screen.ome.zarr"
    fields = write_plate(path, version)
    assert list_zarr_images(path) == [(field, path / field) for field in fields]
    lazy = [open_lazily(at) for _, at in list_zarr_images(path)]
    assert [one.name for one in lazy] == ["screen_A_1_0", "screen_A_1_1", "screen_B_2_0"]
    assert [one.pixels[0, 0, 0] for one in lazy] == [0, 1, 2]
    with told("several images", "3", "screen.ome.zarr/A/1/0"):
        open_lazily(path)


def test_a_field_is_listed_once_however_it_is_named(tmp_path):
    path = tmp_path / "screen.zarr"
    fields = write_plate(path, "0.4")
    about = {"wells": [{"path": at} for at in ("A/1", "A//1", "A/./1", "A/1/", "B/2")]}
    (path / ".zattrs").write_text(json.dumps({"plate": about}))
    about = {"images": [{"path": at} for at in ("0", "1", "./0", "1/")]}
    (path / "A" / "1" / ".zattrs").write_text(json.dumps({"well": about}))
    assert list_zarr_images(path) == [(field, path / field) for field in fields]


@pytest.mark.parametrize(
    "damage", ["", "{", '{"well": null}', '{"well": {"images": [{"path": null}]}}', "[" * 100_000]
)
def test_a_damaged_well_does_not_cost_the_others(tmp_path, damage):
    path = tmp_path / "screen.zarr"
    write_plate(path, "0.4")
    (path / "A" / "1" / ".zattrs").write_text(damage)
    listed = list_zarr_images(path)
    assert listed == [("A/1", path / "A" / "1"), ("B/2/0", path / "B" / "2" / "0")]
    assert open_lazily(listed[1][1]).pixels[0, 0, 0] == 2
    with told("A/1"):
        open_lazily(listed[0][1])


def test_the_series_of_bioformats2raw(tmp_path, pixels):
    path = tmp_path / "many.zarr"
    zarr.create_group(path, zarr_format=2, attributes={"bioformats2raw.layout": 3})
    for series in range(11):
        write_image(path / str(series), pixels)
    zarr.create_group(path / "OME", zarr_format=2)
    assert list_zarr_images(path) == [(str(series), path / str(series)) for series in range(11)]


def test_what_cannot_be_opened(tmp_path):
    for name in ("nothing.tif", "nothing.zarr"):
        with told("no file or folder"):
            open_lazily(tmp_path / name)
    (tmp_path / "a.png").write_bytes(b"")
    with told("a.png", "whole"):
        open_lazily(tmp_path / "a.png")
    (tmp_path / "a.tif").write_text("no image")
    with told("a.tif", "damaged"):
        open_lazily(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "cut.tif", np.ones((300, 300)))
    (tmp_path / "cut.tif").write_bytes((tmp_path / "cut.tif").read_bytes()[:9000])
    with told("cut.tif", "damaged"):
        open_lazily(tmp_path / "cut.tif")
    (tmp_path / "empty").mkdir()
    for what in (open_lazily, list_zarr_images):
        with told("empty", "not an OME-Zarr"):
            what(tmp_path / "empty")
    zarr.create_group(tmp_path / "bare.zarr", zarr_format=2)
    for what in (open_lazily, list_zarr_images):
        with told("bare.zarr", "no OME-Zarr image"):
            what(tmp_path / "bare.zarr")
    (tmp_path / "bad.zarr").mkdir()
    (tmp_path / "bad.zarr" / ".zgroup").write_text("{")
    for what in (open_lazily, list_zarr_images):
        with told("bad.zarr", "damaged"):
            what(tmp_path / "bad.zarr")


def test_an_image_without_its_array_is_damaged(tmp_path, pixels):
    path = write_image(tmp_path / "a.zarr", pixels)
    (path / "1").rename(path / "elsewhere")
    with told("a.zarr", "damaged"):
        open_lazily(path, 1)
    group = zarr.open_group(path, mode="r+")
    group.attrs["multiscales"] = multiscales([{"name": "y"}, {"name": "x"}], [[1, 1]])
    with told("a.zarr", "damaged"):
        open_lazily(path)


# writing


def fill(store, seed=0):
    labels = np.random.default_rng(seed).integers(0, 9, store.labels.shape)
    labels = labels.astype(store.labels.dtype)
    store.write((...,), labels)
    return labels


def test_labels_and_record_come_back(tmp_path):
    path = tmp_path / "deep" / "a_labels.zarr"
    store = LabelsStore.create(path, PLANE, np.uint32, chunk=32)
    assert not store.finished
    assert store.labels.chunks == (32, 32)
    assert not store.labels[...].any()
    labels = fill(store)
    store.write_record({"model": "bright", "params": {"threshold": 0.5}})
    store.finish()
    again = LabelsStore.open_existing(path)
    assert again.finished
    assert again.record == {"model": "bright", "params": {"threshold": 0.5}}
    assert again.grid == PLANE
    np.testing.assert_array_equal(again.labels[...], labels)
    lazy = open_lazily(path)
    assert (lazy.axes, lazy.scale, lazy.units) == ("YX", (0.5, 0.5), (UM, UM))
    np.testing.assert_array_equal(lazy.pixels, labels)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_the_metadata_are_what_ngff_wants(tmp_path):
    models = pytest.importorskip("ome_zarr_models.v04")
    grid = LabelsGrid((2, 3, 1500, 1100), "TZYX", (30, 2, 0.5, 0.5), ("second", UM, UM, UM))
    path = tmp_path / "a.ome.zarr"
    store = LabelsStore.create(path, grid, np.uint16)
    list(store.build_pyramid())
    image = models.ImageLabel.from_zarr(zarr.open_group(path, mode="r"))
    (about,) = image.attributes.multiscales
    assert about.name == "a"
    assert [(axis.name, axis.type, axis.unit) for axis in about.axes] == [
        ("t", "time", "second"), ("z", "space", UM), ("y", "space", UM), ("x", "space", UM),
    ]  # fmt: skip
    assert [d.coordinateTransformations[0].scale for d in about.datasets] == [
        [30, 2, 0.5, 0.5], [30, 2, 1, 1],
    ]  # fmt: skip
    array = json.loads((path / "0" / ".zarray").read_text())
    assert array["zarr_format"] == 2
    assert array["dimension_separator"] == "/"
    assert array["chunks"] == [1, 1, 1024, 1024]
    assert array["fill_value"] == 0
    assert array["compressor"]["cname"] == "zstd"


@pytest.mark.parametrize("shape", [(2049, 1025), (1, 5000), (1025, 3), (1024, 1024)])
def test_the_pyramid_takes_every_second_pixel(tmp_path, shape):
    store = LabelsStore.create(tmp_path / "a.zarr", LabelsGrid(
        (2, *shape), "ZYX", (1, 1, 1), (None,) * 3), np.uint16)  # fmt: skip
    labels = fill(store)
    events = [(step.done, step.total) for step in store.build_pyramid()]
    assert events == [(at + 1, len(events)) for at in range(len(events))]
    levels = LabelsStore.open_existing(store.path).levels
    assert max(levels[-1].shape) <= 1024
    assert all(max(level.shape) > 1024 for level in levels[:-1])
    for number, level in enumerate(levels):
        step = 2**number
        np.testing.assert_array_equal(level[...], labels[:, ::step, ::step])
        lazy = open_lazily(store.path, number)
        assert lazy.scale == (1, step, step)


def test_a_pyramid_is_listed_when_it_is_complete(tmp_path):
    grid = LabelsGrid((2100, 2100), "YX", (1, 1), (None, None))
    store = LabelsStore.create(tmp_path / "a.zarr", grid, np.uint8)
    store.write_record({"model": "bright"})
    store.write((slice(0, 9), slice(0, 9)), 5)
    steps = store.build_pyramid()
    next(steps)
    steps.close()
    assert len(LabelsStore.open_existing(store.path).levels) == 1
    list(store.build_pyramid())
    assert len(LabelsStore.open_existing(store.path).levels) == 3
    store.write((slice(0, 9), slice(0, 9)), 7)
    steps = store.build_pyramid()
    next(steps)
    assert len(LabelsStore.open_existing(store.path).levels) == 1
    list(steps)
    assert [level[0, 0] for level in store.levels] == [7, 7, 7]
    assert store.record == {"model": "bright"}


def test_chunks_of_background_take_no_room(tmp_path):
    grid = LabelsGrid((50, 20_000, 20_000), "TYX", (1,) * 3, (None,) * 3)
    store = LabelsStore.create(tmp_path / "a.zarr", grid, np.uint32)
    store.write((3, slice(0, 1024), slice(1024, 2048)), np.ones((1024, 1024), np.uint32))
    files = [p.relative_to(store.path / "0") for p in (store.path / "0").rglob("[0-9]*")]
    assert [p.as_posix() for p in files if (store.path / "0" / p).is_file()] == ["3/0/1"]


def test_a_store_of_the_same_kind_is_gone_on_with(tmp_path):
    path = tmp_path / "a.zarr"
    labels = fill(LabelsStore.create(path, PLANE, np.uint16))
    store = LabelsStore.create(path, PLANE, np.uint16)
    np.testing.assert_array_equal(store.labels[...], labels)
    store = LabelsStore.create(path, PLANE, np.uint16, overwrite=True)
    assert not store.labels[...].any()


def test_labels_of_another_kind_stand_in_the_way(tmp_path):
    path = tmp_path / "a.zarr"
    labels = fill(LabelsStore.create(path, PLANE, np.uint16))
    with told("(60, 80)", "uint16", "uint32", "`overwrite`"):
        LabelsStore.create(path, PLANE, np.uint32)
    other = LabelsGrid((3, 60, 80), "ZYX", (1,) * 3, (None,) * 3)
    with told("(60, 80)", "(3, 60, 80)", "another name"):
        LabelsStore.create(path, other, np.uint16)
    np.testing.assert_array_equal(LabelsStore.open_existing(path).labels[...], labels)
    assert LabelsStore.create(path, other, np.uint16, overwrite=True).grid == other


@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_of_others_is_deleted(tmp_path, pixels, overwrite):
    image = write_image(tmp_path / "image.zarr", pixels)
    (tmp_path / "file.zarr").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    for name in ("image.zarr", "file.zarr", "folder"):
        with told(name, "something else", "another name"):
            LabelsStore.create(tmp_path / name, PLANE, np.uint16, overwrite=overwrite)
        with told(name, "no labels"):
            LabelsStore.open_existing(tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before
    np.testing.assert_array_equal(open_lazily(image).pixels, pixels)
    (tmp_path / "new").mkdir()
    LabelsStore.create(tmp_path / "new", PLANE, np.uint16, overwrite=overwrite)


def test_a_lock_keeps_others_out_until_it_is_over_and_leaves_nothing(tmp_path):
    path = tmp_path / "deep" / "a.zarr"
    refused = told("a.zarr", "another program", "choose another folder")
    with write_lock(path), write_lock(path.with_name("b.zarr")), refused, write_lock(path):
        pass
    with pytest.raises(ZeroDivisionError), write_lock(path):
        raise ZeroDivisionError
    (path.parent / ".a.zarr.lock").write_text("")  # of a program that was killed
    with write_lock(path):
        pass
    assert not list(path.parent.iterdir())
    (tmp_path / "file").write_text("")
    with write_lock(
        tmp_path / "file" / "a.zarr"
    ):  # no lock is possible there: who writes will tell
        pass


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with told("cannot be written", "choose another folder"):
        LabelsStore.create(tmp_path / "file" / "a.zarr", PLANE, np.uint16)
    store = LabelsStore.create(tmp_path / "a.zarr", PLANE, np.uint16)
    (store.path / "0" / "0").write_text("where a folder of chunks should be")
    with told("a.zarr cannot be written"):
        store.write((...,), 1)


def test_what_only_a_programmer_gets_wrong(tmp_path):
    with pytest.raises(ValueError, match="integers"):
        LabelsStore.create(tmp_path / "a.zarr", PLANE, np.float32)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="fit together"):
        LabelsGrid((3, 4), "ZYX", (1, 1), (None, None))


# napari


def test_napari_shows_the_pyramid(tmp_path):
    from napari.layers import Image, Labels

    grid = LabelsGrid((2, 1500, 1100), "ZYX", (1, 1, 1), (None,) * 3)
    store = LabelsStore.create(tmp_path / "a.zarr", grid, np.uint16)
    fill(store)
    list(store.build_pyramid())
    layer = Labels(store.levels, multiscale=True)
    assert layer.multiscale
    assert layer.data.shape == (2, 1500, 1100)
    assert not layer.editable  # napari 0.9 paints in one resolution only
    lazy = open_lazily(store.path).pixels
    image = Image(lazy)
    assert image.data is lazy
    places = np.argwhere(store.labels[0])[:5]
    assert [image.get_value((0, *at)) for at in places] == [store.labels[0][*at] for at in places]


def test_napari_paints_into_the_store(tmp_path):
    from napari.layers import Labels

    grid = LabelsGrid((3, 60, 80), "ZYX", (2, 0.5, 0.5), (UM, UM, UM))
    store = LabelsStore.create(tmp_path / "a.zarr", grid, np.uint32, chunk=32)
    store.write((0, slice(0, 9), slice(0, 9)), 4)
    layer = Labels(store.labels, scale=grid.scale, units=grid.units)
    assert layer.editable
    layer.brush_size = 5
    layer.paint((1, 30, 40), 7)
    layer.fill((0, 3, 3), 8)
    stored = LabelsStore.open_existing(store.path).labels
    assert stored[1, 30, 40] == 7
    assert (stored[0, :9, :9] == 8).all()
    assert (stored[2] == 0).all()
    layer.undo()
    assert (stored[0, :9, :9] == 4).all()
    places = itertools.product((28, 32), (38, 42))
    assert [stored[1][place] for place in places] == [0, 0, 0, 0]  # the brush is round
