"""Folders of results that vanish, or become a file, while the docks write into them."""

import numpy as np
import pytest
import tifffile
from conftest import discs
from qtpy.QtWidgets import QLabel, QProgressBar, QPushButton

from napari_nuclei_unet.widgets.project.projects import Projects
from napari_nuclei_unet.widgets.train.resume import find_interrupted

from .conftest import click
from .test_train_widget import add_pair, change

IMAGES = 12


def move_away(folder):
    """At once: what is deleted file by file is written to meanwhile."""
    folder.rename(folder.with_name("elsewhere"))


def replace_by_a_file(folder):
    move_away(folder)
    folder.write_text("of somebody")


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(IMAGES):
        tifffile.imwrite(folder / f"i{number:02}.tif", discs((200, 200), [(20, 20), (90, 90)]))
    return folder


@pytest.fixture
def squares(viewer):
    """A layer of fifteen nuclei."""
    ids = np.arange(16, dtype=np.int32).reshape(4, 4)
    return viewer.add_labels(np.kron(ids, np.ones((9, 9), np.int32)))


def run(qtbot, many):
    with qtbot.waitSignal(many.finished, timeout=60_000):
        many.run()


def status(many):
    return many.findChild(QLabel, "status").text()


@pytest.mark.parametrize("happen", [move_away, replace_by_a_file])
def test_many_images_whose_folder_vanishes_in_a_run_show_what_is_left_and_run_again(
    qtbot, many, images, tmp_path, happen, messages
):
    with qtbot.waitSignal(many.listed):
        many.add_paths([images])
    many.out_folder = out = tmp_path / "results"
    happened = []

    def happen_after_the_first_image():
        if not happened and many.rows[0].summary is not None:
            happened.append(True)
            happen(out)

    many.list_model.rows_changed.connect(happen_after_the_first_image)
    run(qtbot, many)
    assert "was removed or replaced while it was in use" in status(many)
    assert messages == []  # said once, in the dock
    assert {row.status.value for row in many.rows} == {"waiting"}  # nothing is left of any
    assert many.findChild(QPushButton, "run").text() == "Run"
    if out.is_file():
        run(qtbot, many)
        assert "choose another folder" in status(many)
        assert out.read_text() == "of somebody"
        many.out_folder = out = tmp_path / "others"
    run(qtbot, many)
    assert status(many) == f"{IMAGES} images done: {2 * IMAGES} nuclei."
    assert len(list(out.glob("*_labels.ome.tif"))) == IMAGES


@pytest.mark.parametrize("name", ["a.ome.tif", "a.csv", "a.geojson", "a.zip"])
def test_labels_are_not_saved_where_the_folder_became_a_file(
    qtbot, review, squares, tmp_path, name, messages
):
    folder = tmp_path / "out"
    folder.write_text("of somebody")
    for place in folder, tmp_path / "others":
        with qtbot.waitSignal(review.finished, timeout=60_000):
            review.save(place / name)
    ((severity, message),) = messages
    assert severity == "error"
    assert message.endswith("choose another folder or free some space.")
    assert folder.read_text() == "of somebody"
    assert (tmp_path / "others" / name).is_file()


def test_a_project_is_not_saved_where_the_folder_became_a_file(
    qtbot, review, viewer, squares, tmp_path, messages
):
    projects, folder = Projects.of(viewer), tmp_path / "out"
    folder.write_text("of somebody")
    for place in folder, tmp_path / "others":
        with qtbot.waitSignal(projects.finished, timeout=60_000):
            projects.save(place / "mine")
    ((severity, message),) = messages
    assert severity == "error"
    assert message.endswith("choose another folder or free some space.")
    assert projects.path.is_file()
    assert projects.path.parent == tmp_path / "others"


def test_a_training_whose_folder_of_models_became_a_file_is_resumed(
    qtbot, trainer, viewer, home, messages
):
    add_pair(viewer)
    click(trainer, "add_all_pairs")
    change(trainer, epochs=2, steps=3)
    models, happened = home / "models", []

    def happen(done):
        if not happened and done > 1:  # the folder was found writable before
            happened.append(True)
            replace_by_a_file(models)

    trainer.findChild(QProgressBar, "training_progress").valueChanged.connect(happen)
    with qtbot.waitSignal(trainer.finished, timeout=120_000):
        trainer.train()
    assert [severity for severity, _ in messages] == ["error"]
    assert messages[0][1].endswith("NUCLEI_UNET_HOME to a folder that can be written.")
    assert find_interrupted().resume_state.name == "my nuclei"
    models.unlink()
    with qtbot.waitSignal(trainer.finished, timeout=120_000):
        click(trainer, "resume")
    assert [path.name for path in models.iterdir()] == ["my nuclei.safetensors"]
