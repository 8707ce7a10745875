"""Results that are read again, and converted for other programs."""

import json

import numpy as np
import ome_zarr_models.v04
import ome_zarr_models.v05
import pandas as pd
import pytest
import tifffile
import zarr
from conftest import discs
from roifile import roiread

from napari_nuclei_unet import Result, UserError, read_result, save
from napari_nuclei_unet.cli import main


@pytest.fixture
def results(tmp_path, bright_file):
    """Segment a stack of which two planes in the middle are chosen, with the size of its pixels."""
    stack = np.stack([discs((60, 80), [(20, 20), (40, 20 + 10 * z)]) for z in range(4)])
    metadata = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm",
                "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"}  # fmt: skip
    image, out = tmp_path / "stack.ome.tif", tmp_path / "out"
    tifffile.imwrite(image, stack, metadata=metadata, photometric="minisblack")
    args = ["--model", str(bright_file), "--diameter", "12"]
    labels = ["--out", str(out / "stack_labels.ome.tif")]
    assert main(["segment", str(image), "--planes", "2-3", *args, *labels]) == 0
    assert (
        main(["segment", str(image), *args, "--out", str(tmp_path / "z"), "--format", "zarr"]) == 0
    )
    return out


def test_a_result_is_read_with_its_table(results):
    result = read_result(results / "stack_labels.ome.tif")
    assert (result.axes, result.name, result.starts) == ("ZYX", "stack", (2,))
    assert result.micrometers == (0.5, 0.5)
    assert result.record["model"] == "bright"
    assert [position["z"] for position, _ in result.planes()] == [2, 3]
    assert sorted(result.table["label"]) == sorted(np.unique(result.labels)[1:])
    assert set(result.table["z"]) == {2, 3}


def test_so_is_one_in_ome_zarr(results):
    result = read_result(results.parent / "z" / "stack_labels.ome.zarr")
    assert (result.axes, result.micrometers, result.starts) == ("ZYX", (0.5, 0.5), (0,))
    assert len(result.table) == 8
    np.testing.assert_allclose(result.table["area_um2"], result.table["area"] / 4)


def test_a_table_that_a_spreadsheet_has_saved_is_read_and_blocks_nothing(results, bright_file):
    table = results / "stack_nuclei.csv"
    before = pd.read_csv(table)
    before.to_csv(table, sep=";", decimal=",", index=False, encoding="utf-8-sig")
    pd.testing.assert_frame_equal(read_result(results / "stack_labels.ome.tif").table, before)
    again = ["segment", str(results.parent / "stack.ome.tif"), "--planes", "2-3", "--out",
             str(results / "stack_labels.ome.tif"), "--model", str(bright_file), "--diameter",
             "12"]  # fmt: skip
    assert main(again) == 0


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda table: table.iloc[1:], "does not belong to .* 1 of theirs are not in it"),
        (
            lambda table: table.assign(label=table["label"] + 1),
            "2 of its nuclei are not in the labels",
        ),
        (lambda table: table.rename(columns={"label": "id"}), "has no column label"),
        (lambda table: table.drop(columns="z"), "has no column z"),
        (lambda table: pd.concat([table, table]), "must name each nucleus once"),
        (lambda table: table.assign(label="a"), "must name each nucleus once"),
    ],
)
def test_a_table_that_was_spoilt_gets_a_sentence(results, spoil, sentence):
    table = results / "stack_nuclei.csv"
    spoil(pd.read_csv(table)).to_csv(table, index=False)
    with pytest.raises(UserError, match=sentence):
        read_result(results / "stack_labels.ome.tif")


def test_labels_are_converted_with_all_that_is_known_of_them(results, capsys):
    labels = results / "stack_labels.ome.tif"
    capsys.readouterr()
    assert main(["convert", str(labels), "--to", "geojson,rois"]) == 0
    written = [results / "stack_nuclei.geojson", results / "stack_rois.zip"]
    assert capsys.readouterr().out.splitlines() == list(map(str, written))
    features = json.loads(written[0].read_text())["features"]
    assert {feature["geometry"]["plane"]["z"] for feature in features} == {2, 3}  # of the image
    measured = features[0]["properties"]["measurements"]
    assert measured["area_um2"] == pytest.approx(measured["area"] / 4)
    assert measured["confidence"] > 0.5
    assert len(roiread(written[1])) == 4
    assert main(["convert", str(labels), "--to", "rois"]) == 2
    assert "exists: choose another folder, or --overwrite it" in capsys.readouterr().err
    assert main(["convert", str(labels), "--to", "rois", "--overwrite"]) == 0


def test_labels_of_other_programs_are_measured(tmp_path, capsys):
    for name, dtype in (("a", np.uint8), ("b", np.float32)):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.eye(30, dtype=dtype).repeat(2, 0))
    (tmp_path / "c.tif").write_bytes(b"nothing")
    paths = [str(tmp_path / f"{name}.tif") for name in "acb"]
    out = tmp_path / "out"
    assert main(["convert", *paths, "--to", "csv,ome-tiff", "--out", str(out)]) == 2
    assert "c.tif cannot be read" in capsys.readouterr().err
    for name in "ab":  # the bad one has not stopped the rest
        assert pd.read_csv(out / f"{name}_nuclei.csv")["area"].tolist() == [60]
        np.testing.assert_array_equal(
            tifffile.imread(out / f"{name}_labels.ome.tif"), tifffile.imread(tmp_path / "a.tif")
        )


def test_an_unknown_format_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["convert", "a.tif", "--to", "csv,xlsx"])
    assert end.value.code == 2
    assert "'xlsx': choose among csv, geojson, rois, ome-tiff" in capsys.readouterr().err


def test_a_run_saves_other_formats_at_once(tmp_path, bright_file, capsys):
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / f"{name}.tif", discs((60, 80), [(20, 20), (40, 60)]))
    (tmp_path / "c.tif").write_bytes(b"nothing")
    out = tmp_path / "out"
    command = ["segment", str(tmp_path), "--out", str(out), "--model", str(bright_file)]
    assert main([*command, "--save", "geojson,csv"]) == 2  # c is no image
    for name in ("a", "b"):
        features = json.loads((out / f"{name}_nuclei.geojson").read_text())["features"]
        assert len(features) == 2
    times = {path: path.stat().st_mtime_ns for path in out.glob("*.geojson")}
    capsys.readouterr()
    main([*command, "--save", "geojson,rois"])
    assert "a.tif: 2 nuclei (done before)" in capsys.readouterr().out
    assert len(roiread(out / "b_rois.zip")) == 2
    assert times == {path: path.stat().st_mtime_ns for path in out.glob("*.geojson")}
    main([*command, "--save", "geojson", "--overwrite"])
    assert times != {path: path.stat().st_mtime_ns for path in out.glob("*.geojson")}


def outlined(path):
    """Kinds of objects in a GeoJSON, and the areas of their boxes."""
    features = json.loads(path.read_text())["features"]
    kinds = {feature["properties"]["objectType"] for feature in features}
    spans = [np.ptp(np.array(one["geometry"]["coordinates"][0]), axis=0) for one in features]
    return kinds, np.array(spans)


def test_cells_are_written_where_they_are_asked_for(results, capsys):
    labels = str(results / "stack_labels.ome.tif")
    plain, cells = results / "plain", results / "cells"
    assert main(["convert", labels, "--to", "geojson", "--out", str(plain)]) == 0
    assert main(["convert", labels, "--to", "geojson", "--out", str(cells), "--cells", "2um"]) == 0
    kinds, nuclei = outlined(plain / "stack_nuclei.geojson")
    assert kinds == {"detection"}
    kinds, larger = outlined(cells / "stack_nuclei.geojson")
    assert kinds == {"cell"}
    assert (larger == nuclei + 8).all()  # 4 pixels on both sides
    assert main(["convert", labels, "--to", "rois", "--cells", "2um"]) == 2
    assert "Only GeoJSON has cells" in capsys.readouterr().err
    tifffile.imwrite(results / "bare.tif", np.eye(30, dtype=np.uint8).repeat(2, 0))
    assert main(["convert", str(results / "bare.tif"), "--to", "geojson", "--cells", "2um"]) == 2
    assert "give distances in pixels" in capsys.readouterr().err


def test_other_cells_are_written_without_segmenting_again(results, bright_file, capsys):
    image, out = str(results.parent / "stack.ome.tif"), results / "again"
    command = ["segment", image, "--out", str(out), "--model", str(bright_file), "--diameter", "12"]
    assert main([*command, "--save", "geojson"]) == 0
    areas = []
    for cells in ("1px", "3px"):
        capsys.readouterr()
        assert main([*command, "--save", "geojson", "--cells", cells]) == 0
        assert "done before" in capsys.readouterr().out
        kinds, area = outlined(out / "stack_nuclei.geojson")
        assert kinds == {"cell"}
        areas.append(area.sum())
    assert areas[0] < areas[1]


def test_micrometers_are_refused_before_the_run(tmp_path, bright_file, capsys):
    tifffile.imwrite(tmp_path / "a.tif", discs((60, 80), [(20, 20), (40, 60)]))
    command = ["segment", str(tmp_path / "a.tif"), "--out", str(tmp_path / "out")]
    cells = ["--save", "geojson", "--cells", "2um", "--model", str(bright_file)]
    assert main([*command, *cells]) == 2
    assert "does not say how large its pixels are" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("a_*"))


@pytest.mark.parametrize("ngff", ["0.4", "0.5"])
def test_labels_become_an_ome_zarr_of_their_own(results, ngff):
    labels, store = results / "stack_labels.ome.tif", results / "zarr" / "stack_labels.ome.zarr"
    command = ["convert", str(labels), "--to", "ome-zarr,csv", "--out", str(store.parent)]
    assert main([*command, "--ngff", ngff]) == 0
    group = zarr.open_group(store, mode="r")
    assert group.metadata.zarr_format == {"0.4": 2, "0.5": 3}[ngff]
    model = {"0.4": ome_zarr_models.v04, "0.5": ome_zarr_models.v05}[ngff].Image
    model.from_zarr(group)
    before, after = read_result(labels), read_result(store)
    np.testing.assert_array_equal(after.labels[...], before.labels)
    assert (after.axes, after.micrometers, after.record) == ("ZYX", (0.5, 0.5), before.record)
    pd.testing.assert_frame_equal(after.table, before.table)
    assert main(command) == 2  # they exist


def test_a_folder_of_others_is_no_ome_zarr_to_replace(tmp_path):
    (tmp_path / "a.ome.zarr").mkdir()
    (tmp_path / "a.ome.zarr" / "mine").write_text("precious")
    with pytest.raises(UserError, match="is not the labels of a result"):
        save(tmp_path / "a.ome.zarr", Result(np.eye(9, dtype=np.uint8), {}))
    assert (tmp_path / "a.ome.zarr" / "mine").read_text() == "precious"


def segment_again(image, out, model, *args):
    return main(["segment", str(image), "--out", str(out), "--model", str(model), *args])


def test_a_result_without_nuclei_is_read_and_done(tmp_path, bright_file, capsys):
    image, out = tmp_path / "dark.tif", tmp_path / "out"
    tifffile.imwrite(image, np.zeros((60, 80), np.uint8))
    for _ in range(2):
        assert segment_again(image, out, bright_file, "--save", "geojson", "--decimal-comma") == 0
    assert "done before" in capsys.readouterr().out
    assert len(read_result(out / "dark_labels.ome.tif").table) == 0


EDITS = {
    "rows missing": lambda table: table.iloc[1:],
    "a column renamed": lambda table: table.rename(columns={"label": "id"}),
    "ids doubled": lambda table: table.assign(label=table["label"].iloc[0]),
    "ids permuted": lambda table: table.assign(label=table["label"].iloc[::-1].to_numpy()),
    "text in a number": lambda table: table.astype({"area": object}).replace({"area": 1.0}, "?")
    .assign(area=["#NAME?", *table["area"].astype(str)[1:]]),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_a_table_that_was_edited_is_never_replaced_nor_believed(
    tmp_path, bright_file, capsys, edit
):
    image, out = tmp_path / "cells.tif", tmp_path / "out"
    pixels = discs((60, 80), [(20, 20), (40, 60)])
    pixels[25:55, 45:75] = pixels.max()  # of different sizes
    tifffile.imwrite(image, pixels)
    assert segment_again(image, out, bright_file) == 0
    table = out / "cells_nuclei.csv"
    EDITS[edit](pd.read_csv(table)).to_csv(table, index=False)
    before = table.read_bytes()
    assert segment_again(image, out, bright_file) == 2
    assert "was edited, or belongs to other labels" in capsys.readouterr().err
    assert main(["convert", str(out / "cells_labels.ome.tif"), "--to", "geojson"]) == 2
    assert table.read_bytes() == before
    if edit == "a column renamed":  # it might be of another program
        assert segment_again(image, out, bright_file, "--overwrite") == 2
        table.unlink()
    assert segment_again(image, out, bright_file, "--overwrite") == 0
    assert len(read_result(out / "cells_labels.ome.tif").table) == 2


def test_files_of_others_are_not_replaced_by_other_formats(tmp_path, bright_file, capsys):
    image, out = tmp_path / "cells.tif", tmp_path / "out"
    tifffile.imwrite(image, discs((60, 80), [(20, 20)]))
    out.mkdir()
    (out / "cells_rois.zip").write_text("mine")
    assert segment_again(image, out, bright_file, "--save", "rois") == 2
    assert "cells_rois.zip exists" in capsys.readouterr().err
    assert (out / "cells_rois.zip").read_text() == "mine"
    (out / "cells_tracks.csv").write_text("ID,t,x,y\n1,0,3,4\n")
    assert segment_again(image, out, bright_file, "--save", "geojson") == 0


def test_an_image_with_channels_is_no_labels(tmp_path, capsys):
    image = tmp_path / "image.ome.tif"
    tifffile.imwrite(image, np.zeros((2, 60, 80), np.uint16), metadata={"axes": "CYX"})
    assert main(["convert", str(image), "--to", "csv"]) == 2
    assert "has channels" in capsys.readouterr().err
