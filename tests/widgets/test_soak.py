"""A long day in one window: random runs, cancels, moves and removals hang nothing."""

import numpy as np
import pytest
from conftest import discs
from napari.layers import Image, Labels

from napari_nuclei_unet import SegmentParams, segment
from widgets.conftest import click, click_and_wait

ACTIONS = 100


def run(rng, viewer, widget):
    click(widget, "segment")


def look(rng, viewer, widget):
    click(widget, "preview")


def cancel(rng, viewer, widget):
    click(widget, "cancel")


def move(rng, viewer, widget):
    name = rng.choice(["threshold", "separation", "confidence"])
    widget._form._controls[name].value = float(rng.uniform(0.1, 0.9))


def add(rng, viewer, widget):
    shape = tuple(rng.integers(30, 200, 2))
    image = discs(shape, rng.integers(0, 200, (9, 2)).tolist())
    viewer.add_image(np.stack([image] * int(rng.integers(1, 4))).squeeze())


def remove(rng, viewer, widget):
    if len(viewer.layers):
        viewer.layers.remove(viewer.layers[int(rng.integers(len(viewer.layers)))])


def replace(rng, viewer, widget):
    images = [layer for layer in viewer.layers if isinstance(layer, Image)]
    if images:
        images[0].data = np.ascontiguousarray(np.asarray(images[0].data)[..., ::-1])


def paint(rng, viewer, widget):
    labels = [layer for layer in viewer.layers if isinstance(layer, Labels)]
    if labels:
        labels[0].data_setitem(tuple(np.array([[1], [1]])), 9) if labels[0].ndim == 2 else None


def tick(rng, viewer, widget):
    from qtpy.QtWidgets import QCheckBox

    widget.findChild(QCheckBox, str(rng.choice(["outlines", "probability"]))).click()


@pytest.mark.parametrize("seed", [0, 1])
def test_random_work_leaves_the_widget_usable(qtbot, viewer, widget, preferences, seed):
    rng = np.random.default_rng(seed)
    preferences.on_cancel = "keep" if seed else "discard"
    widget._form.set_value(SegmentParams(tile=32))
    actions = [run, run, look, cancel, move, move, add, remove, replace, paint, tick]
    for _ in range(ACTIONS):
        actions[int(rng.integers(len(actions)))](rng, viewer, widget)
        qtbot.wait(int(rng.integers(0, 30)))
    qtbot.waitUntil(
        lambda: not (widget._runner.job.is_running or widget._predictions.is_busy), timeout=60_000
    )
    last = discs((50, 60), [(20, 20), (20, 45)])
    image = viewer.add_image(last, name="last")
    viewer.layers.selection.active = image
    widget._source_form.region.value = "whole image"
    click(widget, "reset")
    click_and_wait(qtbot, widget)
    found = viewer.layers["last nuclei"].data
    model = widget._model.model.value
    np.testing.assert_array_equal(found, segment(last, model))
