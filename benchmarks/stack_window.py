"""Measure a stack segmented by one click in a window against a click on every plane of it.

    sh tools/with_display.sh python benchmarks/stack_window.py [--planes 100]

Planes of 512 x 512 are shifted copies of a fluorescence sample. Both begin with a warm network and
without labels; times are from the click to the labels in a real napari window.
"""

import argparse
import time
from dataclasses import replace

import numpy as np

from napari_nuclei_unet.samples.images import read_sample

WANTED = 1.2


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--planes", type=int, default=100)
    args = parser.parse_args()

    import napari
    from qtpy.QtWidgets import QApplication, QPushButton

    app = QApplication.instance() or QApplication([])
    viewer = napari.Viewer()
    image, _ = read_sample("fluorescence_small")
    stack = np.stack([np.roll(image, 5 * at, axis=1) for at in range(args.planes)])
    _, widget = viewer.window.add_plugin_dock_widget("napari-nuclei-unet", "Segment nuclei")

    def segmented() -> None:
        widget.findChild(QPushButton, "segment").click()
        while not widget.controller.is_idle:
            app.processEvents()
        app.processEvents()

    def single() -> None:
        for at in range(args.planes):
            viewer.dims.set_point(0, at)
            segmented()

    def at_once() -> None:
        form = widget.source_form
        form.set_value(replace(form.value(), planes="all"))
        segmented()

    times = {}
    for name, act in (("warm up", segmented), ("single clicks", single), ("one click", at_once)):
        for layer in viewer.layers:  # removing them crashes software OpenGL at times
            layer.visible = False
        viewer.add_image(stack[:1] if name == "warm up" else stack, name="stack")
        app.processEvents()
        begun = time.perf_counter()
        act()
        times[name] = time.perf_counter() - begun
        while not widget.is_settled:  # the table comes after the labels
            app.processEvents()
        if name != "warm up":
            count = len(viewer.layers[-1].features)
            print(f"{name}: {times[name]:.1f} s, {count:,} nuclei", flush=True)
    ratio = times["one click"] / times["single clicks"]
    print(f"one click takes {ratio:.2f} of the time of single ones (at most {WANTED:g} wanted)")
    viewer.close()


if __name__ == "__main__":
    main()
