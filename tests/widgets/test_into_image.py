"""Labels that the Review dock writes into the OME-Zarr of their image, and opens from there."""

import numpy as np
import pytest
import zarr
from conftest import discs
from npe2 import PluginManager
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QInputDialog, QLabel, QMessageBox, QPushButton

from napari_nuclei_unet import read_result
from napari_nuclei_unet.widgets.layers.reader import get_reader, read_layers
from widgets.conftest import choose, click, click_and_wait, open_as

UM = "micrometer"


@pytest.fixture
def stored(tmp_path):
    """A stack of two slices as OME-Zarr, with two channels."""
    pixels = np.stack([np.stack([discs((90, 120), [(20, 25), (65, 50 + 20 * z)])] * 2)
                       for z in range(2)])  # fmt: skip
    space = {"type": "space", "unit": UM}
    axes = [{"name": "z", **space}, {"name": "c", "type": "channel"}, {"name": "y", **space},
            {"name": "x", **space}]  # fmt: skip
    step = {"type": "scale", "scale": [2.0, 1.0, 0.25, 0.25]}
    image = {"version": "0.4", "axes": axes,
             "datasets": [{"path": "0", "coordinateTransformations": [step]}]}  # fmt: skip
    path = tmp_path / "cells.ome.zarr"
    group = zarr.create_group(path, zarr_format=2, attributes={"multiscales": [image]})
    group.create_array("0", data=pixels)
    return path


@pytest.fixture
def channel(viewer, stored):
    """The first channel as a layer."""
    pixels = zarr.open_array(stored / "0")[:, 0]
    options = {"scale": (2, 0.25, 0.25), "units": (UM,) * 3, "axis_labels": ("z", "y", "x")}
    return open_as(viewer, stored, pixels, name="DAPI", **options)


def said(review):
    return review.findChild(QLabel, "review_status").text()


def button(review):
    return review.findChild(QPushButton, "save_into_image")


def save(qtbot, review, *args, **options):
    with qtbot.waitSignal(review.finished, timeout=15_000):
        review.save_into_image(*args, **options)


def test_labels_are_saved_into_their_image_and_come_back(
    qtbot, viewer, widget, review, stored, channel
):
    viewer.layers.selection.active = channel
    choose(widget, planes="this one")
    click_and_wait(qtbot, widget)
    labels = next(layer for layer in viewer.layers if layer.name == "DAPI nuclei")
    labels.data[1] = np.roll(labels.data[0], 3, 0) * 2
    assert button(review).isEnabled()
    assert "cells.ome.zarr" in button(review).toolTip()
    save(qtbot, review, "mine")
    assert said(review) == "Saved mine in cells.ome.zarr"
    path = stored / "labels" / "mine"
    result = read_result(path)
    np.testing.assert_array_equal(result.labels, labels.data)
    assert (result.axes, result.spacing) == ("ZYX", (2, 0.25, 0.25))
    assert result.record["model"] == "bright"
    assert set(result.table["z"]) == {0, 1}
    assert result.table["area_um2"].tolist() == pytest.approx((result.table["area"] / 16).tolist())
    readers = PluginManager.instance().iter_compatible_readers(str(path))
    assert "napari-nuclei-unet.read_labels" in [reader.command for reader in readers]
    ((data, attributes, kind),) = read_layers(str(path))
    assert (kind, attributes["name"]) == ("labels", "cells_mine nuclei")
    viewer.layers.clear()
    again = viewer.add_labels(data, **attributes)
    np.testing.assert_array_equal(again.data, result.labels)
    assert len(again.features) == len(result.table)


def test_labels_that_are_there_are_replaced_only_if_that_is_meant(
    qtbot, viewer, review, stored, channel
):
    labels = viewer.add_labels(np.ones(channel.data.shape, np.int32), name="by hand")
    save(qtbot, review)
    labels.data[:] = 7
    review.save_into_image()
    assert "already has labels nuclei" in said(review)
    answer_dialogs(qtbot, "nuclei", QMessageBox.StandardButton.No)
    click(review, "save_into_image")
    assert np.max(read_result(stored / "labels" / "nuclei").labels) == 1
    answer_dialogs(qtbot, "nuclei", QMessageBox.StandardButton.Yes)
    click_and_wait(qtbot, review, "save_into_image")
    assert np.max(read_result(stored / "labels" / "nuclei").labels) == 7
    answer_dialogs(qtbot, "a/b", QMessageBox.StandardButton.Yes)
    click(review, "save_into_image")
    assert "cannot have the name" in said(review)


def answer_dialogs(qtbot, name, button):
    """Type a name into the next dialog; answer the question that may follow."""

    def answer():
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, QInputDialog):
            dialog.setTextValue(name)
            QTimer.singleShot(50, question)
            dialog.accept()
        else:
            QTimer.singleShot(50, answer)

    def question():
        box = QApplication.activeModalWidget()
        if isinstance(box, QMessageBox):
            box.button(button).click()

    QTimer.singleShot(50, answer)


def test_where_there_is_no_image_in_ome_zarr_the_button_says_why(
    qtbot, viewer, review, stored, channel, tmp_path
):
    assert not button(review).isEnabled()
    assert "Choose a labels layer" in button(review).toolTip()
    data = channel.data
    viewer.layers.clear()
    viewer.add_labels(np.ones(data.shape, np.int32))
    assert "Choose the image" in button(review).toolTip()
    for path, words in [
        (None, "was not opened from an OME-Zarr"),
        (tmp_path / "a.tif", "is not an OME-Zarr image"),
        ("https://example.org/a.ome.zarr", "on the network"),
        (stored / "0", "array"),
    ]:
        if path == tmp_path / "a.tif":
            path.write_bytes(b"II")
        layer = viewer.add_image(data) if path is None else open_as(viewer, path, data)
        review.target_form.set_value(type(review.target_form.value())(viewer.layers[0], layer))
        assert not button(review).isEnabled()
        assert words in button(review).toolTip()
        review.save_into_image()
        assert words in said(review)


def test_labels_of_another_shape_are_refused_with_a_sentence(viewer, review, stored, channel):
    viewer.add_labels(np.ones((5, 6), np.int32), name="small")
    review.target_form.set_value(type(review.target_form.value())(viewer.layers["small"], channel))
    review.save_into_image()
    assert "choose the image that they belong to" in said(review)
    assert not (stored / "labels").exists()


def test_groups_of_others_are_left_to_others(stored):
    for path in (stored, stored / "0"):
        assert get_reader(str(path)) is None
