"""The docks in a real window: they share the room that a small screen has."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QPushButton
from widgets.conftest import choose

from napari_nuclei_unet.samples.images import read_sample

pytestmark = pytest.mark.viewer
PLUGIN = "napari-nuclei-unet"
DOCKS = "Segment nuclei", "Review nuclei", "Train nuclei model", "Nuclei table"


@pytest.fixture
def small(make_napari_viewer, qtbot):
    """A window of 1280 x 720, as of a laptop."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 720)
    qtbot.waitUntil(lambda: viewer.window.geometry()[2:] == (1280, 720))
    return viewer


def open_docks(viewer, qtbot, *names):
    widgets = []
    for name in names:
        dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, name)
        widgets.append(widget)
        qtbot.waitUntil(lambda dock=dock: dock.isVisible())
        QApplication.processEvents()
    return widgets


def test_docks_are_tabs_and_the_window_keeps_its_size(small, qtbot):
    widgets = open_docks(small, qtbot, *DOCKS)
    docks = [widget.parent() for widget in widgets]
    main = docks[0].parent()
    assert all(len(main.tabifiedDockWidgets(dock)) == len(DOCKS) - 1 for dock in docks)
    assert small.window.geometry()[2:] == (1280, 720)
    assert max(widget.minimumSizeHint().height() for widget in widgets) == 200


def test_runs_of_a_plane_and_of_a_film_keep_the_size_of_the_window(small, qtbot, bright_file):
    (widget,) = open_docks(small, qtbot, "Segment nuclei")
    widget.use_model_file(bright_file)
    image, _ = read_sample("fluorescence_small")
    layer = small.add_image(image, name="plane")
    sizes = set()
    buttons = [widget.findChild(QPushButton, name) for name in ("segment", "save_nuclei")]
    controls = [button.mapTo(widget.widget(), QPoint()).y() for button in buttons]
    widget.controller.progressed.connect(lambda *_: sizes.add(small.window.geometry()[2:]))
    with qtbot.waitSignal(widget.finished, timeout=60_000):
        QTest.mouseClick(buttons[0], Qt.MouseButton.LeftButton)
    assert [button.mapTo(widget.widget(), QPoint()).y() for button in buttons] == controls
    film = np.stack([image[:256, :256]] * 3)
    small.add_image(film, name="film", axis_labels=("t", "y", "x"))
    choose(widget, image="film", planes="all")
    with qtbot.waitSignal(widget.finished, timeout=60_000):
        QTest.mouseClick(buttons[0], Qt.MouseButton.LeftButton)
    assert sizes | {small.window.geometry()[2:]} == {(1280, 720)}
    assert layer in small.layers
