"""Files that leave the computer: what they say about it, and what they may have opened there."""

import csv
import shlex
import shutil

import numpy as np
import pytest
import tifffile
import zarr
from conftest import discs
from test_project_files import content

from napari_nuclei_unet import LabelsStore, Provenance, UserError, read_image
from napari_nuclei_unet.batch.inputs import find_inputs
from napari_nuclei_unet.blockwise.journal import explain_differences
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.export.project_files import write_project
from napari_nuclei_unet.io.labels import read_record
from napari_nuclei_unet.io.multifile_tiff import list_tiff_files
from napari_nuclei_unet.io.record_paths import is_far
from napari_nuclei_unet.provenance.project_paths import ProjectFile
from napari_nuclei_unet.provenance.reproduce import format_command

PIXELS = discs((60, 80), [(20, 20), (40, 60)])


@pytest.fixture
def segment(bright_file, tmp_path):
    """Segment an image in a folder, with a model beside it; return the record of the labels."""
    model = tmp_path / "study" / "mine.safetensors"
    model.parent.mkdir()
    shutil.copy(bright_file, model)

    def run(image="study/images/a.tif", out="study/results", kind="tiff", code=0):
        image, out = tmp_path / image, tmp_path / out
        if not image.exists():
            image.parent.mkdir(parents=True, exist_ok=True)
            tifffile.imwrite(image, PIXELS)
        command = ["segment", str(image), "--out", str(out), "--model", str(model)]
        assert main([*command, "--format", kind]) == code
        return None if code else read(out, kind)

    return run


def read(out, kind):
    if kind == "zarr":
        return LabelsStore.open_existing(out / "a_labels.ome.zarr").record
    return read_record(out / "a_labels.ome.tif")


def said(folder):
    """What all files in a folder contain; a summary names images as they were given."""
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != "nuclei_summary.csv"]
    return b"".join(file.read_bytes() for file in files).decode("latin-1")


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
def test_results_hold_no_folders_of_this_computer_and_are_made_again(
    segment, tmp_path, kind, capsys
):
    record = segment(kind=kind)
    assert record["source"]["path"] == str(tmp_path / "study" / "images" / "a.tif")
    assert tmp_path.name not in said(tmp_path / "study" / "results")
    shutil.copytree(tmp_path / "study", tmp_path / "moved")
    moved = read(tmp_path / "moved" / "results", kind)
    assert moved["source"]["path"] == str(tmp_path / "moved" / "images" / "a.tif")
    words = shlex.split(format_command(Provenance.from_json(moved)))
    words[words.index("--out") + 1] = str(tmp_path / "again")
    assert main(words[1:]) == 0
    assert read(tmp_path / "again", kind)["nuclei"] == record["nuclei"]
    capsys.readouterr()
    segment(kind=kind)
    assert "1 of them before" in capsys.readouterr().out


def test_names_of_users_are_left_out_unless_wished(segment, tmp_path, monkeypatch):
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "anna"))
    monkeypatch.setenv("HOME", str(tmp_path / "anna"))
    record = segment("anna/a.tif", "scratch")
    assert record["source"]["path"] == "a.tif"
    assert "anna" not in said(tmp_path / "scratch")
    assert "segment a.tif" in format_command(Provenance.from_json(record))
    monkeypatch.setenv("NUCLEI_UNET_RECORD_PATHS", "absolute")
    record = segment("anna/a.tif", "wished")
    assert record["source"]["path"] == str(tmp_path / "anna" / "a.tif")


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
def test_what_failed_is_told_without_folders_unless_wished(
    segment, tmp_path, kind, monkeypatch, capsys
):
    def errors(folder):
        with (tmp_path / folder / "nuclei_summary.csv").open(encoding="utf-8") as table:
            told = "".join(row["error"] for row in csv.DictReader(table))
        journals = [file.read_text() for file in (tmp_path / folder).rglob("*_journal.json")]
        assert len(journals) == (kind == "zarr")
        return told + "".join(journals)

    image = tmp_path / "study" / "images" / "a.zarr"
    planes = np.stack([PIXELS] * 2)
    zarr.create_array(image, data=planes, chunks=(1, 60, 80), zarr_format=2)
    (image / "1.0.0").write_bytes(b"damaged")
    segment("study/images/a.zarr", "study/results", kind, code=2)
    assert "a.zarr cannot be read" in errors("study/results")
    assert tmp_path.name not in errors("study/results")
    capsys.readouterr()
    segment("study/images/a.zarr", "study/results", kind, code=2)
    assert "a.zarr cannot be read" in errors("study/results")
    monkeypatch.setenv("NUCLEI_UNET_RECORD_PATHS", "absolute")
    segment("study/images/a.zarr", "wished", kind, code=2)
    assert f"{image} cannot be read" in errors("wished")


def test_messages_of_what_could_not_be_opened_name_no_folder(segment, tmp_path):
    (tmp_path / "a.tif").write_text("none")
    segment("a.tif", "out", code=2)
    assert '"a.tif cannot be read' in (tmp_path / "out" / "nuclei_summary.csv").read_text()


@pytest.mark.parametrize("path", ["/data/anna/a.tif", "C:\\Users\\anna\\a.tif"])
def test_a_result_of_an_earlier_version_counts_as_done(path):
    """It has the path of its image where there is only the name now."""
    now, earlier = ({"image": [name, [1, 2]]} for name in ("a.tif", path))
    assert not explain_differences("", now, earlier, "")
    assert "another image" in explain_differences("", {"image": ["b.tif", [1, 2]]}, earlier, "")


def test_a_project_refers_to_files_from_its_own_folder(tmp_path, monkeypatch):
    (tmp_path / "a.tif").touch()
    (tmp_path / "other").mkdir()
    file = ProjectFile.of(tmp_path / "a.tif", tmp_path / "p")
    assert (file.relative, file.absolute) == ("../a.tif", "")
    assert file.find(tmp_path / "other") == str(tmp_path / "other" / ".." / "a.tif")
    monkeypatch.setenv("NUCLEI_UNET_RECORD_PATHS", "absolute")
    assert ProjectFile.of(tmp_path / "a.tif", tmp_path / "p").absolute == str(tmp_path / "a.tif")


def test_what_is_far_from_a_file(tmp_path):
    folder = tmp_path / "a" / "b" / "c"
    assert not is_far(tmp_path / "a" / "x.tif", folder)
    assert is_far(tmp_path / "x.tif", folder)


# what a file may have opened

OUTSIDE = ["../secret.tif", "sub/../../secret.tif", "/secret.tif", "C:\\secret.tif", "..\\s.tif"]


def write_ome_tiff(path, name):
    """An OME-TIFF of two planes, of which the second is in another file."""
    places = "".join(
        f'<TiffData IFD="0" FirstT="{t}" PlaneCount="1"><UUID FileName="{file}">u{t}</UUID>'
        "</TiffData>"
        for t, file in enumerate((path.name, name))
    )
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="u0"><Image ID="I">'
        '<Pixels ID="P" DimensionOrder="XYZCT" Type="uint8" SizeX="80" SizeY="60" SizeZ="1" '
        f'SizeC="1" SizeT="2"><Channel ID="C"/>{places}</Pixels></Image></OME>'
    )
    path.parent.mkdir(exist_ok=True)
    tifffile.imwrite(path, PIXELS, description=xml, metadata=None)


@pytest.mark.parametrize("name", OUTSIDE)
def test_an_ome_tiff_does_not_choose_files_of_this_computer(tmp_path, name):
    tifffile.imwrite(tmp_path / "secret.tif", PIXELS)
    path = tmp_path / "image" / "a.ome.tif"
    write_ome_tiff(path, name)
    with pytest.raises(UserError, match="outside its folder") as error:
        read_image(path)
    assert name in str(error.value)
    assert list_tiff_files(path) == [path]
    write_ome_tiff(path, "sub/b.tif")  # which is inside
    (path.parent / "sub").mkdir()
    tifffile.imwrite(path.parent / "sub" / "b.tif", PIXELS)
    assert read_image(path).shape == (2, 60, 80)


@pytest.mark.parametrize(
    ("well", "field"), [("../other.zarr", "0"), ("A/1", "../../../other.zarr")]
)
def test_a_plate_has_its_wells_inside(tmp_path, well, field):
    zarr.create_array(str(tmp_path / "other.zarr"), shape=(9, 9), dtype="uint8")
    about = {"well": {"images": [{"path": field}]}}
    plate = zarr.create_group(
        tmp_path / "p.zarr", zarr_format=2, attributes={"plate": {"wells": [{"path": well}]}}
    )
    plate.create_group("A/1", attributes=about)
    (found,) = find_inputs([tmp_path / "p.zarr"])
    assert found.path == tmp_path / "p.zarr"
    with pytest.raises(UserError, match=r"other\.zarr.*outside its folder"):
        read_image(found.path)


def test_a_project_deletes_nothing_through_a_link(tmp_path):
    path = tmp_path / "a.nuclei.json"
    write_project(path, content())
    (tmp_path / "a.nuclei_files").rename(tmp_path / "elsewhere")
    (tmp_path / "a.nuclei_files").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    write_project(path, content(labels_name="others nuclei"))
    assert (tmp_path / "elsewhere" / "cells_labels.ome.tif").exists()
