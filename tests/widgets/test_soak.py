"""A long day in one window: random runs, cancels, moves and removals hang nothing."""

import numpy as np
import pytest
from conftest import discs
from napari.layers import Image, Labels
from qtpy.QtWidgets import QApplication

from napari_nuclei_unet import SegmentParams, segment
from widgets.conftest import choose, click, click_and_wait, move, settle

ACTIONS = 100


def run(rng, viewer, widget):
    click(widget, "segment")


def look(rng, viewer, widget):
    click(widget, "preview")


def cancel(rng, viewer, widget):
    click(widget, "cancel")


def slide(rng, viewer, widget):
    name = rng.choice(["threshold", "separation", "confidence"])
    move(widget, name, float(rng.uniform(0.1, 0.9)))


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
    widget.params_form.set_value(SegmentParams(tile=32))
    actions = [run, run, look, cancel, slide, slide, add, remove, replace, paint, tick]
    for _ in range(ACTIONS):
        actions[int(rng.integers(len(actions)))](rng, viewer, widget)
        for _ in range(int(rng.integers(0, 30))):
            QApplication.processEvents()
    settle(qtbot, widget)
    last = discs((50, 60), [(20, 20), (20, 45)])
    image = viewer.add_image(last, name="last")
    viewer.layers.selection.active = image
    choose(widget, region="whole image")
    click(widget, "reset")
    click_and_wait(qtbot, widget)
    found = viewer.layers["last nuclei"].data
    model = widget.model_form.value().model
    np.testing.assert_array_equal(found, segment(last, model))
