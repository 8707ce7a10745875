"""Nuclei corrected in a real napari window, with mouse and keys."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QPushButton
from widgets.test_review_widget import between, middle

from napari_nuclei_unet.metrics.error_types import compare
from napari_nuclei_unet.widgets.common.canvas import find_canvas

pytestmark = pytest.mark.viewer
PLUGIN = "napari-nuclei-unet"
LEFT = Qt.MouseButton.LeftButton


class Hand:
    """Clicks, draws and types on the canvas of a window, in pixels of a layer."""

    def __init__(self, viewer, widget, layer):
        self.viewer, self.layer = viewer, layer
        self.canvas = find_canvas(widget)

    def at(self, place):
        world = np.asarray(self.layer.data_to_world(place))[-2:]
        half = np.array([self.canvas.height(), self.canvas.width()]) / 2
        y, x = (world - self.viewer.camera.center[-2:]) * self.viewer.camera.zoom + half
        return QPoint(round(x), round(y))

    def key(self, letter, modifier=Qt.KeyboardModifier.NoModifier):
        QTest.keyClick(self.canvas, letter, modifier)
        QApplication.processEvents()

    def click(self, place):
        QTest.mouseClick(self.canvas, LEFT, pos=self.at(place))
        QApplication.processEvents()

    def stroke(self, start, stop):
        QTest.mousePress(self.canvas, LEFT, pos=self.at(start))
        for part in np.linspace(0, 1, 9):
            QTest.mouseMove(self.canvas, self.at(np.add(start, part * np.subtract(stop, start))))
            QApplication.processEvents()
        QTest.mouseRelease(self.canvas, LEFT, pos=self.at(stop))
        QApplication.processEvents()

    def undo(self):
        self.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)


@pytest.fixture
def opened(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.open_sample(PLUGIN, "fluorescence_errors")
    image, truth, layer = list(viewer.layers)
    _, segment = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment nuclei")
    viewer.layers.selection.active = image
    with qtbot.waitSignal(segment.finished, timeout=120_000):
        segment.start()
    viewer.layers[-1].visible = False  # what the network found; its prediction is kept
    _, review = viewer.window.add_plugin_dock_widget(PLUGIN, "Review nuclei", tabify=True)
    viewer.layers.selection.active = layer
    QApplication.processEvents()  # the dock has changed the size of the canvas
    viewer.reset_view()
    QApplication.processEvents()
    return viewer, review, truth.data, layer


def test_ten_errors_are_corrected_by_mouse_and_keys_and_undone_by_keys(qtbot, opened):
    viewer, review, truth, layer = opened
    with qtbot.waitSignal(review.finished, timeout=60_000):
        review.measure()
    start, table = layer.data.copy(), layer.features.copy()
    hand, found = Hand(viewer, review, layer), compare(truth, layer.data)
    hand.key(Qt.Key.Key_D)
    for nucleus in found.false:
        hand.click(middle(layer.data == nucleus))
    hand.key(Qt.Key.Key_J)
    for parts in found.split.values():
        hand.stroke(*(middle(layer.data == part) for part in parts[:2]))
    hand.key(Qt.Key.Key_S)
    for members in found.merged.values():
        hand.stroke(*between(*(truth == one for one in members)))
    hand.key(Qt.Key.Key_A)
    for nucleus in found.missed:
        hand.click(middle(truth == nucleus))
    assert sum(compare(truth, layer.data).numbers.values()) == 0
    assert set(layer.features["index"]) == set(np.unique(layer.data)) - {0}
    assert (layer.features["state"] == "edited").sum() >= 8
    for _ in range(10):
        hand.undo()
    np.testing.assert_array_equal(layer.data, start)
    assert layer.features.equals(table)


def test_the_queue_is_walked_by_keys(qtbot, opened):
    viewer, review, _, layer = opened
    with qtbot.waitSignal(review.finished, timeout=60_000):
        review.measure()
    hand = Hand(viewer, review, layer)
    least = layer.features.sort_values("confidence")["index"].tolist()
    hand.key(Qt.Key.Key_N)
    assert layer.selected_label == least[0]
    hand.key(Qt.Key.Key_Y)
    hand.key(Qt.Key.Key_Backspace)
    states = layer.features.set_index("index")["state"]
    assert states[least[0]] == "accepted"
    assert least[1] not in states.index
    hand.undo()
    assert least[1] in set(layer.features["index"])


def test_a_link_is_cut_by_a_key_and_two_clicks_and_undone_by_keys(make_napari_viewer, qtbot):
    pytest.importorskip("laptrack")
    viewer = make_napari_viewer(show=True)
    data = np.zeros((4, 60, 80), np.int32)
    for t in range(4):
        data[t, 20:36, 20 + t : 36 + t] = t + 1
    layer = viewer.add_labels(data, name="cells", axis_labels=("t", "y", "x"))
    _, segment = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment nuclei")
    _, review = viewer.window.add_plugin_dock_widget(PLUGIN, "Review nuclei", tabify=True)
    viewer.layers.selection.active = layer
    with qtbot.waitSignal(segment.finished, timeout=60_000):
        segment.findChild(QPushButton, "link_frames").click()
    viewer.reset_view()
    viewer.dims.set_point(0, 1)
    QApplication.processEvents()
    hand = Hand(viewer, review, layer)
    hand.key(Qt.Key.Key_K)
    hand.click((1, 28, 29))
    assert viewer.dims.point[0] == 2
    hand.click((2, 28, 30))
    first, _, new, _ = layer.data.max(axis=(1, 2)).tolist()
    assert layer.data.max(axis=(1, 2)).tolist() == [first, first, new, new]
    assert len(set(viewer.layers["cells tracks"].data[:, 0])) == 2
    hand.undo()
    assert layer.data.max(axis=(1, 2)).tolist() == [first] * 4
    assert len(set(viewer.layers["cells tracks"].data[:, 0])) == 1
