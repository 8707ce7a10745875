"""Results in which a nucleus is one object along z: measured, saved, read and converted."""

import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage

from napari_nuclei_unet import (
    MeasureOptions,
    Result,
    UserError,
    exclude_border,
    measure_result,
    open_lazily,
    read_result,
    save,
)
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.export.result import with_shapes
from napari_nuclei_unet.export.save import save_with_table

SPACING, UNITS = (2.0, 0.5, 0.5), ("micrometer",) * 3
SIZES = {"PhysicalSizeZ": 2.0, "PhysicalSizeY": 0.5, "PhysicalSizeX": 0.5} | {
    f"PhysicalSize{axis}Unit": "µm" for axis in "ZYX"
}
VOLUME = {"volume": True}


def ball(shape, centre, radii):
    """Return where a ball is."""
    grid = np.ogrid[tuple(slice(0, n) for n in shape)]
    return sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radii, strict=True)) <= 1


@pytest.fixture
def stack():
    """Three nuclei, of which the last is cut by the first slice."""
    labels = np.zeros((9, 50, 60), np.uint16)
    for number, centre in enumerate([(4, 12, 15), (4, 30, 40), (0, 30, 15)], 3):
        labels[ball(labels.shape, centre, (2.2, 9, 9))] = number
    return labels


def volume_result(labels, axes="ZYX", table=None):
    spacing = (1.0,) * (labels.ndim - 3) + SPACING
    units = (None,) * (labels.ndim - 3) + UNITS
    return Result(labels, {} if table is None else table, axes, spacing, units, VOLUME)


def write_image(path, pixels, axes="ZCYX"):
    about = {"axes": axes, "Channel": {"Name": ["DAPI", "Ki67"]}, **SIZES}
    tifffile.imwrite(path, pixels, metadata=about, photometric="minisblack")
    return path


@pytest.fixture
def image(tmp_path, stack):
    """The stack in two channels with a size of the voxel."""
    marker = np.random.default_rng(0).integers(0, 900, stack.shape, np.uint16)
    return write_image(tmp_path / "cells.ome.tif", np.stack([stack * 50, marker], axis=1))


def test_result_of_volumes_is_measured_nucleus_by_nucleus(stack, image):
    result = measure_result(volume_result(stack), [open_lazily(image)])
    table = result.table
    assert table["label"].tolist() == [3, 4, 5]
    assert "z" not in table
    marker = tifffile.imread(image)[:, 1]
    means = ndimage.mean(marker, stack, [3, 4, 5])
    np.testing.assert_allclose(table["mean_intensity_Ki67"], means)
    np.testing.assert_allclose(table["mean_intensity_DAPI"], [150, 200, 250])
    np.testing.assert_array_equal(table["volume"], np.bincount(stack.ravel())[3:])
    np.testing.assert_allclose(table["volume_um3"], table["volume"] * 0.5)
    np.testing.assert_allclose(table["centroid_z_um"], table["centroid_z"] * 2)
    assert table["sections"].tolist() == [5, 5, 3]
    assert table["touches_border"].tolist() == [False, False, True]


def test_labels_of_other_programs_are_volumes_by_a_flag(tmp_path, stack, image, capsys):
    labels = tmp_path / "cells_masks.tif"
    tifffile.imwrite(labels, stack)
    args = ["measure", str(labels), str(image), "--channel", "Ki67", "--volume"]
    assert main(args) == 0
    table = pd.read_csv(tmp_path / "cells_masks_nuclei.csv")
    assert table["label"].tolist() == [3, 4, 5]
    assert table["surface_area_um2"].gt(0).all()  # the image knows the size of a voxel
    assert "3 nuclei measured" in capsys.readouterr().out
    # the table is read with the labels, and measured again without the flag
    assert read_result(labels).is_volume
    assert main([*args[:-1], "--overwrite"]) == 0
    assert pd.read_csv(tmp_path / "cells_masks_nuclei.csv").equals(table)


def test_without_the_flag_labels_of_others_have_a_row_for_each_section(tmp_path, stack, image):
    labels = tmp_path / "cells_masks.tif"
    tifffile.imwrite(labels, stack)
    assert main(["measure", str(labels), str(image)]) == 0
    table = pd.read_csv(tmp_path / "cells_masks_nuclei.csv")
    assert len(table) == 13
    assert {"z", "area"} <= set(table)


def test_what_was_known_of_nuclei_stays(stack, image):
    known = pd.DataFrame({"label": [5, 4, 3], "confidence": [0.5, 0.4, 0.3], "volume": 1})
    result = measure_result(volume_result(stack, table=known), [open_lazily(image)])
    assert result.table["confidence"].tolist() == [0.3, 0.4, 0.5]
    assert (result.table["volume"] > 1).all()


def test_sections_that_were_known_give_way_to_nuclei(stack, image):
    known = with_shapes(Result(stack, {}, "ZYX")).table
    result = Result(stack, known, "ZYX", SPACING, UNITS)
    measured = measure_result(result, [open_lazily(image)], MeasureOptions(volume=True))
    assert measured.table["label"].tolist() == [3, 4, 5]
    assert "area" not in measured.table


def test_each_time_point_is_a_volume(tmp_path, stack):
    film = np.stack([stack, np.roll(stack, 2, axis=2)])
    pixels = film * 10
    write_image(tmp_path / "film.ome.tif", np.stack([pixels, pixels], axis=2), "TZCYX")
    result = measure_result(
        volume_result(film, "TZYX"), [open_lazily(tmp_path / "film.ome.tif")]
    ).table
    assert list(result)[:2] == ["t", "label"]
    assert result["t"].tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_allclose(np.diff(result["centroid_x"].to_numpy().reshape(2, 3), axis=0), 2)
    np.testing.assert_allclose(result["mean_intensity_DAPI"], result["label"] * 10)


def test_selected_slices_keep_their_place_in_the_image(stack, image):
    part = Result(stack[2:], {}, "ZYX", SPACING, UNITS, VOLUME, starts=(2,))
    table = measure_result(part, [open_lazily(image)]).table.set_index("label")
    assert table["centroid_z"][3] == 4
    assert table["mean_intensity_DAPI"][3] == 150
    assert table["touches_border"].to_dict() == dict.fromkeys((3, 4, 5), True)  # they are cut


def test_neighbours_are_counted_in_space(stack, image):
    options = MeasureOptions(neighbours=16.0, in_micrometers=True)
    table = measure_result(volume_result(stack), [open_lazily(image)], options).table
    centres = table[["centroid_z_um", "centroid_y_um", "centroid_x_um"]].to_numpy()
    apart = np.linalg.norm(centres[:, None] - centres, axis=-1) + np.diag([np.inf] * 3)
    np.testing.assert_allclose(table["nearest_distance_um"], apart.min(axis=1))
    np.testing.assert_array_equal(table["neighbours"], (apart <= 16).sum(axis=1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (MeasureOptions(ring=3), "leave `ring` out"),
        (MeasureOptions(neighbours=3), "give `neighbours` in micrometers"),
    ],
)
def test_what_is_for_planes_is_refused(stack, image, options, message):
    with pytest.raises(UserError, match=message):
        measure_result(volume_result(stack), [open_lazily(image)], options)


def test_neighbours_need_the_step_along_z(stack, tmp_path):
    tifffile.imwrite(tmp_path / "plain.tif", stack)
    options = MeasureOptions(neighbours=3, in_micrometers=True)
    flat = Result(stack, {}, "ZYX", (1.0, 0.5, 0.5), (None, *UNITS[1:]), VOLUME)
    with pytest.raises(UserError, match="z step"):
        measure_result(flat, [open_lazily(tmp_path / "plain.tif")], options)


def test_labels_without_z_are_no_volumes(tmp_path):
    film = np.ones((2, 5, 6), np.uint8)
    tifffile.imwrite(tmp_path / "film.ome.tif", film, metadata={"axes": "TYX"})
    with pytest.raises(UserError, match="no axis Z"):
        measure_result(
            Result(film, {}, "TYX"),
            [open_lazily(tmp_path / "film.ome.tif")],
            MeasureOptions(volume=True),
        )


def test_labels_and_table_are_saved_and_read_again(tmp_path, stack, image):
    result = measure_result(volume_result(stack), [open_lazily(image)])
    path = tmp_path / "cells_labels.ome.tif"
    save_with_table(path, result)
    again = read_result(path)
    assert again.is_volume
    assert list(again.table) == list(result.table)
    assert again.volume_frame.micrometers == SPACING


@pytest.mark.parametrize("axes", ["ZYX", "TZYX"])
def test_table_of_other_nuclei_is_refused(tmp_path, stack, axes):
    labels = stack if axes == "ZYX" else np.stack([stack, stack])
    path = tmp_path / "cells_labels.ome.tif"
    save_with_table(path, with_shapes(volume_result(labels, axes)))
    read_result(path)
    rows = tmp_path / "cells_nuclei.csv"
    table = pd.read_csv(rows)
    table.assign(volume=table["volume"] + 1).to_csv(rows, index=False)
    with pytest.raises(UserError, match="another volume"):
        read_result(path)
    table.iloc[1:].to_csv(rows, index=False)
    with pytest.raises(UserError, match="not in it"):
        read_result(path)


def test_labels_are_converted_to_a_row_for_each_nucleus(tmp_path, stack):
    path = save(tmp_path / "cells_labels.ome.tif", volume_result(stack))
    assert main(["convert", str(path), "--to", "csv,geojson"]) == 0
    table = pd.read_csv(tmp_path / "cells_nuclei.csv")
    assert table["label"].tolist() == [3, 4, 5]
    np.testing.assert_allclose(table["volume_um3"], table["volume"] * 0.5)
    features = json.loads((tmp_path / "cells_nuclei.geojson").read_text())["features"]
    assert len(features) == 13  # outlines are of planes, with what is known of the nucleus
    volumes = {one["properties"]["measurements"]["volume"] for one in features}
    assert volumes == set(table["volume"])


def test_table_without_measurements_has_a_row_for_each_nucleus(tmp_path, stack):
    save(tmp_path / "cells.csv", volume_result(stack))
    assert pd.read_csv(tmp_path / "cells.csv")["label"].tolist() == [3, 4, 5]


@pytest.mark.parametrize("axes", ["ZYX", "TZYX"])
def test_nuclei_at_a_face_are_left_out_of_all_slices(stack, axes):
    labels = stack if axes == "ZYX" else np.stack([stack, np.roll(stack, 12, axis=2)])
    result = with_shapes(volume_result(labels, axes))
    cleared = exclude_border(result)
    inside = result.table[~result.table["touches_border"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(cleared.table, inside)
    for position, volume in cleared.volumes():
        rows = inside if axes == "ZYX" else inside[inside["t"] == position["t"]]
        assert np.unique(volume[volume > 0]).tolist() == rows["label"].tolist()


def test_nuclei_at_a_face_are_left_out_of_labels_that_are_read_later(tmp_path, stack):
    path = save(tmp_path / "cells_labels.ome.zarr", volume_result(stack))
    cleared = exclude_border(read_result(path))
    planes = [sorted(set(plane.ravel())) for _, plane in cleared.planes()]
    assert (planes[0], planes[4]) == ([0], [0, 3, 4])
