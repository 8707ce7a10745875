"""A long day in real napari windows: random actions from a seed, and what went wrong in it.

    python tests/soak.py --seed 7 --actions 400        # or: make soak SEED=7 ACTIONS=400

The canvas is hidden: napari 0.9.2 alone, without any plugin, can crash in glDrawArrays under
OpenGL in software when layers are added, added, removed and added while it is drawn.
"""

from __future__ import annotations

import argparse
import faulthandler
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import napari
import numpy as np
import psutil
from conftest import save_bright_model
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QThreadPool, QTimer
from qtpy.QtWidgets import QApplication, QWidget
from soak_actions import ACTIONS, NotNow

from napari_nuclei_unet.widgets.common.canvas import find_canvas
from napari_nuclei_unet.widgets.common.controller import RunState
from napari_nuclei_unet.widgets.common.preferences import set_preference

PLUGIN, PACKAGE = "napari-nuclei-unet", "napari_nuclei_unet"
DOCKS = "Segment nuclei", "Review nuclei", "Nuclei table", "Train nuclei model", "Many images"
# Seconds for all docks to come to rest in the end, and for one action on a busy machine.
SETTLE_SECONDS, ACTION_SECONDS = 90, 180
# Of a window: with more, each change of one of them takes napari seconds in the grid.
MAX_LAYERS = 20


@dataclass
class Troubles:
    """What went wrong, by the last line of its traceback.

    Attributes
    ----------
    ours : Counter
        Tracebacks with a frame of this package.
    of_others : Counter
        Without one, such as mistakes of napari alone.
    texts : list of str
        The first of each kind, whole.
    """

    ours: Counter[str] = field(default_factory=Counter)
    of_others: Counter[str] = field(default_factory=Counter)
    texts: list[str] = field(default_factory=list)
    action: str = ""

    def note(self, error: BaseException) -> None:
        """Note an exception, once for each place."""
        frames = traceback.extract_tb(error.__traceback__)
        kind = (
            f"{type(error).__name__} at {frames[-1].filename}:{frames[-1].lineno}"
            if frames
            else repr(error)
        )
        own = any(PACKAGE in Path(frame.filename).parts for frame in frames)
        known = self.ours if own else self.of_others
        if kind not in known:
            text = "".join(traceback.format_exception(error))
            self.texts.append(f"--- after {self.action}{'' if own else ' (not ours)'}\n{text}")
        known[kind] += 1

    def watch(self) -> None:
        """Listen wherever an exception may end: slots, threads, destructors, notifications."""
        sys.excepthook = lambda kind, error, trace: self.note(error.with_traceback(trace))
        threading.excepthook = lambda args: args.exc_value and self.note(args.exc_value)
        sys.unraisablehook = lambda args: args.exc_value and self.note(args.exc_value)
        notification_manager.notification_ready.connect(self._on_notification)

    def _on_notification(self, notification: object) -> None:
        if isinstance(error := getattr(notification, "exception", None), BaseException):
            self.note(error)


class Day:
    """Windows, docks and files of one day, and the next random numbers.

    Parameters
    ----------
    seed : int
    folder : Path
        For files that are written.
    """

    def __init__(self, seed: int, folder: Path) -> None:
        self.rng = np.random.default_rng(seed)
        self.folder = folder
        self.model = save_bright_model(folder / "bright.safetensors")
        set_preference("model", str(self.model))
        self.viewers: list[napari.Viewer] = []
        self.docks: dict[tuple[int, str], QWidget] = {}
        self.open_window()

    @property
    def viewer(self) -> napari.Viewer:
        """One of the windows."""
        return self.viewers[int(self.rng.integers(len(self.viewers)))]

    def choose(self, values: object) -> object:
        """Choose one of a sequence; there may be none."""
        values = list(values)
        if not values:
            raise NotNow
        return values[int(self.rng.integers(len(values)))]

    def open_window(self) -> None:
        """Open a window, and hide its canvas."""
        self.viewers.append(napari.Viewer(show=True))
        for window in QApplication.topLevelWidgets():
            if (canvas := find_canvas(window)) is not None:
                canvas.hide()

    def close_window(self) -> None:
        """Close the last window, with all that is at work there; the first one stays."""
        if len(self.viewers) < 2:
            raise NotNow
        viewer = self.viewers.pop()
        for key in [key for key in self.docks if key[0] == id(viewer)]:
            del self.docks[key]
        viewer.close()

    def dock(self, name: str, viewer: napari.Viewer | None = None) -> QWidget:
        """Return a dock of a window; it is opened, if it is not there."""
        viewer = viewer or self.viewer
        key = id(viewer), name
        if key not in self.docks:
            _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, name)
            self.docks[key] = widget
            _set_up(widget, self.model)
        return self.docks[key]

    def any_dock(self) -> QWidget:
        """Return a dock that is open."""
        return self.choose(self.docks.values())

    def close_dock(self) -> None:
        """Close a dock, with what is at work there."""
        key = self.choose(self.docks)
        widget = self.docks.pop(key)
        viewer = next(one for one in self.viewers if id(one) == key[0])
        viewer.window.remove_dock_widget(widget)

    def remove_oldest(self) -> None:
        """Keep the number of layers of each window small."""
        for viewer in self.viewers:
            while len(viewer.layers) > MAX_LAYERS:
                viewer.layers.pop(0)

    def let_pass(self, events: int) -> None:
        """Let events pass."""
        for _ in range(events):
            QApplication.processEvents()

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is at work; return whether that was reached."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            QApplication.processEvents()
            if self.is_at_rest:
                return True
            time.sleep(0.005)
        return False

    @property
    def is_at_rest(self) -> bool:
        """Whether no dock and no thread of a pool is at work."""
        states = [getattr(one, "state", RunState.IDLE) for one in self.docks.values()]
        settled = all(getattr(one, "is_settled", True) for one in self.docks.values())
        is_idle = all(state in (RunState.IDLE, RunState.ASKING) for state in states)
        return is_idle and settled and not QThreadPool.globalInstance().activeThreadCount()


def _set_up(widget: QWidget, model: Path) -> None:
    """Use the small network, and train for a moment only."""
    if hasattr(widget, "use_model_file"):
        widget.use_model_file(model)
    if hasattr(widget, "dataset_form"):
        widget.model_form.use_file(model)
        quick = {"epochs": 2, "steps": 2, "batch": 2, "patch": 32, "reference": 0.0}
        widget.params_form.set_value(replace(widget.params_form.value(), **quick))


def close_dialogs() -> None:
    """Close a dialog that waits for an answer; nobody is there to give one."""
    if (dialog := QApplication.activeModalWidget()) is not None:
        dialog.close()


def soak(day: Day, troubles: Troubles, actions: int, log: Callable[[str], None]) -> list[str]:
    """Do random actions, and return what is wrong in the end, a sentence each."""
    names = list(ACTIONS)
    weights = np.array([ACTIONS[name].weight for name in names], float)
    for number in range(actions):
        name = names[int(day.rng.choice(len(names), p=weights / weights.sum()))]
        troubles.action, since = f"{number} {name}", time.monotonic()
        log(troubles.action)
        faulthandler.dump_traceback_later(ACTION_SECONDS, exit=True)
        try:
            ACTIONS[name].do(day)
            day.remove_oldest()
        except NotNow:
            pass
        except Exception as error:
            troubles.note(error)
        day.let_pass(int(day.rng.integers(1, 12)))
        if day.rng.random() < 0.3:
            day.wait(2)
        if (seconds := time.monotonic() - since) > 5:
            log(f"  {seconds:.1f} s")
    faulthandler.dump_traceback_later(2 * SETTLE_SECONDS, exit=True)
    troubles.action = "the end"
    return _end(day)


def _end(day: Day) -> list[str]:
    """Wait for rest, close all windows, and return what does not end."""
    wrong = []
    if not day.wait(SETTLE_SECONDS):
        busy = [type(one).__name__ for one in day.docks.values()
                if getattr(one, "state", RunState.IDLE) is not RunState.IDLE
                or not getattr(one, "is_settled", True)]  # fmt: skip
        workers = QThreadPool.globalInstance().activeThreadCount()
        wrong.append(f"Not at rest after {SETTLE_SECONDS} s: {busy}, {workers} workers")
    for viewer in day.viewers:
        viewer.close()
    day.docks.clear()
    day.wait(20)
    return wrong


def main() -> int:
    """Run a soak, print what was found, and return 1 if that is anything of ours."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--actions", type=int, default=400)
    parser.add_argument("--quiet", action="store_true", help="print the end only")
    parsed = parser.parse_args()
    log = (lambda text: None) if parsed.quiet else (lambda text: print(text, flush=True))
    faulthandler.enable()
    troubles, process = Troubles(), psutil.Process()
    application = napari.qt.get_qapp()
    application.setQuitOnLastWindowClosed(False)
    troubles.watch()
    timer = QTimer()
    timer.timeout.connect(close_dialogs)
    timer.start(200)
    with tempfile.TemporaryDirectory() as folder:
        day = Day(parsed.seed, Path(folder))
        day.dock(DOCKS[0])
        before, since = process.memory_info().rss, time.monotonic()
        threads = threading.active_count()
        try:
            wrong = soak(day, troubles, parsed.actions, log)
        except Exception as error:  # else the hook above would note it, and nothing is printed
            troubles.note(error)
            wrong = [f"The soak itself ended at {troubles.action}"]
    grown = (process.memory_info().rss - before) / 1e6
    print(*troubles.texts, sep="\n")
    print(f"seed {parsed.seed}, {parsed.actions} actions, {time.monotonic() - since:.0f} s")
    print(f"tracebacks {troubles.ours.total()}, of others {troubles.of_others.total()}")
    print(f"threads {threads} -> {threading.active_count()}, memory +{grown:.0f} MB")
    print(*wrong, sep="\n")
    return int(bool(troubles.ours or wrong))


if __name__ == "__main__":
    sys.exit(main())
