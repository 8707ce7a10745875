"""The widget "Train nuclei model", driven by clicks, with a real thread and real layers."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from conftest import discs
from napari.layers import Image, Labels
from pyqtgraph import InfiniteLine
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QLabel,
    QLineEdit,
    QListWidget,
    QMessageBox,
    QPlainTextEdit,
    QPushButton,
    QTableWidget,
    QWidget,
)
from skimage.measure import label

from napari_nuclei_unet import fine_tune, load_model
from napari_nuclei_unet.labels.masks import MASK_HINT
from napari_nuclei_unet.models.library import RANDOM_WEIGHTS_NAME
from napari_nuclei_unet.models.model import ModelCard, read_card, read_model, save_model
from napari_nuclei_unet.params import PARAMETER_LABELS
from napari_nuclei_unet.training.checkpoint import load_checkpoint, save_checkpoint
from napari_nuclei_unet.training.evaluation import FineTuned
from napari_nuclei_unet.training.evidence import Evidence, Judgement
from napari_nuclei_unet.training.finetune_data import Pair
from napari_nuclei_unet.training.recipes import RECIPES
from napari_nuclei_unet.widgets import TrainWidget
from napari_nuclei_unet.widgets.common.controller import RunState
from napari_nuclei_unet.widgets.common.preferences import get_preference
from napari_nuclei_unet.widgets.layers.metadata_keys import VALIDATION_AREAS_KEY
from napari_nuclei_unet.widgets.session.model_form import ModelForm
from napari_nuclei_unet.widgets.session.model_registry import MODEL_REGISTRY
from napari_nuclei_unet.widgets.train.card_view import describe_card
from napari_nuclei_unet.widgets.train.dataset_form import UNLABELLED_IS_BACKGROUND, DatasetChoice
from napari_nuclei_unet.widgets.train.resume import ResumeState, find_interrupted
from napari_nuclei_unet.widgets.train.use_model_panel import UseModelPanel
from napari_nuclei_unet.widgets.train.validation_areas import (
    find_validation_layer,
    read_validation_areas,
)

from .conftest import click

GRID = [(y, x) for y in (16, 48, 80, 112) for x in (16, 48, 80, 112)]


def add_pair(viewer, name="cells", seed=0, **how):
    """Add sixteen bright discs on a noisy ground, with their labels."""
    clean = discs((128, 128), GRID, 7)
    image = (clean + np.random.default_rng(seed).normal(20, 5, clean.shape)).astype(np.float32)
    return (
        viewer.add_image(image, name=name, **how),
        viewer.add_labels(label(clean > 0), name=f"{name} nuclei", **how),
    )


def looked(qtbot, trainer):
    """Wait until the labels were looked at."""
    qtbot.waitUntil(lambda: not trainer.dataset_form.is_busy, timeout=30_000)


def listed(trainer):
    entries = trainer.findChild(QListWidget, "pairs")
    return [entries.item(row).text() for row in range(entries.count())]


def pairs(trainer):
    return trainer.dataset_form.value().pairs


def change(trainer, **params):
    """Change settings of the form."""
    trainer.params_form.set_value(replace(trainer.params_form.value(), **params))


def choose(widget, name, text):
    """Choose an entry of a combo box."""
    combo = widget.findChild(QComboBox, name)
    assert combo.findText(text) >= 0
    combo.setCurrentIndex(combo.findText(text))


def text(widget, name):
    return widget.findChild(QLabel, name).text()


def trained(qtbot, trainer, name="train"):
    with qtbot.waitSignal(trainer.finished, timeout=120_000):
        click(trainer, name)


def the_application_ends(qtbot, trainer):
    """End a training as the end of the application does; wait until that is shown."""
    with qtbot.waitSignal(trainer.finished, timeout=60_000):
        QApplication.instance().aboutToQuit.emit()


def segmented(qtbot, widget):
    click(widget, "segment")
    qtbot.waitUntil(widget.findChild(QPushButton, "segment").isEnabled, timeout=60_000)


def curve(widget, plot, column):
    """Return the epochs and the values of a curve."""
    items = widget.findChild(QWidget, plot).getPlotItem().listDataItems()
    return next(item for item in items if item.name() == column).getData()


def held_layers(viewer):
    return [layer for layer in viewer.layers if VALIDATION_AREAS_KEY in layer.metadata]


# what is learnt from


def test_add_all_lists_every_image_with_labels_and_counts_their_nuclei(qtbot, viewer, trainer):
    add_pair(viewer, "one")
    viewer.add_image(np.zeros((40, 50)), name="without labels")
    add_pair(viewer, "two", scale=(0.5, 0.5), translate=(3, 4))
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    assert listed(trainer) == [
        "16 nuclei · one · one nuclei",
        "16 nuclei · two · two nuclei",
    ]
    assert len(held_layers(viewer)) >= 1


def test_the_selected_pair_is_added_and_removed_and_renamed(qtbot, viewer, trainer, messages):
    image, labels = add_pair(viewer)
    viewer.layers.selection = {image, labels}
    click(trainer, "add_pair")
    click(trainer, "add_pair")
    assert "listed already" in messages[-1][1]
    looked(qtbot, trainer)
    image.name = "renamed"
    assert listed(trainer) == ["16 nuclei · renamed · cells nuclei"]
    trainer.findChild(QListWidget, "pairs").item(0).setSelected(True)
    click(trainer, "remove_pair")
    assert listed(trainer) == []
    looked(qtbot, trainer)
    assert held_layers(viewer) == []


def test_labels_of_another_shape_and_an_image_with_itself_are_refused(viewer, trainer, messages):
    image, _ = add_pair(viewer)
    other = viewer.add_labels(np.ones((5, 5), int))
    viewer.layers.selection = {image, other}
    click(trainer, "add_pair")
    assert "not that of 'cells'" in messages[-1][1]
    second = viewer.add_image(np.zeros((128, 128)))
    viewer.layers.selection = {image, second}
    click(trainer, "add_pair")
    assert "an image is never its own labels" in messages[-1][1]
    assert listed(trainer) == []


def test_painting_is_counted(qtbot, viewer, trainer):
    _, labels = add_pair(viewer)
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    labels.fill((16, 16), 0)
    looked(qtbot, trainer)
    assert "15 nuclei" in listed(trainer)[0]


def test_a_pair_whose_layer_is_removed_leaves_the_list(qtbot, viewer, trainer):
    image, _ = add_pair(viewer)
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    viewer.layers.remove(image)
    assert listed(trainer) == []
    looked(qtbot, trainer)


def test_the_image_that_is_chosen_is_shown_alone_with_its_labels(qtbot, viewer, trainer):
    """And what was shown before comes back when none is chosen, or the dock is left."""
    add_pair(viewer, "one")
    add_pair(viewer, "two")
    viewer.layers["one nuclei"].visible = False
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)

    def shown():
        return [one.name for one in viewer.layers if one.visible and one not in held_layers(viewer)]

    before = ["one", "two", "two nuclei"]
    assert shown() == before
    rows = trainer.findChild(QListWidget, "pairs")
    rows.item(0).setSelected(True)
    assert shown() == ["one", "one nuclei"]
    rows.clearSelection()
    rows.item(1).setSelected(True)
    assert shown() == ["two", "two nuclei"]
    viewer.layers["two nuclei"].visible = False  # by the user, which stays
    rows.clearSelection()
    assert shown() == ["one", "two"]
    trainer.show()
    rows.item(0).setSelected(True)
    assert shown() == ["one", "one nuclei"]
    trainer.hide()
    assert shown() == ["one", "two"]
    trainer.show()
    assert shown() == ["one", "one nuclei"]
    viewer.layers.remove("one")
    assert shown() == ["two"]
    looked(qtbot, trainer)


def test_channels_are_chosen(qtbot, viewer, trainer):
    clean = discs((128, 128), GRID, 7)
    stack = np.stack([np.zeros_like(clean), clean]).astype(np.float32)
    viewer.add_image(stack, name="cells", axis_labels=("c", "y", "x"))
    viewer.add_labels(label(clean > 0), name="cells nuclei")
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    assert pairs(trainer)[0].channel == 0
    choose(trainer, "train_channel", "1")
    looked(qtbot, trainer)
    (arrays,) = trainer.dataset_form.arrays()
    ((_, plane),) = Pair(**vars(arrays)).planes()
    np.testing.assert_array_equal(plane.plane.pixels[0:128, 0:128], clean)


# what is held back


def test_what_is_held_back_lies_exactly_on_the_labels_and_can_be_moved(qtbot, viewer, trainer):
    _, labels = add_pair(viewer, scale=(0.5, 2.0), translate=(10, -7))
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    layer = find_validation_layer(viewer, labels)
    for name in ("scale", "translate"):
        np.testing.assert_array_equal(getattr(layer, name), getattr(labels, name))
    (pair,) = pairs(trainer)
    before = read_validation_areas(viewer, [pair])[pair.key][()]
    assert all(one.stop <= 128 for box in before for one in box)
    layer.data = [np.add(corners, (3, 0)) for corners in layer.data]
    after = read_validation_areas(viewer, [pair])[pair.key][()]
    assert [box[0].start for box in after] == [min(b[0].start + 3, 128) for b in before]
    labels.fill((16, 16), 0)  # painting does not move them back
    looked(qtbot, trainer)
    assert read_validation_areas(viewer, [pair])[pair.key][()] == after
    change(trainer, validation=0.5)  # another share does
    looked(qtbot, trainer)
    assert len(read_validation_areas(viewer, [pair])[pair.key][()]) > len(after)


def test_what_is_held_back_grows_with_what_is_painted(qtbot, viewer, trainer):
    """The first two nuclei that are painted must not stay the only ones that judge."""
    clean = discs((128, 128), GRID, 7)
    viewer.add_image(clean.astype(float), name="cells")
    labels = viewer.add_labels(np.zeros((128, 128), int), name="cells nuclei")
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    for number, place in enumerate(GRID[:2], 1):
        labels.brush_size = 14
        labels.paint(place, number)
    looked(qtbot, trainer)
    (pair,) = pairs(trainer)
    few = read_validation_areas(viewer, [pair])[pair.key]
    for number, place in enumerate(GRID[2:], 3):
        labels.paint(place, number)
    looked(qtbot, trainer)
    assert read_validation_areas(viewer, [pair])[pair.key] != few


@pytest.mark.parametrize("lead", [(), (2,)])
def test_what_is_held_back_is_drawn_again_in_a_3d_view(qtbot, viewer, trainer, lead):
    """The rectangles of before stay until the new ones are there, and their layer is the same."""
    clean = np.broadcast_to(discs((128, 128), GRID, 7), (*lead, 128, 128))
    viewer.add_image(clean.astype(np.float32), name="cells")
    labels = viewer.add_labels(label(clean > 0), name="cells nuclei")
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    layer, (pair,) = find_validation_layer(viewer, labels), pairs(trainer)
    before = read_validation_areas(viewer, [pair])[pair.key]
    counts = []
    layer.events.data.connect(lambda _: counts.append(layer.nshapes))
    viewer.dims.ndisplay = 3
    labels.data[labels.data > 8] = 0
    labels.paint((*[0] * len(lead), 120, 120), 8)
    looked(qtbot, trainer)
    assert find_validation_layer(viewer, labels) is layer
    assert read_validation_areas(viewer, [pair])[pair.key] != before
    assert min(counts) > 0
    viewer.dims.ndisplay = 2
    assert layer.nshapes == len(layer.data) > 0


@pytest.mark.parametrize("lead", [((), (3,)), ((3,), ())], ids=["plane to stack", "stack to plane"])
def test_what_is_held_back_is_chosen_anew_where_labels_have_other_axes(
    qtbot, viewer, trainer, lead, messages
):
    clean = discs((128, 128), GRID, 7)
    before, after = (np.broadcast_to(clean, (*one, 128, 128)).copy() for one in lead)
    image = viewer.add_image(before.astype(np.float32), name="cells")
    labels = viewer.add_labels(label(before > 0), name="cells nuclei")
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    assert find_validation_layer(viewer, labels).ndim == before.ndim
    labels.data, image.data = label(after > 0), after.astype(np.float32)
    looked(qtbot, trainer)
    assert messages == []
    (pair,) = pairs(trainer)
    areas = read_validation_areas(viewer, [pair])[pair.key]
    assert {len(position) for position in areas} == {len(lead[1])}
    assert find_validation_layer(viewer, labels).ndim == after.ndim


def test_moving_the_slider_of_a_stack_is_no_painting(qtbot, viewer, trainer):
    clean = discs((128, 128), GRID, 7)
    truth = np.zeros((4, 128, 128), int)
    truth[2] = label(clean > 0)
    viewer.add_image(np.stack([clean] * 4).astype(float), name="stack")
    labels = viewer.add_labels(truth, name="stack nuclei")
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    slowly(trainer)
    click(trainer, "train")
    wait_for_epoch(qtbot, trainer, 1)
    viewer.dims.set_point(0, 3)
    viewer.dims.set_point(0, 2)
    labels.visible = False
    labels.contour = 2
    assert text(trainer, "training_note") == ""
    trained(qtbot, trainer, "cancel_training")
    looked(qtbot, trainer)


def test_planes_of_a_stack_are_held_back_where_they_are(qtbot, viewer, trainer):
    clean = discs((128, 128), GRID, 7)
    truth = np.zeros((4, 128, 128), int)
    truth[2] = label(clean > 0)
    viewer.add_image(np.stack([clean] * 4).astype(float), name="stack")
    labels = viewer.add_labels(truth, name="stack nuclei")
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    assert "16 nuclei" in listed(trainer)[0]
    (pair,) = pairs(trainer)
    assert set(read_validation_areas(viewer, [pair])[pair.key]) == {(2,)}
    assert all((corners[:, 0] == 2).all() for corners in find_validation_layer(viewer, labels).data)


def test_finished_areas_are_taken_from_shapes_in_the_world(qtbot, viewer, trainer):
    add_pair(viewer, scale=(2.0, 2.0))
    click(trainer, "add_all_pairs")
    upper = [[0, 0], [0, 255], [120, 255], [120, 0]]  # in the world: the upper half
    shapes = viewer.add_shapes([upper], shape_type="polygon", name="finished")
    choose(trainer, "unlabelled", "all inside 'finished'")
    looked(qtbot, trainer)
    assert "8 nuclei" in listed(trainer)[0]
    viewer.layers.remove(shapes)
    looked(qtbot, trainer)
    assert "16 nuclei" in listed(trainer)[0]


def test_a_problem_is_said_before_train_is_clicked(qtbot, viewer, trainer):
    _, labels = add_pair(viewer)
    labels.data = np.zeros((128, 128), int)
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    assert "Nothing is annotated" in text(trainer, "training_status")
    labels.data = discs((128, 128), [(30, 30)]) > 0
    looked(qtbot, trainer)
    assert "Only one nucleus" in text(trainer, "training_status")


def test_a_mask_among_labels_is_told_before_train_is_clicked(qtbot, viewer, trainer):
    add_pair(viewer)
    _, labels = add_pair(viewer, "more", 1)
    labels.data = (labels.data > 0).astype(np.uint8)
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    assert MASK_HINT in text(trainer, "training_status")


# training


def test_a_click_makes_a_model_and_asks_whether_it_is_used(qtbot, viewer, trainer, widget, home):
    """Four validation nuclei show nothing, so the user decides."""
    add_pair(viewer)
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    trained(qtbot, trainer)
    path = home / "models" / "my nuclei.safetensors"
    assert load_model(path).card.name == "my nuclei"
    assert list((home / "unfinished").iterdir()) == []
    looked(qtbot, trainer)
    assert "AP@0.5" in text(trainer, "verdict")
    assert "of 4 nuclei that were not used for training" in text(trainer, "verdict")
    table = trainer.findChild(QTableWidget, "scores")
    assert "→" in table.item(0, 0).text()
    assert "too few validation nuclei" in text(trainer, "use_model_text")
    models = [one.findChild(QComboBox, "model") for one in (trainer, widget)]
    assert str(path) not in [one.currentData() for one in models]
    click(trainer, "use_for_session")
    assert "until napari is closed" in text(trainer, "use_model_text")
    assert [one.currentData() for one in models] == [str(path)] * 2
    assert get_preference("model") == "nuclei"
    segmented(qtbot, widget)
    records = [one.metadata.get("napari_nuclei_unet", {}) for one in viewer.layers]
    assert "my nuclei" in [one.get("model") for one in records]
    trained(qtbot, trainer)
    second = home / "models" / "my nuclei 2.safetensors"
    click(trainer, "use_not")
    assert [one.currentData() for one in models] == [str(path)] * 2
    fresh = ModelForm()
    assert fresh.value().model == str(path)  # of this session
    trained(qtbot, trainer)
    click(trainer, "use_from_now_on")
    third = second.with_name("my nuclei 3.safetensors")
    assert get_preference("model") == fresh.value().model == str(third)
    looked(qtbot, trainer)


def test_a_model_that_is_clearly_better_is_the_default(qtbot, home):
    judged = FineTuned(None, None, {"held back": {}}, {}, 12, Judgement(Evidence.BETTER, 0.01))
    home.mkdir()
    panel, path = UseModelPanel(), home / "mine.safetensors"
    qtbot.addWidget(panel)
    panel.show_result(path, judged)
    assert get_preference("model") == str(path)
    worse = replace(judged, judgement=Judgement(Evidence.WORSE, 0.01))
    panel.show_result(home / "other.safetensors", worse)
    assert get_preference("model") == str(path)
    assert "not used" in text(panel, "use_model_text")


def test_the_widget_gives_the_weights_that_python_gives(qtbot, viewer, trainer, bright_file, home):
    image, labels = add_pair(viewer)
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    trained(qtbot, trainer)
    _, network = read_model(home / "models" / "my nuclei.safetensors")
    quick = {"epochs": 2, "steps": 3, "batch": 2, "patch": 32, "reference": 0}
    tuned = fine_tune([(image.data, labels.data)], bright_file, **quick)
    made = network.state_dict()
    for name, value in tuned.network.state_dict().items():
        # to the last bits only nearly: once, beside other busy programs, they differed
        torch.testing.assert_close(made[name], value, rtol=0.02, atol=2e-3)


def test_curves_and_picture_follow_the_epochs(qtbot, viewer, trainer):
    add_pair(viewer)
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    trained(qtbot, trainer)
    epochs, losses = curve(trainer, "loss_plot", "validation_loss")
    assert epochs.tolist() == [0, 1, 2]
    assert np.isfinite(losses).all()
    assert curve(trainer, "loss_plot", "training_loss")[0].tolist() == [1, 2]
    items = trainer.findChild(QWidget, "score_plot").getPlotItem().items
    (best,) = [item for item in items if isinstance(item, InfiniteLine)]
    assert best.isVisible()
    assert best.value() in (1, 2)
    assert trainer.findChild(QLabel, "held_back_picture").pixmap().width() > 50


def slowly(trainer):
    change(trainer, epochs=400, patience=0)


def wait_for_epoch(qtbot, trainer, number):
    """Wait until the curves, which the start of a training hides, have an epoch."""

    def reached():
        if trainer.findChild(QWidget, "curves").isHidden():
            return False
        return curve(trainer, "loss_plot", "validation_loss")[0][-1] >= number

    qtbot.waitUntil(reached, timeout=60_000)


def test_stop_keeps_the_best_so_far(qtbot, viewer, trainer, home):
    add_pair(viewer)
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    slowly(trainer)
    click(trainer, "train")
    wait_for_epoch(qtbot, trainer, 1)
    trained(qtbot, trainer, "stop")
    card = read_card(home / "models" / "my nuclei.safetensors")
    assert 1 <= card.history[-1]["epoch"] < 400
    assert trainer.findChild(QPushButton, "train").isEnabled()


def test_cancel_leaves_nothing(qtbot, viewer, trainer, home):
    add_pair(viewer)
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    slowly(trainer)
    click(trainer, "train")
    wait_for_epoch(qtbot, trainer, 1)
    trained(qtbot, trainer, "cancel_training")
    assert [path for path in home.rglob("*") if path.is_file()] == []
    assert "nothing was kept" in text(trainer, "training_status")


def test_cancel_leaves_nothing_of_a_model_that_is_saved_already(qtbot, viewer, trainer, home):
    add_pair(viewer)
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    click(trainer, "train")
    wait_for_epoch(qtbot, trainer, 1)
    QThreadPool.globalInstance().waitForDone()  # what it returns is still on its way
    trained(qtbot, trainer, "cancel_training")
    assert [path for path in home.rglob("*") if path.is_file()] == []
    assert "nothing was kept" in text(trainer, "training_status")


def test_after_a_closed_window_a_training_goes_on_without_its_layers(
    qtbot, viewer, trainer, home, bright_file
):
    add_pair(viewer)
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    click(trainer, "train")
    wait_for_epoch(qtbot, trainer, 1)
    the_application_ends(qtbot, trainer)
    assert not trainer.findChild(QWidget, "resuming").isHidden()
    viewer.layers.clear()
    again = TrainWidget(viewer)
    qtbot.addWidget(again)
    assert "of 'my nuclei', from 'bright', was interrupted" in text(again, "halted")
    assert "after epoch 1 of 2" in text(again, "halted")
    again.findChild(QLineEdit, "model_name").setText("another")  # it keeps the name it had
    trained(qtbot, again, "resume")
    card = read_card(home / "models" / "my nuclei.safetensors")
    assert [row["epoch"] for row in card.history] == [0, 1, 2]
    assert card.parent["name"] == "bright"
    assert again.findChild(QWidget, "resuming").isHidden()


def test_what_cannot_be_resumed_is_told_in_words_of_the_window(qtbot, viewer, trainer, messages):
    add_pair(viewer)
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    click(trainer, "train")
    wait_for_epoch(qtbot, trainer, 1)
    the_application_ends(qtbot, trainer)
    path = find_interrupted().resume_state.checkpoint
    save_checkpoint(path, replace(load_checkpoint(path), data="others"))
    trained(qtbot, trainer, "resume")
    sentence = "was trained on other images, or with other groups: train without 'Resume'."
    assert messages[-1] == ("error", f"{path} {sentence}")


def test_messages_name_controls_that_are_there(widget, trainer):
    kinds = (QLabel, QPushButton)  # PySide6 finds one kind at a time
    there = [one for dock in (widget, trainer) for kind in kinds for one in dock.findChildren(kind)]
    named = ("planes", "channel", "level", "region", "model", "join", "track", "resume", "patch")
    seen = {one.text().partition(" (")[0] for one in there}
    assert {PARAMETER_LABELS[name].strip("'") for name in named} <= seen


def test_an_interrupted_training_can_be_discarded(qtbot, viewer, trainer, home):
    add_pair(viewer)
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    click(trainer, "train")
    wait_for_epoch(qtbot, trainer, 1)
    the_application_ends(qtbot, trainer)
    click(trainer, "discard")
    assert trainer.findChild(QWidget, "resuming").isHidden()
    assert list((home / "unfinished").iterdir()) == []


def test_what_changes_during_training_is_said_and_plays_no_part(qtbot, viewer, trainer):
    image, labels = add_pair(viewer)
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    slowly(trainer)
    click(trainer, "train")
    wait_for_epoch(qtbot, trainer, 1)
    image.name = "other"
    assert "'other' now" in text(trainer, "training_note")
    labels.fill((16, 16), 0)
    assert "as they were at its start" in text(trainer, "training_note")
    viewer.layers.remove(image)
    assert "The list was changed" in text(trainer, "training_note")
    trained(qtbot, trainer, "stop")
    assert trainer.findChild(QWidget, "outcome").isVisibleTo(trainer)
    looked(qtbot, trainer)


def test_two_interrupted_trainings_do_not_disturb_each_other(qtbot, viewer, trainer, home):
    add_pair(viewer)
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    for name in ("first", "second"):
        trainer.findChild(QLineEdit, "model_name").setText(name)
        click(trainer, "train")
        wait_for_epoch(qtbot, trainer, 1)
        assert (
            find_interrupted() is None or find_interrupted().resume_state.name == "first"
        )  # not the one that runs
        the_application_ends(qtbot, trainer)
        looked(qtbot, trainer)
    assert "'second'" in text(trainer, "halted")
    trained(qtbot, trainer, "resume")
    looked(qtbot, trainer)
    assert (home / "models" / "second.safetensors").is_file()
    assert "'first'" in text(trainer, "halted")


def test_a_model_from_random_weights_is_not_made_the_default(qtbot, viewer, trainer, home):
    add_pair(viewer)
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    choose(trainer, "model", RANDOM_WEIGHTS_NAME)
    change(trainer, width=4, depth=1)
    trained(qtbot, trainer)
    looked(qtbot, trainer)
    assert (home / "models" / "my nuclei.safetensors").is_file()
    assert trainer.model_form.value().model == RANDOM_WEIGHTS_NAME


def test_the_learning_rate_can_be_small(trainer):
    for rate in (5e-4, 2.5e-5, 1e-6):
        change(trainer, learning_rate=rate)
        assert trainer.params_form.value().learning_rate == rate


def test_what_was_unknown_does_not_become_background(qtbot, viewer, trainer):
    add_pair(viewer)
    click(trainer, "add_all_pairs")
    shapes = viewer.add_shapes([[[0, 0], [60, 127]]], shape_type="rectangle", name="finished")
    choose(trainer, "unlabelled", "all inside 'finished'")
    viewer.layers.remove(shapes)
    assert trainer.dataset_form.params().margin > 0
    looked(qtbot, trainer)


def test_segment_and_training_agree_on_the_channel(qtbot, viewer, trainer, widget):
    """Labels that were made of channel 1 are learnt with channel 1, though nothing names it."""
    clean = discs((128, 128), GRID, 7)
    viewer.add_image(np.stack([np.zeros_like(clean)] * 6 + [clean]).astype(float), name="cells")
    choose(widget, "channel_axis", "axis 0 (7)")
    choose(widget, "channel", "6")
    segmented(qtbot, widget)
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    (pair,) = pairs(trainer)
    assert (pair.channel_axis, pair.channel) == (0, 6)


def test_methods_do_what_the_buttons_do_and_the_state_tells(qtbot, viewer, trainer, home, messages):
    add_pair(viewer)
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    slowly(trainer)
    buttons = [
        trainer.findChild(QPushButton, name) for name in ("train", "stop", "cancel_training")
    ]

    def shown():
        return trainer.state, *(button.isEnabled() for button in buttons)

    assert shown() == (RunState.IDLE, True, False, False)
    trainer.train()
    trainer.train()
    trainer.resume()  # both do nothing now
    assert messages == []
    assert shown() == (RunState.RUNNING, False, True, True)
    wait_for_epoch(qtbot, trainer, 1)
    assert text(trainer, "training_status").startswith("Epoch ")
    trainer.stop()
    assert shown() == (RunState.STOPPING, False, False, True)
    assert text(trainer, "training_status") == "Stopping …"
    with qtbot.waitSignal(trainer.finished, timeout=60_000):
        trainer.cancel()
        assert shown() == (RunState.CANCELLING, False, False, False)
        assert text(trainer, "training_status") == "Cancelling …"
    assert shown() == (RunState.IDLE, True, False, False)
    assert text(trainer, "training_status") == "Cancelled; nothing was kept."
    assert not list(home.rglob("*.safetensors"))
    trainer.resume()
    assert messages[-1] == ("warning", "There is no interrupted training any more.")
    assert trainer.state is RunState.IDLE
    looked(qtbot, trainer)


def test_the_choice_of_images_is_a_value(qtbot, viewer, trainer):
    add_pair(viewer, "one")
    add_pair(viewer, "two")
    shapes = viewer.add_shapes([[[0, 0], [60, 127]]], shape_type="rectangle", name="finished")
    click(trainer, "add_all_pairs")
    choose(trainer, "unlabelled", "all inside 'finished'")
    chosen = trainer.dataset_form.value()
    assert [pair.image.name for pair in chosen.pairs] == ["one", "two"]
    assert chosen.unlabelled is shapes
    with qtbot.waitSignal(trainer.dataset_form.changed):
        trainer.dataset_form.set_value(DatasetChoice(chosen.pairs[1:], UNLABELLED_IS_BACKGROUND))
    looked(qtbot, trainer)
    assert listed(trainer) == ["16 nuclei · two · two nuclei"]
    trainer.dataset_form.set_value(chosen)
    assert vars(trainer.dataset_form.value()) == vars(chosen)
    looked(qtbot, trainer)
    assert "8 nuclei" in listed(trainer)[1]


def test_a_folder_is_in_use_as_long_as_its_process_trains(home):
    state = ResumeState.new("mine")
    assert not state.is_in_use
    with state.in_use():
        assert state.is_in_use
        (lock,) = state.folder.glob("lock*")
        about = json.loads(lock.read_text())
        assert ResumeState.read(state.folder) == state
        for file in (state.model, state.checkpoint):
            file.touch()
    assert not state.is_in_use
    lock.write_text(json.dumps(about | {"since": about["since"] - 3600}))  # of a crash, once
    assert not state.is_in_use
    parent = psutil.Process().parent()  # another process that runs
    lock.write_text(json.dumps({"process": parent.pid, "since": parent.create_time()}))
    assert state.is_in_use


# bad input


def test_train_without_pairs_and_with_a_bad_name_is_told(qtbot, viewer, trainer, messages, home):
    button = trainer.findChild(QPushButton, "train")
    assert not button.isEnabled()
    assert "nothing to train on" in button.toolTip()
    trainer.train()
    assert "nothing to train on" in messages[-1][1]
    add_pair(viewer)
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    for name in ("", "a/b", "nuclei"):
        trainer.findChild(QLineEdit, "model_name").setText(name)
        click(trainer, "train")
        assert trainer.state is RunState.IDLE
        assert "name" in messages[-1][1]


def test_a_folder_that_cannot_be_written_is_told(qtbot, viewer, trainer, messages, home):
    add_pair(viewer)
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    home.parent.mkdir(exist_ok=True)
    home.write_text("a file where the folder should be")
    trained(qtbot, trainer)
    looked(qtbot, trainer)
    assert "cannot be written" in messages[-1][1]
    assert trainer.findChild(QPushButton, "train").isEnabled()


def test_a_lazy_image_that_cannot_be_read_is_told(qtbot, viewer, trainer, messages):
    import dask.array as da

    def fail(block, block_info):
        if block_info[0]["chunk-location"][0] == 2:
            raise OSError("the server is gone")
        return block

    image = da.zeros((3, 128, 128), chunks=(1, 64, 64), dtype=np.float32).map_blocks(
        fail, dtype=np.float32, meta=np.zeros((0, 0, 0), np.float32)
    )
    truth = np.zeros((3, 128, 128), int)
    truth[2] = label(discs((128, 128), GRID, 7) > 0)  # not the plane on view, which can be read
    viewer.add_image(image, name="lazy", contrast_limits=(0, 1))
    viewer.add_labels(truth, name="lazy nuclei")
    click(trainer, "add_all_pairs")
    looked(qtbot, trainer)
    trained(qtbot, trainer)
    assert "could not be read: the server is gone" in messages[-1][1]
    assert messages[-1][0] == "error"
    looked(qtbot, trainer)


# models


def chosen(trainer):
    return Path(trainer.library.model.value)


@pytest.fixture
def with_model(qtbot, trainer, bright_file, home):
    """The widget with the brightness network among the user's models."""
    bring_in(qtbot, trainer, bright_file)
    return trainer


def bring_in(qtbot, trainer, path):
    with qtbot.waitSignal(trainer.library.finished, timeout=60_000):
        trainer.library.import_model_file(path)


def test_models_are_imported_renamed_shown_exported_and_deleted(
    qtbot, with_model, bright_file, tmp_path, home, messages
):
    library = with_model.library
    assert chosen(with_model) == home / "models" / "bright.safetensors"
    library.rename_to("brighter")
    assert load_model(chosen(with_model)).card.name == "brighter"
    assert not (home / "models" / "bright.safetensors").exists()
    bring_in(qtbot, with_model, bright_file)
    library.rename_to("brighter")
    assert "already" in messages[-1][1]
    library.choose(home / "models" / "brighter.safetensors")
    click(with_model, "show_card")
    assert text(library, "card_made_from") == "random weights"
    assert (
        '"description": "calls bright pixels nucleus"'
        in library.findChild(QPlainTextEdit, "card_text").toPlainText()
    )
    click(with_model, "show_curves")
    for dialog in library.findChildren(QWidget, "model_dialog"):
        assert dialog.isVisible()
        dialog.close()
    click(with_model, "delete_model")
    box = library.findChild(QMessageBox, "delete_asked")
    next(one for one in box.buttons() if one.text() == "Delete").click()
    qtbot.waitUntil(lambda: not (home / "models" / "brighter.safetensors").exists())
    assert str(home / "models" / "brighter.safetensors") not in library.model.choices


def test_models_are_called_by_what_they_are_for_or_by_name_and_date(qtbot, with_model, bright_file):
    """Two models must not have one title: magicgui finds choices by their texts."""
    folder = chosen(with_model).parent
    card, network = read_model(bright_file)
    for name, created in (
        ("my nuclei", "2026-11-28"), ("my nuclei 2", "2026-11-28"), ("Mine", "2026-11-28"),
        ("tissue", "2026-01-02T10:00"), ("old", ""),
    ):  # fmt: skip
        made = replace(card, name=name, created=created)
        save_model(folder / f"{name}.safetensors", made, network.state_dict())
    MODEL_REGISTRY.changed.emit()
    combo = with_model.findChild(QComboBox, "model")
    titles = {combo.itemData(row): combo.itemText(row) for row in range(combo.count())}
    assert titles["nuclei"] == "Standard (fluorescence and H&E)"
    own = {Path(path).stem: title for path, title in titles.items() if folder.name in path}
    assert own == {
        "bright": "bright", "my nuclei": "my nuclei", "my nuclei 2": "Mine 2, 28 Nov 2026",
        "Mine": "Mine", "tissue": "tissue, 2 Jan 2026", "old": "old",
    }  # fmt: skip


def test_a_card_has_six_lines_whatever_it_knows():
    card = ModelCard("mine", "", {}, {})
    lines = describe_card(card)
    assert [line.text for line in lines] == ["random weights", *["not known"] * 5]
    scores = {"held back": {"AP@0.5": 0.8}, "reference images": {"AP@0.5": 0.9}}
    card = replace(
        card,
        created="2026-11-28", parent={"name": "nuclei"},
        trained_on={"annotated": [{"name": "a", "nuclei": 40}, {"name": "b", "nuclei": 2}]},
        scores={"before": scores, "after": scores},
        validated_on={"after": {"found": ["1101"]}, "evidence": "too few to judge"},
        training={"epochs": 20, "steps": 1, "best_epoch": 3, "learning_rate": 5e-4},
        history=[{"epoch": 11}],
    )  # fmt: skip
    assert [line.text for line in describe_card(card)] == [
        "Standard (fluorescence and H&E)",
        "28 Nov 2026",
        "2 images: a, b",
        "42 annotated, 4 of them for validation",
        "AP@0.5 0.80 → 0.80 on validation (too few to judge), 0.90 → 0.90 on reference images",
        "epoch 3 of 11 epochs, 1 step each, learning rate 0.0005",
    ]


def test_what_is_no_model_is_not_imported(qtbot, with_model, tmp_path, messages, home):
    wrong = tmp_path / "wrong.safetensors"
    wrong.write_bytes(b"not this")
    bring_in(qtbot, with_model, wrong)
    assert "incomplete safetensors file" in messages[-1][1]
    assert len(list((home / "models").iterdir())) == 1


def test_a_bioimage_package_goes_out_and_comes_in(qtbot, with_model, tmp_path, home, messages):
    pytest.importorskip("bioimageio.core")
    out = tmp_path / "bright.zip"
    with qtbot.waitSignal(with_model.library.finished, timeout=120_000):
        with_model.library.export_package_to(out)
    assert out.is_file(), messages
    bring_in(qtbot, with_model, out)
    assert chosen(with_model).name == "bright 2.safetensors"


def test_settings_are_those_of_the_recipe(qtbot, viewer, home):
    made = TrainWidget(viewer)
    qtbot.addWidget(made)
    assert replace(made.dataset_form.params(), margin=0) == RECIPES["finetune"]
    assert isinstance(viewer.add_image(np.zeros((4, 4))), Image)
    assert isinstance(viewer.add_labels(np.zeros((4, 4), int)), Labels)
