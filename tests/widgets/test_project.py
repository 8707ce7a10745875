"""Work, save, quit, start, go on: nothing is lost."""

import gc
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import discs
from napari.components import ViewerModel
from npe2 import PluginManager
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QLabel

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.limits import DEFAULT_LIMITS
from napari_nuclei_unet.widgets import ReviewWidget, SegmentWidget
from napari_nuclei_unet.widgets.layers.labels_state import LabelsState, PlaneState
from napari_nuclei_unet.widgets.project.projects import Projects
from widgets.conftest import choose, click, click_and_wait, move

CENTRES = [(y, x) for y in (20, 60, 100, 140) for x in (20, 60, 100, 140)]
SHAPE = (160, 170)
# CSV does not know whether 3 is floating.
SAME = {"check_like": True, "check_dtype": False, "rtol": 1e-6}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NUCLEI_UNET_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


class Window:
    """A viewer with its docks."""

    def __init__(self, qtbot, bright_file):
        self.viewer, self.qtbot = ViewerModel(), qtbot
        self.segment, self.review = SegmentWidget(self.viewer), ReviewWidget(self.viewer)
        for dock in (self.segment, self.review):
            qtbot.addWidget(dock)
        self.segment.use_model_file(bright_file)
        self.projects = Projects.of(self.viewer)

    def layer(self, name):
        return self.viewer.layers[name]

    def names(self):
        return [layer.name for layer in self.viewer.layers]

    def save(self, path):
        with self.qtbot.waitSignal(self.projects.finished, timeout=30_000):
            self.projects.save(path)


@pytest.fixture
def window(qtbot, bright_file, home):
    return Window(qtbot, bright_file)


@pytest.fixture
def another_window(qtbot, bright_file, home):
    return lambda: Window(qtbot, bright_file)


@pytest.fixture
def image_file(tmp_path):
    path = tmp_path / "data" / "cells.tif"
    path.parent.mkdir()
    pixels = discs(SHAPE, CENTRES) // 2 + np.arange(SHAPE[1], dtype=np.uint8) // 10
    tifffile.imwrite(path, pixels)
    return path


def work(qtbot, window, image_file):
    """Segment, correct ten nuclei, accept some, and write a class for each."""
    viewer, review = window.viewer, window.review
    (image,) = viewer.open(str(image_file), plugin="napari")
    image.scale, image.units = (0.5, 0.5), ("micrometer", "micrometer")
    image.contrast_limits = (5, 90)
    move(window.segment, "threshold", 0.37)
    click_and_wait(qtbot, window.segment)
    labels = viewer.layers["cells nuclei"]
    viewer.layers.selection.active = labels
    for centre in CENTRES[:8]:
        review.apply_tool("Delete", np.array([labels.data_to_world(centre)]))
    review.apply_tool("Merge", np.array([labels.data_to_world(at) for at in CENTRES[8:10]]))
    labels.data_setitem((np.array([1, 1]), np.array([1, 2])), 77)
    for _ in range(3):
        review.next()
        review.accept()
    labels.features = labels.features.assign(
        kind=[f"k{n % 2}" for n in range(len(labels.features))]
    )
    labels.contour, labels.opacity = 1, 0.4
    return labels


def by_label(layer):
    return layer.features.set_index("index").sort_index()


def test_nothing_is_lost_over_night(qtbot, window, another_window, image_file, tmp_path):
    labels = work(qtbot, window, image_file)
    data, table = labels.data.copy(), by_label(labels)
    window.review.next()
    on_view = labels.selected_label
    window.viewer.camera.zoom = 7.5
    path = tmp_path / "data" / "monday.nuclei.json"
    window.save(path)
    assert not window.projects.journal.has_unsaved_edits

    tuesday = another_window()
    tuesday.projects.open(path)
    again = tuesday.layer("cells nuclei")
    assert tuesday.names() == ["cells", "cells nuclei"]
    np.testing.assert_array_equal(again.data, data)
    assert again.data.dtype == data.dtype
    pd.testing.assert_frame_equal(by_label(again), table, **SAME)
    assert (again.contour, again.opacity) == (1, 0.4)
    image = tuesday.layer("cells")
    assert tuple(image.contrast_limits) == (5, 90)
    assert [str(unit) for unit in image.units] == ["micrometer", "micrometer"]
    assert tuesday.viewer.camera.zoom == window.viewer.camera.zoom == 7.5
    assert tuesday.viewer.camera.center == window.viewer.camera.center
    assert tuesday.segment.params_form.value().threshold == 0.37
    assert not tuesday.projects.journal.has_unsaved_edits

    tuesday.review.accept()  # the nucleus that was on view
    assert by_label(again).loc[on_view, "state"] == "accepted"
    before = len(again.features)
    again_states = sorted(again.features["state"])
    tuesday.review.delete()
    assert len(again.features) == before - 1
    again.undo()
    assert sorted(again.features["state"]) == again_states
    assert again.features["mean_intensity"].notna().all()
    again.data_setitem((np.array([1]), np.array([3])), 77)  # measured in the image
    assert by_label(again).loc[77, "mean_intensity"] == image.data[1, 1:4].mean()

    tuesday.viewer.layers.selection.active = again
    move(tuesday.segment, "threshold", 0.8)
    click(tuesday.segment, "restore")
    assert tuesday.segment.params_form.value().threshold == 0.37
    click(tuesday.segment, "copy_command")
    assert str(image_file) in QGuiApplication.clipboard().text()
    click_and_wait(qtbot, tuesday.segment)
    assert len(tuesday.names()) == 3  # what was corrected stays as it is


def test_labels_that_were_not_edited_are_replaced_by_the_next_run(
    qtbot, window, another_window, image_file, tmp_path
):
    window.viewer.open(str(image_file), plugin="napari")
    click_and_wait(qtbot, window.segment)
    window.save(tmp_path / "a.nuclei.json")
    later = another_window()
    later.projects.open(tmp_path / "a.nuclei.json")
    state = LabelsState.of(later.layer("cells nuclei"))
    assert state.plane_state((slice(None), slice(None))) is PlaneState.WRITTEN
    click_and_wait(qtbot, later.segment)
    assert later.names() == ["cells", "cells nuclei"]


def test_a_stack_comes_back_with_its_tracks_and_region(qtbot, window, another_window, tmp_path):
    film = np.stack([discs((80, 96), [(20, 20 + 2 * t), (55, 70)]) for t in range(3)])
    tifffile.imwrite(tmp_path / "film.tif", film)
    (image,) = window.viewer.open(str(tmp_path / "film.tif"), plugin="napari")
    image.axis_labels, image.scale = tuple("tyx"), (3, 0.5, 0.25)
    region = window.viewer.add_shapes(
        [np.array([[0, 0], [0, 24], [40, 24], [40, 0]])], name="all of it"
    )
    window.viewer.layers.selection.active = window.layer("film")
    choose(window.segment, planes="all", region=region)
    click_and_wait(qtbot, window.segment)
    window.viewer.dims.set_point(0, 3)
    click_and_wait(qtbot, window.segment, "link_frames")
    tracks = window.layer("film nuclei tracks").data.copy()
    window.save(tmp_path / "film.nuclei.json")
    later = another_window()
    later.projects.open(tmp_path / "film.nuclei.json")
    assert later.names() == window.names()
    np.testing.assert_allclose(later.layer("film nuclei tracks").data, tracks)
    first, again = window.layer("film nuclei"), later.layer("film nuclei")
    np.testing.assert_array_equal(again.data, first.data)
    assert len(again.features) == 6
    pd.testing.assert_frame_equal(again.features, first.features, **SAME)
    assert later.viewer.dims.point[0] == 3
    assert later.segment.source_form.value().region == later.layer("all of it")
    assert later.segment.source_form.value().planes == "all"


def test_images_in_no_file_are_saved_with_the_project(window, another_window, tmp_path):
    rgb = np.random.default_rng(0).integers(0, 255, (60, 70, 3), np.uint8)
    window.viewer.add_image(rgb, name="picture")
    window.viewer.add_image(np.arange(24.0).reshape(1, 4, 6), name="float")
    window.viewer.add_labels(np.eye(5, dtype=int), name="by hand")
    window.save(tmp_path / "a")
    later = another_window()
    later.projects.open(tmp_path / "a.nuclei.json")
    assert later.names() == ["picture", "float", "by hand"]
    for name in later.names():
        np.testing.assert_array_equal(later.layer(name).data, window.layer(name).data)
    assert later.layer("picture").rgb


def test_a_folder_can_be_moved(qtbot, window, another_window, image_file, tmp_path, messages):
    work(qtbot, window, image_file)
    window.save(image_file.with_name("a.nuclei.json"))
    shutil.move(image_file.parent, tmp_path / "moved")
    later = another_window()
    later.projects.open(tmp_path / "moved" / "a.nuclei.json")
    assert later.names() == ["cells", "cells nuclei"]
    assert [text for kind, text in messages if kind == "warning"] == []


def saved(qtbot, window, image_file):
    window.viewer.open(str(image_file), plugin="napari")
    click_and_wait(qtbot, window.segment)
    path = image_file.with_name("a.nuclei.json")
    window.save(path)
    return path


@pytest.mark.parametrize(
    ("change", "names", "sentence"),
    [
        ("gone", ["cells nuclei"], "is not there any more"),
        pytest.param(
            "a pipe",
            ["cells nuclei"],
            "is a named pipe",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="it has none"),
        ),
        ("another shape", ["cells nuclei"], "has changed: its shape was (160, 170)"),
        ("another content", ["cells", "cells nuclei"], "has changed since the project was saved"),
        ("no labels", ["cells"], "is not there any more: put it back"),
        ("no table", ["cells", "cells nuclei"], "table of 'cells nuclei' is missing"),
        ("another table", ["cells", "cells nuclei"], "does not belong to"),
        ("other labels", ["cells"], "it is another one"),
    ],
)
def test_what_can_be_opened_is(
    qtbot, window, another_window, image_file, messages, change, names, sentence
):
    path = saved(qtbot, window, image_file)
    folder = path.with_name("a.nuclei_files")
    labels, table = folder / "cells_labels.ome.tif", folder / "cells_nuclei.csv"
    changes = {
        "gone": lambda: image_file.unlink(),
        "a pipe": lambda: (image_file.unlink(), os.mkfifo(image_file)),
        "another shape": lambda: tifffile.imwrite(image_file, np.zeros((90, 80), np.uint8)),
        "another content": lambda: tifffile.imwrite(image_file, np.zeros(SHAPE, np.uint8)),
        "no labels": lambda: labels.unlink(),
        "no table": lambda: table.unlink(),
        "another table": lambda: pd.read_csv(table).iloc[1:].to_csv(table, index=False),
        "other labels": lambda: tifffile.imwrite(labels, np.eye(8, dtype=np.uint8)),
    }
    changes[change]()
    later = another_window()
    later.projects.open(path)
    assert later.names() == names
    told = [text for kind, text in messages if kind == "warning"]
    assert len(told) == 1
    assert sentence in told[0]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": "napari-nuclei-unet project"}'])
def test_what_is_no_project_is_refused(window, tmp_path, text):
    path = tmp_path / "a.nuclei.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"not a project of this plugin|is damaged"):
        window.projects.open(path)


def test_a_newer_project_is_refused(qtbot, window, another_window, image_file):
    path = saved(qtbot, window, image_file)
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"version": 99}))
    with pytest.raises(UserError, match="newer version"):
        another_window().projects.open(path)


def test_the_manifest_names_the_reader_and_the_commands():
    manager = PluginManager.instance()
    manager.discover()
    readers = [one.command for one in manager.iter_compatible_readers("x.nuclei.json")]
    assert "napari-nuclei-unet.read_project" in readers
    for name in ("save_project", "open_project"):
        assert callable(manager.commands.get(f"napari-nuclei-unet.{name}"))


def test_files_of_others_are_not_replaced(qtbot, window, image_file):
    window.viewer.open(str(image_file), plugin="napari")
    path = image_file.with_name("notes.nuclei.json")
    path.write_text("mine")
    with pytest.raises(UserError, match="not replaced"):
        window.projects.save(path)
    assert path.read_text() == "mine"


def test_saving_again_replaces_what_was_saved(qtbot, window, image_file):
    path = saved(qtbot, window, image_file)
    folder = path.with_name("a.nuclei_files")
    window.layer("cells nuclei").name = "other nuclei"
    window.save(path)
    assert {one.name for one in folder.iterdir()} == {"other_labels.ome.tif", "other_nuclei.csv"}


def test_an_image_that_is_open_is_not_opened_twice(qtbot, window, another_window, image_file):
    path = saved(qtbot, window, image_file)
    later = another_window()
    later.viewer.open(str(image_file), plugin="napari")
    later.projects.open(path)
    assert sorted(later.names()) == ["cells", "cells nuclei"]


def test_settings_wait_for_their_dock(qtbot, window, bright_file, image_file, home):
    move(window.segment, "threshold", 0.2)
    path = saved(qtbot, window, image_file)
    viewer = ViewerModel()
    Projects.of(viewer).open(path)
    dock = SegmentWidget(viewer)
    qtbot.addWidget(dock)
    assert dock.params_form.value().threshold == 0.2
    assert dock.model_form.value().model == str(bright_file)


# the journal


def shown(dock, name):
    return dock.findChild(QLabel, name).text()


def written(qtbot, window):
    with qtbot.waitSignal(window.projects.journal.written, timeout=30_000):
        pass


def folders(home):
    unsaved = home / "unsaved"
    return [one for one in unsaved.iterdir() if one.is_dir()] if unsaved.is_dir() else []


def test_the_journal_follows_edits_and_goes_when_all_is_saved(
    qtbot, window, another_window, image_file, home, tmp_path
):
    window.viewer.open(str(image_file), plugin="napari")
    click_and_wait(qtbot, window.segment)
    assert not window.projects.journal.has_unsaved_edits
    labels = window.layer("cells nuclei")
    window.review.apply_tool("Delete", np.array([labels.data_to_world(CENTRES[0])]))
    written(qtbot, window)
    assert len(folders(home)) == 1
    other = another_window()
    assert other.projects.unsaved == []  # they are of a window that lives
    window.save(tmp_path / "a.nuclei.json")
    assert folders(home) == []
    window.review.next()
    window.review.accept()  # states count, too
    written(qtbot, window)
    assert len(folders(home)) == 1
    window.viewer.layers.remove(labels)
    window.projects.journal.write()
    assert folders(home) == []


def test_files_that_are_saved_count_too(qtbot, window, image_file, home, tmp_path):
    window.viewer.open(str(image_file), plugin="napari")
    click_and_wait(qtbot, window.segment)
    labels, journal = window.layer("cells nuclei"), window.projects.journal
    window.review.apply_tool("Delete", np.array([labels.data_to_world(CENTRES[0])]))
    window.review.next()
    window.review.accept()
    for name, is_left in (("a.ome.tif", True), ("a_nuclei.csv", False)):
        with qtbot.waitSignal(window.review.finished, timeout=15_000):
            window.review.save(tmp_path / name)
        assert journal.has_unsaved_edits is is_left
    window.review.apply_tool("Delete", np.array([labels.data_to_world(CENTRES[1])]))
    assert journal.has_unsaved_edits
    with qtbot.waitSignal(window.review.finished, timeout=15_000):
        window.review.save(tmp_path / "a_labels.ome.tif")  # with its table
    assert not journal.has_unsaved_edits


def test_a_viewer_that_is_gone_leaves_nothing(qtbot, home):
    viewers = [ViewerModel()]  # no variable, which a snapshot of the frame would keep alive
    Projects.of(viewers[0])
    viewers[0].add_labels(np.zeros((40, 40), np.int32))
    viewers[0].layers[0].data_setitem((np.array([1]), np.array([2])), 1)
    qtbot.waitUntil(lambda: any(home.glob("unsaved/*/*.json")), timeout=30_000)
    viewers.clear()
    gc.collect()
    qtbot.waitUntil(lambda: not folders(home))


def test_labels_that_are_too_large_are_not_kept(qtbot, home, messages):
    viewer = ViewerModel()
    qtbot.addWidget(SegmentWidget(viewer, replace(DEFAULT_LIMITS, unsaved_bytes=100)))
    layer = viewer.add_labels(np.zeros((40, 40), np.int32))
    layer.data_setitem((np.array([1]), np.array([2])), 1)
    Projects.of(viewer).journal.write()
    assert folders(home) == []
    assert "too large" in messages[-1][1]


CRASH = """
import os, signal, sys
import numpy as np
from napari.components import ViewerModel
from npe2 import PluginManager
from qtpy.QtWidgets import QApplication
app = QApplication([])
PluginManager.instance().discover()
from napari_nuclei_unet.widgets import ReviewWidget
from napari_nuclei_unet.widgets.project.projects import Projects
viewer = ViewerModel()
viewer.open(sys.argv[1], plugin="napari")
labels = np.zeros(viewer.layers[0].data.shape, np.int32)
labels[10:20, 10:20], labels[40:50, 40:60] = 1, 2
layer = viewer.add_labels(labels, name="cells nuclei")
review = ReviewWidget(viewer)
def crash():
    print("written", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
def edit():
    layer.data_setitem((np.array([30]), np.array([31])), 3)
    review.next(); review.accept()
    Projects.of(viewer).journal.written.connect(crash)
review.finished.connect(edit)
review.measure()
app.exec()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
def test_what_a_crash_has_left_behind_is_offered_and_discarded(
    qtbot, another_window, image_file, home, tmp_path
):
    script = tmp_path / "crash.py"
    script.write_text(CRASH)
    ended = subprocess.run(
        [sys.executable, script, image_file], stdout=subprocess.PIPE, timeout=120
    )
    assert ended.stdout == b"written\n"
    assert ended.returncode == -9
    shutil.copytree(home, tmp_path / "left")
    window = another_window()
    assert "in 'cells nuclei' were not saved" in shown(window.review, "unsaved_edits")
    second = another_window()
    assert second.projects.unsaved == []  # one window is offered them
    click(window.review, "restore_edits")
    assert window.names() == ["cells", "cells nuclei"]
    labels = window.layer("cells nuclei")
    assert labels.data[30, 31] == 3
    assert "accepted" in labels.features["state"].tolist()
    assert window.projects.journal.has_unsaved_edits
    written(qtbot, window)
    assert len(folders(home)) == 1
    window.save(tmp_path / "a.nuclei.json")
    assert folders(home) == []
    (left,) = folders(tmp_path / "left")
    shutil.copytree(left, home / left.relative_to(tmp_path / "left"))  # as if nobody had looked
    window = another_window()
    click(window.segment, "discard_edits")
    assert folders(home) == []
    assert shown(window.segment, "unsaved_edits") == ""
