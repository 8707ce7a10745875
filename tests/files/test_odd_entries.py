"""Pipes, sockets, loops of links and absurd sizes: a sentence each, and the batch goes on."""

import csv
import os
import signal
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from conftest import discs
from fuzz_base import make_base
from fuzz_inputs import FAULTS, run_cases

from napari_nuclei_unet import UserError
from napari_nuclei_unet.batch.patterns import expand_pattern
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.io.labels import read_record
from napari_nuclei_unet.io.ome_zarr import is_labels_store
from napari_nuclei_unet.io.open import list_images, open_image
from napari_nuclei_unet.io.tables import read_table

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="other systems lack these entries"),
    pytest.mark.usefixtures("alarm"),
]


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    tifffile.imwrite(folder / "z.tif", discs((60, 80), [(20, 20), (20, 50), (40, 35)]))
    return folder


@pytest.fixture
def run(images, bright_file, capfd):
    """Segment the folder; return the exit code, what was printed, and the rows of the summary."""

    def start(*more):
        out = images.parent / "out"
        code = main(["segment", str(images), "--model", str(bright_file), "--out", str(out), *more])
        printed, told = capfd.readouterr()
        with (out / "nuclei_summary.csv").open(newline="", encoding="utf-8") as table:
            rows = {Path(row["image"]).name: row for row in csv.DictReader(table)}
        return code, printed, told, rows

    return start


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))  # the path of a socket must be short


def make_loop(path):
    path.symlink_to(path.name)


def make_ome_of_a_pipe(path):
    """An OME-TIFF whose other file is a pipe."""
    tifffile.imwrite(path, np.zeros((2, 8, 8), np.uint8), ome=True, metadata={"axes": "TYX"})
    xml = tifffile.tiffcomment(path)
    uuid = '<UUID FileName="pipe">urn:uuid:1</UUID></TiffData>'
    xml = xml.replace("<TiffData ", '<TiffData FirstT="1" ').replace(
        "/></Pixels>", f">{uuid}</Pixels>"
    )
    assert uuid in xml
    tifffile.tiffcomment(path, xml.encode())
    os.mkfifo(path.with_name("pipe"))


def make_zarr(chunk):
    def make(path):
        zarr.create_array(path, data=np.ones((8, 8), np.uint8), chunks=(8, 8))
        (path / chunk).unlink(missing_ok=True)
        os.mkfifo(path / chunk)

    return make


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("a.tif", os.mkfifo, "a.tif is a named pipe"),
        ("a.png", os.mkfifo, "a.png is a named pipe"),
        ("a.nd2", os.mkfifo, "a.nd2 is a named pipe"),
        ("a.tif", make_socket, "a.tif is a socket"),
        ("a.tif", make_loop, "a.tif is a link that leads back to itself"),
        ("a.ome.tif", make_ome_of_a_pipe, "pipe is a named pipe"),
        ("a.zarr", make_zarr("c/0/0"), "is a named pipe"),
    ],
)
def test_what_is_no_file_is_one_sentence(images, run, name, make, words):
    if name == "a.nd2":
        pytest.importorskip("openreadout", reason="the extra 'formats' is not installed")
    make(images / name)
    code, printed, told, rows = run()
    assert (code, told.count("\n")) == (2, 1)
    assert words in told
    assert words in rows[name]["error"]
    assert (rows[name]["status"], rows["z.tif"]["status"]) == ("failed", "done")
    assert "z.tif: 3 nuclei" in printed


@pytest.mark.parametrize("place", ["z_labels.ome.tif", "z_nuclei.csv"])
def test_a_pipe_in_place_of_a_result_is_left_alone(images, run, place):
    out = images.parent / "out"
    out.mkdir()
    os.mkfifo(out / place)
    code, _, told, rows = run()
    assert (code, rows["z.tif"]["status"]) == (2, "failed")
    assert f"{place} is a named pipe, not a file" in told
    assert (out / place).is_fifo()


def test_no_other_reader_waits_for_a_pipe(tmp_path):
    pipe = tmp_path / "a.csv"
    os.mkfifo(pipe)
    assert read_record(pipe) is None
    assert not is_labels_store(pipe)
    for read in (read_table, open_image, list_images):
        with pytest.raises(UserError):
            read(pipe)


def test_two_stars_go_around_no_loop(tmp_path, monkeypatch):
    (tmp_path / "b" / "c").mkdir(parents=True)
    for folder in (tmp_path, tmp_path / "b", tmp_path / "b" / "c"):
        (folder / "x.tif").touch()
        for number in range(3):
            (folder / f"a{number}").symlink_to(tmp_path)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.tif").touch()
    monkeypatch.chdir(tmp_path)
    assert expand_pattern("**/*.tif") == [Path("x.tif"), Path("b/x.tif"), Path("b/c/x.tif")]
    assert expand_pattern(f"{tmp_path}/**/c/*.tif") == [tmp_path / "b" / "c" / "x.tif"]
    assert Path("b/c") in expand_pattern("**")


@pytest.mark.parametrize("shape", [(10**12, 8, 8), (10**9, 10**9), (10**4, 10**4, 8, 8)])
def test_a_store_of_an_absurd_shape_is_one_sentence(images, run, shape):
    chunks = (1,) * (len(shape) - 2) + (8, 8)
    zarr.create_array(images / "a.zarr", shape=shape, dtype="u1", chunks=chunks)
    code, _, told, rows = run()
    assert (code, told.count("\n")) == (2, 1)
    assert "According to its file" in told
    assert rows["z.tif"]["status"] == "done"


@pytest.mark.parametrize("count", [1_000_000, 10**12])
def test_an_ome_tiff_of_a_million_planes_is_one_sentence(images, run, count):
    path = images / "a.ome.tif"
    tifffile.imwrite(path, np.zeros((3, 8, 8), np.uint8), metadata={"axes": "TYX"})
    xml = tifffile.tiffcomment(path).replace('SizeT="3"', f'SizeT="{count}"')
    tifffile.tiffcomment(path, xml.encode())
    code, _, told, rows = run()
    assert (code, told.count("\n")) == (2, 1)
    assert f"{count:,}" in told or f"{count}" in told
    assert rows["z.tif"]["status"] == "done"


def test_a_few_damaged_inputs_of_each_kind(tmp_path):
    """The first cases of ``make fuzz``."""
    make_base(tmp_path / "base")
    signal.alarm(0)
    ends = list(run_cases(range(24), 1, tmp_path))
    assert not [end for end in ends if end.outcome in FAULTS]
    assert {end.outcome for end in ends} == {"result", "sentence"}
