"""Records of results, key by key, as the engine and the command line write them."""

import json
import shlex

import numpy as np
import pytest
import tifffile
from conftest import discs
from golden_records import FOLDER, check_golden

from napari_nuclei_unet import (
    LabelsStore,
    Provenance,
    Result,
    SegmentParams,
    UserError,
    run,
    save,
    segment_steps,
)
from napari_nuclei_unet.arrays.axes import PlaneIndex
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.io.labels import read_record
from napari_nuclei_unet.provenance.record import SourceImage
from napari_nuclei_unet.provenance.reproduce import format_command
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
        return read_record(tmp_path / "cells_labels.ome.tif")

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


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_a_record_is_read_and_written_the_same(path):
    record = {**json.loads(path.read_text("utf-8")), "time": "2026-01-01", "seconds": 1.5}
    record |= {name: 7 for name in ("table_crc", "tracks_crc") if record.get(name)}
    made = Provenance.from_json(record)
    written = made.to_json()
    assert written == {name: record[name] for name in written}
    assert Provenance.from_json(json.loads(json.dumps(written))) == made


def test_what_was_made_is_what_is_read(bright):
    image = PLANES[0]
    made = run(segment_steps(image, bright, SegmentParams(**RUN), "cpu")).provenance
    assert Provenance.from_json(made.to_json()) == made


def test_a_record_of_an_earlier_or_later_version_is_read():
    made = Provenance.from_json({"model": "mine", "params": {}, "device": None, "colour": "red"})
    assert (made.model, made.device, made.failed) == ("mine", "auto", ())


@pytest.mark.parametrize(
    "damage",
    [
        {"params": {"threshold": "high"}},
        {"params": {"threshold": 7}},
        {"model": 3},
        {"zoom": "x"},
        {"region": [[]]},
        {"region": [[[1, 2]]]},
        {"along": 9},
        {"source": {"path": 3}},
        {"source": {"lengths": [1, 2]}},
        {"source": {"planes": ["x-y"]}},
        {"source": {"channel_axis": 7}},
        {"source": {"index": [0]}},
    ],
    ids=str,
)
def test_a_damaged_record_is_one_error(damage):
    record = json.loads((FOLDER / "store.json").read_text("utf-8"))
    source = record["source"] | damage.pop("source", {})
    with pytest.raises(UserError, match="damaged"):
        Provenance.from_json(record | damage | {"source": source, "seconds": 1.0})


@pytest.mark.parametrize("record", [None, [], "text", [["model", "x"]], {}])
def test_what_is_no_record_is_the_same_error(record):
    with pytest.raises(UserError, match="damaged"):
        Provenance.from_json(record)


def test_negative_numbers_are_no_flags():
    index, size = PlaneIndex((None, None)), (6, 8)
    source = SourceImage.of(index, "YX", np.dtype("f4"), size, size, level=0, path="a.tif")
    params = SegmentParams(black=-1e20, white=-2.5)
    words = shlex.split(format_command(Provenance(model="nuclei", params=params, source=source)))
    assert {"--black=-1e+20", "--white=-2.5"} < set(words)


def test_integers_of_numpy_become_those_of_json():
    size = tuple(np.array([6, 8]))
    index = PlaneIndex((np.int64(2), None, None))
    source = SourceImage.of(index, "TYX", np.dtype("u1"), size, level_size=size, level=0)
    made = Provenance(model="nuclei", params=SegmentParams(), source=source)
    assert json.loads(json.dumps(made.to_json()))["source"]["size"] == [6, 8]
