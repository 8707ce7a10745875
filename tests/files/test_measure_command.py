"""Saved labels that are measured in all channels of any images, on the command line."""

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from conftest import discs
from skimage.measure import regionprops_table
from skimage.segmentation import expand_labels

from napari_nuclei_unet import MeasureOptions, UserError, measure_result, open_lazily, read_result
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
    assert measure(tmp_path, labels="s_labels.tif", images=("s.tif",)) == 0
    table = pd.read_csv(tmp_path / "s_nuclei.csv")
    for z in (1, 2):
        assert (table.loc[table["z"] == z, "max_intensity"] == stack[z].max()).all()


def test_what_does_not_fit_gets_a_sentence(folder, capsys):
    tifffile.imwrite(folder / "small.tif", np.zeros((40, 40), np.uint8))
    before = (folder / "cells_nuclei.csv").read_bytes()
    for args, words in (
        ({"images": ("small.tif",)}, "planes of 40 x 40 pixels and the labels of 90 x 120"),
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
