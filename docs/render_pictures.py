"""Render the pictures of the documentation from a real napari window.

Run it where a window system is, for instance ``xvfb-run -a python docs/render_pictures.py``.
It opens a sample, docks "Segment nuclei", clicks the button and takes a screenshot.
"""

from pathlib import Path

import napari
from qtpy.QtCore import QEventLoop, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QPushButton
from superqt import QCollapsible

IMAGES = Path(__file__).parent / "images"


def segment_picture(sample: str, name: str, *, settings: bool) -> None:
    """Segment a sample by a click and save the window.

    Parameters
    ----------
    sample : str
        Key of the sample.
    name : str
        File name without suffix.
    settings : bool
        Whether the settings are unfolded.
    """
    viewer = napari.Viewer(show=False)
    viewer.window.resize(1280, 800)
    viewer.window._qt_window.show()
    viewer.open_sample("napari-nuclei-unet", sample)
    _, widget = viewer.window.add_plugin_dock_widget("napari-nuclei-unet", "Segment nuclei")
    if settings:
        widget.findChild(QCollapsible, "settings").expand(animate=False)
    QApplication.processEvents()
    QTest.mouseClick(widget.findChild(QPushButton, "segment"), Qt.MouseButton.LeftButton)
    wait_for_end(widget)
    labels = viewer.layers.selection.active
    labels.contour = 2
    labels.opacity = 1
    viewer.reset_view()
    pause(800)
    IMAGES.mkdir(exist_ok=True)
    viewer.window.screenshot(str(IMAGES / f"{name}.png"), canvas_only=False, flash=False)
    viewer.close()


def wait_for_end(widget: object) -> None:
    """Let the window live until the job has ended."""
    loop = QEventLoop()
    widget._job.finished.connect(loop.quit)
    QTimer.singleShot(120_000, loop.quit)
    loop.exec()


def pause(milliseconds: int) -> None:
    """Let the window draw."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


if __name__ == "__main__":
    segment_picture("fluorescence_small", "segment_nuclei", settings=False)
    segment_picture("histology_purple", "segment_histology", settings=True)
