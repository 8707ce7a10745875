"""The line that says how much was left out, and the outlines that a click on it shows."""

import numpy as np
import pytest
from conftest import discs
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel

from napari_nuclei_unet.limits import Limits
from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.widgets.layers.metadata_keys import (
    METADATA_KEY,
    list_image_layers,
    list_nuclei,
)
from napari_nuclei_unet.widgets.segment.left_out_line import (
    CASING,
    OUTLINE,
    PREVIEW_OUTLINES,
    SEGMENT_OUTLINES,
    VOLUME_TEXT,
)
from napari_nuclei_unet.widgets.segment.plane_form import ALL_PLANES, CURRENT_PLANE, VOLUME_PLANES
from napari_nuclei_unet.widgets.session.session import Session
from widgets.conftest import choose, click_and_wait, move

NUCLEI = discs((100, 140), [(20, 20), (20, 70), (70, 110)], 12)
BESIDE = discs((100, 140), [(50, 40), (70, 60)], 3)
OUTLINES = "cells left out"


@pytest.fixture
def line(widget):
    widget.params_form.set_value(SegmentParams(diameter=25.0))
    return widget.findChild(QLabel, "left_out")


def recorded(viewer):
    return viewer.layers["cells nuclei"].metadata[METADATA_KEY]["left_out"]


def press(qtbot, line):
    qtbot.mouseClick(line, Qt.MouseButton.LeftButton)


def test_a_click_shows_what_was_left_out_and_another_hides_it(qtbot, viewer, widget, line):
    image = viewer.add_image(NUCLEI | BESIDE, name="cells")
    assert line.isHidden()
    click_and_wait(qtbot, widget)
    assert line.text() == "2 left out: 2 micronuclei or fragments · show outlines"
    assert recorded(viewer) == {"uncertain": 0, "small": 0, "fragments": 2}
    press(qtbot, line)
    assert line.text().endswith("hide outlines")
    shown = viewer.layers[OUTLINES].data
    np.testing.assert_array_equal((shown == OUTLINE) & (BESIDE == 0), False)
    np.testing.assert_array_equal((shown == CASING) & (BESIDE > 0), False)
    assert shown[50, 37:44].tolist() == [CASING, OUTLINE, 0, 0, 0, OUTLINE, CASING]
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
    assert recorded(viewer)["fragments"] == 4
    press(qtbot, line)
    np.testing.assert_array_equal(viewer.layers[OUTLINES].data.any((1, 2)), [False, True, True])
    viewer.dims.set_point(0, 1)
    with qtbot.waitSignal(widget.finished, timeout=15_000):
        move(widget, "leave_out_fragments", False)
    assert line.text().startswith("2 left out")
    assert recorded(viewer)["fragments"] == 2
    np.testing.assert_array_equal(viewer.layers[OUTLINES].data.any((1, 2)), [False, False, True])
    click_and_wait(qtbot, widget, "tune_all")
    assert recorded(viewer) == {"uncertain": 0, "small": 0, "fragments": 0}
    assert line.isHidden()
    move(widget, "leave_out_fragments", True)
    choose(widget, planes=CURRENT_PLANE)
    click_and_wait(qtbot, widget)
    assert recorded(viewer)["fragments"] == 2  # of this plane; of the others nothing is left out


@pytest.mark.parametrize("limits", [Limits(large_plane_pixels=10_000, block_size=128)])
def test_of_blocks_only_the_counts_are_known(qtbot, viewer, widget, line, monkeypatch, tmp_path):
    monkeypatch.setenv("NUCLEI_UNET_HOME", str(tmp_path))
    viewer.add_image(NUCLEI | BESIDE, name="cells")
    click_and_wait(qtbot, widget)
    assert line.text() == f"2 left out: 2 micronuclei or fragments · {PREVIEW_OUTLINES}"
    press(qtbot, line)
    assert OUTLINES not in viewer.layers
    assert not line.font().underline()
    click_and_wait(qtbot, widget, "preview")
    assert line.text().endswith("show outlines")
    press(qtbot, line)
    assert OUTLINES in viewer.layers


def test_of_volumes_it_says_that_nothing_is_counted(qtbot, viewer, widget, line):
    planes = np.stack([NUCLEI, NUCLEI | BESIDE, NUCLEI])
    viewer.add_image(planes, name="cells", axis_labels=("z", "y", "x"))
    choose(widget, planes=VOLUME_PLANES)
    click_and_wait(qtbot, widget)
    assert line.text() == VOLUME_TEXT
    press(qtbot, line)
    assert OUTLINES not in viewer.layers


def test_labels_whose_results_are_gone_say_what_they_record(qtbot, viewer, widget, line):
    viewer.add_image(NUCLEI | BESIDE, name="cells")
    click_and_wait(qtbot, widget)
    press(qtbot, line)
    other = viewer.add_image(NUCLEI, name="others")
    widget.source_form.image.value = other
    assert line.isHidden()
    widget.source_form.image.value = viewer.layers["cells"]
    assert line.text().endswith("hide outlines")
    Session.of(viewer).predictions.clear()
    widget.source_form.image.value = other
    widget.source_form.image.value = viewer.layers["cells"]
    assert line.text() == f"2 left out: 2 micronuclei or fragments · {SEGMENT_OUTLINES}"
    viewer.layers.remove("cells nuclei")
    assert line.isHidden()


def test_outlines_of_an_image_that_is_gone_go_too(qtbot, viewer, widget, line):
    viewer.add_image(NUCLEI | BESIDE, name="cells")
    click_and_wait(qtbot, widget)
    press(qtbot, line)
    other = viewer.add_image(NUCLEI | BESIDE, name="others")
    widget.source_form.image.value = other
    click_and_wait(qtbot, widget)
    press(qtbot, line)
    widget.source_form.image.value = viewer.layers["cells"]
    viewer.layers.remove("cells")
    qtbot.waitUntil(lambda: OUTLINES not in viewer.layers)
    assert line.text().endswith("hide outlines")  # those of the other image
    viewer.layers.remove("others")
    qtbot.waitUntil(lambda: "others left out" not in viewer.layers)
    assert line.isHidden()
