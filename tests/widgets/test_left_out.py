"""The line that says how much was left out, and the outlines that a click on it shows."""

import numpy as np
import pytest
from conftest import discs
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.widgets.layers.metadata_keys import (
    METADATA_KEY,
    list_image_layers,
    list_nuclei,
)
from napari_nuclei_unet.widgets.segment.plane_form import ALL_PLANES
from widgets.conftest import choose, click_and_wait, move

NUCLEI = discs((100, 140), [(20, 20), (20, 70), (70, 110)], 12)
BESIDE = discs((100, 140), [(50, 40), (70, 60)], 3)
OUTLINES = "cells left out"


@pytest.fixture
def line(widget):
    widget.params_form.set_value(SegmentParams(diameter=25.0))
    return widget.findChild(QLabel, "left_out")


def press(qtbot, line):
    qtbot.mouseClick(line, Qt.MouseButton.LeftButton)


def test_a_click_shows_what_was_left_out_and_another_hides_it(qtbot, viewer, widget, line):
    image = viewer.add_image(NUCLEI | BESIDE, name="cells")
    assert line.isHidden()
    click_and_wait(qtbot, widget)
    assert line.text() == "2 left out: 2 micronuclei or fragments · show outlines"
    record = viewer.layers["cells nuclei"].metadata[METADATA_KEY]
    assert record["left_out"] == {"uncertain": 0, "small": 0, "fragments": 2}
    press(qtbot, line)
    assert line.text().endswith("hide outlines")
    shown = viewer.layers[OUTLINES].data
    assert shown.any()
    assert not shown[BESIDE == 0].any()
    assert not shown[50, 40]  # the middle of one
    assert list_image_layers(viewer) == [image]  # no dock takes it for one
    assert list_nuclei(viewer) == [viewer.layers["cells nuclei"]]
    assert widget.source_form.image.value is image
    press(qtbot, line)
    assert OUTLINES not in viewer.layers


def test_sliders_act_on_the_line_and_the_outlines(qtbot, viewer, widget, line):
    viewer.add_image(NUCLEI | BESIDE, name="cells")
    click_and_wait(qtbot, widget)
    press(qtbot, line)
    with qtbot.waitSignal(widget.finished, timeout=15_000):
        move(widget, "minimum_area", 200)
    assert line.text() == "2 left out: 2 too small · hide outlines"
    with qtbot.waitSignal(widget.finished, timeout=15_000):
        move(widget, "minimum_area", 5)
    with qtbot.waitSignal(widget.finished, timeout=15_000):
        move(widget, "leave_out_fragments", False)
    assert viewer.layers["cells nuclei"].data.max() == 5
    assert line.isHidden()
    assert OUTLINES not in viewer.layers


def test_of_a_stack_all_planes_count(qtbot, viewer, widget, line):
    planes = np.stack([NUCLEI, NUCLEI | BESIDE, NUCLEI | BESIDE])
    viewer.add_image(planes, name="cells", axis_labels=("t", "y", "x"))
    choose(widget, planes=ALL_PLANES)
    click_and_wait(qtbot, widget)
    assert line.text() == "4 left out: 4 micronuclei or fragments · show outlines"
    record = viewer.layers["cells nuclei"].metadata[METADATA_KEY]
    assert record["left_out"]["fragments"] == 4
    press(qtbot, line)
    np.testing.assert_array_equal(viewer.layers[OUTLINES].data.any((1, 2)), [False, True, True])


def test_outlines_of_an_image_that_is_gone_go_too(qtbot, viewer, widget, line):
    viewer.add_image(NUCLEI | BESIDE, name="cells")
    click_and_wait(qtbot, widget)
    press(qtbot, line)
    viewer.layers.remove("cells")
    qtbot.waitUntil(lambda: OUTLINES not in viewer.layers)
    assert line.isHidden()
