"""Training in a real window: dock, clicks, curves, and a new model that segments."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import discs
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QComboBox, QLabel, QListWidget, QPushButton, QWidget

pytestmark = pytest.mark.viewer
GRID = [(y, x) for y in (16, 48, 80, 112) for x in (16, 48, 80, 112)]


def click(widget, name):
    QTest.mouseClick(widget.findChild(QPushButton, name), Qt.MouseButton.LeftButton)


def test_paint_train_segment_in_a_window(
    make_napari_viewer_proxy, qtbot, bright_file, tmp_path, monkeypatch, preferences
):
    """All layers come to the plugin in proxies here, which are new objects every time."""
    monkeypatch.setenv("NUCLEI_UNET_HOME", str(tmp_path))
    viewer = make_napari_viewer_proxy()
    clean = discs((128, 128), GRID, 7)
    image = viewer.add_image(clean.astype(np.float32), name="cells", scale=(0.5, 0.5))
    labels = viewer.add_labels(np.zeros((128, 128), int), name="painted", scale=(0.5, 0.5))
    _, trainer = viewer.window.add_plugin_dock_widget("napari-nuclei-unet", "Train nuclei model")
    trainer.model_form.use_file(bright_file)
    quick = {"epochs": 2, "steps": 3, "batch": 2, "patch": 32}
    trainer.params_form.set_value(replace(trainer.params_form.value(), **quick))
    click(trainer, "add_all_pairs")
    qtbot.waitUntil(lambda: not trainer.dataset_form.is_busy, timeout=30_000)
    assert "Nothing is annotated" in trainer.findChild(QLabel, "training_status").text()
    for number, place in enumerate(GRID, 1):  # as with a brush, one nucleus after the other
        labels.brush_size = 14
        labels.paint(place, number)
    listed = trainer.findChild(QListWidget, "pairs")
    qtbot.waitUntil(lambda: "16 nuclei" in listed.item(0).text(), timeout=30_000)
    assert [layer.name for layer in viewer.layers][-1] == "cells held back"
    with qtbot.waitSignal(trainer.finished, timeout=120_000):
        click(trainer, "train")
    assert (tmp_path / "models" / "my nuclei.safetensors").is_file()
    click(trainer, "use_from_now_on")  # too few nuclei to judge the model by
    curves = trainer.findChild(QWidget, "loss_plot").getPlotItem().listDataItems()
    losses = next(curve for curve in curves if curve.name() == "validation_loss")
    assert losses.getData()[0].tolist() == [0, 1, 2]
    _, segmenter = viewer.window.add_plugin_dock_widget("napari-nuclei-unet", "Segment nuclei")
    viewer.layers.selection.active = image
    model = segmenter.findChild(QComboBox, "model").currentData()
    assert model == str(tmp_path / "models" / "my nuclei.safetensors")
    click(segmenter, "segment")
    qtbot.waitUntil(segmenter.findChild(QPushButton, "segment").isEnabled, timeout=60_000)
    assert viewer.layers["cells nuclei"].data.max() == 16
