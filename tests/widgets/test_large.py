"""Planes larger than memory: a click makes a store, the store a layer that can be painted."""

import dask.array as da
import numpy as np
import pytest
import zarr
from conftest import discs
from qtpy.QtWidgets import QLabel

import napari_nuclei_unet.large.blockwise as blockwise
import napari_nuclei_unet.widgets._large as large
from napari_nuclei_unet import segment
from napari_nuclei_unet.core.scores import count
from napari_nuclei_unet.large.stores import LabelsStore
from napari_nuclei_unet.widgets._layers import METADATA
from widgets.conftest import click, click_and_wait

CENTRES = [(y, x) for y in range(16, 300, 32) for x in range(16, 400, 32)]


@pytest.fixture
def plane(monkeypatch, tmp_path):
    """Small planes are large here, and blocks small; the store goes where nothing is left."""
    monkeypatch.setenv("NUCLEI_UNET_HOME", str(tmp_path))
    monkeypatch.setattr(large, "LARGE", 10_000)
    monkeypatch.setattr(blockwise, "BLOCK", 128)
    return discs((300, 400), CENTRES)


def status(widget):
    return widget.findChild(QLabel, "status").text()


def test_a_click_makes_a_store_that_can_be_painted(qtbot, viewer, widget, plane, bright, tmp_path):
    viewer.add_image(da.from_array(plane, chunks=100), name="slide", scale=(0.5, 0.5),
                     units=("um", "um"))  # fmt: skip
    click_and_wait(qtbot, widget)
    labels = viewer.layers["slide nuclei"]
    assert isinstance(labels.data, zarr.Array)
    assert count(segment(plane, bright), labels.data[:]).scores()["AP@0.9"] == 1
    np.testing.assert_allclose(labels.scale, (0.5, 0.5))
    assert status(widget).startswith(f"{len(CENTRES)} nuclei")
    labels.selected_label = 9999
    labels.paint((0, 0), 9999)
    path = tmp_path / "results" / "slide nuclei.ome.zarr"
    assert labels.metadata[METADATA]["store"] == str(path)
    store = LabelsStore.open_existing(path)
    assert store.finished
    assert store.labels[0, 0] == 9999
    assert store.grid.units == ("micrometer", "micrometer")
    table = (tmp_path / "results" / "slide nuclei.csv").read_text().splitlines()
    assert len(table) == len(CENTRES) + 1


def test_cancelled_and_clicked_again_it_goes_on(qtbot, viewer, widget, plane, tmp_path):
    viewer.add_image(plane, name="slide")
    path = tmp_path / "results" / "slide nuclei.ome.zarr"
    stop = lambda _, step: getattr(step, "nuclei", 0) and click(widget, "cancel")  # noqa: E731
    widget._runner.stepped.connect(stop)
    click(widget, "segment")
    qtbot.waitUntil(lambda: not widget._runner.running, timeout=30_000)
    widget._runner.stepped.disconnect(stop)
    assert "goes on from there" in status(widget)
    assert not LabelsStore.open_existing(path).finished
    assert not [layer for layer in viewer.layers if layer.name == "slide nuclei"]
    click_and_wait(qtbot, widget)
    assert len(np.unique(viewer.layers["slide nuclei"].data[:])) == len(CENTRES) + 1
    click_and_wait(qtbot, widget)  # all is done: the store is shown once more
    assert len([layer for layer in viewer.layers if "nuclei" in layer.name]) == 1
    assert len(list(path.parent.glob("*.zarr"))) == 1


def test_another_image_of_the_same_name_gets_its_own_store(qtbot, viewer, widget, plane, tmp_path):
    image = viewer.add_image(plane, name="slide")
    click_and_wait(qtbot, widget)
    image.data = plane[::-1].copy()
    click_and_wait(qtbot, widget)
    stores = sorted(path.name for path in (tmp_path / "results").glob("*.zarr"))
    assert stores == ["slide nuclei 2.ome.zarr", "slide nuclei.ome.zarr"]


def test_a_very_large_plane_is_shown_as_a_pyramid(qtbot, viewer, widget, plane, monkeypatch):
    monkeypatch.setattr(large, "PAINTABLE", 20_000)
    monkeypatch.setattr("napari_nuclei_unet.large.stores.CHUNK", 128)
    viewer.add_image(plane, name="slide")
    click_and_wait(qtbot, widget)
    assert viewer.layers["slide nuclei"].multiscale
