"""Records in the metadata of layers, key by key, as the window writes them."""

import numpy as np
import pytest
import tifffile
from conftest import discs
from golden_records import check_golden

from napari_nuclei_unet import SegmentParams
from napari_nuclei_unet.io.ome_zarr import LabelsStore
from napari_nuclei_unet.limits import Limits
from napari_nuclei_unet.widgets.layers.metadata_keys import METADATA_KEY
from napari_nuclei_unet.widgets.segment.plane_form import ALL_PLANES
from widgets.conftest import choose, click, click_and_wait, select

PLANES = np.stack([discs((60, 80), [(15, 15), (40, 30 + 2 * t), (30, 60)]) for t in range(6)])


@pytest.fixture
def check(viewer, widget, tmp_path, bright_file):
    """Compare the record of the labels with a golden file, or another record of the same run."""
    widget.params_form.set_value(SegmentParams(precision="fp32", tile=64, batch=1))
    select(widget, "device", "cpu")

    def compare(name, record=None):
        image, labels = viewer.layers["cells"], viewer.layers["cells nuclei"]
        stand_ins = {str(image.unique_id): "IMAGE", str(labels.unique_id): "LABELS"}
        stand_ins[str(bright_file)] = "MODEL"
        check_golden(name, record or labels.metadata[METADATA_KEY], tmp_path, stand_ins)

    return compare


def add_file(viewer, tmp_path, pixels):
    tifffile.imwrite(tmp_path / "cells.tif", pixels, photometric="minisblack")
    (image,) = viewer.open(tmp_path / "cells.tif", plugin="napari")
    image.axis_labels = tuple("tyx")[-pixels.ndim :]


def test_record_of_a_plane(qtbot, viewer, widget, check, tmp_path):
    add_file(viewer, tmp_path, PLANES[0])
    click_and_wait(qtbot, widget)
    check("window_plane")


def test_record_of_a_stack_and_of_linked_frames(qtbot, viewer, widget, check, tmp_path):
    pytest.importorskip("laptrack")
    add_file(viewer, tmp_path, PLANES)
    choose(widget, planes=ALL_PLANES)
    click_and_wait(qtbot, widget)
    check("window_stack")
    with qtbot.waitSignal(widget.finished, timeout=15_000):
        click(widget, "link_frames")
    check("window_linked")


@pytest.mark.parametrize("limits", [Limits(large_plane_pixels=1000, block_size=64)])
def test_record_of_a_store(qtbot, viewer, widget, check, tmp_path, monkeypatch):
    monkeypatch.setenv("NUCLEI_UNET_HOME", str(tmp_path))
    add_file(viewer, tmp_path, PLANES)
    choose(widget, planes=ALL_PLANES)
    click_and_wait(qtbot, widget)
    check("window_store")
    store = LabelsStore.open_existing(tmp_path / "results" / "cells_labels.ome.zarr")
    check("window_store_file", store.record)
