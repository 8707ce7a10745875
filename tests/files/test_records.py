"""Records of results, key by key, as the engine and the command line write them."""

import numpy as np
import pytest
import tifffile
from conftest import discs
from golden_records import check_golden

from napari_nuclei_unet import LabelsStore, Result, SegmentParams, run, save, segment_steps
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.io.labels import read_record
from napari_nuclei_unet.segmentation.segment import predict_plane_steps, retune

RUN = {"precision": "fp32", "tile": 64, "batch": 1}
FLAGS = ["--device", "cpu", "--precision", "fp32", "--tile", "64", "--batch", "1"]
PLANES = [discs((60, 80), [(15, 15), (40, 30 + 2 * t), (30, 60)]) for t in range(3)]
REGION = ((5.0, 3.0), (5.0, 70.0), (52.0, 60.0), (40.0, 3.0))


def test_record_of_a_plane(bright, tmp_path):
    steps = segment_steps(PLANES[0], bright, SegmentParams(**RUN), "cpu")
    check_golden("plane", run(steps).record, tmp_path, {})


def test_record_of_a_retuned_plane(bright, tmp_path):
    params = SegmentParams(**RUN, diameter=12)
    predicted = run(predict_plane_steps(PLANES[0], bright, params, "cpu"))
    tuned = retune(predicted, SegmentParams(**RUN, diameter=12, threshold=0.7, minimum_area=3))
    check_golden("retuned", tuned.record, tmp_path, {})


@pytest.fixture
def command(tmp_path, bright_file):
    """Segment planes on the command line, into a TIFF or a store; return the record."""

    def segment_planes(planes, axes, *flags, store=False):
        path = tmp_path / "cells.tif"
        tifffile.imwrite(path, planes, metadata={"axes": axes}, photometric="minisblack")
        arguments = ["segment", str(path), "--out", str(tmp_path), "--model", str(bright_file)]
        kind = "zarr" if store else "tiff"
        assert main([*arguments, *FLAGS, *flags, "--format", kind]) == 0
        if store:
            return LabelsStore.open_existing(tmp_path / "cells_labels.ome.zarr").record
        return read_record(tmp_path / "cells_labels.tif")

    return segment_planes


@pytest.fixture
def ids(bright_file):
    return {str(bright_file): "MODEL"}


def test_record_of_a_file(command, tmp_path, ids):
    region = " ".join(f"{y},{x}" for y, x in REGION)
    record = command(PLANES[0], "YX", "--diameter", "12", "--region", region)
    check_golden("file", record, tmp_path, ids)


@pytest.mark.parametrize("how", [(), ("--join", "t"), ("--track",)], ids=["plain", "join", "track"])
def test_record_of_a_stack(command, tmp_path, ids, how):
    if "--track" in how:
        pytest.importorskip("laptrack")
    record = command(np.stack(PLANES), "TYX", *how)
    check_golden("_".join(["stack", *how]).replace("--", ""), record, tmp_path, ids)


def test_record_of_a_store(command, tmp_path, ids):
    both = np.stack([PLANES, PLANES], axis=1)
    record = command(both, "TCYX", "--channel", "1", "--planes", "0-1", store=True)
    check_golden("store", record, tmp_path, ids)


def test_record_of_an_export(bright, tmp_path):
    result = run(segment_steps(PLANES[0], bright, SegmentParams(**RUN), "cpu"))
    save(tmp_path / "a.ome.tif", Result(result.labels, {}, record=result.record))
    check_golden("plane", read_record(tmp_path / "a.ome.tif"), tmp_path, {})
