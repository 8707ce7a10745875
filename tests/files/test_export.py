"""Saved results, read again by what other programs use: shapely, roifile, tifffile, csv."""

import csv
import json
import math
import os
import subprocess
import sys
import textwrap
import uuid
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from roifile import ROI_TYPE, roiread
from skimage.segmentation import expand_labels

from napari_nuclei_unet import OutlineOptions, UserError
from napari_nuclei_unet.export import FORMATS, Result, read_result, save
from napari_nuclei_unet.export.napari_writer import write_labels
from napari_nuclei_unet.io.images import read_image
from napari_nuclei_unet.io.labels import check_overwritable, read_record
from napari_nuclei_unet.io.pixel_size import read_spacings
from napari_nuclei_unet.labels.regionprops import measure
from napari_nuclei_unet.metrics.matching import count_matches
from napari_nuclei_unet.samples.images import SAMPLES, read_sample

UM = "micrometer"
small_planes = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)))
small_planes = small_planes.map(lambda plane: plane % 3)


def measured(labels, **about):
    return Result(labels, measure(labels, None), **about)


def told(*words):
    """What a UserError says: one sentence with these words."""
    return pytest.raises(UserError, match="^[^\n]*" + "[^\n]*".join(words) + r"[^\n]*\.$")


def painted(polygons, shape):
    """Labels of the pixels whose centres lie in the polygon of each label."""
    made = np.zeros(shape, np.int64)
    for number, polygon in polygons:
        left, top, right, bottom = map(int, polygon.bounds)
        rows, columns = np.mgrid[top:bottom, left:right]
        inside = shapely.contains_xy(polygon, columns + 0.5, rows + 0.5)
        made[rows[inside], columns[inside]] = number
    return made


def read_geojson(path):
    """Features of a file that must be JSON without NaN."""

    def refuse(constant):
        raise AssertionError(constant)

    read = json.loads(path.read_text("utf-8"), parse_constant=refuse)
    assert read["type"] == "FeatureCollection"
    return read["features"]


def polygons_of(features):
    for feature in features:
        polygon = shapely.geometry.shape(feature["geometry"])
        assert polygon.is_valid
        yield int(feature["properties"]["name"]), polygon


def areas_of(rois):
    """Label and polygon of each ROI; of rings in rings the even ones are holes, as in ImageJ."""
    for roi in rois:
        rings = roi.coordinates(multi=True)
        area = shapely.Polygon(rings[0])
        for ring in rings[1:]:
            area = area.symmetric_difference(shapely.Polygon(ring))
        yield int(roi.name.split("_")[0]), area


def iou_of_each(labels, again):
    """IoU of every nucleus larger than 50 pixels."""
    sizes = np.bincount(labels.ravel())
    for number in np.flatnonzero(sizes > 50)[1:]:
        mine, its = labels == number, again == number
        yield (mine & its).sum() / (mine | its).sum()


def hand_painted():
    """A nucleus with a hole, one in two pieces, one of pixels that touch at corners only."""
    labels = np.zeros((40, 60), np.uint16)
    labels[2:20, 2:20] = 1
    labels[8:12, 8:12] = 0
    labels[10, 10] = 1
    labels[5:15, 30:40] = labels[25:35, 30:40] = 2
    labels[range(30, 38), range(50, 58)] = 3
    return labels


def stack():
    """Two frames of two slices; nucleus 1 is in all of them, and moves."""
    labels = np.zeros((2, 2, 12, 15), np.int32)
    for t, z in np.ndindex(2, 2):
        labels[t, z, 2:6, 1 + t + 2 * z : 5 + t + 2 * z] = 1
    labels[1, 0, 8:11, 8:11] = 2
    place = [(0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 0, 2), (1, 1, 1)]
    names = dict(zip("tz", np.array(place).T[:2], strict=True))
    table = names | {"label": np.array(place)[:, 2], "number": np.arange(5.0) + 0.5}
    return Result(labels, table, "TZYX", (2.0, 0.5, 0.25, 0.25), ("second", UM, UM, UM))


# round trips


@pytest.mark.parametrize("name", SAMPLES)
def test_geojson_gives_the_labels_back(name, tmp_path):
    labels = read_sample(name)[1]
    features = read_geojson(save(tmp_path / "nuclei.geojson", measured(labels)))
    again = painted(polygons_of(features), labels.shape)
    assert min(iou_of_each(labels, again)) >= 0.97
    np.testing.assert_array_equal(again, labels)
    assert len(features) == labels.max()


@pytest.mark.parametrize("name", SAMPLES)
def test_an_archive_of_rois_gives_the_labels_back(name, tmp_path):
    labels = read_sample(name)[1]
    rois = roiread(save(tmp_path / "nuclei.zip", measured(labels)))
    again = painted(areas_of(rois), labels.shape)
    assert min(iou_of_each(labels, again)) >= 0.97
    np.testing.assert_array_equal(again, labels)
    assert len(rois) == labels.max()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(labels=small_planes)
def test_any_labels_come_back(labels, tmp_path):
    result = Result(labels, {})
    features = read_geojson(save(tmp_path / "any.geojson", result))
    rois = roiread(save(tmp_path / "any.zip", result))
    tiff = tifffile.imread(save(tmp_path / "any.ome.tif", result))
    for again in (polygons_of(features), areas_of(rois)):
        np.testing.assert_array_equal(painted(again, labels.shape), labels)
    np.testing.assert_array_equal(tiff.reshape(labels.shape), labels)


def test_labels_painted_by_hand_keep_holes_and_pieces(tmp_path):
    labels = hand_painted()
    features = read_geojson(save(tmp_path / "a.geojson", measured(labels)))
    assert [one["geometry"]["type"] for one in features] == ["MultiPolygon"] * 3
    np.testing.assert_array_equal(painted(polygons_of(features), labels.shape), labels)
    rois = roiread(save(tmp_path / "a.zip", measured(labels)))
    assert [(roi.name, roi.composite) for roi in rois] == [
        ("0001", True), ("0002", True), ("0003", True),
    ]  # fmt: skip
    np.testing.assert_array_equal(painted(areas_of(rois), labels.shape), labels)


def test_a_nucleus_in_one_piece_is_a_traced_roi_of_whole_numbers(tmp_path):
    labels = np.zeros((9, 9), np.uint8)
    labels[3:6, 2:7] = 12
    [roi] = roiread(save(tmp_path / "a.zip", measured(labels)))
    assert (roi.roitype, roi.name, roi.position) == (ROI_TYPE.TRACED, "0012", 0)
    assert roi.coordinates().tolist() == [[2, 3], [7, 3], [7, 6], [2, 6]]
    assert roi.coordinates().dtype.kind == "i"


@pytest.mark.parametrize("shape", [(9, 70_000), (70_000, 9)])
def test_planes_wider_than_16_bits(shape, tmp_path):
    labels = np.zeros(shape, np.uint8)
    tall = shape[0] > shape[1]
    for number, first in enumerate((32_760, 60_530, 69_980), 1):
        part = labels[first : first + 12] if tall else labels[:, first : first + 12]
        part[2:8, 2:8] = number
        part[4, 4] = 0 if number == 2 else number
    rois = roiread(save(tmp_path / "a.zip", Result(labels, {})))
    np.testing.assert_array_equal(painted(areas_of(rois), shape), labels)


# what files hold


def test_a_feature_has_what_qupath_reads(tmp_path):
    labels = read_sample("fluorescence_small")[1]
    table = measure(labels, None).assign(kind="round", count=lambda table: table["label"] * 2)
    features = read_geojson(save(tmp_path / "a.geojson", Result(labels, table, name="cells")))
    for row, feature in enumerate(features):
        properties = feature["properties"]
        assert (feature["type"], properties["objectType"]) == ("Feature", "detection")
        assert properties["name"] == str(table["label"][row])
        assert properties["metadata"] == {"kind": "round"}
        assert properties["measurements"]["area"] == table["area"][row]
        assert properties["measurements"]["count"] == 2 * table["label"][row]
        assert "confidence" not in properties["measurements"]  # it is NaN
        assert {type(value) for value in properties["measurements"].values()} <= {int, float}
        assert "plane" not in feature["geometry"]
        assert all(type(x) is int for x in np.ravel(feature["geometry"]["coordinates"][0]).tolist())
    ids = {uuid.UUID(feature["id"]) for feature in features}
    assert len(ids) == len(features)
    again = read_geojson(save(tmp_path / "b.geojson", Result(labels, table, name="cells")))
    assert [one["id"] for one in again] == [one["id"] for one in features]


def test_a_nucleus_of_several_planes_is_one_feature_a_plane(tmp_path):
    features = read_geojson(save(tmp_path / "a.geojson", stack()))
    found = [
        (one["geometry"]["plane"], one["properties"]["name"],
         one["properties"]["measurements"]["number"])
        for one in features
    ]  # fmt: skip
    assert found == [
        ({"c": -1, "z": 0, "t": 0}, "1", 0.5),
        ({"c": -1, "z": 1, "t": 0}, "1", 1.5),
        ({"c": -1, "z": 0, "t": 1}, "1", 2.5),
        ({"c": -1, "z": 0, "t": 1}, "2", 3.5),
        ({"c": -1, "z": 1, "t": 1}, "1", 4.5),
    ]
    assert len({one["id"] for one in features}) == 5


def test_rows_without_a_plane_belong_to_a_nucleus_on_all_planes(tmp_path):
    table = {"label": np.array([1, 2]), "volume": np.array([9.0, np.inf])}
    features = read_geojson(save(tmp_path / "a.geojson", replace(stack(), table=table)))
    volumes = [one["properties"]["measurements"].get("volume") for one in features]
    assert volumes == [9, 9, 9, None, 9]


def test_rois_of_a_stack_know_their_planes(tmp_path):
    rois = roiread(save(tmp_path / "a.zip", stack()))
    assert [(roi.name, roi.t_position, roi.z_position) for roi in rois] == [
        ("0001_t0_z0", 1, 1), ("0001_t0_z1", 1, 2), ("0001_t1_z0", 2, 1), ("0002_t1_z0", 2, 1),
        ("0001_t1_z1", 2, 2),
    ]  # fmt: skip
    frames = Result(stack().labels[:, 0], {}, "TYX")
    rois = roiread(save(tmp_path / "b.zip", frames))
    assert [(roi.name, roi.position) for roi in rois] == [
        ("0001_t0", 1), ("0001_t1", 2), ("0002_t1", 2),
    ]  # fmt: skip


def test_a_table_is_written_as_it_is(tmp_path):
    result = stack()
    with save(tmp_path / "a.csv", result).open(newline="") as opened:
        rows = list(csv.reader(opened))
    assert rows[0] == ["t", "z", "label", "number"]
    assert rows[4] == ["1", "0", "2", "3.5"]
    with save(tmp_path / "b.csv", replace(result, table={})).open(newline="") as opened:
        assert list(csv.reader(opened)) == [row[:3] for row in rows]


@pytest.mark.parametrize("end", [".ome.tif", ".ome.tiff", ".tif", ".TIFF"])
def test_labels_come_back_with_pixel_size_units_and_record(end, tmp_path):
    made = {"model": "nuclei", "params": {"threshold": 0.5}, "source": {"path": "\u00e4 <&>"}}
    result = replace(stack(), record=made, name="a & \x07b")
    path = save(tmp_path / f"a{end}", result)
    with tifffile.TiffFile(path) as opened:
        assert opened.is_ome
        assert opened.series[0].axes == "TZYX"
        assert opened.series[0].name == "a & b"
        assert opened.asarray().dtype == np.uint16
        np.testing.assert_array_equal(opened.asarray(), result.labels)
        sizes = read_spacings(opened)
        pixels = tifffile.xml2dict(opened.ome_metadata)["OME"]["Image"]["Pixels"]
    assert sizes == {"T": (2, "second"), "Z": (0.5, UM), "Y": (0.25, UM), "X": (0.25, UM)}
    assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeXUnit"]) == (0.25, "\u00b5m")
    assert (pixels["TimeIncrement"], pixels["TimeIncrementUnit"]) == (2, "s")
    assert read_record(path) == made
    np.testing.assert_array_equal(read_image(path), result.labels)
    check_overwritable(path)


def test_a_size_without_a_unit_is_not_taken_for_micrometers(tmp_path):
    labels = hand_painted()
    path = save(tmp_path / "a.tif", Result(labels, {}, "YX", (0.5, 0.5), (None, None)))
    with tifffile.TiffFile(path) as opened:
        assert read_spacings(opened) == {"Y": (0.5, None), "X": (0.5, None)}
    for unknown in (Result(labels, {}), Result(labels, {}, "YX", (1, 1), ()),
                    Result(labels, {}, "YX", (math.nan, 0), (UM, UM))):  # fmt: skip
        with tifffile.TiffFile(save(tmp_path / "a.tif", unknown)) as opened:
            assert read_spacings(opened) == {}
            assert "PhysicalSize" not in opened.ome_metadata


def test_another_ome_tiff_has_no_record_of_ours(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", hand_painted(), ome=True)
    assert read_record(tmp_path / "a.ome.tif") is None


def test_large_ids_are_kept_or_refused(tmp_path):
    labels = hand_painted().astype(np.int64) * 100_000
    read = tifffile.imread(save(tmp_path / "a.ome.tif", Result(labels, {})))
    assert read.dtype == np.uint32
    np.testing.assert_array_equal(read, labels)
    with told("label 12884901888"):
        save(tmp_path / "b.ome.tif", Result(labels // 100_000 << 32, {}))
    assert not (tmp_path / "b.ome.tif").exists()


def test_labels_in_a_store_are_read_plane_by_plane(tmp_path):
    result = stack()
    stored = zarr.create_array(tmp_path / "a.zarr", data=result.labels, chunks=(1, 1, 12, 15))
    for end in FORMATS:
        mine, its = (
            save(tmp_path / f"{name}{end}", replace(result, labels=labels, table={}))
            for name, labels in (("whole", result.labels), ("stored", stored))
        )
        if end == ".ome.tif":
            np.testing.assert_array_equal(tifffile.imread(mine), tifffile.imread(its))
        elif end == ".zip":
            assert roiread(mine) == roiread(its)
        else:
            assert mine.read_bytes() == its.read_bytes()


def test_an_axis_that_ome_does_not_know_is_any_other(tmp_path):
    path = save(tmp_path / "a.ome.tif", replace(stack(), axes="TVYX", spacing=(), units=()))
    with tifffile.TiffFile(path) as opened:
        np.testing.assert_array_equal(opened.asarray().squeeze(), stack().labels)
    with told("UVYX", "T, Z and C"):
        save(tmp_path / "b.ome.tif", replace(stack(), axes="UVYX"))


@pytest.mark.parametrize("end", FORMATS)
def test_no_nucleus_gives_files_that_can_be_read(end, tmp_path):
    nothing = np.zeros((2, 30, 40), np.int32)
    for number, result in enumerate((measured(nothing[0]), Result(nothing, {}, "ZYX"))):
        path = save(tmp_path / f"{number}{end}", result)
        if end == ".csv":
            [header] = csv.reader(path.read_text().splitlines())
            assert header == (list(result.table) or ["z", "label"])
        elif end == ".geojson":
            assert read_geojson(path) == []
        elif end == ".zip":
            assert roiread(path) == []
            assert zipfile.is_zipfile(path)
        else:
            assert not tifffile.imread(path).any()


def test_ten_thousand_nuclei(tmp_path):
    tile = np.pad(np.ones((14, 14), int), 3)
    labels = np.kron(np.arange(1, 10_001).reshape(100, 100), tile).astype(np.int32)
    result = measured(labels)
    for end in FORMATS:
        assert save(tmp_path / f"a{end}", result).stat().st_size < 20e6
    features = read_geojson(tmp_path / "a.geojson")
    assert count_matches(labels, painted(polygons_of(features), labels.shape)).scores()["PQ"] == 1


# cells and classes, for QuPath


def cells_of(path):
    """Polygon of each cell and of its nucleus, by label and plane."""
    found = {}
    for feature in read_geojson(path):
        assert feature["properties"]["objectType"] == "cell"
        cell, nucleus = (
            shapely.geometry.shape(feature[name]) for name in ("geometry", "nucleusGeometry")
        )
        assert cell.is_valid
        assert nucleus.is_valid
        assert cell.covers(nucleus)
        plane = feature["geometry"].get("plane")
        assert feature["nucleusGeometry"].get("plane") == plane
        found[int(feature["properties"]["name"]), str(plane)] = cell, nucleus
    return found


@pytest.mark.parametrize("name", SAMPLES)
def test_cells_are_nuclei_that_are_expanded(name, tmp_path):
    labels = read_sample(name)[1]
    cells = cells_of(save(tmp_path / "a.geojson", measured(labels), OutlineOptions(cells=4)))
    for number, expected in enumerate((expand_labels(labels, 4), labels)):
        polygons = [(label, both[number]) for (label, _), both in cells.items()]
        np.testing.assert_array_equal(painted(polygons, labels.shape), expected)


def test_cells_end_at_neighbours_and_edges_and_hold_all_pieces(tmp_path):
    labels = hand_painted()
    labels[36:40, 0:4] = 4  # in the corner
    labels[20:30, 10:13] = 5
    labels[19:31, 9:14] = np.where(labels[19:31, 9:14] == 5, 5, 6)  # 5 has no room
    cells = cells_of(save(tmp_path / "a.geojson", measured(labels), OutlineOptions(cells=3)))
    cell, nucleus = cells[5, "None"]
    assert cell.equals(nucleus)
    assert cells[4, "None"][0].bounds == (0, 33, 7, 40)
    assert cells[2, "None"][0].geom_type == "MultiPolygon"
    assert not cells[1, "None"][0].interiors  # its hole is filled


def test_cells_in_micrometers_and_of_stacks(tmp_path):
    result = replace(stack(), spacing=(2.0, 0.5, 0.5, 0.25))
    cells = cells_of(save(tmp_path / "a.geojson", result, OutlineOptions(0.5, True)))
    assert len(cells) == 5
    for cell, nucleus in cells.values():
        assert np.subtract(nucleus.bounds[:2], cell.bounds[:2]).tolist() == [
            min(2, nucleus.bounds[0]), 1
        ]  # fmt: skip
    with told("have no pixel size", "in pixels"):
        save(tmp_path / "b.geojson", replace(result, spacing=()), OutlineOptions(0.5, True))
    assert not (tmp_path / "b.geojson").exists()


def test_classes_become_classifications(tmp_path):
    labels = hand_painted()
    sign = ["Ki67: positive", "Ki67: negative", ""]
    table = measured(labels).table.assign(mean_Ki67_class=sign, note="kept")
    found = read_geojson(save(tmp_path / "a.geojson", Result(labels, table)))
    classes = [feature["properties"].get("classification") for feature in found]
    assert classes[0] == {"name": "Ki67: positive", "color": [200, 50, 50]}
    assert classes[1] == {"name": "Ki67: negative", "color": [90, 90, 180]}
    assert classes[2] is None
    assert found[0]["properties"]["metadata"]["note"] == "kept"
    both = table.assign(area_class=["large", "", "large"])
    found = read_geojson(save(tmp_path / "b.geojson", Result(labels, both)))
    classes = [feature["properties"].get("classification") for feature in found]
    assert [one and one["name"] for one in classes] == [
        "Ki67: positive: large", "Ki67: negative", "large",
    ]  # fmt: skip
    assert all(0 <= part <= 255 for one in classes for part in one["color"])
    assert classes[0]["color"] != classes[2]["color"]


def test_classes_come_back_from_a_table(tmp_path):
    labels = hand_painted()
    save(tmp_path / "a_labels.ome.tif", Result(labels, {}))
    table = measured(labels).table.assign(area_class=["area: positive", np.nan, "area: negative"])
    save(tmp_path / "a_nuclei.csv", Result(labels, table))
    found = read_geojson(save(tmp_path / "a.geojson", read_result(tmp_path / "a_labels.ome.tif")))
    names = [one["properties"].get("classification", {}).get("name") for one in found]
    assert names == ["area: positive", None, "area: negative"]


# what goes wrong


@pytest.mark.parametrize(
    "name", ["nuclei", "nuclei.png", "nuclei.", ".csv", ".ome.tif", "a.geojson.gz"]
)
def test_no_or_another_extension_is_told(name, tmp_path):
    with told(r"\.ome\.tif, \.csv, \.geojson, \.zip"):
        save(tmp_path / name, measured(hand_painted()))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "name", [*(f"a{c}b.csv" for c in '<>:"|?*\\\n\x00'), "NUL.csv", "com1.ome.tif"]
)
def test_names_that_some_file_system_refuses(name, tmp_path):
    with told("name"):
        save(tmp_path / name, measured(hand_painted()))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("end", FORMATS)
def test_paths_that_cannot_be_written(end, tmp_path):
    (tmp_path / "file").write_text("precious")
    (tmp_path / f"folder{end}").mkdir()
    refused = {
        f"file/a{end}": "cannot be written",
        f"folder{end}": "cannot be written",
        f"{'long' * 70}{end}": "cannot be the name of a file: choose another",
    }
    for path, words in refused.items():
        with told(words):
            save(tmp_path / path, measured(hand_painted()))
    assert sorted(os.listdir(tmp_path)) == ["file", f"folder{end}"]
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.skipif(sys.platform == "win32", reason="limits file size as Unix does")
@pytest.mark.parametrize("end", FORMATS)
def test_a_full_disk_leaves_what_was_there(end, tmp_path):
    """Files may not grow past 2 kB."""
    program = """
        import resource, signal, sys
        from napari_nuclei_unet import UserError
        from napari_nuclei_unet.labels.regionprops import measure
        from napari_nuclei_unet.export import Result, save
        from napari_nuclei_unet.samples.images import read_sample
        labels = read_sample("fluorescence_large")[1]
        result = Result(labels, measure(labels, None))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
        try:
            save(sys.argv[1], result)
        except UserError as error:
            print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, before)  # coverage.py writes at the end
    """
    path = tmp_path / f"a{end}"
    path.write_text("precious")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(path)],
        capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert "cannot be written" in done.stdout
    assert done.stderr == ""
    assert os.listdir(tmp_path) == [path.name]
    assert path.read_text() == "precious"


def test_what_is_no_result_is_told():
    labels = hand_painted()
    for bad, words in (
        ((labels.astype(float), {}), ("whole numbers", "float64")),
        ((labels[None], {}), ("letter", "YX")),
        ((labels, {}, "XY"), ("letter", "XY")),
        ((labels, {}, "YX", (1.0,)), ("pixel size",)),
        ((labels, {}, "YX", (), (UM,)), ("pixel size",)),
    ):
        with told(*words):
            Result(*bad)


@pytest.mark.parametrize("end", [".geojson", ".zip", ".ome.tif"])
def test_negative_labels_and_no_pixels(end, tmp_path):
    with told("negative"):
        save(tmp_path / f"a{end}", Result(-hand_painted().astype(int), {}))
    with told("no pixels"):
        save(tmp_path / "a.ome.tif", Result(np.zeros((0, 5), int), {}))
    assert os.listdir(tmp_path) == []


# napari


@pytest.fixture
def layer():
    """Labels as they are in napari, with scale and units."""
    from napari.layers import Labels
    from npe2 import PluginManager

    PluginManager.instance().discover()
    return Labels(
        hand_painted(),
        name="painted",
        scale=(0.5, 0.5),
        units=(UM, UM),
        metadata={"napari_nuclei_unet": {"model": "nuclei"}},
    )


@pytest.mark.parametrize("end", FORMATS)
def test_napari_saves_labels(end, layer, tmp_path):
    path = tmp_path / f"a{end}"
    assert layer.save(path, plugin="napari-nuclei-unet") == [str(path)]
    if end == ".csv":
        with path.open(newline="") as opened:
            rows = list(csv.DictReader(opened))
        assert [row["label"] for row in rows] == ["1", "2", "3"]
        assert float(rows[1]["area"]) == 200  # pixels of 0.25 square micrometers
        assert float(rows[1]["area_um2"]) == 50
        assert "confidence" not in rows[0]
    elif end == ".geojson":
        features = read_geojson(path)
        np.testing.assert_array_equal(painted(polygons_of(features), (40, 60)), layer.data)
        assert features[1]["properties"]["measurements"]["area_um2"] == 50
    elif end == ".zip":
        np.testing.assert_array_equal(painted(areas_of(roiread(path)), (40, 60)), layer.data)
    else:
        np.testing.assert_array_equal(tifffile.imread(path), layer.data)
        assert read_record(path) == {"model": "nuclei"}
        with tifffile.TiffFile(path) as opened:
            assert read_spacings(opened) == {"Y": (0.5, UM), "X": (0.5, UM)}


def test_napari_offers_every_format_and_keeps_its_own_for_tiff(layer, tmp_path):
    from npe2 import PluginManager

    writers = [
        one
        for one in PluginManager.instance().iter_compatible_writers(["labels"])
        if one.command.startswith("napari-nuclei-unet.")
    ]
    assert {one.filename_extensions[0]: one.display_name for one in writers} == FORMATS
    layer.save(tmp_path / "a.tif")
    assert read_record(tmp_path / "a.tif") is None
    with told("choose another name"):
        layer.save(tmp_path / "a:b.geojson", plugin="napari-nuclei-unet")


def test_napari_saves_the_table_beside_labels_that_are_named_so(layer, tmp_path):
    saved = layer.save(tmp_path / "a_labels.ome.tif", plugin="napari-nuclei-unet")
    assert [Path(path).name for path in saved] == ["a_labels.ome.tif", "a_nuclei.csv"]
    result = read_result(tmp_path / "a_labels.ome.tif")
    assert list(result.table["label"]) == [1, 2, 3]
    layer.save(tmp_path / "b.ome.tif", plugin="napari-nuclei-unet")
    assert not (tmp_path / "b_nuclei.csv").exists()


def test_features_of_a_layer_are_its_table(layer, tmp_path):
    path = tmp_path / "a.csv"
    layer.features = {"index": [3, 1, 0], "size": [8, 308, 0], "kind": ["thin", "round", "-"]}
    layer.save(path, plugin="napari-nuclei-unet")
    assert path.read_text().split() == ["label,size,kind", "3,8,thin", "1,308,round"]
    layer.features = {"size": [0, 308, 200, 8], "label": ["-", "a", "b", "c"]}
    layer.save(path, plugin="napari-nuclei-unet")
    assert path.read_text().split() == ["label,size,label_text", "1,308,a", "2,200,b", "3,8,c"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [(("-3", "-2", "-1"), "z"), (("time", "y", "x"), "t"), (("t", "row", "column"), "t")],
)
def test_axes_of_a_layer(names, expected, layer, tmp_path):
    from napari.layers import Labels

    stacked = Labels(np.stack([hand_painted()] * 2), axis_labels=names)
    stacked.save(tmp_path / "a.csv", plugin="napari-nuclei-unet")
    with (tmp_path / "a.csv").open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [(row[expected], row["label"]) for row in rows] == [
        (plane, label) for plane in "01" for label in "123"
    ]


def test_layers_of_many_axes_and_of_several_resolutions(layer, tmp_path):
    from napari.layers import Labels

    with told("cannot store the axes"):
        Labels(np.ones((1, 1, 1, 1, 3, 3), int)).save(
            tmp_path / "a.ome.tif", plugin="napari-nuclei-unet"
        )
    pyramid = Labels([hand_painted(), hand_painted()[::2, ::2]], multiscale=True)
    pyramid.save(tmp_path / "a.ome.tif", plugin="napari-nuclei-unet")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.ome.tif"), hand_painted())


def test_classes_of_a_layer_become_classifications(tmp_path):
    labels = hand_painted()
    features = measured(labels).table.rename(columns={"label": "index"})
    features["area_class"] = ["area: positive", None, np.nan]
    path = str(tmp_path / "a.geojson")
    write_labels(path, labels, {"features": features, "scale": (0.5, 0.5), "units": (UM, UM)})
    found = read_geojson(tmp_path / "a.geojson")
    classes = [one["properties"].get("classification") for one in found]
    assert [one and one["name"] for one in classes] == ["area: positive", None, None]
