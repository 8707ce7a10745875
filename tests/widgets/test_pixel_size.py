"""The size of a pixel that is in a file, and not in its layer."""

import numpy as np
import pytest
import tifffile
from conftest import discs
from qtpy.QtWidgets import QLabel, QListWidget, QPushButton

from napari_nuclei_unet.widgets import ReviewWidget
from napari_nuclei_unet.widgets.layers.navigate import viewer_camera
from widgets.conftest import click, click_and_wait, no_thread_is_at_work, offered, select, settle


@pytest.fixture
def path(tmp_path):
    disc_image = discs((80, 100), [(20, 20), (50, 60)])
    path = tmp_path / "cells.ome.tif"
    size = {"PhysicalSizeX": 0.325, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.325}
    tifffile.imwrite(path, disc_image, metadata={"axes": "YX"} | size, photometric="minisblack")
    return path


def is_offered(widget):
    button = widget.findChild(QPushButton, "use_pixel_size")
    return not button.parentWidget().isHidden()


def test_the_size_in_a_file_is_offered_and_used_for_what_lies_on_the_image(
    qtbot, viewer, widget, path
):
    assert not is_offered(widget)
    (image,) = viewer.open(path, plugin="napari")
    qtbot.waitUntil(lambda: is_offered(widget))
    assert widget.findChild(QLabel, "pixel_size").text() == "0.325 µm per pixel in the file"
    click_and_wait(qtbot, widget)
    (labels,) = viewer.layers[-1:]
    shapes = viewer.add_shapes([[0, 0], [0, 9], [9, 9], [9, 0]])
    other = viewer.add_image(np.zeros((20, 30)), name="other")
    widget.source_form.image.value = image
    qtbot.waitUntil(lambda: is_offered(widget))
    before = np.array(viewer_camera(viewer).center), viewer_camera(viewer).zoom
    click(widget, "use_pixel_size")
    for layer in (image, labels, shapes):
        assert list(layer.scale) == [0.325, 0.325]
        assert [str(unit) for unit in layer.units] == ["micrometer"] * 2
    assert list(other.scale) == [1, 1]
    assert not is_offered(widget)
    np.testing.assert_allclose(viewer_camera(viewer).center, before[0] * [1, 0.325, 0.325])
    assert viewer_camera(viewer).zoom == pytest.approx(before[1] / 0.325)
    click_and_wait(qtbot, widget)
    assert len(viewer.layers) == 4  # the same labels
    pixels = np.count_nonzero(labels.data)
    assert labels.features["area"].sum() == pytest.approx(pixels * 0.325**2)


def test_the_review_dock_offers_it_too(qtbot, viewer, path):
    review = ReviewWidget(viewer)
    qtbot.addWidget(review)
    (image,) = viewer.open(path, plugin="napari")
    viewer.add_labels(np.zeros(image.data.shape, int))
    qtbot.waitUntil(lambda: is_offered(review))
    click(review, "use_pixel_size")
    assert list(image.scale) == [0.325, 0.325]


@pytest.mark.parametrize("scale", [(1, 2), (0.5, 0.5)])
def test_a_size_that_the_user_gave_stays(qtbot, viewer, widget, path, scale):
    viewer.open(path, plugin="napari", scale=scale)
    assert not is_offered(widget)


def test_slices_get_their_step(qtbot, viewer, widget, tmp_path):
    path = tmp_path / "stack.ome.tif"
    size = {"PhysicalSizeX": 0.3, "PhysicalSizeY": 0.3, "PhysicalSizeZ": 1.5}
    stack = np.zeros((4, 30, 40), np.uint8)
    tifffile.imwrite(path, stack, metadata={"axes": "ZYX"} | size, photometric="minisblack")
    (image,) = viewer.open(path, plugin="napari", axis_labels=("z", "y", "x"))
    qtbot.waitUntil(lambda: is_offered(widget))
    click(widget, "use_pixel_size")
    assert list(image.scale) == [1.5, 0.3, 0.3]


def test_a_file_without_a_size_offers_none(qtbot, viewer, widget, tmp_path):
    tifffile.imwrite(tmp_path / "plain.tif", np.zeros((30, 40), np.uint8))
    viewer.open(tmp_path / "plain.tif", plugin="napari")
    qtbot.waitUntil(no_thread_is_at_work)
    assert not is_offered(widget)


def test_channels_have_the_names_of_their_file(qtbot, viewer, widget, tmp_path):
    path = tmp_path / "cells.ome.tif"
    pixels = np.stack([discs((80, 100), [(20, 20), (50, 60)])] * 2)
    about = {"axes": "CYX", "Channel": {"Name": ["DAPI", "Ki67"]}}
    tifffile.imwrite(path, pixels, metadata=about, photometric="minisblack")
    review = ReviewWidget(viewer)
    qtbot.addWidget(review)
    viewer.open(path, plugin="napari")
    qtbot.waitUntil(lambda: offered(widget, "channel") == ["on view", "mean", "DAPI", "Ki67"])
    select(widget, "channel", "Ki67")
    assert widget.source_form.value().channel == 1
    click_and_wait(qtbot, widget)
    settle(qtbot, widget)
    table = viewer.layers[-1].features
    assert {"mean_intensity_DAPI", "mean_intensity_Ki67"} < set(table)
    listed = review.findChild(QListWidget, "measure_in")
    names = [listed.item(row).text() for row in range(listed.count())]
    assert names == ["cells.ome: DAPI", "cells.ome: Ki67"]
