"""Stacks, large images and many files on the command line, in real files and real processes."""

import contextlib
import csv
import json
import os
import shutil
import signal
import sys

import dask
import imageio.v3 as imageio
import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from conftest import discs
from processes import process, run_limited, run_process, use_fork_server

from napari_nuclei_unet import SegmentParams, UserError, run, segment, segment_stack
from napari_nuclei_unet.batch.inputs import find_inputs
from napari_nuclei_unet.batch.job import open_job
from napari_nuclei_unet.batch.outputs import OutputOptions
from napari_nuclei_unet.batch.run import segment_job_steps
from napari_nuclei_unet.batch.settings import JobSettings
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.io.labels import read_record, write_labels_stack
from napari_nuclei_unet.io.ome_zarr import LabelsStore
from napari_nuclei_unet.io.open import open_lazily
from napari_nuclei_unet.limits import DEFAULT_LIMITS, Limits
from napari_nuclei_unet.models.model import load_model
from napari_nuclei_unet.provenance.record import Provenance
from napari_nuclei_unet.provenance.reproduce import format_command, format_python

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX")
MICRO = {"type": "space", "unit": "micrometer"}
KINDS = {"t": {"type": "time", "unit": "second"}, "c": {"type": "channel"}}


def moving(steps=3, shift=3):
    """Three discs that move to the right; in the second plane one of them is missing."""
    centres = [(15, 15), (40, 30), (30, 60)]
    planes = [discs((60, 80), [(y, x + shift * t) for y, x in centres]) for t in range(steps)]
    planes[1][:25, :30] = 0
    return np.stack(planes)


def write_tiff(path, pixels, axes):
    tifffile.imwrite(path, pixels, metadata={"axes": axes}, photometric="minisblack")
    return path


def write_zarr(path, pixels, axes, scale=None, chunks=None):
    """An OME-Zarr image as other programs write it."""
    named = [{"name": name, **KINDS.get(name, MICRO)} for name in axes.lower()]
    steps = [{"type": "scale", "scale": list(scale or [1] * len(axes))}]
    datasets = [{"path": "0", "coordinateTransformations": steps}]
    about = {"multiscales": [{"version": "0.4", "axes": named, "datasets": datasets}]}
    group = zarr.create_group(path, zarr_format=2, attributes=about)
    group.create_array("0", shape=pixels.shape, dtype=pixels.dtype, chunks=chunks or "auto",
                       chunk_key_encoding={"name": "v2", "separator": "/"})[:] = pixels  # fmt: skip
    return path


@pytest.fixture(name="segment")
def segment_command(tmp_path, bright_file):
    def run_command(*args, out=None, limits=DEFAULT_LIMITS):
        out = out or tmp_path / "out"
        try:
            return main(["segment", *map(str, args), "--out", str(out), "--model", str(bright_file),
                         "--diameter", "12"], limits)  # fmt: skip
        except SystemExit as end:  # argparse ends by itself
            return end.code

    return run_command


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def summary(folder):
    return {os.path.basename(row["image"]): row for row in rows_of(folder / "nuclei_summary.csv")}


def told(capsys, *words):
    """stderr is one sentence, and no traceback."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert len(lines) == 1, lines
    assert lines[0].startswith("nuclei-unet")
    for word in words:
        assert word in lines[0], lines


def alike(one, other):
    """The same nuclei, whatever their ids are."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    return len(pairs[0]) == len(np.unique(one)) == len(np.unique(other))


# planes, axes and channels


def test_a_stack_becomes_one_file_with_unique_ids(tmp_path, segment, capsys):
    path = write_tiff(tmp_path / "stack.tif", moving(), "TYX")
    assert segment(path) == 0
    assert "stack.tif: 8 nuclei in 3 planes" in capsys.readouterr().out
    with tifffile.TiffFile(tmp_path / "out" / "stack_labels.ome.tif") as opened:
        assert opened.series[0].axes == "TYX"
        assert opened.pages[0].compression.name == "ADOBE_DEFLATE"
        labels = opened.asarray()
    assert labels.dtype == np.uint16
    assert labels.shape == (3, 60, 80)
    ids = [set(np.unique(plane)) - {0} for plane in labels]
    assert list(map(len, ids)) == [3, 2, 3]
    assert set.union(*ids) == set(range(1, 9))
    rows = rows_of(tmp_path / "out" / "stack_nuclei.csv")
    assert list(rows[0])[:3] == ["t", "label", "centroid_y"]
    assert [(int(row["t"]), int(row["label"])) for row in rows] == [
        (t, label) for t, some in enumerate(ids) for label in sorted(some)
    ]
    for row in rows:
        plane = labels[int(row["t"])]
        assert int(row["area"]) == (plane == int(row["label"])).sum()
    record = read_record(tmp_path / "out" / "stack_labels.ome.tif")
    assert record["source"]["planes"] == ["all"]
    assert record["nuclei"] == 8


def test_planes_and_channels_are_chosen(tmp_path, segment):
    stack = moving(4)
    both = np.stack([stack * 0, stack], axis=1)
    path = write_tiff(tmp_path / "a.tif", np.stack([both, both], axis=1), "TZCYX")
    assert segment(path, "--channel", 1, "--planes", "2-3,1", out=tmp_path / "a") == 0
    labels = tifffile.imread(tmp_path / "a" / "a_labels.ome.tif")
    assert labels.shape == (2, 60, 80)
    rows = rows_of(tmp_path / "a" / "a_nuclei.csv")
    assert {row["t"] for row in rows} == {"2", "3"}
    assert "z" not in rows[0]
    assert segment(path, "--channel", 1, "--planes", "0,all", out=tmp_path / "b") == 0
    assert tifffile.imread(tmp_path / "b" / "a_labels.ome.tif").shape == (2, 60, 80)
    assert segment(path, "--channel", 1, "--planes", "1,0", out=tmp_path / "c") == 0
    single = tifffile.imread(tmp_path / "c" / "a_labels.ome.tif")
    assert single.shape == (60, 80)
    assert single.max() == 2
    assert segment(path, "--channel", "mean", out=tmp_path / "d") == 0
    assert tifffile.imread(tmp_path / "d" / "a_labels.ome.tif").shape == (4, 2, 60, 80)


def test_seven_dimensions_are_not_too_many(tmp_path, segment, capsys):
    pixels = moving().reshape(1, 1, 3, 1, 1, 60, 80) + np.zeros((2, 1, 1, 1, 2, 1, 1), np.uint8)
    path = write_zarr(tmp_path / "seven.zarr", pixels, "abtdzyx")
    assert segment(path) == 0
    labels = tifffile.imread(tmp_path / "out" / "seven_labels.tif", squeeze=False)
    assert labels.size == pixels.size
    assert labels.max() == 4 * 8
    assert segment(path, "--format", "zarr") == 2
    told(capsys, "cannot store labels with the axes ABTDZYX", "--format tiff")
    assert segment(path, out=tmp_path / "seven.ome.tif") == 2
    told(capsys, "OME-TIFF cannot store the axes ABTDZYX")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--planes", "3-1"], "goes up, such as 1-3"),
        (["--planes", "-1"], "whole numbers"),
        (["--planes", "1-"], "whole numbers"),
        (["--axes", "TZYX"], "do not fit an image of shape (3, 60, 80)"),
        (["--axes", "TTX"], "do not fit"),
        (["--join", "y"], "cannot be joined along Y"),
        (["--join", "q"], "cannot be joined along Q"),
        (["--join", "t", "--track"], "leave out one of --join and --track"),
        (["--track", "--axes", "ZYX"], "no axis T"),
        (["--channel", "0"], "no channels"),
        (["--scheduler", "local:1", "--format", "tiff"], "--format zarr"),
        (["--scheduler", "local:none"], "number of processes"),
        (["--level", "3"], "no level 3"),
    ],
)
def test_mistakes_are_told_in_one_sentence(tmp_path, segment, capsys, args, words):
    path = write_tiff(tmp_path / "a.tif", moving(), "TYX")
    assert segment(path, *args) == 2
    told(capsys, words)


def test_a_parameter_is_named_in_python_and_its_flag_on_the_command_line(tmp_path, segment, capsys):
    pixels = np.zeros((2, 3, 64, 64), np.uint8)
    with pytest.raises(UserError, match="give 2 with `planes`, or leave it out for all") as caught:
        segment_stack(pixels, planes=[0])
    assert "--" not in str(caught.value)
    path = write_tiff(tmp_path / "a.tif", pixels, "TZYX")
    assert segment(path, "--planes", "0") == 2
    sentence = "(T, Z): give 2 with --planes, or leave it out for all."
    told(capsys, sentence)
    assert summary(tmp_path / "out")["a.tif"]["error"].endswith(sentence)


def test_an_axis_of_length_0_is_told(tmp_path, segment, capsys):
    path = write_zarr(tmp_path / "none.zarr", np.zeros((0, 20, 20), np.uint8), "zyx")
    assert segment(path) == 2
    told(capsys, "none.zarr", "empty", "(0, 20, 20)")


# files


def test_patterns_folders_zarr_and_plates_are_images(tmp_path, segment, capsys):
    folder = tmp_path / "images"
    (folder / "day1").mkdir(parents=True)
    plane = moving()[0]
    tifffile.imwrite(folder / "day1" / "a.tif", plane)
    tifffile.imwrite(folder / "day1" / "old_labels.tif", plane)
    imageio.imwrite(folder / "day1" / "b.png", plane)
    write_zarr(folder / "day1" / "c.ome.zarr", plane, "yx")
    plate = zarr.create_group(folder / "plate.zarr", zarr_format=2, attributes={
        "plate": {"wells": [{"path": "A/1"}]}})  # fmt: skip
    plate.create_group("A/1", attributes={"well": {"images": [{"path": "0"}, {"path": "1"}]}})
    for field in "01":
        write_zarr(folder / "plate.zarr" / "A" / "1" / field, plane, "yx")
    assert segment(folder / "day*" / "*", folder / "plate.zarr") == 0
    printed = capsys.readouterr().out
    assert "plate.zarr/A/1/1: 3 nuclei" in printed
    assert "5 of 5 files" in printed
    stems = ("a", "b", "c", "plate_A_1_0", "plate_A_1_1")
    for stem in stems:
        assert tifffile.imread(tmp_path / "out" / f"{stem}_labels.ome.tif").max() == 3
    assert segment(folder / "day1", "--format", "zarr", out=folder / "day1") == 0
    assert segment(folder / "day1", "--format", "zarr", out=folder / "day1") == 0
    assert "3 of 3 files" in capsys.readouterr().out.splitlines()[-1]
    assert segment(folder / "night*") == 2
    told(capsys, "No image fits the pattern")


def test_one_bad_file_is_reported_and_the_rest_is_done(tmp_path, segment, capsys):
    folder = tmp_path / "images"
    folder.mkdir()
    write_tiff(folder / "a.tif", moving(), "TYX")
    (folder / "bad.tif").write_bytes(b"II*\x00\x08\x00\x00\x00\xff\xff")
    tifffile.imwrite(folder / "z.tif", moving()[0])
    (folder / "broken.zarr").mkdir()
    (folder / "broken.zarr" / "zarr.json").write_text("{")
    assert segment(folder) == 2
    printed = capsys.readouterr()
    assert "2 of 4 files" in printed.out
    assert len(printed.err.splitlines()) == 2
    rows = summary(tmp_path / "out")
    assert list(rows) == ["a.tif", "bad.tif", "broken.zarr", "z.tif"]
    assert [row["status"] for row in rows.values()] == ["done", "failed", "failed", "done"]
    assert (rows["a.tif"]["planes"], rows["a.tif"]["nuclei"]) == ("3", "8")
    assert float(rows["a.tif"]["seconds"]) > 0
    assert rows["z.tif"]["result"].endswith("z_labels.ome.tif")
    assert "damaged" in rows["bad.tif"]["error"]
    assert rows["z.tif"]["error"] == ""


def test_what_is_done_is_skipped_until_something_changes(tmp_path, segment, capsys):
    path = write_tiff(tmp_path / "a.tif", moving(), "TYX")
    labels = tmp_path / "out" / "a_labels.ome.tif"

    def status(*args):
        assert segment(path, *args) == 0
        return summary(tmp_path / "out")["a.tif"]["status"]

    assert status() == "done"
    before = labels.stat().st_mtime_ns
    assert status() == "skipped"
    assert status("--batch", 2) == "skipped"  # changes nothing
    assert "8 nuclei in 3 planes (done before)" in capsys.readouterr().out
    assert labels.stat().st_mtime_ns == before
    assert summary(tmp_path / "out")["a.tif"]["nuclei"] == "8"
    assert status("--overwrite") == "done"
    assert status("--planes", "0-1", "--overwrite") == "done"
    assert status("--planes", "0-1") == "skipped"
    (tmp_path / "out" / "a_nuclei.csv").unlink()
    assert status("--planes", "0-1") == "done"
    assert status("--white", 90, "--overwrite") == "done"
    assert status("--white", 90.0) == "skipped"
    assert not {"--black", "--gamma"} & read_record(labels)["wish"].keys()  # as it was before
    assert segment(path, "--white", 91) == 2
    assert "made with another --white" in capsys.readouterr().err


def test_labels_of_earlier_versions_count_as_done_until_they_are_replaced(
    tmp_path, segment, capsys
):
    path = write_tiff(tmp_path / "a.tif", moving(), "TYX")
    labels, earlier = (tmp_path / "out" / f"a_labels{end}" for end in (".ome.tif", ".tif"))
    assert segment(path) == 0
    pixels = tifffile.imread(labels)
    write_labels_stack(earlier, pixels, (pixels.shape, "TYX"), 8, read_record(labels))
    labels.unlink()
    assert segment(path) == 0
    assert summary(tmp_path / "out")["a.tif"]["status"] == "skipped"
    assert segment(path, "--threshold", 0.4) == 2
    told(capsys, "a_labels.tif", "made with another --threshold:", "--overwrite")
    assert not labels.exists()
    assert segment(path, "--overwrite") == 0
    np.testing.assert_array_equal(tifffile.imread(labels), pixels)
    assert not earlier.exists()
    tifffile.imwrite(earlier, pixels)  # of someone else
    assert segment(path, "--overwrite") == 0
    assert earlier.exists()


def test_results_made_with_other_flags_are_not_replaced(tmp_path, segment, capsys):
    """In TIFF as in OME-Zarr; the other files go on."""
    path = write_tiff(tmp_path / "a.tif", moving(), "TYX")
    assert segment(path) == 0
    labels = tmp_path / "out" / "a_labels.ome.tif"
    before = labels.read_bytes()
    assert {"--model", "--planes", "--minimum-area", "image"} < read_record(labels)["wish"].keys()
    other = write_tiff(tmp_path / "b.tif", moving(), "TYX")
    capsys.readouterr()
    assert segment(path, other, "--threshold", 0.4, "--track") == 2
    told(capsys, "a.tif", "made with another --threshold and --track:", "--overwrite")
    assert labels.read_bytes() == before
    rows = summary(tmp_path / "out")
    assert [row["status"] for row in rows.values()] == ["failed", "done"]
    assert "another --threshold" in rows["a.tif"]["error"]
    write_tiff(path, moving(4), "TYX")
    assert segment(path) == 2
    told(capsys, "made with another image:")
    assert segment(path, "--overwrite") == 0
    assert tifffile.imread(labels).shape == (4, 60, 80)


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
def test_results_with_fragments_go_on_as_before_or_are_made_anew(tmp_path, segment, capsys, kind):
    """Those of the time when fragments were always kept say as much as those made with `no`."""
    image = discs((80, 120), [(20, 20), (20, 70)], 6) | discs((80, 120), [(60, 40)], 2)
    path = write_tiff(tmp_path / "a.tif", image, "YX")
    flags = ("--format", kind, "--minimum-area", 2)
    with_fragments = (*flags, "--leave-out-fragments", "no")
    assert segment(path, *with_fragments) == 0
    assert summary(tmp_path / "out")["a.tif"]["nuclei"] == "3"
    capsys.readouterr()
    assert segment(path, *flags) == 2
    told(capsys, "a", "micronuclei", "as before, with --leave-out-fragments no, or", "--overwrite.")
    assert segment(path, *with_fragments) == 0
    assert summary(tmp_path / "out")["a.tif"]["status"] == "skipped"
    assert segment(path, *flags, "--overwrite") == 0
    assert summary(tmp_path / "out")["a.tif"]["nuclei"] == "2"
    assert segment(path, *with_fragments) == 2
    told(capsys, "with another --leave-out-fragments: choose another", "--overwrite")


def test_a_single_image_may_be_written_under_any_name(tmp_path, segment, capsys):
    path = write_tiff(tmp_path / "a.tif", moving(), "TYX")
    assert segment(path, out=tmp_path / "x" / "mine_labels.tif") == 0
    assert sorted(os.listdir(tmp_path / "x")) == ["mine_labels.tif", "mine_nuclei.csv"]
    assert segment(path, out=tmp_path / "y" / "mine.ome.zarr") == 0
    assert sorted(os.listdir(tmp_path / "y")) == ["mine.ome.zarr", "mine_nuclei.csv"]
    assert segment(path, "--format", "tiff", out=tmp_path / "z.zarr") == 2
    told(capsys, "does not match --format tiff")
    assert segment(path, path.with_name("b.tif"), out=tmp_path / "x.tif") == 2
    told(capsys, "no file or folder")
    shutil.copy(path, tmp_path / "b.tif")
    assert segment(path, tmp_path / "b.tif", out=tmp_path / "x.tif") == 2
    told(capsys, "one file for 2 images")


@POSIX
@pytest.mark.parametrize("kind", ["tiff", "zarr"])
def test_a_file_that_changes_while_it_is_read_fails(tmp_path, bright_file, kind):
    """It is touched as soon as the first plane is at work."""
    path = write_tiff(tmp_path / "a.tif", np.tile(moving(), (20, 4, 4)), "TYX")
    args = [path, "--out", tmp_path / "out", "--model", bright_file, "--format", kind]
    with on_a_terminal(args) as (other, lines):
        assert any("plane 1 of " in line for line in lines)
        os.utime(path)
        error = "".join(lines)
    assert other.exitcode == 2, error
    assert "changed while it was read" in error
    assert not (tmp_path / "out" / "a_labels.ome.tif").exists()
    assert summary(tmp_path / "out")["a.tif"]["status"] == "failed"


@contextlib.contextmanager
def on_a_terminal(args, size=(24, 200), limits=DEFAULT_LIMITS):
    """``segment`` in a process, and the lines it shows on a terminal of so many rows and columns.

    A line is there as soon as the next one begins, so that waiting for one is waiting for what it
    tells. 0: the terminal does not say how large it is.
    """
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    command = ["segment", *map(str, args)]
    with (
        open(ours, encoding="utf-8", errors="replace") as terminal,
        process(main, command, limits, out=theirs, err=theirs) as other,
    ):
        yield other, lines_of(terminal)


def lines_of(terminal):
    with contextlib.suppress(OSError):  # how Linux says that nobody writes any more
        yield from terminal


# nuclei over planes


def test_joined_nuclei_have_one_id_in_all_their_planes(tmp_path, segment, capsys):
    stack = moving(3, shift=1)
    two = np.stack([stack, stack])
    path = write_tiff(tmp_path / "a.tif", two, "TZYX")
    # slices along z are volumes: test_cli_volumes.py
    assert segment(path, "--axes", "TPYX", "--join", "p", "--format", "zarr") == 0
    assert "6 nuclei in 6 planes" in capsys.readouterr().out
    labels = LabelsStore.open_existing(tmp_path / "out" / "a_labels.ome.zarr").labels[:]
    for t, ids in enumerate([{1, 2, 3}, {4, 5, 6}]):
        assert set(np.unique(labels[t])) - {0} == ids
        assert labels[t, 0, 15, 15] == labels[t, 2, 15, 17]  # over the slice where it is missing
    rows = rows_of(tmp_path / "out" / "a_nuclei.csv")
    assert list(rows[0])[:3] == ["t", "p", "label"]
    assert len(rows) == 16
    assert sum(row["label"] == "1" for row in rows) == 2


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
def test_tracked_nuclei_keep_their_id_and_make_a_table(tmp_path, segment, kind):
    path = write_tiff(tmp_path / "a.tif", moving(4), "TYX")
    assert segment(path, "--track", "--format", kind) == 0
    if kind == "tiff":
        labels = tifffile.imread(tmp_path / "out" / "a_labels.ome.tif")
    else:
        labels = LabelsStore.open_existing(tmp_path / "out" / "a_labels.ome.zarr").labels[:]
    for t in range(4):
        assert labels[t, 40, 30 + 3 * t] == labels[0, 40, 30]
    assert labels[2, 15, 21] == labels[0, 15, 15]
    assert labels.max() == 3
    rows = rows_of(tmp_path / "out" / "a_tracks.csv")
    assert list(rows[0])[:5] == ["track", "time", "y", "x", "parent"]
    lineages = rows_of(tmp_path / "out" / "a_lineage.csv")
    assert {row["track"] for row in lineages} == {row["track"] for row in rows}
    assert len(rows) == 11
    for row in rows:
        assert labels[int(row["time"]), round(float(row["y"])), round(float(row["x"]))] == int(
            row["track"]
        )
    assert {row["parent"] for row in rows} == {"0"}
    nuclei = rows_of(tmp_path / "out" / "a_nuclei.csv")
    assert sorted((r["t"], r["label"]) for r in nuclei) == sorted(
        (r["time"], r["track"]) for r in rows
    )


def test_a_nucleus_that_fades_is_looked_for_again_where_its_track_needs_it(tmp_path, segment):
    film = np.stack([discs((60, 80), [(15, 15), (40, 30), (30, 60)]) for _ in range(4)])
    dim = film[2, 25:55, 20:40]
    dim[:] = dim.min() + (dim - dim.min()) * 0.4
    path = write_tiff(tmp_path / "a.tif", film, "TYX")
    assert segment(path) == 0
    assert len(rows_of(tmp_path / "out" / "a_nuclei.csv")) == 11
    assert segment(path, "--track", "--overwrite") == 0
    labels = tifffile.imread(tmp_path / "out" / "a_labels.ome.tif")
    assert len({int(plane[40, 30]) for plane in labels}) == 1
    assert len(np.unique(labels)) == 4
    rows = rows_of(tmp_path / "out" / "a_nuclei.csv")
    assert sorted((row["t"], row["label"]) for row in rows) == sorted(
        (row["time"], row["track"]) for row in rows_of(tmp_path / "out" / "a_tracks.csv")
    )
    assert len(rows) == 12
    record = read_record(tmp_path / "out" / "a_labels.ome.tif")
    assert record["recovered"] == 1


def test_a_film_of_one_frame_is_none_and_one_of_empty_frames_is(tmp_path, segment, capsys):
    full = discs((60, 80), [(15, 15), (40, 30), (30, 60)])
    film = np.stack([full * 0, full, full * 0, full, full * 0])
    assert segment(write_zarr(tmp_path / "one.zarr", film[1:2], "TYX"), "--track") == 2
    told(capsys, "one.zarr", "or only one frame", "leave --track out")
    assert segment(write_tiff(tmp_path / "some.tif", film, "TYX"), "--track") == 0
    rows = rows_of(tmp_path / "out" / "some_tracks.csv")
    assert {row["track"] for row in rows} == {"1", "2", "3"}
    assert segment(write_tiff(tmp_path / "none.tif", film * 0, "TYX"), "--track") == 0
    assert not rows_of(tmp_path / "out" / "none_tracks.csv")


def test_planes_too_large_to_be_linked_are_refused(tmp_path, segment, capsys):
    limits = Limits(linking_bytes_per_pixel=10**12)
    path = write_tiff(tmp_path / "a.tif", moving(), "TYX")
    assert segment(path, "--join", "t", "--format", "zarr", limits=limits) == 2
    told(capsys, "GB of memory", "leave --join and --track out")


# OME-Zarr


def test_zarr_holds_what_tiff_holds_where_the_image_has_it(tmp_path, segment):
    stack = moving(4).reshape(2, 2, 60, 80)
    both = np.stack([stack * 0, stack], axis=2)
    path = write_zarr(tmp_path / "a.zarr", both, "tzcyx", scale=[2, 3, 1, 0.5, 0.25])
    assert segment(path, "--channel", 1) == 0
    assert segment(path, "--channel", 1, "--format", "zarr", "--overwrite") == 0
    opened = open_lazily(tmp_path / "out" / "a_labels.ome.zarr")
    assert opened.axes == "TZYX"
    assert opened.scale == (2, 3, 0.5, 0.25)
    assert opened.units == ("second", *["micrometer"] * 3)
    expected = tifffile.imread(tmp_path / "out" / "a_labels.ome.tif")
    assert alike(opened.pixels[...], expected)
    store = LabelsStore.open_existing(tmp_path / "out" / "a_labels.ome.zarr")
    assert store.finished
    assert store.record["nuclei"] == expected.max()
    assert store.record["source"]["planes"] == ["all", "all"]
    rows = rows_of(tmp_path / "out" / "a_nuclei.csv")
    assert list(rows[0])[:3] == ["t", "z", "label"]
    assert len(rows) == expected.max()


def test_a_table_that_was_changed_is_noticed(tmp_path, segment, capsys):
    path = write_tiff(tmp_path / "a.tif", moving(), "TYX")
    table = tmp_path / "out" / "a_nuclei.csv"
    for kind in ("tiff", "zarr"):  # they share the table
        assert segment(path, "--format", kind, "--overwrite") == 0
        before = table.read_text()
        header, _, rows = before.partition("\n")
        table.write_text(f"{header}\n{rows[::-1]}")  # as long as before
    assert segment(path, "--format", "zarr") == 2
    told(capsys, "missing or was changed", "--overwrite")
    assert segment(path) == 2
    told(capsys, "was edited, or belongs to other labels", "--overwrite")
    assert segment(path, "--overwrite") == 0
    assert summary(tmp_path / "out")["a.tif"]["status"] == "done"
    assert table.read_text() == before


def test_the_axes_of_labels_in_zarr_are_in_the_order_that_ngff_wants(tmp_path, segment):
    path = write_tiff(tmp_path / "a.tif", moving(4).reshape(2, 2, 60, 80), "ZTYX")
    assert segment(path) == 0
    assert segment(path, "--format", "zarr", "--overwrite") == 0
    opened = open_lazily(tmp_path / "out" / "a_labels.ome.zarr")
    assert opened.axes == "TZYX"
    turned = np.swapaxes(tifffile.imread(tmp_path / "out" / "a_labels.ome.tif"), 0, 1)
    assert alike(opened.pixels[...], turned)


def test_labels_in_zarr_are_skipped_redone_or_refused(tmp_path, segment, capsys):
    path = write_tiff(tmp_path / "a.tif", moving(), "TYX")
    args = (path, "--format", "zarr")
    assert segment(*args) == 0
    assert segment(*args) == 0
    assert "8 nuclei in 3 planes (done before)" in capsys.readouterr().out
    assert segment(*args, "--threshold", 0.4) == 2
    told(capsys, "begun with another --threshold:", "--overwrite")
    assert segment(*args, "--threshold", 0.4, "--overwrite") == 0
    (tmp_path / "out" / "a_nuclei.csv").unlink()
    assert segment(*args, "--threshold", 0.4) == 2
    told(capsys, "a_nuclei.csv", "--overwrite")
    shutil.rmtree(tmp_path / "out" / "a_labels.ome.zarr")
    (tmp_path / "out" / "a_labels.ome.zarr").mkdir()
    (tmp_path / "out" / "a_labels.ome.zarr" / "mine").write_text("precious")
    assert segment(*args, "--overwrite") == 2
    told(capsys, "contains something else")
    assert (tmp_path / "out" / "a_labels.ome.zarr" / "mine").read_text() == "precious"


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
def test_a_chunk_that_cannot_be_read_is_reported_and_the_rest_is_done(
    tmp_path, segment, capsys, kind
):
    path = write_zarr(tmp_path / "a.zarr", moving(), "tyx", chunks=(1, 60, 80))
    (path / "0" / "2" / "0" / "0").write_bytes(b"damaged")
    for _ in range(2):
        assert segment(path, "--format", kind) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert "Parts could not be read" in error
        row = summary(tmp_path / "out")["a.zarr"]
        assert (row["status"], row["nuclei"]) == ("failed", "5")
        assert "damaged" in row["error"]
    labels = tmp_path / "out" / f"a_labels.{'ome.tif' if kind == 'tiff' else 'ome.zarr'}"
    found = tifffile.imread(labels) if kind == "tiff" else open_lazily(labels).pixels[...]
    assert found[:2].max() == 5
    assert found[2].max() == 0


@pytest.mark.parametrize(
    ("kind", "notice"),
    [("tiff", "Plane 2 was left out: {}"), ("zarr", "A part is empty (z 2: {}).")],
)
def test_why_a_page_cannot_be_read_is_told_once_and_files_are_counted(
    tmp_path, segment, capsys, kind, notice
):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, moving(4), compression="zlib", photometric="minisblack",
                     metadata={"axes": "ZYX"})  # fmt: skip
    with tifffile.TiffFile(path) as opened:
        start = opened.pages[2].dataoffsets[0]
    with path.open("r+b") as spoiled:
        spoiled.seek(start)
        spoiled.write(b"\xff" * 40)
    assert segment(path, "--format", kind) == 2
    printed = capsys.readouterr()
    failed = summary(tmp_path / "out")["stack.tif"]
    assert (failed["status"], failed["planes"], failed["nuclei"]) == ("failed", "4", "8")
    error = failed["error"]
    assert error.count(" be read") == 2  # that parts could not be, and why
    reason = error[error.index("stack.tif cannot") :]  # without its folder
    assert reason.startswith(
        "stack.tif cannot be read: it is not a known kind of image, or damaged ("
    )
    assert printed.err.splitlines() == [
        f"stack.tif: {notice.format(f'{tmp_path}/{reason}')}",
        "nuclei-unet: stack.tif: Parts could not be read, and have no nuclei.",
    ]
    assert printed.out.startswith("1 of 1 files written")


def job_of(path, out, bright_file, kind="zarr", **settings):
    """What the command ``segment`` of these tests does of one image."""
    made = JobSettings(
        load_model(bright_file), str(bright_file), SegmentParams(diameter=12.0), **settings
    )
    out.mkdir(exist_ok=True)
    return open_job(find_inputs([path])[0], made, OutputOptions(out, format=kind))


def spoil(chunk, content):
    """Write other bytes, and leave size and time as they are."""
    about = chunk.stat()
    chunk.write_bytes(content.ljust(about.st_size, b"-"))
    os.utime(chunk, ns=(about.st_atime_ns, about.st_mtime_ns))


@pytest.mark.parametrize("join", [None, "t"], ids=["plain", "joined"])
def test_what_could_not_be_read_for_a_while_is_tried_again(tmp_path, bright_file, segment, join):
    flags = ("--join", join) if join else ()
    path = write_zarr(tmp_path / "a.zarr", moving(5), "tyx", chunks=(1, 60, 80))
    assert segment(path, "--format", "zarr", *flags, out=tmp_path / "whole") == 0
    chunk = path / "0" / "2" / "0" / "0"
    good = chunk.read_bytes()
    spoil(chunk, b"damaged")
    out = tmp_path / "out"
    ended = run(segment_job_steps(job_of(path, out, bright_file, join=join)))
    assert [one.split(":")[0] for one in ended.failed] == ["t 2"]
    for _ in range(2):
        assert segment(path, "--format", "zarr", *flags) == 2
        row = summary(out)["a.zarr"]
        assert (row["status"], row["nuclei"]) == ("failed", str(ended.nuclei))
    store = LabelsStore.open_existing(out / "a_labels.ome.zarr")
    assert not store.finished
    assert len(store.record["failed"]) == 1
    spoil(chunk, good)
    assert segment(path, "--format", "zarr", *flags) == 0
    assert summary(out)["a.zarr"]["status"] == "done"
    store, whole = (
        LabelsStore.open_existing(folder / "a_labels.ome.zarr")
        for folder in (out, tmp_path / "whole")
    )
    assert store.finished
    assert store.record["failed"] == []
    assert alike(store.labels[:], whole.labels[:])
    rows = rows_of(out / "a_nuclei.csv")
    assert len(rows) == len(rows_of(tmp_path / "whole" / "a_nuclei.csv"))
    for row in rows:
        plane = store.labels[int(row["t"])]
        assert int(row["area"]) == (plane == int(row["label"])).sum()
    assert segment(path, "--format", "zarr", *flags) == 0
    assert summary(out)["a.zarr"]["status"] == "skipped"
    assert set(os.listdir(out)) == {"a_labels.ome.zarr", "a_nuclei.csv", "nuclei_summary.csv"}


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
def test_an_image_that_is_gone_ends_the_run_which_goes_on_later(
    tmp_path, bright_file, segment, kind
):
    """zarr would read it as black."""
    path = write_zarr(tmp_path / "a.zarr", moving(5), "tyx", chunks=(1, 60, 80))
    out, away = tmp_path / "out", tmp_path / "elsewhere"
    assert segment(path, "--format", kind, out=tmp_path / "whole") == 0

    def leave(step):
        if getattr(step, "plane", 0) == 2 and path.exists():
            path.rename(away)

    with pytest.raises(UserError, match=r"a\.zarr can no longer be opened.*run it again.*\.$"):
        run(segment_job_steps(job_of(path, out, bright_file, kind)), leave)
    if kind == "zarr":
        about = json.loads((out / "a_labels.ome.zarr" / "nuclei_unet_journal.json").read_text())
        assert about["progress"]["plane"] == 2
        assert about["progress"]["failed"] == []
    away.rename(path)
    assert segment(path, "--format", kind) == 0
    for folder in (out, tmp_path / "whole"):
        assert summary(folder)["a.zarr"]["status"] == "done"
    tables = [(f / "a_nuclei.csv").read_text() for f in (out, tmp_path / "whole")]
    assert tables[0] == tables[1]


def test_a_hidden_store_that_a_killed_run_has_left_is_removed(tmp_path, segment):
    path = write_tiff(tmp_path / "a.tif", moving(), "TYX")
    out = tmp_path / "out"
    args = (path, "--format", "zarr", "--join", "t")
    assert segment(*args) == 0
    names = set(os.listdir(out))
    hidden = out / ".a_nuclei_unlinked.ome.zarr"
    for flags in ((), ("--overwrite",)):
        shutil.copytree(out / "a_labels.ome.zarr", hidden)
        shutil.copy(out / "a_nuclei.csv", out / ".a_nuclei_unlinked.csv")
        assert segment(*args[: -2 if flags else None], *flags) == 0
        assert set(os.listdir(out)) == names


@POSIX
def test_one_program_at_a_time_writes_into_a_folder(tmp_path, bright_file, segment, capsys):
    path = write_tiff(tmp_path / "a.tif", moving(100), "TYX")
    out = tmp_path / "out"
    args = [path, "--model", bright_file, "--diameter", 12, "--format", "zarr", "--out", out]
    with on_a_terminal(args) as (other, lines):
        assert any("plane 2 of 100" in line for line in lines)
        assert segment(path, "--format", "zarr") == 2
        told(capsys, "nuclei_summary.csv is being written by another program: wait")
        with pytest.raises(UserError, match=r"a_labels\.ome\.zarr is being written"):
            run(segment_job_steps(job_of(path, out, bright_file)))
        other.kill()
    assert other.exitcode == -signal.SIGKILL
    assert segment(path, "--format", "zarr") == 0
    assert set(os.listdir(out)) == {"a_labels.ome.zarr", "a_nuclei.csv", "nuclei_summary.csv"}


# images in several files

OME = """<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{own}">{inside}
</OME>"""


def write_ome_files(folder, planes, describe="all"):
    """One file for each plane; all of them, or only the first, describe the image."""
    folder.mkdir(exist_ok=True)
    names = [f"m_{t}.ome.tif" for t in range(len(planes))]
    places = "".join(
        f'<TiffData IFD="0" FirstT="{t}" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{t}</UUID>'
        "</TiffData>"
        for t, name in enumerate(names)
    )
    height, width = planes[0].shape
    image = (
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeC="1" '
        f'SizeX="{width}" SizeY="{height}" SizeZ="1" SizeT="{len(planes)}">'
        f'<Channel ID="Channel:0:0" SamplesPerPixel="1"/>{places}</Pixels></Image>'
    )
    refer = f'<BinaryOnly MetadataFile="{names[0]}" UUID="urn:uuid:0"/>'
    for t, name in enumerate(names):
        xml = OME.format(own=t, inside=image if describe == "all" or t == 0 else refer)
        tifffile.imwrite(folder / name, planes[t], description=xml, metadata=None)
    return [folder / name for name in names]


@pytest.mark.parametrize("describe", ["all", "first"])
def test_an_ome_tiff_in_several_files_is_one_image(tmp_path, segment, describe, capsys):
    paths = write_ome_files(tmp_path / "images", moving(), describe)
    write_tiff(tmp_path / "images" / "b.ome.tif", moving()[0], "YX")
    assert segment(tmp_path / "images") == 0
    assert list(summary(tmp_path / "out")) == ["b.ome.tif", "m_0.ome.tif"]
    write_tiff(tmp_path / "one.tif", moving(), "TYX")
    assert segment(tmp_path / "one.tif") == 0
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "out" / "m_0_labels.ome.tif"),
        tifffile.imread(tmp_path / "out" / "one_labels.ome.tif"),
    )
    assert segment(*reversed(paths), out=tmp_path / "named") == 0
    first = "m_2.ome.tif" if describe == "all" else "m_0.ome.tif"
    assert list(summary(tmp_path / "named")) == [first]
    capsys.readouterr()
    os.utime(paths[1])  # the image has changed
    assert segment(paths[0]) == 2
    told(capsys, "made with another image:")


def test_a_file_of_several_that_is_missing_is_told(tmp_path, segment, capsys):
    paths = write_ome_files(tmp_path / "images", moving())
    paths[1].unlink()
    assert segment(paths[0]) == 2
    told(capsys, "m_0.ome.tif is one of the 3 files of an image, and", "m_1.ome.tif is missing")
    renamed = paths[2].rename(tmp_path / "images" / "single.ome.tif")
    (alone,) = write_ome_files(tmp_path / "alone", moving()[:1])
    alone = alone.rename(alone.with_name("renamed.ome.tif"))  # it still knows itself
    assert segment(alone) == 0
    assert segment(renamed) == 2


def test_large_planes_go_to_zarr_by_themselves(tmp_path, segment):
    limits = Limits(large_plane_pixels=4000, block_size=64)
    tifffile.imwrite(tmp_path / "a.tif", moving()[0])
    imageio.imwrite(tmp_path / "b.png", moving()[0])
    assert segment(tmp_path, limits=limits) == 0
    for stem in "ab":
        labels = open_lazily(tmp_path / "out" / f"{stem}_labels.ome.zarr").pixels
        assert labels.shape == (60, 80)
        assert labels[...].max() == 3
    assert segment(tmp_path / "a.tif", "--format", "tiff", "--overwrite", limits=limits) == 0
    assert tifffile.imread(tmp_path / "out" / "a_labels.ome.tif").max() == 3


def test_planes_for_which_memory_is_short_go_to_zarr_or_are_told(tmp_path, segment, capsys):
    short = Limits(plane_bytes_per_pixel=10**9, block_size=64)
    for stem in "ab":
        tifffile.imwrite(tmp_path / f"{stem}.tif", moving()[0])
    assert segment(tmp_path / "a.tif", limits=short) == 0
    [notice] = capsys.readouterr().err.splitlines()
    assert notice.startswith("a.tif: In memory, the plane would take 4800.0 GB, of which")
    assert notice.endswith("written block by block, as OME-Zarr, to a_labels.ome.zarr.")
    [row] = rows_of(tmp_path / "out" / "nuclei_summary.csv")
    assert row["result"] == str(tmp_path / "out" / "a_labels.ome.zarr")
    assert segment(tmp_path / "b.tif") == 0
    capsys.readouterr()
    for limits in (DEFAULT_LIMITS, short):  # results keep their format
        assert segment(tmp_path / "a.tif", tmp_path / "b.tif", limits=limits) == 0
        assert [row["status"] for row in rows_of(tmp_path / "out" / "nuclei_summary.csv")] == [
            "skipped",
            "skipped",
        ]
        assert "OME-Zarr" not in capsys.readouterr().err
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"a_labels.ome.zarr", "b_labels.ome.tif"} <= names
    assert not {"a_labels.ome.tif", "b_labels.ome.zarr"} & names
    capsys.readouterr()
    alone = (tmp_path / "a.tif", "--format", "tiff")
    assert segment(*alone, out=tmp_path / "alone", limits=short) == 2
    told(capsys, "60 x 80 pixels in memory takes 4800.0 GB of memory, of which", "--format zarr")


def test_levels_and_regions_of_stacks(tmp_path, segment):
    stack = np.kron(moving(), np.ones((1, 2, 2), np.uint8))
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as out:
        about = {"axes": "TYX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm"}
        out.write(stack, subifds=1, metadata=about, photometric="minisblack")
        out.write(moving(), subfiletype=1, photometric="minisblack")
    box = "0,0 0,80 120,80 120,0"
    assert segment(tmp_path / "a.ome.tif", "--level", 1, "--region", box) == 0
    labels = tifffile.imread(tmp_path / "out" / "a_labels.ome.tif")
    assert labels.shape == (3, 120, 160)
    assert labels[:, :, 82:].max() == 0
    assert len(np.unique(labels[0])) == 3
    args = ("--level", 1, "--region", box, "--format", "zarr")
    assert segment(tmp_path / "a.ome.tif", *args, "--overwrite") == 0
    opened = open_lazily(tmp_path / "out" / "a_labels.ome.zarr")
    assert opened.pixels.shape == (3, 60, 80)
    assert opened.scale[2] == 1
    assert alike(opened.pixels[...], labels[:, ::2, ::2])


# broken off, and on other machines


@POSIX
@pytest.mark.parametrize("flags", [(), ("--join", "t")], ids=["plain", "joined"])
def test_killed_and_run_again_equals_uninterrupted(tmp_path, bright_file, flags):
    path = write_tiff(tmp_path / "a.tif", moving(40, shift=1), "TYX")
    args = [path, "--model", bright_file, "--diameter", 12, "--format", "zarr", *flags]
    assert main(["segment", *map(str, args), "--out", str(tmp_path / "whole")]) == 0
    out = tmp_path / "parts"
    for words in ("plane 3 of 40", "part/s" if flags else "plane 21 of 40"):
        with on_a_terminal([*args, "--out", out]) as (other, lines):
            assert any(words in line for line in lines)
            other.kill()
        assert other.exitcode == -signal.SIGKILL
    assert not LabelsStore.open_existing(out / "a_labels.ome.zarr").finished
    assert main(["segment", *map(str, args), "--out", str(out)]) == 0
    stores = [
        LabelsStore.open_existing(folder / "a_labels.ome.zarr")
        for folder in (tmp_path / "whole", out)
    ]
    np.testing.assert_array_equal(stores[0].labels[:], stores[1].labels[:])
    assert all(store.finished for store in stores)
    tables = [(f / "a_nuclei.csv").read_text() for f in (tmp_path / "whole", out)]
    assert tables[0] == tables[1]
    assert summary(out)["a.tif"]["status"] == "done"
    names = {"a_labels.ome.zarr", "a_nuclei.csv", "nuclei_summary.csv"}
    assert set(os.listdir(out)) == names


@POSIX
def test_ctrl_c_keeps_what_is_finished(tmp_path, bright_file):
    write_tiff(tmp_path / "a.tif", moving(), "TYX")
    write_tiff(tmp_path / "b.tif", moving(1000), "TYX")
    args = [tmp_path / "*.tif", "--model", bright_file, "--format", "zarr"]
    out = tmp_path / "out"
    with on_a_terminal([*args, "--out", out]) as (other, lines):
        assert any("b.tif, plane 3 of 1000" in line for line in lines)
        os.kill(other.pid, signal.SIGINT)
        error = "".join(lines)
    assert other.exitcode == 130
    assert error.splitlines()[-1].startswith("nuclei-unet: stopped")
    assert "Traceback" not in error
    assert "the same command goes on from there" in error
    rows = summary(out)
    assert [row["status"] for row in rows.values()] == ["done", "stopped"]
    assert LabelsStore.open_existing(out / "a_labels.ome.zarr").finished
    journal = json.loads((out / "b_labels.ome.zarr" / "nuclei_unet_journal.json").read_text())
    assert 2 <= journal["progress"]["plane"] < 1000
    assert rows["b.tif"]["planes"] == str(journal["progress"]["plane"])
    assert rows["b.tif"]["nuclei"] == str(journal["progress"]["nuclei"])
    assert rows["b.tif"]["result"].endswith("b_labels.ome.zarr")


@POSIX
@pytest.mark.parametrize("kind", ["tiff", "zarr"])
def test_a_full_disk_is_told_and_leaves_nothing_that_passes_for_finished(
    tmp_path, bright_file, kind
):
    """Files may not grow past 2 kB: the labels of noise do not fit."""
    noise = np.random.default_rng(0).integers(0, 255, (2, 200, 200), dtype=np.uint8)
    path = write_tiff(tmp_path / "noise.tif", noise, "TYX")
    args = ["segment", path, "--out", tmp_path / "out", "--model", bright_file, "--format", kind]
    done = run_limited(2000, *args, "--minimum-area", "1")
    assert done.returncode == 2, done.stderr
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert summary(tmp_path / "out")["noise.tif"]["status"] == "failed"
    if kind == "tiff":
        assert os.listdir(tmp_path / "out") == ["nuclei_summary.csv"]
    else:
        assert not LabelsStore.open_existing(tmp_path / "out" / "noise_labels.ome.zarr").finished


def test_a_cluster_gives_what_this_computer_gives(tmp_path, segment, capsys):
    pytest.importorskip("distributed")
    use_fork_server()
    path = write_tiff(tmp_path / "a.tif", moving(), "TYX")
    imageio.imwrite(tmp_path / "b.png", moving()[0])
    assert segment(path, "--format", "zarr", out=tmp_path / "here") == 0
    capsys.readouterr()
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        there = tmp_path / "there"
        assert segment(path, tmp_path / "b.png", "--scheduler", "local:2", out=there) == 2
    assert "b.png can only be read whole" in capsys.readouterr().err
    here, there = (
        LabelsStore.open_existing(tmp_path / where / "a_labels.ome.zarr").labels[:]
        for where in ("here", "there")
    )
    np.testing.assert_array_equal(here, there)
    limits = Limits(scheduler_timeout=1)
    assert segment(path, "--scheduler", "tcp://127.0.0.1:9", limits=limits) == 2
    assert "cannot be reached" in capsys.readouterr().err


# what is no channel


@pytest.fixture
def mixed(tmp_path):
    """A folder with three discs in grey, in colours and in the second of two channels."""
    folder, plane = tmp_path / "mixed", moving()[0]
    folder.mkdir()
    rgb = np.dstack([plane] * 3)
    imageio.imwrite(folder / "grey.png", plane)
    imageio.imwrite(folder / "rgb.png", rgb)
    imageio.imwrite(folder / "rgba.png", np.dstack([rgb, np.full_like(plane, 255)]))
    imageio.imwrite(folder / "photo.jpg", rgb, quality=95)
    tifffile.imwrite(folder / "colours.tif", rgb, photometric="rgb")
    zarr.save_array(folder / "unnamed.zarr", rgb)
    write_tiff(folder / "two.tif", np.stack([0 * plane, plane]), "CYX")
    return folder


@pytest.mark.parametrize("channel", ["200", "mean"])
@pytest.mark.parametrize(
    "name", ["rgb.png", "rgba.png", "photo.jpg", "colours.tif", "unnamed.zarr"]
)
def test_what_is_no_colour_is_refused(mixed, tmp_path, segment, capsys, name, channel):
    """Nor is what was found in them without --channel replaced."""
    assert segment(mixed / name) == 0
    labels = next((tmp_path / "out").glob("*_labels.ome.tif"))
    before = labels.read_bytes()
    capsys.readouterr()
    assert segment(mixed / name, "--channel", channel, "--overwrite") == 2
    told(capsys, "RGB", "leave --channel out")
    assert labels.read_bytes() == before


def test_of_a_folder_only_images_with_channels_ask_for_one(mixed, tmp_path, segment, capsys):
    for name in ("grey.png", "rgb.png"):
        assert segment(mixed / name) == 0
    assert segment(mixed, "--channel", 1) == 0
    assert capsys.readouterr().err == "rgba.png: The alpha channel was ignored.\n"
    rows = summary(tmp_path / "out")
    assert len(rows) == 7
    assert {row["nuclei"] for row in rows.values()} == {"3"}
    before = {name for name, row in rows.items() if row["status"] == "skipped"}
    assert before == {"grey.png", "rgb.png"}  # the flag makes no other result of them
    for labels in (tmp_path / "out").glob("*_labels.ome.tif"):
        assert tifffile.imread(labels).shape == (60, 80)
    assert segment(mixed / "grey.png", "--channel", 1) == 2
    told(capsys, "has no channels")


def test_a_channel_that_is_not_there_is_told_in_a_folder_too(mixed, tmp_path, segment, capsys):
    (mixed / "rgba.png").unlink()  # of which a notice is given
    assert segment(mixed, "--channel", 2) == 2
    told(capsys, "two.tif", "no channel 2")


# what is the user's


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
@pytest.mark.parametrize("name", ["a_nuclei.csv", "a_tracks.csv"])
def test_tables_of_the_user_are_not_overwritten(tmp_path, segment, capsys, kind, name):
    pytest.importorskip("laptrack")
    for one in "ab":
        write_tiff(tmp_path / f"{one}.tif", moving(), "TYX")
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("sample;count\nmine;3\n")
    for more in ((), ("--overwrite",)):
        assert segment(tmp_path / "*.tif", "--track", "--format", kind, *more) == 2
        told(capsys, name, "not made by this program", "choose another folder")
        assert (out / name).read_text() == "sample;count\nmine;3\n"
        assert next(row["status"] for row in summary(out).values()) == "failed"
    assert sorted(p.name for p in out.glob("a_*")) == [name]
    (out / name).unlink()
    assert segment(tmp_path / "*.tif", "--track", "--format", kind) == 0
    assert segment(tmp_path / "*.tif", "--track", "--format", kind, "--overwrite") == 0


def test_a_summary_of_the_user_stops_the_run_before_it_begins(tmp_path, segment, capsys):
    write_tiff(tmp_path / "a.tif", moving(), "TYX")
    out = tmp_path / "out"
    out.mkdir()
    (out / "nuclei_summary.csv").write_text("my notes\n")
    assert segment(tmp_path / "a.tif", "--overwrite") == 2
    told(capsys, "nuclei_summary.csv", "not made by this program")
    assert os.listdir(out) == ["nuclei_summary.csv"]
    assert (out / "nuclei_summary.csv").read_text() == "my notes\n"


def test_the_summary_has_statistics_of_the_nuclei(tmp_path, segment):
    about = {"axes": "TYX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5,
             "PhysicalSizeYUnit": "µm"}  # fmt: skip
    tifffile.imwrite(
        tmp_path / "a.ome.tif", moving(), metadata=about, photometric="minisblack", ome=True
    )
    write_tiff(tmp_path / "b.tif", moving()[0], "YX")
    write_tiff(tmp_path / "c.tif", np.zeros((60, 80), np.uint8), "YX")
    (tmp_path / "d.tif").write_bytes(b"nothing")
    assert segment(tmp_path) == 2
    for _ in range(2):  # also of what was done before
        rows = summary(tmp_path / "out")
        table = pd.read_csv(tmp_path / "out" / "a_nuclei.csv")
        row = {name: float(value) for name, value in list(rows["a.ome.tif"].items())[7:]}
        assert list(row) == [
            "density_per_mm2", "mean_area", "median_area", "mean_area_um2", "median_area_um2",
            "mean_intensity", "touching_border",
            "mean_volume", "median_volume", "mean_volume_um3", "median_volume_um3", "left_out",
        ]  # fmt: skip
        assert row["left_out"] == 0
        assert row["density_per_mm2"] == pytest.approx(8 / (3 * 60 * 80 * 0.25e-6), rel=1e-5)
        for name in ("area", "area_um2"):
            assert row[f"mean_{name}"] == pytest.approx(table[name].mean(), rel=1e-5)
            assert row[f"median_{name}"] == pytest.approx(table[name].median(), rel=1e-5)
        assert row["mean_intensity"] == pytest.approx(table["mean_intensity"].mean(), rel=1e-5)
        assert row["touching_border"] == table["touches_border"].sum()
        assert rows["b.tif"]["density_per_mm2"] == rows["b.tif"]["mean_area_um2"] == "nan"
        assert float(rows["b.tif"]["mean_area"]) > 0
        for name in ("c.tif", "d.tif"):
            assert (rows[name]["mean_area"], rows[name]["touching_border"]) == ("nan", "0")
        assert segment(tmp_path) == 2


def test_the_summary_has_volumes_where_nuclei_have_them(tmp_path, segment):
    about = {"axes": "ZYX"} | {f"PhysicalSize{axis}": 0.5 for axis in "ZYX"}
    stack = np.stack([moving()[0]] * 4)
    image, out = tmp_path / "a.ome.tif", tmp_path / "out"
    tifffile.imwrite(image, stack, metadata=about, photometric="minisblack", ome=True)
    assert segment(image, "--join", "z") == 0
    labels, table = str(out / "a_labels.ome.tif"), out / "a_nuclei.csv"
    assert main(["measure", labels, str(image), "--volume", "--overwrite"]) == 0
    assert segment(image, "--join", "z") == 0  # is done, as its table has its nuclei
    row = summary(out)["a.ome.tif"]
    volumes = pd.read_csv(table)["volume"]
    assert row["status"] == "skipped"
    assert float(row["mean_volume"]) == pytest.approx(volumes.mean(), rel=1e-5)
    assert float(row["median_volume_um3"]) == pytest.approx(volumes.median() / 8, rel=1e-5)
    assert row["mean_area"] == row["density_per_mm2"] == "nan"


def test_the_density_is_that_of_the_region(tmp_path, segment):
    about = {"axes": "YX", "PhysicalSizeX": 1, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 1,
             "PhysicalSizeYUnit": "µm"}  # fmt: skip
    tifffile.imwrite(tmp_path / "a.ome.tif", moving()[0], metadata=about, ome=True)
    square = "-0.5,-0.5 -0.5,39.5 39.5,39.5 39.5,-0.5"
    for kind in ("tiff", "zarr"):
        out = tmp_path / kind
        assert segment(tmp_path / "a.ome.tif", "--region", square, "--format", kind, out=out) == 0
        row = summary(out)["a.ome.tif"]
        density = int(row["nuclei"]) / (40 * 40 * 1e-6)
        assert float(row["density_per_mm2"]) == pytest.approx(density, rel=1e-5)
        assert int(row["nuclei"]) > 0


def test_a_summary_of_an_earlier_version_is_replaced(tmp_path, segment):
    write_tiff(tmp_path / "a.tif", moving(), "TYX")
    out = tmp_path / "out"
    out.mkdir()
    (out / "nuclei_summary.csv").write_text("image,result,planes,nuclei,seconds,status,error\r\n")
    assert segment(tmp_path / "a.tif") == 0
    assert summary(out)["a.tif"]["status"] == "done"
    (out / "nuclei_summary.csv").write_text("image,result,planes\r\n")
    assert segment(tmp_path / "a.tif") == 2


@pytest.mark.parametrize(("out", "words"), [("res.png", "is not a folder"), ("", "is empty")])
def test_an_out_that_can_be_no_folder_is_refused(
    tmp_path, bright_file, capsys, monkeypatch, out, words
):
    monkeypatch.chdir(tmp_path)
    write_tiff(tmp_path / "a.tif", moving()[0], "YX")
    try:
        code = main(["segment", "a.tif", "--model", str(bright_file), "--out", out])
    except SystemExit as end:
        code = end.code
    assert code == 2
    told(capsys, words)
    assert {p.name for p in tmp_path.iterdir()} <= {"a.tif", bright_file.name}


def test_a_damaged_tiff_is_told_once_and_plainly(tmp_path, bright_file):
    (tmp_path / "bad.tif").write_bytes(b"II*\x00\xff\x08\x00\x00\xff\xff")
    args = ["segment", tmp_path / "bad.tif", "--model", bright_file, "--out", tmp_path / "out"]
    done = run_process(main, list(map(str, args)))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.endswith("is damaged, or not a TIFF.")


@POSIX
@pytest.mark.parametrize("size", [(24, 100), (0, 0)], ids=["usual", "unknown"])
def test_the_bar_of_a_large_plane_moves_within_its_blocks(tmp_path, bright_file, size):
    at = range(20, 690, 40)
    path = write_tiff(tmp_path / "a.tif", discs((700, 700), [(y, x) for y in at for x in at]), "YX")
    args = [path, "--out", tmp_path / "out", "--model", bright_file, "--tile", 256]
    limits = Limits(block_size=512)
    with on_a_terminal([*args, "--format", "zarr"], size, limits) as (other, shown):
        lines = [line for line in shown if line.strip()]
    assert other.exitcode == 0
    assert lines[0].startswith("a.tif, looking at the image")
    first = {line for line in lines if "block 1 of " in line}
    assert len({line.partition("%")[0] for line in first}) > 2, lines


# Python


def test_a_stack_in_python_is_that_of_the_command_line(tmp_path, segment, bright_file):
    both = np.stack([moving() * 0, moving()], axis=-1)
    path = write_tiff(tmp_path / "a.tif", both, "TYXC")
    how = {"model": bright_file, "diameter": 12.0}
    for flags, arguments in [
        ((), {}),
        (("--join", "t"), {"join": "t"}),
        (("--planes", "1-2"), {"planes": [range(1, 3)]}),
        (("--planes", "2"), {"planes": [2]}),
    ]:
        assert segment(path, "--channel", 1, "--overwrite", *flags) == 0
        labels = segment_stack(both, "TYXC", channel=1, **arguments, **how)
        assert labels.dtype == np.int32
        np.testing.assert_array_equal(
            labels, tifffile.imread(tmp_path / "out" / "a_labels.ome.tif", squeeze=False).reshape(
                labels.shape
            )
        )  # fmt: skip


def test_a_stack_in_python_is_colours_planes_or_one(bright_file):
    stack = moving()
    how = {"model": bright_file, "diameter": 12.0}
    colours = np.stack([stack] * 3, axis=-1)
    np.testing.assert_array_equal(segment_stack(colours, "TYX", **how), segment_stack(stack, **how))
    np.testing.assert_array_equal(segment_stack(stack[0], **how), segment(stack[0], **how))
    with pytest.raises(UserError, match="along Q"):
        segment_stack(stack, join="q", **how)
    with pytest.raises(UserError, match="empty"):
        segment_stack(stack[:0], **how)
    with pytest.warns(UserWarning, match="NaN"):
        segment_stack(np.where(stack > 0, stack, np.nan), **how)


def test_the_record_of_a_stack_makes_it_again(tmp_path, segment, monkeypatch, capsys):
    import shlex

    monkeypatch.chdir(tmp_path)
    path = write_tiff(tmp_path / "a.tif", np.stack([moving(), moving()]), "ZTYX")
    assert segment(path, "--planes", "0,0-1", "--join", "t") == 0
    expected = tifffile.imread(tmp_path / "out" / "a_labels.ome.tif")
    record = read_record(tmp_path / "out" / "a_labels.ome.tif")
    space = {}
    exec(format_python(Provenance.from_json(record)), space)
    np.testing.assert_array_equal(space["labels"], expected)
    assert main(shlex.split(format_command(Provenance.from_json(record)))[1:]) == 0
    np.testing.assert_array_equal(tifffile.imread("results/a_labels.ome.tif"), expected)
    assert segment(path, "--planes", "0,all", "--format", "zarr", out=tmp_path / "z") == 0
    record = LabelsStore.open_existing(tmp_path / "z" / "a_labels.ome.zarr").record
    shutil.rmtree("results")
    assert main(shlex.split(format_command(Provenance.from_json(record)))[1:]) == 0
    assert open_lazily(tmp_path / "results" / "a_labels.ome.zarr").axes == "TYX"


def test_planes_of_a_stack_in_colours_are_no_axes(tmp_path, segment):
    colours = np.repeat(moving()[..., None], 3, axis=-1)
    tifffile.imwrite(tmp_path / "rgb.tif", colours, photometric="rgb")
    assert segment(tmp_path / "rgb.tif") == 0
    assert tifffile.imread(tmp_path / "out" / "rgb_labels.ome.tif").shape == (3, 60, 80)
