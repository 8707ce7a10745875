"""Measure how the window fares while a model is fine-tuned in it.

    xvfb-run -a python benchmarks/training_window.py

Opens five annotated crops of 256 x 256, docks "Train nuclei model" and clicks its buttons.
Measured: opening the widget, the time from the click on Train to the first trained epoch on the
plot, gaps between the ticks of a timer of 10 ms in the window's thread, what Stop and keep, and
Cancel, take, and a whole training. Models go into a folder that is removed in the end.
"""

import os
import tempfile
import time

import napari
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QProgressBar, QPushButton, QWidget
from responsiveness import Ticks, pause

from napari_nuclei_unet.training.reference_images import read_reference_images


def main() -> None:
    """Print what was measured, line by line."""
    viewer = napari.Viewer(show=False)
    viewer.show()
    viewer.window.resize(1400, 1000)
    for index, one in enumerate(read_reference_images("learn")[:5]):
        where = {"translate": (0, 270 * index)}
        image = one.image.permute(1, 2, 0).numpy()
        viewer.add_image(image, rgb=True, name=one.name, **where)
        viewer.add_labels(one.ids, name=f"{one.name} nuclei", **where)
    viewer.reset_view()
    pause(500)
    begun = time.perf_counter()
    _, widget = viewer.window.add_plugin_dock_widget("napari-nuclei-unet", "Train nuclei model")
    pause(1)
    print(f"opening the widget: {time.perf_counter() - begun:.2f} s")
    bar = widget.findChild(QProgressBar, "training_progress")

    def click(name: str) -> None:
        QTest.mouseClick(widget.findChild(QPushButton, name), Qt.MouseButton.LeftButton)

    def idle() -> bool:
        return widget.state.name == "IDLE"  # the class is not imported: opening is measured

    def epoch(number: int) -> bool:
        if idle() or widget.findChild(QWidget, "curves").isHidden():
            return False
        curves = widget.findChild(QWidget, "loss_plot").getPlotItem().listDataItems()
        epochs, _ = next(one for one in curves if one.name() == "validation_loss").getData()
        return epochs[-1] >= number

    click("add_all_pairs")
    while widget.dataset_form.is_busy:
        pause(20)
    ticks = Ticks()
    seconds = ticks.during(lambda: click("train"), lambda: epoch(1))
    print(f"from click to the first epoch, torch to be loaded: {seconds:.1f} s; {ticks}")
    ticks = Ticks()
    seconds = ticks.during(lambda: None, lambda: epoch(4))
    print(f"three more epochs: {seconds:.1f} s; {ticks}")
    model = len(models())
    began = time.perf_counter()
    ticks = Ticks()
    stopped = []

    def over() -> bool:
        if not stopped and bar.value() == bar.maximum():
            stopped.append(time.perf_counter() - began)
        return idle()

    seconds = ticks.during(lambda: click("stop"), over)
    print(f"stop and keep: training ends after {stopped[0]:.1f} s, a model with scores is there "
          f"after {seconds:.1f} s; {ticks}")  # fmt: skip
    assert len(models()) == model + 1
    ticks = Ticks()
    seconds = ticks.during(lambda: click("train"), lambda: epoch(1))
    print(f"from click to the first epoch, the second time: {seconds:.1f} s; {ticks}")
    ticks = Ticks()
    seconds = ticks.during(lambda: click("cancel_training"), idle)
    print(f"cancel: {seconds:.1f} s; {ticks}")
    ticks = Ticks()
    seconds = ticks.during(lambda: click("train"), lambda: not idle())
    seconds = ticks.during(lambda: None, idle)
    print(f"a whole training: {seconds:.0f} s; {ticks}")
    viewer.window.screenshot("training_window.png", canvas_only=False, flash=False)
    viewer.close()


def models() -> list[str]:
    """Names of the user's models."""
    folder = os.path.join(os.environ["NUCLEI_UNET_HOME"], "models")
    return os.listdir(folder) if os.path.isdir(folder) else []


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        os.environ["NUCLEI_UNET_HOME"] = home
        os.environ["NAPARI_CONFIG"] = os.path.join(home, "settings.yaml")
        main()
