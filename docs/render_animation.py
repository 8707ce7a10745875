"""Render docs/gallery/first_minute.webp from a real window: a sample, a click, a slider.

xvfb-run -a python docs/render_animation.py
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import napari
import PIL.Image
import PIL.ImageDraw
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QPushButton
from render_pictures import click, grab_window, opened, pause, wait_for_end

from napari_nuclei_unet import read_sample, segment

OUT = Path(__file__).parent / "gallery" / "first_minute.webp"
SIZE = 960, 600
POINTER = ((0, 0), (0, 17), (4, 13), (7, 20), (10, 19), (7, 12), (13, 12))
SEPARATIONS = 0.02, 0.1, 0.3, 0.5, 0.65


class Film:
    """Frames of a window, with a pointer drawn into them."""

    def __init__(self, viewer: napari.Viewer, pointer: QPoint) -> None:
        self._viewer = viewer
        self._pointer = pointer
        self._frames: list[PIL.Image.Image] = []
        self._milliseconds: list[int] = []

    def add(self, milliseconds: int, pointing: bool = False) -> None:
        """Add what the window shows, for so long."""
        frame = PIL.Image.fromarray(grab_window(self._viewer)).convert("RGB")
        if pointing:
            left, top = self._pointer.x(), self._pointer.y()
            shape = [(left + x, top + y) for x, y in POINTER]
            PIL.ImageDraw.Draw(frame).polygon(shape, fill="white", outline="black")
        self._frames.append(frame.resize(SIZE, PIL.Image.Resampling.LANCZOS))
        self._milliseconds.append(milliseconds)

    def save(self) -> None:
        """Write all frames, which are shown again and again."""
        first, *others = self._frames
        first.save(
            OUT, save_all=True, append_images=others, duration=self._milliseconds, loop=0,
            quality=70, method=6,
        )  # fmt: skip


def main() -> None:
    """Open a sample, segment it, and move a slider."""
    # the time that the window shows is that of a second click
    segment(read_sample("fluorescence_small")[0])
    viewer, widget = opened("fluorescence_small")
    viewer.reset_view()
    pause(1500)
    button = widget.findChild(QPushButton, "segment")
    film = Film(viewer, button.mapTo(widget.window(), button.rect().center()))
    film.add(1500)
    film.add(1200, pointing=True)
    click(widget, "segment")
    wait_for_end(widget)
    pause(1500)
    film.add(2500, pointing=True)
    viewer.scene.camera.zoom *= 2.5
    pause(1500)
    film.add(1500)
    for separation in SEPARATIONS:
        params = replace(widget.params_form.value(), separation=separation)
        widget.params_form.set_value(params)
        pause(3000)
        film.add(1000)
    viewer.reset_view()
    pause(1500)
    film.add(3000)
    viewer.close()
    film.save()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:  # a user without models or preferences
        os.environ["NUCLEI_UNET_HOME"] = home
        main()
