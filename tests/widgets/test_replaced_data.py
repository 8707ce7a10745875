"""Labels whose array a script replaces while docks are open: nothing of the old one is left."""

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from napari.components import ViewerModel

from napari_nuclei_unet.progress import run
from napari_nuclei_unet.widgets import ReviewWidget
from napari_nuclei_unet.widgets.layers.labels_state import LabelsState
from napari_nuclei_unet.widgets.review.measure_form import MeasureChoice
from napari_nuclei_unet.widgets.review.measure_task import MeasureTask

TOOLS = "Delete", "Merge", "Split"


def blobs(*shape):
    """Labels with a nucleus in each 10 x 10 pixels of each plane."""
    labels = np.zeros(shape, np.int32)
    planes = labels.reshape(-1, *shape[-2:])
    for plane in planes:
        number = 0
        for top in range(1, shape[-2] - 7, 10):
            for left in range(1, shape[-1] - 7, 10):
                number += 1
                plane[top : top + 7, left : left + 7] = number
    return labels


REPLACEMENTS = {
    "of the same shape": lambda: blobs(40, 50)[::-1].copy(),
    "smaller": lambda: blobs(20, 20),
    "larger": lambda: blobs(60, 70),
    "with another axis": lambda: blobs(3, 40, 50),
    "of another type": lambda: blobs(40, 50).astype(np.uint8),
    "a mask": lambda: blobs(40, 50) > 0,
    "lazy": lambda: da.from_array(blobs(30, 50)),
    "in a file": lambda: zarr.array(blobs(30, 50)),
    "empty": lambda: np.zeros((40, 50), np.int32),
}


def measure(viewer, layer):
    """Measure labels, as the thread does it."""
    task = MeasureTask(viewer, layer, None, MeasureChoice())
    task.on_result(run(task.steps()))
    assert task.is_measured


def check_table(layer):
    """Check that rows that are known are those of nuclei that are there."""
    for plane in LabelsState.of(layer).features.planes.values():
        there = np.unique(np.asarray(layer.data[plane.index]))
        np.testing.assert_array_equal(plane.rows["label"], there[there > 0])


@pytest.mark.parametrize("kind", REPLACEMENTS)
def test_undo_never_reaches_over_a_replaced_array(viewer, review, kind):
    layer = viewer.add_labels(blobs(40, 50))
    measure(viewer, layer)
    layer.paint((35, 45), 77)
    review.next()
    layer.mode = "paint"
    layer.data = REPLACEMENTS[kind]()
    before = np.array(layer.data)
    for act in (layer.undo, layer.redo, layer.refresh, review.next, review.accept, review.back):
        act()
    np.testing.assert_array_equal(layer.data, before)
    assert layer.mode == "paint"
    assert layer.features.columns.tolist() == ["index"] or not len(layer.features)
    measure(viewer, layer)
    check_table(layer)
    viewer.dims.ndisplay = 3
    review.next()
    check_table(layer)


def test_levels_are_replaced_too(viewer, review):
    levels = blobs(64, 64), blobs(32, 32)
    layer = viewer.add_labels(levels, multiscale=True)
    measure(viewer, layer)
    review.next()
    layer.data = blobs(128, 60), blobs(64, 30)
    review.next()
    measure(viewer, layer)
    assert len(layer.features) == 72
    layer.data = layer.data  # the same arrays: nothing is lost
    assert len(layer.features) == 72


def test_ids_begin_anew_in_another_array(viewer, review):
    """A large id of the old labels must not use up those of a smaller type."""
    layer = viewer.add_labels(blobs(40, 50))
    layer.paint((35, 45), 60_000)
    layer.data = blobs(40, 50).astype(np.uint8)
    measure(viewer, layer)
    review.apply_tool("Split", np.array([(0, 4), (9, 4)], float))
    assert layer.data.max() == 21


class ReviewOfReplacedLabels(RuleBasedStateMachine):
    """Tools, brush, undo, review and new arrays in any order."""

    @initialize()
    def open(self):
        self.viewer = ViewerModel()
        self.layer = self.viewer.add_labels(blobs(40, 50))
        self.review = ReviewWidget(self.viewer)
        self.forget()

    def forget(self):
        self.done, self.undone = [np.array(self.layer.data)], []

    def note(self):
        """Note what was written, as one step."""
        if not np.array_equal(self.layer.data, self.done[-1]):
            self.done.append(np.array(self.layer.data))
            self.undone = []

    @property
    def is_in_memory(self):
        return isinstance(self.layer.data, np.ndarray)

    @rule(kind=st.sampled_from(sorted(REPLACEMENTS)))
    def replace(self, kind):
        self.layer.data = REPLACEMENTS[kind]()
        self.forget()

    @precondition(lambda self: self.is_in_memory)
    @rule(at=st.tuples(*[st.floats(0, 0.99)] * 3), value=st.integers(0, 30))
    def paint(self, at, value):
        shape = self.layer.data.shape
        self.layer.paint([int(n * one) for n, one in zip(shape, at, strict=False)], value)
        self.note()

    @rule(tool=st.sampled_from(TOOLS), ends=st.tuples(*[st.floats(0, 39)] * 4))
    def correct(self, tool, ends):
        points = np.zeros((2, self.layer.ndim))
        points[:, -2:] = np.reshape(ends, (2, 2))
        self.review.apply_tool(tool, points)
        self.note()

    @rule()
    def undo(self):
        self.layer.undo()
        if len(self.done) > 1:
            self.undone.append(self.done.pop())
        np.testing.assert_array_equal(self.layer.data, self.done[-1])

    @rule()
    def redo(self):
        self.layer.redo()
        if self.undone:
            self.done.append(self.undone.pop())
        np.testing.assert_array_equal(self.layer.data, self.done[-1])

    @rule()
    def measure(self):
        measure(self.viewer, self.layer)

    @rule(name=st.sampled_from(["next", "back", "accept", "delete"]))
    def step(self, name):
        getattr(self.review, name)()
        self.note()

    @rule(axes=st.sampled_from([2, 3]))
    def turn(self, axes):
        self.viewer.dims.ndisplay = axes

    @invariant()
    def table_is_that_of_the_labels(self):
        if hasattr(self, "layer"):
            check_table(self.layer)

    def teardown(self):
        if hasattr(self, "review"):
            self.review.deleteLater()


@pytest.mark.usefixtures("qtbot")
class TestReviewOfReplacedLabels(ReviewOfReplacedLabels.TestCase):
    settings = settings(max_examples=5, stateful_step_count=12, deadline=None)
