"""Nuclei that are missed, false, split and merged, as ``evaluate`` prints them."""

import json

import numpy as np
import pytest
import tifffile
from conftest import discs
from skimage.measure import label

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
