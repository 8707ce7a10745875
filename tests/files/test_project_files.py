"""Paths of projects, also of other computers, and what crashes leave behind."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
import tifffile

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.export.project_files import ProjectContent, write_project
from napari_nuclei_unet.export.result import Result
from napari_nuclei_unet.export.unsaved import UnsavedFolder, find_unsaved_edits
from napari_nuclei_unet.io.locks import write_lock
from napari_nuclei_unet.provenance.project import (
    Project,
    SavedDisplay,
    SavedGeometry,
    SavedLabels,
    read_project,
)
from napari_nuclei_unet.provenance.project_paths import ProjectFile

PLAIN = SavedGeometry(
    scale=(1, 1), translate=(0, 0), rotate=((1, 0), (0, 1)), shear=(0,),
    affine=((1, 0, 0), (0, 1, 0), (0, 0, 1)), units=("pixel", "pixel"), axis_labels=("y", "x"),
)  # fmt: skip


def content(value=1, labels_name="cells nuclei", pixels=None):
    """A project with one labels layer."""
    labels = np.zeros((9, 8), np.int32) if pixels is None else pixels
    labels[2:4, 3:5] = value
    layer = SavedLabels(
        name=labels_name, order=0, geometry=PLAIN, display=SavedDisplay(), file=None, image=None,
        shape=labels.shape, axes="YX", dtype="int32", has_table=False,
    )  # fmt: skip
    time = datetime.now().astimezone().isoformat(timespec="seconds")
    project = Project(plugin_version="1", time=time, labels=(layer,))
    return ProjectContent(project, {labels_name: Result(labels, {})})


def test_a_project_is_what_was_written(tmp_path):
    path = tmp_path / "a.nuclei.json"
    project = write_project(path, content())
    assert read_project(path) == project
    assert project.labels[0].file.relative == "a.nuclei_files/cells_labels.ome.tif"
    assert sorted(one.name for one in tmp_path.rglob("*")) == [
        "a.nuclei.json", "a.nuclei_files", "cells_labels.ome.tif",
    ]  # fmt: skip


def test_nothing_is_replaced_if_something_cannot_be_written(tmp_path):
    path = tmp_path / "a.nuclei.json"
    write_project(path, content(1))
    before = {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()}
    both = content(2)
    bad = replace(both.labels["cells nuclei"], labels=np.zeros((0, 8), np.int32))
    layers = (*both.project.labels, replace(both.project.labels[0], name="b"))
    both = replace(both, labels={**both.labels, "b": bad})
    with pytest.raises(UserError, match="no pixels"):
        write_project(path, replace(both, project=replace(both.project, labels=layers)))
    assert {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()} == before


@pytest.mark.parametrize(
    ("absolute", "relative"),
    [
        ("C:\\Users\\me\\cells.tif", "../../data/cells.tif"),
        ("/home/me/cells.tif", "cells.tif"),
        ("\\\\server\\share\\cells.tif", "missing/cells.tif"),
    ],
)
def test_a_file_of_another_computer_is_found_beside_the_project(tmp_path, absolute, relative):
    (tmp_path / "cells.tif").touch()
    assert ProjectFile(relative, absolute).find(tmp_path) == str(tmp_path / "cells.tif")


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 5000])
def test_a_path_that_no_file_can_have_is_not_found(tmp_path, name):
    assert ProjectFile(name, name).find(tmp_path) is None


def test_a_relative_path_is_not_looked_for_in_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "a.tif").write_bytes(b"of another project")
    monkeypatch.chdir(tmp_path)
    assert ProjectFile("a.tif", "").find(tmp_path / "elsewhere") is None


def test_the_relative_path_is_tried_first(tmp_path):
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "cells.tif").touch()
    file = ProjectFile.of(tmp_path / "there" / "cells.tif", tmp_path / "there")
    assert file.find(tmp_path / "here") == str(tmp_path / "here" / "cells.tif")


def test_an_address_stays_one(tmp_path):
    file = ProjectFile.of("https://example.org/a.zarr", tmp_path)
    assert file.find(tmp_path) == "https://example.org/a.zarr"


def test_two_layers_of_the_same_name_on_any_disk_have_two_files(tmp_path):
    first, second = content(1, "A nuclei"), content(2, "a nuclei")
    both = ProjectContent(
        replace(first.project, labels=first.project.labels + second.project.labels),
        {**first.labels, **second.labels},
    )
    project = write_project(tmp_path / "x.nuclei.json", both)
    for saved, value in zip(project.labels, (1, 2), strict=True):
        assert tifffile.imread(tmp_path / saved.file.relative).max() == value


def test_what_is_too_much_is_removed_the_oldest_first(tmp_path):
    times = ("2026-01-01T10:00:00+00:00", "2026-01-02T10:00:00+00:00")
    for number, time in enumerate(times):
        folder, one = UnsavedFolder(tmp_path / f"w{number}"), content(number + 1)
        folder.write(replace(one, project=replace(one.project, time=time)))
        (tmp_path / "unsaved").mkdir(exist_ok=True)
        folder.path.parent.rename(tmp_path / "unsaved" / str(number))  # as if it had crashed
    (found, second) = find_unsaved_edits(tmp_path / "unsaved", 10**9)
    assert found.time.day == 2
    assert find_unsaved_edits(tmp_path / "unsaved", 10**9) == []  # this program has them
    for edits in (found, second):
        edits.release()
    (found,) = find_unsaved_edits(tmp_path / "unsaved", found.bytes + 10)
    assert found.time.day == 2
    found.discard()
    assert not any(one.is_dir() for one in (tmp_path / "unsaved").iterdir())


def test_a_window_that_closes_while_it_writes_leaves_nothing_that_others_are_offered(tmp_path):
    folder = UnsavedFolder(tmp_path)

    class ClosedMeanwhile(dict):
        def items(self):
            folder.close()
            with pytest.raises(UserError, match="another program"), write_lock(folder.path.parent):
                pass  # as another window would, which looks for what crashes left behind
            return super().items()

    one = content()
    folder.write(replace(one, labels=ClosedMeanwhile(one.labels)))
    assert not any(tmp_path.iterdir())
    folder.write(one)  # of a timer that was late
    assert not any(tmp_path.iterdir())
