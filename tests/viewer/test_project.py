"""Projects and labels that are dragged into a real napari window."""

import numpy as np
import pytest
import tifffile
from conftest import discs

from napari_nuclei_unet.cli import main
from napari_nuclei_unet.widgets.layers.navigate import viewer_camera
from napari_nuclei_unet.widgets.project.projects import Projects

pytestmark = pytest.mark.viewer
PLUGIN = "napari-nuclei-unet"


@pytest.fixture
def image_file(tmp_path, monkeypatch):
    monkeypatch.setenv("NUCLEI_UNET_HOME", str(tmp_path / "home"))
    tifffile.imwrite(tmp_path / "cells.tif", discs((90, 120), [(20, 25), (20, 80), (65, 50)]))
    return tmp_path / "cells.tif"


def names(viewer):
    return [layer.name for layer in viewer.layers]


def test_a_project_is_opened_by_its_reader(make_napari_viewer, qtbot, image_file):
    viewer = make_napari_viewer()
    viewer.open(str(image_file), plugin="napari")
    labels = np.zeros((90, 120), np.int32)
    labels[10:30, 10:30] = 4
    viewer.add_labels(labels, name="by hand")
    viewer_camera(viewer).zoom = 3.5
    projects = Projects.of(viewer)
    with qtbot.waitSignal(projects.finished, timeout=30_000):
        projects.save(image_file.with_name("a.nuclei.json"))
    viewer.layers.clear()
    assert viewer.open(str(image_file.with_name("a.nuclei.json")), plugin=PLUGIN) == []
    assert names(viewer) == ["cells", "by hand"]
    np.testing.assert_array_equal(viewer.layers["by hand"].data, labels)
    assert viewer_camera(viewer).zoom == 3.5


def test_labels_do_not_bring_an_image_that_is_open(
    make_napari_viewer, tmp_path, image_file, bright_file
):
    args = ["--out", str(tmp_path / "out"), "--model", str(bright_file), "--diameter", "12"]
    assert main(["segment", str(image_file), *args]) == 0
    (path,) = (tmp_path / "out").glob("cells_labels*")
    viewer = make_napari_viewer()
    viewer.window.add_plugin_dock_widget(PLUGIN, "Review nuclei")
    viewer.open(str(path), plugin=PLUGIN)
    assert names(viewer) == ["cells", "cells nuclei"]
    viewer.layers.clear()
    (image,) = viewer.open(str(image_file), plugin="napari")
    (labels,) = viewer.open(str(path), plugin=PLUGIN)
    assert names(viewer) == ["cells", "cells nuclei"]
    assert labels.metadata["napari_nuclei_unet"]["image"] == str(image.unique_id)
