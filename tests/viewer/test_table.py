"""The dock "Nuclei table" in a real napari window."""

import numpy as np
import pandas as pd
import pytest
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDockWidget, QMainWindow, QPushButton, QTabWidget
from superqt import QCollapsible

from napari_nuclei_unet.widgets.table.column_form import ColumnChoice
from napari_nuclei_unet.widgets.table.column_summary import ValueLimits

pytestmark = pytest.mark.viewer
PLUGIN = "napari-nuclei-unet"


def dock_of(widget):
    while not isinstance(widget, QDockWidget):
        widget = widget.parentWidget()
    return widget


@pytest.fixture
def opened(make_napari_viewer, qtbot):
    """A window of a small screen, with the table that Review has opened."""
    viewer = make_napari_viewer(show=True)
    data = np.zeros((100, 150), np.int32)
    data[10:30, 20:40], data[60:80, 90:120] = 1, 2
    features = pd.DataFrame({"index": [1, 2], "area": [400.0, 600.0]})
    layer = viewer.add_labels(data, features=features)
    viewer.window.add_plugin_dock_widget(PLUGIN, "Segment nuclei")
    _, review = viewer.window.add_plugin_dock_widget(PLUGIN, "Review nuclei", tabify=True)
    review.window().setGeometry(0, 0, 1280, 720)
    QApplication.processEvents()
    QTest.mouseClick(review.findChild(QPushButton, "open_nuclei_table"), Qt.MouseButton.LeftButton)
    QApplication.processEvents()
    return viewer, layer, viewer.window.dock_widgets[f"Nuclei table ({PLUGIN})"]


def test_review_opens_the_table_below_the_canvas_of_a_small_screen(opened):
    viewer, _, table = opened
    main = table.window()
    assert isinstance(main, QMainWindow)
    assert main.dockWidgetArea(dock_of(table)) == Qt.DockWidgetArea.BottomDockWidgetArea
    assert main.height() <= 720
    assert table.isVisible()
    assert len(table.rows) == 2
    review = viewer.window.dock_widgets[f"Review nuclei ({PLUGIN})"]
    review.findChild(QPushButton, "open_nuclei_table").click()  # once more
    assert viewer.window.dock_widgets[f"Nuclei table ({PLUGIN})"] is table


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_nothing_makes_the_window_of_a_small_screen_larger(opened, theme):
    viewer, layer, table = opened
    viewer.theme = theme
    QApplication.processEvents()
    histogram = table.column_form.histogram
    is_dark = histogram.backgroundBrush().color().lightness() < 128
    assert is_dark is (theme == "dark")
    assert (histogram.text_color.lightness() < 128) is (theme == "light")
    viewer.add_image(np.zeros(layer.data.shape), name="a channel with a rather long name")
    viewer.add_shapes([[[5, 5], [5, 50], [50, 50], [50, 5]]], name="regions")
    viewer.layers.selection.active = layer
    review = viewer.window.dock_widgets[f"Review nuclei ({PLUGIN})"]
    review.findChild(QCollapsible, "measure_section").expand(animate=False)
    table.column_form.set_value(ColumnChoice("area", ValueLimits(low=500)))
    for tab in (1, 0):
        table.findChild(QTabWidget, "table_tabs").setCurrentIndex(tab)
        QApplication.processEvents()
    main = table.window()
    assert main.width() <= 1280
    assert main.height() <= 720
    assert dock_of(table).height() <= 300
    assert table.column_form.histogram.height() >= 50


def test_a_table_that_is_closed_leaves_the_labels_their_colours(qtbot, opened):
    viewer, layer, table = opened
    own = layer.colormap
    table.column_form.set_value(ColumnChoice("area", ValueLimits(low=500)))
    qtbot.waitUntil(lambda: isinstance(layer.colormap, DirectLabelColormap))
    dock_of(table).destroyOnClose()
    qtbot.waitUntil(lambda: layer.colormap is own)
    layer.selected_label = 2
    layer.features = pd.DataFrame({"index": [1], "area": [400.0]})
    viewer.layers.remove(layer)
