"""Trace the way of a click, a key and a command through the package's own files.

    xvfb-run -a python benchmarks/roads.py

Every call of a function of this package is recorded (``sys.setprofile``, in the window's thread and
in those of jobs) from a click on Segment until the labels are there, for the key that deletes a
nucleus, and for ``nuclei-unet segment`` on a large OME-Zarr image. What is printed says how many
places somebody has to know who changes the way: the fewer, the better.
"""

import contextlib
import inspect
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType

import napari
import numpy as np
import zarr
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QPushButton
from responsiveness import pause
from superqt.utils import GeneratorWorker

import napari_nuclei_unet
from napari_nuclei_unet.cli import main as run_command
from napari_nuclei_unet.samples.images import repeated_sample
from napari_nuclei_unet.widgets.common.canvas import find_canvas

ROOT = Path(napari_nuclei_unet.__file__).parent
PLUGIN = "napari-nuclei-unet"


@dataclass
class Road:
    """Own functions that were entered, in all threads.

    Attributes
    ----------
    entered : list of str
        Their files, below the package, in order.
    moves : int
        Calls, and resumed generators, whose caller among own functions is of another file.
    deepest : list of str
        The largest number of own functions at work at once, outermost first.
    generators : int
        The largest number of own generators among them.
    """

    entered: list[str] = field(default_factory=list)
    moves: int = 0
    deepest: list[str] = field(default_factory=list)
    generators: int = 0

    @contextlib.contextmanager
    def traced(self) -> Iterator[None]:
        """Record what is entered meanwhile."""
        begin, run = threading.setprofile, GeneratorWorker.run

        def run_traced(worker: GeneratorWorker) -> None:  # a thread of Qt, not of threading
            sys.setprofile(self._on_event)
            run(worker)

        GeneratorWorker.run = run_traced
        begin(self._on_event)
        sys.setprofile(self._on_event)
        try:
            yield
        finally:
            sys.setprofile(None)
            begin(None)
            GeneratorWorker.run = run

    def _on_event(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call" or (file := own_file(frame.f_code)) is None:
            return
        if frame.f_code.co_name.startswith("<"):  # comprehensions and modules are no functions
            return
        stack = list(own_frames(frame))
        self.entered.append(file)
        caller = own_file(stack[1].f_code) if len(stack) > 1 else None
        self.moves += caller != file
        if len(stack) > len(self.deepest):
            self.deepest = [named(one.f_code) for one in reversed(stack)]
        generators = sum(bool(one.f_code.co_flags & inspect.CO_GENERATOR) for one in stack)
        self.generators = max(self.generators, generators)

    def files(self, room: str = "") -> set[str]:
        """Return the files that were entered in a room."""
        return {file for file in self.entered if file.startswith(room)}


def own_file(code: CodeType) -> str | None:
    """Return the file of a function below the package; None of other functions."""
    path = Path(code.co_filename)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else None


def own_frames(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield the own functions at work, innermost first."""
    while frame is not None:
        if own_file(frame.f_code) is not None and not frame.f_code.co_name.startswith("<"):
            yield frame
        frame = frame.f_back


def named(code: CodeType) -> str:
    """Return where a function stands."""
    return f"{own_file(code)}:{code.co_qualname}"


def trace_window() -> tuple[Road, Road]:
    """Trace a click on Segment, and the Delete key on a nucleus."""
    viewer = napari.Viewer(show=False)
    viewer.show()
    viewer.window.resize(1280, 860)
    viewer.open_sample(PLUGIN, "fluorescence_small")
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment nuclei")
    button = widget.findChild(QPushButton, "segment")

    def segment() -> None:
        count = len(viewer.layers)
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        while len(viewer.layers) == count or not button.isEnabled():
            pause(1)

    segment()  # torch and the model are loaded
    pause(1000)  # the table is there, too
    viewer.layers.pop()
    click = Road()
    with click.traced():
        segment()
    pause(1000)
    _, review = viewer.window.add_plugin_dock_widget(PLUGIN, "Review nuclei", tabify=True)
    labels = viewer.layers[-1]
    viewer.layers.selection.active = labels
    pause(500)
    canvas, delete = find_canvas(review), Road()
    QTest.keyClick(canvas, Qt.Key.Key_N)  # the first nucleus of the queue is selected
    pause(500)
    before = len(np.unique(labels.data))
    with delete.traced():
        QTest.keyClick(canvas, Qt.Key.Key_Backspace)
        pause(500)
    assert len(np.unique(labels.data)) == before - 1, "the key has deleted no nucleus"
    viewer.close()
    return click, delete


def trace_command(folder: Path) -> Road:
    """Trace the segmentation of an OME-Zarr image that is written block by block."""
    image = repeated_sample()[:2048, :2048]
    group = zarr.create_group(folder / "big.zarr", zarr_format=2)
    array = group.create_array("0", shape=image.shape, dtype=image.dtype, chunks=(512, 512))
    array[:] = image
    axes = [{"name": name, "type": "space"} for name in "yx"]
    steps = [{"type": "scale", "scale": [1, 1]}]
    levels = [{"path": "0", "coordinateTransformations": steps}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": levels}]
    road, out = Road(), str(folder / "out")
    with road.traced(), contextlib.redirect_stdout(sys.stderr):
        code = run_command(["segment", str(folder / "big.zarr"), "--out", out, "--format", "zarr"])
    assert code == 0, "the command has failed"
    return road


def main() -> None:
    """Print the table."""
    click, delete = trace_window()
    with tempfile.TemporaryDirectory() as folder:
        command = trace_command(Path(folder))
    rows = {
        "widget modules that a click on Segment enters": len(click.files("widgets")),
        "moves between files from click to labels": click.moves,
        "files that the Delete key passes": len(delete.files()),
        "own frames on the stack of `segment big.zarr`": len(command.deepest),
        "generators that a Step climbs through": command.generators,
    }
    for name, value in rows.items():
        print(f"| {name} | {value} |")
    if "--verbose" in sys.argv:
        print("\nclick:", *sorted(click.files("widgets")), sep="\n  ")
        print("\ndelete:", *sorted(delete.files()), sep="\n  ")
        print("\nstack:", *command.deepest, sep="\n  ")


if __name__ == "__main__":
    main()
