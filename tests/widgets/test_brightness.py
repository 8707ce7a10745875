"""Brightness as the layer is displayed changes what is found, is recorded, and made again."""

import shlex
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from conftest import discs
from qtpy.QtGui import QGuiApplication

from napari_nuclei_unet import segment
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.limits import Limits
from napari_nuclei_unet.segmentation.intensity_range import AUTOMATIC_BRIGHTNESS, Brightness
from napari_nuclei_unet.widgets.layers.metadata_keys import METADATA_KEY
from napari_nuclei_unet.widgets.segment.brightness_form import (
    AS_DISPLAYED,
    BrightnessForm,
    displayed_brightness,
)
from napari_nuclei_unet.widgets.segment.plane_form import ALL_PLANES
from widgets.conftest import choose, click, click_and_wait, move, offered, select, settle, status

# the network takes for nucleus what is brighter than the middle: two discs of these
DIM = discs((60, 80), [(15, 15), (40, 30)]).astype(np.uint16) * 10
DIM[discs((60, 80), [(30, 60), (10, 60)]) > 0] = 600


@pytest.fixture
def image(viewer, tmp_path):
    tifffile.imwrite(tmp_path / "cells.tif", DIM, photometric="minisblack")
    (image,) = viewer.open(tmp_path / "cells.tif", plugin="napari")
    return image


def found(viewer):
    return viewer.layers["cells nuclei"].data


def count(viewer):
    return len(np.unique(found(viewer))) - 1


@pytest.mark.parametrize(("displayed", "gamma"), [((0, 800), 1), ((0, 2000), 0.4)])
def test_as_displayed_changes_the_outcome_and_is_made_again(
    qtbot, viewer, widget, image, tmp_path, displayed, gamma
):
    click_and_wait(qtbot, widget)
    assert count(viewer) == 2
    image.contrast_limits = displayed
    image.gamma = gamma
    click_and_wait(qtbot, widget)
    assert count(viewer) == 2  # the display alone changes nothing
    select(widget, "brightness", AS_DISPLAYED)
    click_and_wait(qtbot, widget)
    assert count(viewer) == 4
    params = viewer.layers["cells nuclei"].metadata[METADATA_KEY]["params"]
    recorded = [params[name] for name in ("black", "white", "gamma")]
    assert recorded == [*displayed, None if gamma == 1 else gamma]
    image.contrast_limits = (0, 2000)  # the click has read it
    image.gamma = 1

    click(widget, "copy_command")
    words = shlex.split(QGuiApplication.clipboard().text())
    words[words.index("--out") + 1] = str(tmp_path / "out")
    assert main(words[1:]) == 0
    written = tifffile.imread(tmp_path / "out" / "cells_labels.ome.tif")
    np.testing.assert_array_equal(written, found(viewer))
    click(widget, "copy_python")
    names = {}
    exec(QGuiApplication.clipboard().text(), names)
    np.testing.assert_array_equal(names["labels"], found(viewer))

    select(widget, "brightness", "automatic")
    click(widget, "restore")
    assert widget.brightness_form.value() == Brightness(*recorded)
    before = found(viewer).copy()
    click_and_wait(qtbot, widget)
    np.testing.assert_array_equal(found(viewer), before)


def test_sliders_keep_the_brightness_of_the_click(qtbot, viewer, widget, image):
    image.contrast_limits = (0, 800)
    select(widget, "brightness", AS_DISPLAYED)
    click_and_wait(qtbot, widget)
    select(widget, "brightness", "automatic")
    move(widget, "minimum_area", 8)
    settle(qtbot, widget)
    assert count(viewer) == 4
    assert viewer.layers["cells nuclei"].metadata[METADATA_KEY]["params"]["white"] == 800
    click_and_wait(qtbot, widget)
    assert count(viewer) == 2


def test_a_preview_and_a_stack_take_it_too(qtbot, viewer, widget):
    stack = np.stack([DIM] * 6)
    image = viewer.add_image(stack, name="cells", axis_labels=tuple("tyx"))
    image.contrast_limits = (0, 800)
    select(widget, "brightness", AS_DISPLAYED)
    choose(widget, planes=ALL_PLANES)
    click_and_wait(qtbot, widget)
    assert [len(np.unique(plane)) - 1 for plane in found(viewer)] == [4] * 6
    image.contrast_limits = (0, 2000)
    click_and_wait(qtbot, widget, "preview")
    assert sorted(len(np.unique(plane)) - 1 for plane in found(viewer)) == [2] + [4] * 5


@pytest.mark.parametrize("limits", [Limits(large_plane_pixels=1000, block_size=64)])
def test_blocks_take_it_too_and_what_is_done_counts_for_its_brightness_only(
    qtbot, viewer, widget, image, tmp_path, monkeypatch
):
    monkeypatch.setenv("NUCLEI_UNET_HOME", str(tmp_path))
    click_and_wait(qtbot, widget)
    assert len(np.unique(np.asarray(found(viewer)))) - 1 == 2
    image.contrast_limits = (0, 800)
    select(widget, "brightness", AS_DISPLAYED)
    for before in ("", "segmented before"):
        click_and_wait(qtbot, widget)
        assert before in status(widget)
    assert len(np.unique(np.asarray(viewer.layers[-1].data))) - 1 == 4


def test_a_range_with_nothing_in_it_is_told(qtbot, viewer, widget, messages):
    viewer.add_image(DIM + np.uint16(3000), name="cells", contrast_limits=(0, 100))
    select(widget, "brightness", AS_DISPLAYED)
    click_and_wait(qtbot, widget)
    assert "Less than 1 % of the pixels lie between black (0) and white (100)" in messages[-1][1]
    assert "`" not in messages[-1][1]


def test_rgb_is_displayed_as_it_is(viewer):
    for dtype, white in (("uint8", 255), ("uint16", 65_535), ("float32", 1)):
        image = viewer.add_image(np.zeros((9, 9, 3), dtype), rgb=True, gamma=0.5)
        assert displayed_brightness(image) == Brightness(0, white)


def test_what_is_set_is_got(qtbot, viewer):
    form, values = BrightnessForm(), []
    form.changed.connect(lambda: values.append(form.value()))
    choices = [AS_DISPLAYED, Brightness(10, None), Brightness(-1e6, 2, 0.5), AUTOMATIC_BRIGHTNESS]
    for choice in choices:
        form.set_value(choice)
        assert form.value() == choice
    assert values == choices
    form.set_value(AUTOMATIC_BRIGHTNESS)
    assert len(values) == len(choices)


def test_a_record_is_offered_by_its_numbers(widget):
    widget.brightness_form.set_value(Brightness(100, 4000, 0.5))
    assert offered(widget, "brightness") == [
        "automatic", "automatic, not lightened", "as displayed", "100 to 4,000, gamma 0.5",
    ]  # fmt: skip


def test_a_model_is_fine_tuned_on_what_it_will_see(qtbot, viewer, widget, image):
    from napari_nuclei_unet.widgets.train.layer_pairs import pair_layers

    image.contrast_limits = (0, 800)
    select(widget, "brightness", AS_DISPLAYED)
    click_and_wait(qtbot, widget)
    labels = viewer.layers["cells nuclei"]
    assert pair_layers(image, labels).brightness == Brightness(0, 800)
    labels.metadata = {}
    assert pair_layers(image, labels).brightness == AUTOMATIC_BRIGHTNESS


def test_python_takes_it(bright):
    labels = segment(DIM, bright, white=800)
    assert len(np.unique(labels)) - 1 == 4
    assert replace(Brightness(), white=800) == Brightness(white=800)
