"""Saved labels that are measured in all channels of any images, on the command line."""

import json

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from conftest import discs
from skimage.measure import regionprops_table
from skimage.segmentation import expand_labels

from napari_nuclei_unet import (
    MeasureOptions,
    Result,
    UserError,
    exclude_border,
    measure_result,
    open_lazily,
    read_result,
)
from napari_nuclei_unet.cli import main

CENTRES = [(20, 25), (20, 80), (65, 50)]
SHAPE = (90, 120)


@pytest.fixture
def folder(tmp_path, bright_file):
    """Two channels with names and a size of the pixels, and labels of the first of them."""
    nuclei = discs(SHAPE, CENTRES).astype(np.uint16)
    marker = np.random.default_rng(0).integers(0, 900, SHAPE, np.uint16)
    about = {"axes": "CYX", "Channel": {"Name": ["DAPI", "Ki67"]}, "PhysicalSizeX": 0.5,
             "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5,
             "PhysicalSizeYUnit": "µm"}  # fmt: skip
    image = tmp_path / "cells.ome.tif"
    tifffile.imwrite(image, np.stack([nuclei, marker]), metadata=about, photometric="minisblack")
    args = ["--channel", "0", "--model", str(bright_file)]
    args += ["--out", str(tmp_path / "cells_labels.ome.tif")]
    assert main(["segment", str(image), "--diameter", "12", *args]) == 0
    return tmp_path


def measure(folder, *args, labels="cells_labels.ome.tif", images=("cells.ome.tif",)):
    paths = [str(folder / name) for name in (labels, *images)]
    return main(["measure", *paths, "--overwrite", *map(str, args)])


def test_all_channels_are_measured_and_what_was_known_stays(folder):
    before = pd.read_csv(folder / "cells_nuclei.csv")
    assert measure(folder) == 0
    table = pd.read_csv(folder / "cells_nuclei.csv")
    labels = tifffile.imread(folder / "cells_labels.ome.tif")
    pixels = np.moveaxis(tifffile.imread(folder / "cells.ome.tif"), 0, -1)
    theirs = regionprops_table(labels, pixels, ["intensity_mean", "intensity_median"])
    for number, name in enumerate(("DAPI", "Ki67")):
        for ours, other in (("mean", "intensity_mean"), ("median", "intensity_median")):
            np.testing.assert_allclose(
                table[f"{ours}_intensity_{name}"], theirs[f"{other}-{number}"], 1e-6
            )
    np.testing.assert_allclose(table["confidence"], before["confidence"])
    np.testing.assert_allclose(table["area_um2"], table["area"] / 4)


@pytest.mark.parametrize(("width", "pixels"), [("4px", 4), ("2um", 4), ("2 µm", 4)])
def test_rings_and_neighbours_in_pixels_or_micrometers(folder, width, pixels):
    near = "30um" if "m" in width else "60"
    assert measure(folder, "--channel", 1, "--ring", width, "--neighbours", near) == 0
    table = pd.read_csv(folder / "cells_nuclei.csv")
    labels = tifffile.imread(folder / "cells_labels.ome.tif")
    rings = np.where(labels > 0, 0, expand_labels(labels, pixels))
    np.testing.assert_array_equal(table["ring_area"], np.bincount(rings.ravel())[1:])
    ratio = next(name for name in table if name.startswith("nucleus_to_ring"))
    assert table[ratio].between(0.5, 2).all()  # noise in both
    assert table["neighbours"].tolist() == [2, 2, 2] or table["neighbours"].max() <= 2
    nearest = "nearest_distance_um" if "m" in width else "nearest_distance"
    scale = 0.5 if "m" in width else 1
    assert table[nearest].min() == pytest.approx(scale * np.hypot(45, 25), rel=0.05)


def test_a_channel_of_ome_zarr_is_found_by_its_name(folder):
    pixels = tifffile.imread(folder / "cells.ome.tif")
    group = zarr.open_group(folder / "cells.ome.zarr", mode="w", zarr_format=2)
    group.create_array("0", data=pixels)
    axes = [{"name": "c", "type": "channel"}, *({"name": n, "type": "space"} for n in "yx")]
    scale = [{"type": "scale", "scale": [1, 0.5, 0.5]}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    group.attrs["omero"] = {"channels": [{"label": "DAPI"}, {"label": "Ki67"}]}
    assert measure(folder, "--channel", "Ki67", images=("cells.ome.zarr",)) == 0
    table = pd.read_csv(folder / "cells_nuclei.csv")
    labels = tifffile.imread(folder / "cells_labels.ome.tif")
    total = np.bincount(labels.ravel(), pixels[1].ravel())[1:]
    np.testing.assert_allclose(table["integrated_intensity_Ki67"], total)
    assert "mean_intensity_DAPI" not in table


def test_classes_of_a_channel_stay(folder):
    path = folder / "cells_nuclei.csv"
    table = pd.read_csv(path)
    classes = [f"Ki67: {sign}" for sign in ("positive", "negative", "positive")]
    table.assign(mean_intensity_Ki67_class=classes, mean_of_mine=1.0).to_csv(path, index=False)
    assert measure(folder) == 0
    after = pd.read_csv(path)
    assert after["mean_intensity_Ki67_class"].tolist() == classes
    assert (after["mean_of_mine"] == 1).all()


def test_several_images_give_columns_with_their_names(folder):
    for name in ("red", "green"):
        tifffile.imwrite(folder / f"{name}.tif", np.full(SHAPE, len(name), np.uint8))
    assert measure(folder, images=("red.tif", "green.tif")) == 0
    table = pd.read_csv(folder / "cells_nuclei.csv")
    assert (table["mean_intensity_red"] == 3).all()
    assert (table["mean_intensity_green"] == 5).all()


def test_planes_of_a_stack_are_those_of_the_image(tmp_path, bright_file):
    stack = np.stack([discs(SHAPE, CENTRES) // (z + 1) for z in range(4)]).astype(np.uint8)
    tifffile.imwrite(tmp_path / "s.tif", stack, metadata={"axes": "ZYX"}, photometric="minisblack")
    args = ["--planes", "1-2", "--out", str(tmp_path), "--model", str(bright_file)]
    assert main(["segment", str(tmp_path / "s.tif"), "--diameter", "12", *args]) == 0
    assert measure(tmp_path, labels="s_labels.ome.tif", images=("s.tif",)) == 0
    table = pd.read_csv(tmp_path / "s_nuclei.csv")
    for z in (1, 2):
        assert (table.loc[table["z"] == z, "max_intensity"] == stack[z].max()).all()


def test_what_does_not_fit_gets_a_sentence(folder, capsys):
    tifffile.imwrite(folder / "small.tif", np.zeros((40, 40), np.uint8))
    before = (folder / "cells_nuclei.csv").read_bytes()
    for args, words in (
        (
            {"images": ("small.tif",)},
            "planes of 40 x 40 pixels, but those of the labels have 90 x 120",
        ),
        ({"images": ("none.tif",)}, "no file or folder"),
        ({"labels": "small.tif", "images": ("cells.ome.tif",)}, "planes of 90 x 120"),
    ):
        assert measure(folder, **args) == 2
        assert words in capsys.readouterr().err
    for flags, words in (
        (["--channel", "GFP"], "There is no channel GFP"),
        (["--ring", "2um", "--neighbours", "5px"], "in the same unit"),
        (["--out", folder / "a.xlsx"], "must end in .csv"),
    ):
        assert measure(folder, *flags) == 2
        assert words in capsys.readouterr().err
    assert (folder / "cells_nuclei.csv").read_bytes() == before


def test_labels_without_a_pixel_size_take_that_of_their_image(folder):
    labels = tifffile.imread(folder / "cells_labels.ome.tif")
    tifffile.imwrite(folder / "plain_labels.tif", labels)
    assert measure(folder, "--ring", "2um", labels="plain_labels.tif") == 0
    table = pd.read_csv(folder / "plain_nuclei.csv")
    np.testing.assert_allclose(table["area_um2"], table["area"] / 4)
    rings = np.where(labels > 0, 0, expand_labels(labels, 4))
    np.testing.assert_array_equal(table["ring_area"], np.bincount(rings.ravel())[1:])


def test_micrometers_need_the_size_of_a_pixel(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.eye(30, dtype=np.uint8).repeat(2, 0))
    result = read_result(tmp_path / "a.tif")
    image = open_lazily(tmp_path / "a.tif")
    with pytest.raises(UserError, match="give distances in pixels"):
        measure_result(result, [image], MeasureOptions(ring=2, in_micrometers=True))


# in the run that finds them


@pytest.fixture
def edges(tmp_path):
    """Four nuclei in two channels, two of them at the edge; with names and a size of the pixels."""
    nuclei = discs(SHAPE, [*CENTRES, (65, 118)]).astype(np.uint16)
    nuclei |= discs(SHAPE, [(0, 50)]).astype(np.uint16)
    marker = np.random.default_rng(0).integers(1, 900, SHAPE, np.uint16)
    about = {"axes": "CYX", "Channel": {"Name": ["DAPI", "Ki67"]}, "PhysicalSizeX": 0.5,
             "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5,
             "PhysicalSizeYUnit": "µm"}  # fmt: skip
    image = tmp_path / "edges.ome.tif"
    tifffile.imwrite(image, np.stack([nuclei, marker]), metadata=about, photometric="minisblack")
    return image


def segment_file(image, bright_file, *args, out=None):
    command = ["segment", str(image), "--out", str(out or image.parent / "out"), "--diameter", "12"]
    return main([*command, "--model", str(bright_file), *map(str, args)])


def result_of(image, out=None):
    folder = out or image.parent / "out"
    [labels] = folder.glob("*_labels.*tif")
    return read_result(labels)


@pytest.mark.parametrize(
    ("flags", "chosen"),
    [(["all"], ["DAPI", "Ki67"]), (["1"], ["Ki67"]), (["Ki67,0"], ["DAPI", "Ki67"])],
)
def test_a_run_measures_channels_as_the_command_does(edges, bright_file, flags, chosen):
    args = ["--channel", 0, "--measure", *flags, "--ring", "2um", "--neighbours", "30um"]
    assert segment_file(edges, bright_file, *args) == 0
    result = result_of(edges)
    assert [n.removeprefix("median_intensity_") for n in result.table if n.startswith("median_")
            ] == chosen  # fmt: skip
    options = MeasureOptions(tuple(chosen), 2, 30, in_micrometers=True)
    again = measure_result(result, [open_lazily(edges)], options).table
    pd.testing.assert_frame_equal(result.table[list(again)], again, rtol=1e-6, check_dtype=False)
    assert result.table["confidence"].gt(0.5).all()


def test_rings_alone_are_measured_in_all_channels(edges, bright_file):
    assert segment_file(edges, bright_file, "--channel", 0, "--ring", "3px") == 0
    table = result_of(edges).table
    assert {"ring_mean_intensity_DAPI", "nucleus_to_ring_Ki67", "ring_area"} <= set(table)
    assert "neighbours" not in table


def test_a_run_that_measured_otherwise_is_not_done(edges, bright_file, capsys):
    args = ["--channel", 0, "--measure", "all", "--ring", "3px"]
    assert segment_file(edges, bright_file, *args) == 0
    capsys.readouterr()
    assert segment_file(edges, bright_file, *args) == 0
    assert "done before" in capsys.readouterr().out
    for other, words in (
        (["--channel", 0], "--measure and --ring"),
        ([*args[:-1], "3um"], "another --ring"),
        ([*args, "--exclude-border"], "another --exclude-border"),
        ([*args, "--neighbours", "9"], "another --neighbours"),
    ):
        assert segment_file(edges, bright_file, *other) == 2
        assert words in capsys.readouterr().err


def test_what_a_run_cannot_measure_gets_a_sentence(edges, bright_file, capsys):
    for flags, words in (
        (["--measure", "GFP"], "There is no channel GFP: choose among"),
        (["--measure", "all", "--format", "zarr"], "measure them afterwards"),
        (["--ring", "2um", "--neighbours", "5px"], "in the same unit"),
    ):
        assert segment_file(edges, bright_file, "--channel", 0, *flags) == 2
        assert words in capsys.readouterr().err
    assert not list((edges.parent / "out").glob("edges*"))


def test_colours_and_stacks_are_measured_in_the_run(tmp_path, bright_file):
    grey = discs(SHAPE, CENTRES)
    tifffile.imwrite(tmp_path / "rgb.tif", np.stack([grey, grey // 2, grey // 4], -1))
    assert segment_file(tmp_path / "rgb.tif", bright_file, "--measure", "green") == 0
    table = result_of(tmp_path / "rgb.tif").table
    assert (table["max_intensity_green"] == grey.max() // 2).all()
    stack = np.stack([grey, grey // 2], 0)[None].repeat(3, 0)  # ZCYX
    tifffile.imwrite(tmp_path / "s.tif", stack, metadata={"axes": "ZCYX"}, photometric="minisblack")
    out = tmp_path / "stack"
    args = ["--channel", 0, "--planes", "1-2", "--measure", "all"]
    assert segment_file(tmp_path / "s.tif", bright_file, *args, out=out) == 0
    table = result_of(tmp_path, out).table
    assert set(table["z"]) == {1, 2}
    assert (table["max_intensity_1"] == grey.max() // 2).all()


# nuclei at the edge


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
def test_a_run_leaves_out_nuclei_at_the_edge(edges, bright_file, kind):
    for name, flags in (("with", []), ("without", ["--exclude-border"])):
        args = ["--channel", 0, "--format", kind, *flags]
        assert segment_file(edges, bright_file, *args, out=edges.parent / name) == 0
    found = {}
    for name in ("with", "without"):
        [labels] = (edges.parent / name).glob("*_labels.*")
        found[name] = read_result(labels)
        found[name] = found[name].table, np.asarray(found[name].labels[...])
    table, labels = found["with"]
    inside = table[~table["touches_border"]]
    assert (len(table), len(inside)) == (5, 3)
    table, kept = found["without"]
    assert table["label"].tolist() == [1, 2, 3] == np.unique(kept)[1:].tolist()
    np.testing.assert_array_equal(kept > 0, np.isin(labels, inside["label"]))
    assert sorted(table["area"]) == sorted(inside["area"])


def test_saved_nuclei_at_the_edge_are_left_out_and_others_keep_their_ids(
    edges, bright_file, capsys
):
    assert segment_file(edges, bright_file, "--channel", 0) == 0
    result = result_of(edges)
    ids = result.table.loc[~result.table["touches_border"], "label"].tolist()
    assert ids != [1, 2, 3]
    [labels] = (edges.parent / "out").glob("*_labels.*tif")
    before = {path: path.read_bytes() for path in labels.parent.iterdir()}
    convert = ["convert", str(labels), "--exclude-border", "--to", "csv,geojson,rois,ome-tiff"]
    assert main([*convert, "--overwrite"]) == 2  # the table would not belong to its labels
    assert "belongs to labels with all nuclei" in capsys.readouterr().err
    assert main(["measure", str(labels), str(edges), "--exclude-border", "--overwrite"]) == 2
    assert {path: path.read_bytes() for path in labels.parent.iterdir()} == before
    out = edges.parent / "inside"
    assert main([*convert, "--out", str(out)]) == 0
    again = read_result(out / "edges_labels.ome.tif")
    assert again.table["label"].tolist() == ids == np.unique(again.labels)[1:].tolist()
    features = json.loads((out / "edges_nuclei.geojson").read_text())["features"]
    assert [feature["properties"]["name"] for feature in features] == list(map(str, ids))
    args = ["--exclude-border", "--out", str(out / "all.csv")]
    assert main(["measure", str(labels), str(edges), *args]) == 0
    assert pd.read_csv(out / "all.csv")["label"].tolist() == ids


def test_nuclei_at_the_edge_are_left_out_plane_by_plane():
    labels = np.zeros((2, 20, 20), np.int32)
    labels[0, 0:4, 5:9] = labels[1, 2:6, 5:9] = 1  # at the edge in the first plane only
    labels[:, 10:14, 5:9] = 2
    table = {"z": [0, 0, 1, 1], "label": [1, 2, 1, 2]}
    result = exclude_border(Result(labels, table, "ZYX"))
    assert [np.unique(plane).tolist() for plane in result.labels] == [[0, 2], [0, 1, 2]]
    assert result.table.to_numpy().tolist() == [[0, 2], [1, 1], [1, 2]]
    lazy = exclude_border(Result(zarr.array(labels), table, "ZYX"))
    for (_, ours), theirs in zip(lazy.planes(), result.labels, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_labels_without_nuclei_or_edges_stay_as_they_are():
    for plane in (np.zeros((5, 5), np.uint8), np.pad(np.full((2, 2), 7), 2), np.zeros((0, 4), int)):
        np.testing.assert_array_equal(exclude_border(Result(plane, {})).labels, plane)
    assert not exclude_border(Result(np.ones((3, 3), int), {})).labels.any()


def test_an_image_without_an_axis_of_the_labels_is_refused(folder, capsys):
    stack = np.zeros((2, *SHAPE), np.uint16)
    stack[:, 5:9, 5:9] = 1
    about = {"axes": "ZYX"}
    tifffile.imwrite(folder / "s_labels.ome.tif", stack, metadata=about, photometric="minisblack")
    tifffile.imwrite(folder / "plane.tif", np.zeros(SHAPE, np.uint8))
    assert measure(folder, labels="s_labels.ome.tif", images=("plane.tif",)) == 2
    assert "has no axis Z" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "axes"), [(None, "ZYX"), (None, "ZCYX"), ("CYX", "zyx"), ("TYX", "ZCYX")]
)
def test_axes_name_those_of_labels_and_images(tmp_path, names, axes):
    labels = np.zeros((6, 20, 24), np.uint16)
    labels[1:4, 4:9, 5:10], labels[2:5, 10:18, 10:20] = 1, 2
    image = np.where(labels, 40 * labels, 3)
    image = np.stack([image, image + 5], axis=1) if "C" in axes else image
    options = {} if names is None else {"imagej": True, "metadata": {"axes": names}}
    tifffile.imwrite(tmp_path / "a_labels.tif", labels, **options)
    tifffile.imwrite(tmp_path / "a.tif", image.astype(np.uint16), photometric="minisblack")
    assert (
        measure(tmp_path, "--volume", "--axes", axes, labels="a_labels.tif", images=["a.tif"]) == 0
    )
    table = pd.read_csv(tmp_path / "a_nuclei.csv")
    assert table["volume"].tolist() == [75, 240]
    first = "mean_intensity_0" if "C" in axes else "mean_intensity"
    assert table[first].tolist() == [40, 80]


def test_axes_that_do_not_fit_are_refused(tmp_path, capsys):
    tifffile.imwrite(tmp_path / "a_labels.tif", np.eye(9, dtype=np.uint8)[None].repeat(5, 0))
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 9, 9), np.uint8))
    for axes, message in (("ZY", "each of the 3 axes"), ("QYX", "no axis Z")):
        args = ("--volume", "--axes", axes)
        assert measure(tmp_path, *args, labels="a_labels.tif", images=["a.tif"]) == 2
        assert message in capsys.readouterr().err
