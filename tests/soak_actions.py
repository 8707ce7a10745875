"""The actions of a soak: what users do, and what scripts do to layers meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import tifffile
from conftest import discs
from napari.layers import Image, Labels, Shapes
from qtpy.QtWidgets import (
    QAbstractSlider,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QPushButton,
    QSpinBox,
)

if TYPE_CHECKING:
    from soak import Day

SAMPLES = "fluorescence_small", "z_stack", "film", "two_channels", "fluorescence_errors"
TOOLS = "Delete", "Merge", "Split", "Add"
# Of controls: what would make a run or a training long, or uses the desktop.
LEFT_ALONE = {"epochs", "steps", "batch", "patch", "reference", "model", "device", "tile", "help"}


class NotNow(Exception):
    """An action is not possible now."""


@dataclass(frozen=True)
class Action:
    """An action, and how often it is done."""

    do: Callable[[Day], object]
    weight: float = 1.0


ACTIONS: dict[str, Action] = {}


def action(weight: float = 1.0) -> Callable[[Callable[[Day], object]], Callable[[Day], object]]:
    """Add a function to the actions, under its name."""

    def add(do: Callable[[Day], object]) -> Callable[[Day], object]:
        ACTIONS[do.__name__] = Action(do, weight)
        return do

    return add


def _plane(day: Day, shape: tuple[int, int] | None = None) -> np.ndarray:
    height, width = shape or day.rng.integers(30, 160, 2)
    centres = np.stack([day.rng.integers(0, height, 9), day.rng.integers(0, width, 9)], 1)
    return discs((int(height), int(width)), centres.tolist(), int(day.rng.integers(3, 8)))


def _stack(day: Day) -> np.ndarray:
    first = _plane(day)
    return np.stack(
        [first, *(_plane(day, first.shape) for _ in range(int(day.rng.integers(1, 4))))]
    )


def _layers(day: Day, kind: type) -> tuple[Any, Any]:
    """Return a window, and one of its layers of a kind."""
    viewer = day.viewer
    return viewer, day.choose([layer for layer in viewer.layers if isinstance(layer, kind)])


# layers


@action(3)
def add_plane(day):
    day.viewer.add_image(_plane(day))


@action(2)
def add_stack(day):
    names = day.choose([("z", "y", "x"), ("t", "y", "x"), ("c", "y", "x")])
    day.viewer.add_image(_stack(day), axis_labels=names)


@action()
def add_colours(day):
    day.viewer.add_image(np.stack([_plane(day, (60, 70)) for _ in range(3)], -1), rgb=True)


@action()
def add_pyramid(day):
    plane = _plane(day, (128, 96))
    day.viewer.add_image([plane, plane[::2, ::2]], multiscale=True)


@action()
def add_lazy(day):
    day.viewer.add_image(da.from_array(_stack(day), chunks=(1, 64, 64)))


@action()
def add_scaled(day):
    day.viewer.add_image(_plane(day), scale=(0.5, 0.25), units=("um", "um"), translate=(3, 4))


@action(2)
def add_labels(day):
    viewer, image = _layers(day, Image)
    shape = image.data[0].shape if image.multiscale else image.data.shape[: image.ndim]
    labels = day.rng.integers(0, 5, shape, dtype=np.int32) * (day.rng.random(shape) < 0.05)
    viewer.add_labels(labels.astype(np.int32))


@action()
def add_shapes(day):
    viewer = day.viewer
    top, left = day.rng.integers(0, 40, 2)
    corners = [(top, left), (top, left + 30), (top + 30, left + 30), (top + 30, left)]
    viewer.add_shapes([np.array(corners, float)], shape_type="rectangle")


@action()
def open_sample(day):
    day.viewer.open_sample("napari-nuclei-unet", str(day.choose(SAMPLES)))


@action(3)
def remove_layer(day):
    viewer = day.viewer
    viewer.layers.remove(day.choose(viewer.layers))


@action()
def rename_layer(day):
    _, layer = _layers(day, object)
    layer.name = str(day.choose(["a", "nuclei", "μ", "x" * 80]))


@action()
def move_layer(day):
    viewer = day.viewer
    day.choose(viewer.layers)
    viewer.layers.move(int(day.rng.integers(len(viewer.layers))), 0)


@action(2)
def select_layer(day):
    viewer = day.viewer
    viewer.layers.selection.active = day.choose(viewer.layers)


@action()
def hide_layer(day):
    _, layer = _layers(day, object)
    layer.visible = not layer.visible


@action()
def lock_labels(day):
    _, layer = _layers(day, Labels)
    layer.editable = not layer.editable


@action()
def scale_layer(day):
    _, layer = _layers(day, object)
    layer.scale = tuple(day.rng.choice([0.5, 1.0, 2.0], layer.ndim))


# data that a script replaces


def _other_data(day: Day, old: Any) -> Any:
    """Return other labels or pixels: of the same or another shape, number of axes or type."""
    old = np.asarray(old)
    kind = day.choose(["same", "shape", "more", "less", "type", "dask", "bool", "empty"])
    if kind == "shape":
        return np.ascontiguousarray(old[..., ::2, : old.shape[-1] * 2 // 3])
    if kind == "more":
        return np.stack([old, old[..., ::-1]])
    if kind == "less":
        return old[0].copy() if old.ndim > 2 else old.copy()
    if kind == "type":
        return old.astype(day.choose([np.uint8, np.uint16, np.int64]))
    if kind == "dask":
        return da.from_array(old)
    return {"bool": old > 0, "empty": old * 0}.get(str(kind), old[..., ::-1].copy())


def _replace_data(day: Day, layer: Any) -> None:
    data = _other_data(day, layer.data)
    if not layer.visible and data.ndim != layer.ndim:
        raise NotNow  # napari alone keeps the extent of a hidden layer, and cannot draw it then
    layer.data = data


@action(3)
def replace_labels(day):
    _, layer = _layers(day, Labels)
    if layer.multiscale or layer.ndim > 4:
        raise NotNow
    _replace_data(day, layer)


@action(2)
def replace_image(day):
    _, layer = _layers(day, Image)
    if layer.multiscale or layer.rgb or layer.ndim > 4:
        raise NotNow
    _replace_data(day, layer)


@action()
def replace_shapes(day):
    if day.viewer.dims.ndisplay == 3:
        raise NotNow  # napari alone cannot fill shapes of a plane that were emptied there
    _, layer = _layers(day, Shapes)
    layer.data = [np.asarray(one) + 1 for one in layer.data][: int(day.rng.integers(3))]


# the view


@action(2)
def turn_to_3d(day):
    viewer = day.viewer
    viewer.dims.ndisplay = 5 - viewer.dims.ndisplay


@action(2)
def move_sliders(day):
    dims = day.viewer.dims
    dims.current_step = tuple(int(day.rng.integers(max(n, 1))) for n in dims.nsteps)


@action()
def roll_axes(day):
    day.choose([day.viewer.dims.roll, day.viewer.dims.transpose])()


@action()
def switch_grid(day):
    viewer = day.viewer
    viewer.grid.enabled = not viewer.grid.enabled


@action()
def switch_theme(day):
    day.viewer.theme = str(day.choose(["dark", "light"]))


# edits


@action(4)
def paint(day):
    _, layer = _layers(day, Labels)
    if layer.multiscale or not isinstance(layer.data, np.ndarray) or not layer.editable:
        raise NotNow
    layer.brush_size = int(day.rng.integers(1, 9))
    at = tuple(int(day.rng.integers(max(n, 1))) for n in layer.data.shape)
    layer.paint(at, int(day.rng.integers(0, 9)))


@action(4)
def undo(day):
    _, layer = _layers(day, Labels)
    day.choose([layer.undo, layer.undo, layer.redo])()


@action(4)
def correct(day):
    viewer, layer = _layers(day, Labels)
    viewer.layers.selection.active = layer
    ends = np.array([[day.rng.integers(n) for n in viewer.dims.nsteps] for _ in range(2)], float)
    day.dock("Review nuclei", viewer).apply_tool(str(day.choose(TOOLS)), ends)


@action(3)
def review(day):
    dock = day.dock("Review nuclei")
    getattr(dock, str(day.choose(["next", "back", "accept", "delete", "measure", "compare"])))()


@action()
def add_cells(day):
    day.dock("Review nuclei").add_cells()


@action()
def save_labels(day):
    name = str(day.choose(["a.csv", "b.ome.tif", "c.geojson", "d.xlsx", "e.zip"]))
    day.dock("Review nuclei").save(day.folder / name)


@action(2)
def use_table(day):
    table = day.dock("Nuclei table")
    if len(table.rows):
        columns = list(table.rows)
        table.sort_by(str(day.choose(columns)), bool(day.rng.integers(2)))
        table.select(int(day.choose(table.rows["index"])))


# runs


@action(6)
def segment(day):
    day.dock("Segment nuclei").segment()


@action()
def preview(day):
    day.dock("Segment nuclei").preview()


@action(2)
def end_run(day):
    day.choose([day.dock("Segment nuclei").cancel, day.dock("Segment nuclei").resume])()


@action(3)
def slide(day):
    form = day.dock("Segment nuclei").params_form
    name = str(day.choose(["threshold", "separation", "confidence"]))
    form.set_value(replace(form.value(), **{name: float(day.rng.uniform(0.1, 0.9))}))


@action(2)
def train(day):
    dock = day.dock("Train nuclei model")
    dock.findChild(QPushButton, str(day.choose(["add_all_pairs", "remove_pair"]))).click()
    dock.train()


@action()
def end_training(day):
    dock = day.dock("Train nuclei model")
    day.choose([dock.stop, dock.cancel])()


@action(2)
def many_images(day):
    dock, folder = day.dock("Many images"), day.folder / f"images {int(day.rng.integers(3))}"
    folder.mkdir(exist_ok=True)
    for number in range(4):
        tifffile.imwrite(folder / f"{number}.tif", _plane(day))
    dock.add_paths([folder])
    day.choose([dock.run, dock.run, dock.pause, dock.clear])()


@action(2)
def open_row(day):
    dock = day.dock("Many images")
    if dock.rows:
        dock.review_bar.open_row(int(day.rng.integers(len(dock.rows))))


# any control of a dock


def _controls(day: Day, kind: type) -> Any:
    """Return an enabled control of a dock, but for those that are left alone."""
    found = day.any_dock().findChildren(kind)
    return day.choose(
        [one for one in found if one.isEnabled() and one.objectName() not in LEFT_ALONE]
    )


@action(6)
def press(day):
    button = _controls(day, QPushButton)
    if button.text().endswith("…") or not button.objectName():  # a dialog of files
        raise NotNow
    button.click()


@action(3)
def tick(day):
    _controls(day, QCheckBox).click()


@action(4)
def choose_entry(day):
    combo = _controls(day, QComboBox)
    if combo.count():
        combo.setCurrentIndex(int(day.rng.integers(combo.count())))


@action(3)
def turn(day):
    control = _controls(day, (QAbstractSlider, QSpinBox, QDoubleSpinBox)[int(day.rng.integers(3))])
    low, high = control.minimum(), control.maximum()
    value = low + (min(high, low + 100) - low) * day.rng.random()
    control.setValue(value if isinstance(control, QDoubleSpinBox) else int(value))


# windows


@action(2)
def open_dock(day):
    day.dock(str(day.choose(["Segment nuclei", "Review nuclei", "Nuclei table",
                             "Train nuclei model", "Many images"])))  # fmt: skip


@action(2)
def close_dock(day):
    day.close_dock()


@action(0.7)
def open_window(day):
    if len(day.viewers) > 1:
        raise NotNow
    day.open_window()


@action(0.7)
def close_window(day):
    day.close_window()


@action()
def remove_all(day):
    if day.rng.random() < 0.3:
        day.viewer.layers.clear()
