"""Files of several images, colours and bad files on the command line."""

import csv
import os
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
import tifffile
import zarr
from conftest import discs

from napari_nuclei_unet.batch.inputs import find_inputs, select_scene
from napari_nuclei_unet.batch.job import open_job
from napari_nuclei_unet.batch.outputs import OutputOptions
from napari_nuclei_unet.batch.settings import JobSettings
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.io.labels import read_record
from napari_nuclei_unet.models.model import load_model
from napari_nuclei_unet.provenance.record import Provenance
from napari_nuclei_unet.provenance.reproduce import format_command, format_python

THREE = discs((60, 80), [(15, 15), (15, 60), (45, 40)])
TWO = discs((60, 80), [(15, 30), (45, 60)])


@pytest.fixture(name="segment")
def segment_command(tmp_path, bright_file):
    def run_command(*args):
        flags = ["--out", str(tmp_path / "out"), "--model", str(bright_file), "--diameter", "12"]
        return main(["segment", *map(str, args), *flags])

    return run_command


def nuclei(folder):
    """Return status and number of nuclei of each image of a run."""
    with (folder / "nuclei_summary.csv").open(newline="", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    return {os.path.basename(row["image"]): (row["status"], int(row["nuclei"])) for row in rows}


def positions(path):
    with tifffile.TiffWriter(path) as opened:
        for number, pixels in enumerate((THREE, TWO)):
            opened.write(pixels, metadata={"axes": "YX", "Name": f"Pos{number}"})
    return path


def test_every_image_of_a_file_is_segmented(tmp_path, segment, capsys):
    path = positions(tmp_path / "a.ome.tif")
    assert segment(path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["a.ome.tif/Pos0: 3 nuclei", "a.ome.tif/Pos1: 2 nuclei"]
    assert nuclei(tmp_path / "out") == {"Pos0": ("done", 3), "Pos1": ("done", 2)}
    assert segment(path) == 0
    assert {status for status, _ in nuclei(tmp_path / "out").values()} == {"skipped"}


def test_one_image_of_a_file_is_segmented_again_by_its_record(tmp_path, segment):
    path = positions(tmp_path / "a.ome.tif")
    assert segment(path, "--scene", 1) == 0
    labels = tmp_path / "out" / "a_Pos1_labels.ome.tif"
    assert sorted(labels.parent.glob("*.tif")) == [labels]
    provenance = Provenance.from_json(read_record(labels))
    assert "--scene 1" in format_command(provenance)
    names = {}
    exec(format_python(provenance), names)
    np.testing.assert_array_equal(names["labels"], tifffile.imread(labels))


def test_only_images_of_several_have_a_number_in_what_their_result_depends_on(
    tmp_path, bright_file
):
    tifffile.imwrite(tmp_path / "one.tif", THREE)
    positions(tmp_path / "two.ome.tif")
    settings = JobSettings(load_model(bright_file), str(bright_file))
    inputs = find_inputs([tmp_path / "one.tif", tmp_path / "two.ome.tif"])
    jobs = [open_job(item, settings, OutputOptions(tmp_path)) for item in inputs]
    assert [job.fingerprint.get("--scene") for job in jobs] == [None, None, 1]
    assert [item.scene for item in select_scene(inputs, 0)] == [None, 0]


def save_merge(path):
    """Save a picture of two red and three blue nuclei."""
    PIL.Image.fromarray(np.dstack([TWO, TWO * 0, THREE])).save(path)
    return path


@pytest.mark.parametrize(("channel", "count"), [("blue", 3), ("2", 3), ("red", 2), ("0", 2)])
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_of_rgb_one_colour_is_segmented(tmp_path, segment, name, channel, count):
    path = save_merge(tmp_path / name)
    assert segment(path, "--channel", channel) == 0
    assert nuclei(tmp_path / "out") == {name: ("done", count)}
    other = {"blue": "2", "red": "0"}.get(channel, channel)
    assert segment(path, "--channel", other) == 0  # which is the same
    assert nuclei(tmp_path / "out") == {name: ("skipped", count)}


def test_of_several_pictures_a_number_is_a_colour_unless_others_have_channels(tmp_path, segment):
    folder = tmp_path / "in"
    folder.mkdir()
    save_merge(folder / "merge.png")
    PIL.Image.fromarray(TWO).save(folder / "grey.png")
    assert segment(folder, "--channel", 2) == 0
    assert nuclei(tmp_path / "out") == {"grey.png": ("done", 2), "merge.png": ("done", 3)}
    channels = np.stack([TWO, TWO, THREE])
    tifffile.imwrite(folder / "stack.tif", channels, metadata={"axes": "CYX"})
    assert segment(folder, "--channel", 2, "--overwrite") == 0
    found = nuclei(tmp_path / "out")
    assert found["stack.tif"] == ("done", 3)
    assert found["merge.png"] == ("done", 0)  # all its colours together
    assert segment(folder, "--channel", "blue", "--overwrite") == 2
    assert nuclei(tmp_path / "out")["merge.png"] == ("done", 3)
    assert nuclei(tmp_path / "out")["stack.tif"] == ("failed", 0)


def bad_files(folder):
    """Write files that cannot be read, beside one that can, and return what is said of each."""
    folder.mkdir()
    tifffile.imwrite(folder / "good.tif", THREE)
    PIL.Image.fromarray(np.dstack([THREE] * 3)).save(folder / "half.png")
    zarr.create_array(folder / "part.zarr", data=THREE, chunks=THREE.shape)
    data = (folder / "good.tif").read_bytes()
    (folder / "cut.tif").write_bytes(data[: len(data) // 2])
    (folder / "empty.tif").touch()
    (folder / "void.jpg").touch()
    (folder / "text.tif").write_text("no image\n" * 99)
    (folder / "words.png").write_text("no image\n" * 99)
    (folder / "nowhere.tif").symlink_to(folder / "gone.tif")
    (folder / "bad.zarr").mkdir()
    (folder / "bad.zarr" / "zarr.json").write_text('{"zarr_format": 3, "node_')
    for path in (folder / "half.png", folder / "part.zarr" / "c" / "0" / "0"):
        path.write_bytes(path.read_bytes()[:-30])
    return {
        "half.png": "damaged",
        "part.zarr": "damaged",
        "cut.tif": "incomplete",
        "empty.tif": "is empty",
        "void.jpg": "is empty",
        "text.tif": "not a known kind of image",
        "words.png": "not a known kind of image",
        "nowhere.tif": "there is no file",
        "bad.zarr": "damaged",
    }


def test_bad_files_are_said_in_a_sentence_each_and_the_rest_is_done(tmp_path, bright_file):
    said = bad_files(tmp_path / "in")
    command = [sys.executable, "-m", "napari_nuclei_unet.cli", "segment", str(tmp_path / "in")]
    command += ["--out", str(tmp_path / "out"), "--model", str(bright_file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == len(said), lines
    for name, words in said.items():
        (line,) = (line for line in lines if line.startswith(f"nuclei-unet: {name}: "))
        assert words in line
    found = nuclei(tmp_path / "out")
    assert found.pop("good.tif") == ("done", 3)
    assert set(found.values()) == {("failed", 0)}


def test_a_folder_that_is_named_like_an_image_holds_none(tmp_path, segment, capsys):
    (tmp_path / "x.tif").mkdir()
    assert segment(tmp_path / "x.tif") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "x.tif contains no TIFF" in line


def test_of_a_stack_that_was_stopped_the_planes_are_segmented_and_the_rest_is_failed(
    tmp_path, segment, capsys
):
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, np.stack([THREE, TWO]), metadata={"axes": "ZYX"})
    with tifffile.TiffFile(path) as opened:
        about = opened.ome_metadata.replace('SizeZ="2"', 'SizeZ="3"')
    with tifffile.TiffWriter(path) as opened:
        opened.write(THREE, description=about, metadata=None)
        opened.write(TWO, metadata=None)
    assert segment(path) == 2
    first, last = capsys.readouterr().err.splitlines()
    assert "Plane 2 was left out" in first
    assert "should have 3 planes, but contains 2" in first
    assert "Parts could not be read" in last
    assert nuclei(tmp_path / "out") == {"a.ome.tif": ("failed", 5)}
    assert segment(path, "--planes", "0-1", "--overwrite") == 0
