"""Nuclei that are missed, false, split and merged, as ``evaluate`` prints them."""

import json

import numpy as np
import pytest
import tifffile
from conftest import discs
from skimage.measure import label

from napari_nuclei_unet import Result, save
from napari_nuclei_unet.cli import main


@pytest.fixture
def folders(tmp_path):
    """Two images: in one a nucleus is missed and two are merged, in the other one is split."""
    true = label(discs((40, 80), [(20, 10), (20, 35), (20, 60)]) > 0).astype(np.uint16)
    first, second = true.copy(), true.copy()
    first[true == 1] = 0
    first[true == 3] = 2
    second[(true == 2) & (np.arange(80) > 36)] = 9
    for name, labels in {"a": first, "b": second}.items():
        for folder, pixels in (("found", labels), ("truth", true)):
            (tmp_path / folder).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / folder / f"{name}.tif", pixels)
    return [str(tmp_path / "found"), str(tmp_path / "truth")]


def test_errors_of_each_kind_are_in_the_json(folders, capsys):
    assert main(["evaluate", *folders, "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["each"]["a"]["errors"] == {"missed": 1, "false": 0, "split": 0, "merged": 1}
    assert table["each"]["b"]["errors"] == {"missed": 0, "false": 0, "split": 1, "merged": 0}
    assert table["errors"] == {"missed": 1, "false": 0, "split": 1, "merged": 1}
    assert (table["annotated"], table["found"]) == (6, 5)


def test_errors_are_one_line_of_the_text(folders, capsys):
    assert main(["evaluate", *folders, "--each"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "6 nuclei annotated, 5 found: 1 missed, 0 false, 1 split, 1 merged"


def test_rows_of_one_image_that_differ_are_told(folders, tmp_path, capsys):
    groups = tmp_path / "groups.csv"
    for second, code in (("tissue", 0), ("cells", 2)):
        groups.write_text(f"id,modality\na,tissue\na,{second}\nb,cells\n")
        assert main(["evaluate", *folders, "--groups", str(groups)]) == code
    assert "several rows for a, which differ" in capsys.readouterr().err


def write_stacks(tmp_path, found, true, axes="ZYX", record=None):
    for folder, labels in (("found", found), ("truth", true)):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "a_labels.ome.tif"
        own = record if folder == "found" and record else {}
        save(path, Result(labels, {}, axes, record=own))
    return [str(tmp_path / "found"), str(tmp_path / "truth"), "--json"]


def stack_of_nuclei():
    """Four nuclei of four slices, and labels of other numbers in which each is found otherwise.

    The first is missed, the second split along z, the third and fourth are merged; one is false.
    """
    true = np.zeros((10, 12, 30), np.uint16)
    for number, (slices, columns) in enumerate(
        [((0, 4), (0, 5)), ((5, 9), (0, 5)), ((0, 4), (10, 15)), ((4, 8), (10, 15))], 1
    ):
        true[slice(*slices), 2:8, slice(*columns)] = number
    found = np.zeros_like(true)
    found[5:7, 2:8, :5], found[7:9, 2:8, :5] = 20, 21
    found[:8, 2:8, 10:15] = 22
    found[2:5, 2:8, 20:25] = 23
    return found, true


@pytest.mark.parametrize("record", [None, {"volume": True}, {"join": "Z"}, {"along": 0}])
def test_nuclei_of_stacks_are_compared_as_objects(tmp_path, record, capsys):
    folders = write_stacks(tmp_path, *stack_of_nuclei(), record=record)
    assert main(["evaluate", *folders]) == 0
    table = json.loads(capsys.readouterr().out)
    assert (table["annotated"], table["found"], table["volumes"]) == (4, 4, 1)
    assert table["errors"] == {"missed": 1, "false": 1, "split": 1, "merged": 1}
    assert table["pooled"]["AP@0.5"] == pytest.approx(2 / 6)  # halves have an IoU of 0.5


def test_each_time_point_is_a_volume(tmp_path, capsys):
    found, true = stack_of_nuclei()
    # a track has one id in all frames: what is right in the second is not what was in the first
    films = np.stack([found, true]), np.stack([true, true])
    assert main(["evaluate", *write_stacks(tmp_path, *films, axes="TZYX")]) == 0
    table = json.loads(capsys.readouterr().out)
    assert (table["annotated"], table["found"], table["volumes"]) == (8, 8, 2)
    assert table["errors"] == {"missed": 1, "false": 1, "split": 1, "merged": 1}


def test_frames_of_a_film_of_planes_are_compared_one_by_one(tmp_path, capsys):
    first = label(discs((40, 80), [(20, 10), (20, 35), (20, 60)]) > 0).astype(np.uint16)
    last = np.where(first == 2, 0, first)
    films = np.stack([first, last]), np.stack([first, first])
    assert main(["evaluate", *write_stacks(tmp_path, *films, axes="TYX")]) == 0
    table = json.loads(capsys.readouterr().out)
    assert (table["annotated"], table["found"], table["volumes"]) == (6, 5, 0)
    assert table["errors"]["missed"] == 1


def test_slices_that_were_segmented_by_themselves_are_compared_so(tmp_path, capsys):
    plane = label(discs((40, 80), [(20, 10), (20, 35), (20, 60)]) > 0).astype(np.uint16)
    found = np.stack([plane, plane + 3 * (plane > 0)])  # numbers of their own in each slice
    record = {"plugin": "napari-nuclei-unet", "join": None}
    folders = write_stacks(tmp_path, found, np.stack([plane, plane]), record=record)
    assert main(["evaluate", *folders]) == 0
    table = json.loads(capsys.readouterr().out)
    assert (table["annotated"], table["found"], table["volumes"]) == (6, 6, 0)
    assert table["pooled"]["AP@0.5"] == 1
    assert main(["evaluate", *folders, "--volume"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert (table["annotated"], table["found"], table["volumes"]) == (3, 6, 1)
    assert main(["evaluate", *folders[:2]]) == 0
    assert capsys.readouterr().out.startswith("Stacks compared plane by plane: 1\n")


def test_stack_of_masks_is_refused(tmp_path, capsys):
    _, true = stack_of_nuclei()
    folders = write_stacks(tmp_path, (true > 0).astype(np.uint8), true)
    assert main(["evaluate", *folders]) == 2
    assert "is a mask" in capsys.readouterr().err
