"""Measure how long table, corrections, queue and files take with ten thousand nuclei in a window.

    sh tools/with_display.sh python benchmarks/review_window.py [--nuclei 10000]

The annotation of a fluorescence sample, repeated until there are as many nuclei, lies on its image
in a real napari window. Each row is the median, and the longest, of some actions; an action ends
when labels, table and window are up to date. Done by the functions that keys and clicks call.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_nuclei_unet.samples.images import read_sample
from napari_nuclei_unet.widgets.common.controller import RunState
from napari_nuclei_unet.widgets.table.column_form import ColumnChoice
from napari_nuclei_unet.widgets.table.column_summary import ValueLimits
from napari_nuclei_unet.widgets.table.widget import TableWidget

RUNS = 9
WANTED = {"table": 3.0, "open": 0.5, "limits": 0.05, "correction": 0.2}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nuclei", type=int, default=10_000)
    args = parser.parse_args()
    image, labels = repeated(args.nuclei)

    import napari
    from qtpy.QtWidgets import QApplication

    viewer = napari.Viewer()
    app = QApplication.instance()
    viewer.add_image(image, scale=(0.5, 0.5))
    layer = viewer.add_labels(labels, scale=(0.5, 0.5), name="nuclei")
    _, review = viewer.window.add_plugin_dock_widget("napari-nuclei-unet", "Review nuclei")
    print(f"{labels.max():,} nuclei, {labels.shape[0]} x {labels.shape[1]}\n")
    print("| action | median | longest | wanted |\n|---|---|---|---|")

    def timed(act: Callable[[], None]) -> float:
        begun = time.perf_counter()
        act()
        while review.state is not RunState.IDLE:
            app.processEvents()
        app.processEvents()
        return time.perf_counter() - begun

    def show(name: str, times: list[float], wanted: float | None = None) -> None:
        limit = "" if wanted is None else f"{wanted:g} s"
        middle, most = statistics.median(times), max(times)
        print(f"| {name} | {middle:.3f} s | {most:.3f} s | {limit} |", flush=True)

    show("Measure: table", [timed(review.measure) for _ in range(3)], WANTED["table"])
    opened: list[TableWidget] = []

    def open_table() -> None:
        _, table = viewer.window.add_plugin_dock_widget("napari-nuclei-unet", "Nuclei table")
        opened.append(table)

    show("the table opens", [timed(open_table)], WANTED["open"])
    form = opened[0].column_form
    choices = [ColumnChoice("area", ValueLimits(low=400 + 10 * n)) for n in range(RUNS)]
    moves = [timed(lambda choice=choice: form.set_value(choice)) for choice in choices]
    show("limits of the histogram", moves, WANTED["limits"])
    middle = float(layer.features["area"].median())
    form.set_value(ColumnChoice("area", ValueLimits(low=middle)))
    deletes, undone = [], []
    for _ in range(3):  # half of the nuclei
        deletes.append(timed(lambda: opened[0].delete(inside=True)))
        undone.append(timed(layer.undo))
    show("deleting by limits", deletes)
    show("undo of it", undone)
    opened[0].parent().destroyOnClose()
    for name, acts in corrections(review, layer).items():
        times, undone = [], []
        for act in acts:
            times.append(timed(act))
            undone.append(timed(layer.undo))
        show(name, times, WANTED["correction"])
        show(f"undo of {name}", undone, WANTED["correction"])
    show("N, next doubtful", [timed(review.next) for _ in range(RUNS)])
    show("Y, accept and next", [timed(review.accept) for _ in range(RUNS)])
    with tempfile.TemporaryDirectory() as folder:
        for ending in (".csv", ".geojson", ".zip", ".ome.tif"):
            path = Path(folder) / f"a{ending}"
            took = timed(lambda path=path: review.save(path))
            show(f"Measure and save {ending}, {path.stat().st_size / 1e6:.1f} MB", [took])
    viewer.close()


def repeated(count: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Repeat a sample side by side, to about a square, with ids of their own."""
    image, annotation = read_sample("fluorescence_small")
    each = int(annotation.max())
    wide = int(np.ceil(np.sqrt(count / each)))
    tall = int(np.ceil(count / each / wide))
    rows = []
    for row in range(tall):
        above = (row * wide + np.arange(wide)) * each
        rows.append(np.hstack([np.where(annotation, annotation + a, 0) for a in above]))
    return np.tile(image, (tall, wide)), np.vstack(rows).astype(np.int32)


def corrections(review: object, layer: object) -> dict[str, list[Callable[[], None]]]:
    """Give what each tool is timed with."""
    rng = np.random.default_rng(0)
    places = np.stack(np.nonzero(layer.data), 1)
    chosen = places[rng.choice(len(places), RUNS)].astype(float)

    def act(name: str, *points: NDArray[np.floating]) -> Callable[[], None]:
        world = np.array([layer.data_to_world(point) for point in points])
        return lambda: review.apply_tool(name, world)

    def paint(point: NDArray[np.floating]) -> Callable[[], None]:
        return lambda: layer.paint(point, int(layer.features["index"].max()) + 1)

    across = np.array([0.0, 60.0])
    return {
        "Delete": [act("Delete", at) for at in chosen],
        "Merge": [act("Merge", at - across, at + across) for at in chosen],
        "Split": [act("Split", at - across, at + across) for at in chosen],
        "brush": [paint(at) for at in chosen],
    }


if __name__ == "__main__":
    main()
