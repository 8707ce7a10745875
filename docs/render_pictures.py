"""Render the pictures of the documentation from a real napari window.

Run it where a window system is, for instance ``xvfb-run -a python docs/render_pictures.py``.
It opens samples, docks "Segment nuclei", clicks its buttons and takes screenshots.
"""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import napari
import numpy as np
import PIL.Image
import tifffile
from qtpy.QtCore import QEventLoop, QSignalBlocker, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QApplication,
    QCheckBox,
    QLabel,
    QLineEdit,
    QListWidget,
    QPushButton,
    QWidget,
)
from superqt import QCollapsible

from napari_nuclei_unet import read_sample
from napari_nuclei_unet.samples.images import SAMPLES
from napari_nuclei_unet.widgets.table.column_form import ColumnChoice
from napari_nuclei_unet.widgets.table.column_summary import ValueLimits

IMAGES = Path(__file__).parent / "images"


def opened(sample: str, name: str = "Segment nuclei") -> tuple[napari.Viewer, QWidget]:
    """Open napari with a sample and a widget beside it."""
    viewer = napari.Viewer(show=False)
    viewer.show()
    viewer.window.resize(1280, 800)
    viewer.open_sample("napari-nuclei-unet", sample)
    _, widget = viewer.window.add_plugin_dock_widget("napari-nuclei-unet", name)
    QApplication.processEvents()
    return viewer, widget


def click(widget: QWidget, name: str, kind: type[QAbstractButton] = QPushButton) -> None:
    """Click a button of the widget."""
    QTest.mouseClick(widget.findChild(kind, name), Qt.MouseButton.LeftButton)


def save(viewer: napari.Viewer, name: str) -> None:
    """Save a picture of the window and close it."""
    viewer.reset_view()
    pause(800)
    write_picture(grab_window(viewer), name)
    viewer.close()


def grab_window(viewer: napari.Viewer) -> np.ndarray:
    """Return what the window shows as RGBA."""
    return viewer.window.screenshot(canvas_only=False, flash=False)


def write_picture(pixels: np.ndarray, name: str) -> None:
    """Write a PNG with 256 colours: half as large, as the wheel carries the pictures."""
    picture = PIL.Image.fromarray(pixels).convert("RGB").quantize(256)
    picture.save(IMAGES / f"{name}.png", optimize=True)


def segmented() -> None:
    """Show a sample after one click, the nuclei outlined."""
    viewer, widget = opened("fluorescence_small")
    click(widget, "segment")
    wait_for_end(widget)
    save(viewer, "segment_nuclei")


def settings() -> None:
    """Show purple histology, with the settings unfolded."""
    viewer, widget = opened("histology_purple")
    widget.findChild(QCollapsible, "settings").expand(animate=False)
    click(widget, "segment")
    wait_for_end(widget)
    save(viewer, "segment_histology")


def tuned() -> None:
    """Show a sample after a move of a slider, with its probability map."""
    viewer, widget = opened("fluorescence_large")
    click(widget, "probability", QCheckBox)
    click(widget, "segment")
    wait_for_end(widget)
    widget.params_form.set_value(replace(widget.params_form.value(), threshold=0.8))
    pause(1500)
    save(viewer, "tuned")


def review() -> None:
    """Show ten mistakes in four colours, beside the widget that corrects them."""
    viewer, widget = opened("fluorescence_errors", "Review nuclei")
    widget.findChild(QCollapsible, "compare_section").expand(animate=False)
    pause(500)
    click(widget, "compare")
    while not widget.findChild(QLabel, "compare_counts").text():
        pause(100)
    viewer.layers[-1].opacity = 1
    viewer.layers[-2].opacity = 0.35
    save(viewer, "review")


def table() -> None:
    """Show the table of a sample, with limits in its histogram."""
    viewer, widget = opened("fluorescence_small")
    click(widget, "segment")
    wait_for_end(widget)
    click(widget, "open_review_nuclei")
    review = viewer.window.dock_widgets["Review nuclei (napari-nuclei-unet)"]
    click(review, "open_nuclei_table")
    shown = viewer.window.dock_widgets["Nuclei table (napari-nuclei-unet)"]
    pause(1000)
    shown.sort_by("mean_intensity", descending=True)
    limits = ValueLimits(low=float(shown.rows["mean_intensity"].quantile(0.66)))
    shown.column_form.set_value(ColumnChoice("mean_intensity", limits))
    save(viewer, "table")


def measure() -> None:
    """Show a second channel, made up, that is measured, and the nuclei above a limit."""
    viewer, widget = opened("fluorescence_small")
    click(widget, "segment")
    wait_for_end(widget)
    labels = viewer.layers[-1]
    rng = np.random.default_rng(0)
    brightness = rng.uniform(10, 200, labels.data.max() + 1)
    pixels = np.where(labels.data, brightness[labels.data], 8) + rng.normal(0, 4, labels.data.shape)
    viewer.layers[0].name = "DAPI"
    viewer.add_image(pixels, name="Ki67", colormap="green", blending="additive", visible=False)
    viewer.layers.selection.active = labels
    for layer in viewer.layers:
        layer.scale, layer.units = (0.325, 0.325), ("um", "um")
    click(widget, "open_review_nuclei")
    review = viewer.window.dock_widgets["Review nuclei (napari-nuclei-unet)"]
    review.findChild(QCollapsible, "measure_section").expand(animate=False)
    offered = review.findChild(QListWidget, "measure_in")
    for row in range(offered.count()):
        offered.item(row).setCheckState(Qt.CheckState.Checked)
    review.measure()
    while review.state.name != "IDLE":
        pause(100)
    click(review, "open_nuclei_table")
    shown = viewer.window.dock_widgets["Nuclei table (napari-nuclei-unet)"]
    pause(1000)
    shown.column_form.set_value(ColumnChoice("mean_intensity_Ki67", ValueLimits(low=80)))
    save(viewer, "measure")


def region() -> None:
    """Show what was found inside two shapes."""
    viewer, widget = opened("histology_pink_purple")
    image = viewer.layers.selection.active
    height, width = image.data.shape[:2]
    box = [[0.1, 0.08], [0.1, 0.5], [0.6, 0.5], [0.6, 0.08]]
    triangle = [[0.35, 0.62], [0.9, 0.95], [0.95, 0.45]]
    shapes = viewer.add_shapes(
        [[(height * y, width * x) for y, x in one] for one in (box, triangle)],
        shape_type="polygon", face_color="transparent", edge_color="black", edge_width=2,
        name="finished areas",
    )  # fmt: skip
    viewer.layers.selection.active = image
    widget.source_form.region.value = shapes
    click(widget, "segment")
    wait_for_end(widget)
    save(viewer, "region")


def many() -> None:
    """Show images that were segmented, one of them opened."""
    viewer, widget = opened("fluorescence_small", "Many images")
    viewer.layers.clear()
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base) / "experiment"
        folder.mkdir()
        for name in SAMPLES:
            pixels, _ = read_sample(name)
            tifffile.imwrite(folder / f"{name}.tif", pixels)
        widget.add_paths([folder])
        widget.run()
        wait_for_end(widget)
        widget.review_bar.open_row(4)
        # the picture shows no path of this computer
        with QSignalBlocker(shown := widget.findChild(QLineEdit, "out_folder")):
            shown.setText("experiment/nuclei")
        pause(3000)
        save(viewer, "many")


def trained() -> None:
    """Show a training in its middle, and what it has brought."""
    viewer, widget = opened("histology_purple", "Train nuclei model")
    viewer.window.resize(1400, 1060)
    _, labels = viewer.layers
    labels.visible, labels.contour, labels.opacity = True, 2, 1
    click(widget, "add_all_pairs")
    pause(2500)
    viewer.reset_view()
    click(widget, "train")
    status = widget.findChild(QLabel, "training_status")
    while not status.text().startswith(("Epoch 8", "Epoch 9")):
        pause(100)
    write_picture(grab_window(viewer), "training")
    while widget.state.name != "IDLE":
        pause(100)
    widget.findChild(QCollapsible, "models").expand(animate=False)
    bar = widget.verticalScrollBar()
    bar.setValue(bar.maximum())
    pause(500)
    picture = IMAGES / "trained.png"
    widget.grab().save(str(picture))
    write_picture(np.asarray(PIL.Image.open(picture)), "trained")
    viewer.close()


def wait_for_end(widget: object) -> None:
    """Let the window live until the job has ended."""
    loop = QEventLoop()
    widget.finished.connect(loop.quit)
    QTimer.singleShot(120_000, loop.quit)
    loop.exec()


def pause(milliseconds: int) -> None:
    """Let the window draw."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:  # a user without models, who keeps none of these
        os.environ["NUCLEI_UNET_HOME"] = home
        pictures = (segmented, settings, tuned, region, review, table, measure, many, trained)
        for picture in pictures:
            picture()
