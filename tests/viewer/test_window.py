"""The plugin in a real napari window: menus, dock, click, picture."""

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QPushButton
from widgets.conftest import choose, move, no_thread_is_at_work, settle

from napari_nuclei_unet.samples.images import SAMPLES, read_sample

pytestmark = pytest.mark.viewer
PLUGIN = "napari-nuclei-unet"


def actions(menu):
    for action in menu.actions():
        if action.menu() is not None:
            yield from actions(action.menu())
        else:
            yield action


@pytest.mark.parametrize(
    ("kind", "title"),
    [("Segment", "Segment nuclei"), ("Measure", "Review nuclei"), ("Measure", "Nuclei table")],
)
def test_the_layers_menu_opens_the_widget(make_napari_viewer, kind, title):
    viewer = make_napari_viewer()
    menu = viewer.window.layers_menu
    menu.aboutToShow.emit()
    (sub,) = (a.menu() for a in menu.actions() if a.text().replace("&", "") == kind)
    sub.aboutToShow.emit()
    (action,) = (a for a in actions(sub) if title in a.text())
    action.trigger()
    assert any(title in name for name in viewer.window.dock_widgets)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_samples_open(make_napari_viewer, name):
    viewer = make_napari_viewer()
    viewer.open_sample(PLUGIN, name)
    image, annotation = viewer.layers
    assert image.name == SAMPLES[name]
    assert annotation.name == f"{SAMPLES[name]} annotation"


def test_a_click_on_a_sample_shows_nuclei(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.open_sample(PLUGIN, "fluorescence_small")
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment nuclei")
    viewer.window.resize(1280, 720)  # a small one grows with what the dock says of the result
    before = viewer.window.screenshot(flash=False)
    with qtbot.waitSignal(widget.finished, timeout=120_000):
        QTest.mouseClick(widget.findChild(QPushButton, "segment"), Qt.MouseButton.LeftButton)
    labels = viewer.layers["Fluorescence (small) nuclei"]
    assert labels.data.max() > 50
    after = viewer.window.screenshot(flash=False)
    assert np.abs(after.astype(int) - before).max() > 50


def test_short_runs_in_a_row(make_napari_viewer, qtbot):
    """The end of a run may arrive while napari's progress bar lets events pass."""
    viewer = make_napari_viewer(show=True)
    image = np.zeros((64, 80))
    image[20:32, 30:45] = 1
    viewer.add_image(image)
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment nuclei")
    with qtbot.capture_exceptions() as exceptions:
        for _ in range(5):
            with qtbot.waitSignal(widget.finished, timeout=120_000):
                widget.start()
    assert exceptions == []
    assert len(viewer.layers) == 2


def test_closing_the_window_in_the_middle_of_a_run(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.random.default_rng(0).random((1024, 1024)))
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment nuclei")
    widget.start()
    viewer.close()
    qtbot.waitUntil(no_thread_is_at_work, timeout=120_000)


def test_every_new_image_is_followed_and_tuned(make_napari_viewer, qtbot):
    """A plugin gets the layers of a window in proxies: what holds in tests must hold there."""
    viewer = make_napari_viewer(show=True)
    image, _ = read_sample("fluorescence_small")
    viewer.add_image(image, name="one")
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment nuclei")

    def run(name):
        with qtbot.waitSignal(widget.finished, timeout=120_000):
            QTest.mouseClick(widget.findChild(QPushButton, name), Qt.MouseButton.LeftButton)

    run("segment")
    viewer.add_image([image, image[::2, ::2]], multiscale=True, name="two")
    run("segment")
    labels = viewer.layers["two nuclei"]
    before = labels.data.copy()
    move(widget, "threshold", 0.8)
    settle(qtbot, widget)
    assert (labels.data != before).any()


def test_all_planes_of_a_stack_then_a_slider(make_napari_viewer, qtbot):
    """Planes are written into a layer that the plugin knows by a proxy; each stays live."""
    viewer = make_napari_viewer(show=True)
    image, _ = read_sample("fluorescence_small")
    viewer.add_image(np.stack([image, image[::-1], image[:, ::-1]]), axis_labels=tuple("zyx"))
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment nuclei")
    choose(widget, planes="all")
    with qtbot.waitSignal(widget.finished, timeout=120_000):
        QTest.mouseClick(widget.findChild(QPushButton, "segment"), Qt.MouseButton.LeftButton)
    (labels,) = (layer for layer in viewer.layers if "nuclei" in layer.name)
    counts = [len(np.unique(plane)) - 1 for plane in labels.data]
    assert min(counts) > 50
    assert len(np.unique(labels.data)) - 1 == sum(counts)
    before = labels.data.copy()
    viewer.dims.set_current_step(0, 2)
    move(widget, "threshold", 0.8)
    settle(qtbot, widget)
    assert (labels.data[2] != before[2]).any()
    np.testing.assert_array_equal(labels.data[:2], before[:2])
    viewer.dims.ndisplay = 3
    with qtbot.waitSignal(widget.finished, timeout=120_000):
        QTest.mouseClick(widget.findChild(QPushButton, "tune_all"), Qt.MouseButton.LeftButton)
    assert all((labels.data[at] != before[at]).any() for at in range(3))
