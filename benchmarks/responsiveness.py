"""Measure how alive napari's window stays while nuclei are segmented and tuned.

    xvfb-run -a python benchmarks/responsiveness.py [--size 2048] [--moves 12]
    xvfb-run -a python benchmarks/responsiveness.py --first-click [--runs 3]

A timer of 10 ms runs in the window; the gaps between its ticks are what a user feels. Measured: the
time that opening the widget takes, the first segmentation of the small sample with torch still to
be loaded, the next, one of a large image, moves of a slider on it, and a cancelled run.

With --first-click, each in fresh processes: the gaps from the moment the widget is open until the
first click has become labels, with the click at once or after a while, with the caches of the
system and of numba warm, and with numba's cache empty.
"""

import argparse
import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import napari
import numpy as np
from qtpy.QtCore import QEventLoop, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QProgressBar, QPushButton

from napari_nuclei_unet.samples.images import repeated_sample

TICK = 0.010


@dataclass
class Ticks:
    """Gaps between the ticks of a timer of 10 ms in the window's thread."""

    def __post_init__(self) -> None:
        self.gaps: list[float] = []
        self._last = time.perf_counter()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(round(1000 * TICK))
        self._timer.timeout.connect(self._tick)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.gaps.append(now - self._last)
        self._last = now

    def during(self, start: Callable[[], object], until: Callable[[], bool]) -> float:
        """Do something and let the window live until it has ended; the seconds it took."""
        self._timer.start()
        self._last = begun = time.perf_counter()
        start()
        while not until():
            pause(10)  # not more often: looking takes time from what is looked at
        seconds = time.perf_counter() - begun
        pause(50)  # a stall in the end counts, too
        self._timer.stop()
        return seconds

    def __str__(self) -> str:
        gaps = np.array(self.gaps) * 1000
        over = np.mean(gaps < 50)
        return (
            f"{len(gaps)} gaps: 99 % under {np.percentile(gaps, 99):.0f} ms, longest "
            f"{gaps.max():.0f} ms, {100 * over:.1f} % under 50 ms"
        )


def pause(milliseconds: int) -> None:
    """Let the window live."""
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def main() -> None:
    """Print what was measured, line by line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--moves", type=int, default=12)
    parser.add_argument("--first-click", action="store_true")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--click-after", type=float, help="seconds; in a process of --first-click")
    args = parser.parse_args()
    if args.click_after is not None:
        first_click(args.click_after)
        return
    if args.first_click:
        first_clicks(args.runs)
        return
    viewer, widget = opened()
    click = lambda name: QTest.mouseClick(  # noqa: E731
        widget.findChild(QPushButton, name), Qt.MouseButton.LeftButton
    )
    idle = lambda: widget.controller.is_idle  # noqa: E731
    for what in ("first click, torch to be loaded", "second click"):
        ticks = Ticks()
        seconds = ticks.during(lambda: click("segment"), idle)
        print(f"512 x 512, {what}: {seconds:.2f} s; {ticks}")
    tuned(viewer, widget, click, idle, 1024, args.moves)
    tuned(viewer, widget, click, idle, args.size, args.moves)
    cancelled(viewer, widget, click, idle)
    viewer.close()


def opened():
    """Open the small sample and the widget."""
    viewer = napari.Viewer(show=False)
    viewer.show()
    viewer.window.resize(1280, 860)
    viewer.open_sample("napari-nuclei-unet", "fluorescence_small")
    pause(500)
    begun = time.perf_counter()
    _, widget = viewer.window.add_plugin_dock_widget("napari-nuclei-unet", "Segment nuclei")
    seconds, loaded = time.perf_counter() - begun, "torch" in sys.modules
    print(f"opening the widget: {seconds:.2f} s, torch loaded: {loaded}")
    return viewer, widget


def first_clicks(runs: int) -> None:
    """Measure the first click in fresh processes."""
    for caches in ("warm", "numba's empty"):
        for seconds in (0, 1, 6):
            worst = []
            for _ in range(runs + (caches == "warm")):  # the first run warms the caches
                with tempfile.TemporaryDirectory() as folder:
                    cold = {} if caches == "warm" else {"NUMBA_CACHE_DIR": folder}
                    command = [sys.executable, __file__, "--click-after", str(seconds)]
                    ran = subprocess.run(
                        command, env=os.environ | cold, capture_output=True, text=True, check=True
                    )
                worst.append(ran.stdout.splitlines()[-1])
            print(f"caches {caches}, click after {seconds} s:", *worst[-runs:], sep="\n  ")


def first_click(seconds: float) -> None:
    """Click some seconds after the widget is open."""
    viewer, widget = opened()
    waiting, clicked = Ticks(), Ticks()
    if seconds:
        begun = time.perf_counter()
        waiting.during(lambda: None, lambda: time.perf_counter() - begun > seconds)
    button = widget.findChild(QPushButton, "segment")
    took = clicked.during(
        lambda: QTest.mouseClick(button, Qt.MouseButton.LeftButton),
        lambda: widget.controller.is_idle,
    )
    before, after = (1000 * max(one.gaps, default=0) for one in (waiting, clicked))
    print(f"longest gap before the click {before:.0f} ms, after it {after:.0f} ms, {took:.2f} s")
    viewer.close()


def tuned(viewer, widget, click, idle, size: int, moves: int) -> None:
    """Segment an image and move a slider on the result."""
    show_only(viewer, repeated_sample()[:size, :size])
    ticks = Ticks()
    seconds = ticks.during(lambda: click("segment"), idle)
    print(f"{size} x {size}, segmented: {seconds:.2f} s; {ticks}")
    form = widget.params_form
    seconds, ticks = [], Ticks()
    for value in np.linspace(0.3, 0.8, moves):
        params = dataclasses.replace(form.value(), threshold=float(value))
        move = lambda params=params: form.set_value(params)  # noqa: E731
        seconds.append(ticks.during(move, lambda: not widget.retuner.is_busy))
    ticks.during(lambda: None, lambda: widget.is_settled)
    print(f"{size} x {size}, tuned: at most {max(seconds):.2f} s a move; {ticks}")


def show_only(viewer, image: np.ndarray) -> None:
    """Open an image; the others are hidden, as removing all makes software OpenGL crash."""
    for layer in viewer.layers:
        layer.visible = False
    viewer.add_image(image)
    viewer.reset_view()
    pause(500)


def cancelled(viewer, widget, click, idle) -> None:
    """Cancel in the middle of a run."""
    show_only(viewer, repeated_sample())
    click("segment")
    while widget.findChild(QProgressBar, "progress").value() < 3:
        pause(10)
    ticks = Ticks()
    seconds = ticks.during(lambda: click("cancel"), idle)
    print(f"4096 x 4096, cancelled: ends after {seconds:.2f} s; {ticks}")


if __name__ == "__main__":
    main()
