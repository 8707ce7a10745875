"""Two labels layers compared by clicks: what is shown, and what is refused."""

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
from conftest import discs
from napari.layers import Labels, Layer
from napari.utils._proxies import PublicOnlyProxy
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtGui import QTextDocument
from qtpy.QtWidgets import QComboBox, QLabel, QPushButton
from skimage.measure import label

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.labels.masks import MASK_HINT
from napari_nuclei_unet.metrics.error_types import ERROR_KINDS, compare
from napari_nuclei_unet.samples.images import read_sample
from napari_nuclei_unet.widgets.common.controller import RunState
from napari_nuclei_unet.widgets.layers.labels_record import set_record_entries
from napari_nuclei_unet.widgets.layers.metadata_keys import ERRORS_KEY, METADATA_KEY
from napari_nuclei_unet.widgets.review.compare_panel import TWO_LABELS_NEEDED, ComparePanel
from napari_nuclei_unet.widgets.review.compare_task import (
    ERROR_COLORS,
    LABELS_CHANGED_WHILE_COMPARING,
    MAX_COMPARED_PIXELS,
    ComparedLayers,
    compare_steps,
)
from widgets.conftest import click, no_thread_is_at_work


def pair():
    """A result and an annotation: one nucleus is missed, one false, one split, two are merged."""
    true = label(discs((40, 100), [(20, 10), (20, 30), (20, 50), (20, 72), (20, 86)]) > 0)
    found = 10 * true
    found[true == 2] = 0
    found[30:36, 34:40] = 99
    found[:, 50:][true[:, 50:] == 3] = 31
    found[np.isin(true, (4, 5))] = 40
    found[18:23, 78:81] = 40
    return found, true


@pytest.fixture(params=["model", "proxy"])
def given(request, viewer):
    """What a widget is given: a viewer, and in a real window a proxy of one."""
    return viewer if request.param == "model" else PublicOnlyProxy(viewer)


@pytest.fixture
def part(qtbot, given):
    made = ComparePanel(given)
    qtbot.addWidget(made)
    made.words = []
    made.message.connect(made.words.append)
    return made


@pytest.fixture
def layers(viewer, part):
    """An annotation, and a result that says that it was segmented."""
    found, true = pair()
    annotation = viewer.add_labels(true, name="annotation", scale=(0.5, 0.5))
    result = viewer.add_labels(
        found, name="cells nuclei", scale=(0.5, 0.5), metadata={METADATA_KEY: {"image": "x"}}
    )
    return result, annotation


def compared(qtbot, part):
    with qtbot.waitSignal(part.controller.finished, timeout=15_000):
        click(part, "compare")
        assert not part.findChild(QPushButton, "compare").isEnabled()
    assert part.findChild(QPushButton, "compare").isEnabled()


def text(part, name):
    read = QTextDocument()
    read.setHtml(part.findChild(QLabel, name).text())
    return read.toPlainText()


def offered(part, name):
    chooser = part.findChild(QComboBox, name)
    return [chooser.itemText(row) for row in range(chooser.count())]


def errors_on(viewer):
    return [layer for layer in viewer.layers if ERRORS_KEY in layer.metadata]


def test_counts_scores_and_errors_are_shown(qtbot, viewer, part, layers):
    result, annotation = layers
    assert part.value() == ComparedLayers(*layers)
    compared(qtbot, part)
    made = compare(annotation.data, result.data)
    counts, scores = text(part, "compare_counts"), text(part, "compare_scores")
    assert "cells nuclei compared with annotation: 5 in the reference, 5 found" in counts
    assert f"{made.counts.matched[0]} right" in counts
    legend = " ".join(text(part, "compare_legend").split())
    assert legend == "■ 1 missed ■ 1 false ■ 1 split ■ 1 merged"
    shown = made.counts.scores()
    for name in ("AP@0.5", "AP@0.75", "AP@0.95", "mean AP", "F1", "PQ"):
        assert name in scores
        assert f"{shown[name]:.3f}" in scores
    (layer,) = errors_on(viewer)
    assert np.array_equal(layer.data, made.errors)
    assert (
        part.words[-1]
        == f"{made.counts.matched[0]} of 5 nuclei of the reference were found correctly."
    )


def test_the_error_layer_lies_on_the_result_in_colours_of_the_legend(qtbot, viewer, part, layers):
    viewer.layers.selection.active = layers[0]
    compared(qtbot, part)
    (layer,) = errors_on(viewer)
    assert layer.name == "cells nuclei errors"
    assert viewer.layers[-1] == layer
    assert viewer.layers.selection.active == layers[0]
    np.testing.assert_allclose(layer.scale, layers[0].scale)
    assert layer.get_color(0) is None
    for value, kind in enumerate(ERROR_KINDS, 1):
        red, green, blue = (round(255 * one) for one in layer.get_color(value)[:3])
        assert f"#{red:02x}{green:02x}{blue:02x}" == ERROR_COLORS[kind]
        assert ERROR_COLORS[kind] in part.findChild(QLabel, "compare_legend").text()


def test_again_the_same_layer_is_updated_and_a_copy_of_it_is_not(qtbot, viewer, part, layers):
    result, annotation = layers
    compared(qtbot, part)
    (layer,) = errors_on(viewer)
    data, state, kind = layer.as_layer_data_tuple()
    copy = viewer.add_layer(Layer.create(data.copy(), {**state, "name": "copy"}, kind))
    before = copy.data.copy()
    result.data = annotation.data.copy()
    result.translate = annotation.translate = (3, 3)
    compared(qtbot, part)
    assert errors_on(viewer) == [layer, copy]
    assert not layer.data.any()
    np.testing.assert_allclose(layer.translate, (3, 3))
    assert np.array_equal(copy.data, before)
    assert offered(part, "compare_result") == ["annotation", "cells nuclei"]


def test_another_result_gets_errors_of_its_own(qtbot, viewer, part, layers):
    compared(qtbot, part)
    other = viewer.add_labels(layers[1].data.copy(), name="other", scale=(0.5, 0.5))
    part.set_value(replace(part.value(), result=other))
    compared(qtbot, part)
    assert [layer.name for layer in errors_on(viewer)] == ["cells nuclei errors", "other errors"]


def test_choices_by_hand_stay_and_follow_names(qtbot, viewer, part, layers):
    result, annotation = layers
    swapped = ComparedLayers(annotation, result)
    with qtbot.waitSignal(part.changed):
        part.set_value(swapped)
    viewer.add_labels(result.data, name="third", metadata={METADATA_KEY: {}})
    annotation.name = "drawn"
    assert part.value() == swapped
    assert part.findChild(QComboBox, "compare_result").currentText() == "drawn"
    viewer.layers.remove(annotation)
    assert part.value().result.name == "third"


def test_labels_of_another_shape_are_not_guessed(viewer, part):
    viewer.add_labels(np.zeros((5, 5), int), name="small")
    viewer.add_labels(np.zeros((6, 6), int), name="drawn")
    viewer.add_labels(np.zeros((6, 6), int), name="found")
    chosen = part.value()
    assert (chosen.result.name, chosen.annotation.name) == ("found", "drawn")


def test_stacks_and_pyramids_are_compared_at_full_resolution(qtbot, viewer, part):
    found, true = (np.stack([one, np.zeros_like(one)]) for one in pair())
    viewer.add_labels(true, name="annotation")
    viewer.add_labels([da.from_array(found), da.from_array(found[:, ::2, ::2])], name="found")
    compared(qtbot, part)
    (layer,) = errors_on(viewer)
    assert np.array_equal(layer.data, compare(true, found).errors)
    assert not layer.multiscale


def test_labels_of_other_axes_get_another_layer_of_errors(qtbot, viewer, part, layers):
    compared(qtbot, part)
    errors_on(viewer)[0].visible = False  # napari keeps its extent, so it cannot take other axes
    for layer in layers:
        layer.data = np.stack([layer.data, layer.data])
    compared(qtbot, part)
    assert [layer.ndim for layer in errors_on(viewer)] == [2, 3]


def refused(part):
    part.compare()
    assert part.controller.state is RunState.IDLE
    sentence = part.words[-1]
    assert sentence.endswith(".")
    return sentence


def test_what_cannot_be_compared_is_refused(viewer, part):
    button = part.findChild(QPushButton, "compare")
    assert not button.isEnabled()
    assert button.toolTip() == TWO_LABELS_NEEDED
    assert refused(part) == TWO_LABELS_NEEDED
    one = viewer.add_labels(np.zeros((6, 6), int), name="one")
    assert refused(part) == TWO_LABELS_NEEDED
    two = viewer.add_labels(np.zeros((6, 7), int), name="two")
    assert "differ in shape, (6, 7) and (6, 6)" in refused(part)
    part.set_value(ComparedLayers(two, two))
    assert "'two' is chosen twice" in refused(part)
    part.set_value(ComparedLayers(two, one))
    for layer in (one, two):
        layer.visible = False  # napari cannot draw it
        layer.data = np.zeros((0, 7), int)
    assert "no pixels" in refused(part)
    edge = int(MAX_COMPARED_PIXELS**0.5) + 1
    for layer in (one, two):
        layer.data = da.zeros((edge, edge), dtype=int, chunks=1000)
    assert "300 million" in refused(part)


def test_layers_that_do_not_lie_on_each_other_are_refused(viewer, part, layers):
    result, _ = layers
    result.translate = (0.3, 0)
    assert "the same translate." in refused(part)
    result.scale = (0.25, 0.5)
    assert "the same scale and translate." in refused(part)
    result.scale, result.translate = (0.5, 0.5), (0, 0)
    result.rotate = 10
    assert "the same rotate." in refused(part)


def test_less_than_half_a_pixel_is_no_other_place(qtbot, viewer, part, layers):
    layers[0].translate = (0.1, 0.2)
    compared(qtbot, part)
    assert errors_on(viewer)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [((0, 0), "Neither layer has a nucleus"), ((-1, 1), "must not be negative")],
)
def test_what_only_the_pixels_say_is_told_too(qtbot, viewer, part, messages, values, sentence):
    for name, value in zip("ab", values, strict=True):
        viewer.add_labels(np.full((6, 6), value), name=name)
    compared(qtbot, part)
    assert sentence in part.words[-1]
    assert not messages  # the dock alone has told it
    assert not errors_on(viewer)


def test_labels_that_cannot_be_read_are_told(qtbot, viewer, part):
    def broken(block):
        if block.size:
            raise OSError("disk is gone")
        return block

    lazy = da.zeros((600, 600), dtype=int, chunks=300)
    viewer.add_labels(lazy, name="good")
    bad = viewer.add_labels(lazy, name="bad")
    bad.visible = False
    bad.data = lazy.map_blocks(broken, meta=np.zeros((0, 0), int))
    compared(qtbot, part)
    assert "could not be read: disk is gone" in part.words[-1]


@pytest.mark.parametrize("which", [0, 1])
def test_a_layer_removed_meanwhile_is_told(qtbot, viewer, part, layers, which):
    with qtbot.waitSignal(part.controller.finished, timeout=15_000):
        click(part, "compare")
        viewer.layers.remove(layers[which])
    assert part.words[-1] == f"'{layers[which].name}' was removed while it was compared."
    assert not errors_on(viewer)


def test_a_layer_with_other_data_meanwhile_is_told(qtbot, viewer, part, layers):
    with qtbot.waitSignal(part.controller.finished, timeout=15_000):
        click(part, "compare")
        layers[0].data = layers[0].data.copy()
    assert part.words[-1] == LABELS_CHANGED_WHILE_COMPARING
    assert not errors_on(viewer)


def test_a_stroke_meanwhile_is_told(qtbot, viewer, part, layers):
    with qtbot.waitSignal(part.controller.finished, timeout=15_000):
        click(part, "compare")
        layers[0].paint((5, 5), 3)
    assert part.words[-1] == LABELS_CHANGED_WHILE_COMPARING
    assert not errors_on(viewer)


def test_labels_written_while_the_thread_works_are_told():
    _, true = read_sample("fluorescence_small")
    found = true.copy()
    steps = compare_steps(true, found)
    while next(steps).done < 2:
        pass
    found[0, 0] += 1
    with pytest.raises(UserError, match="changed while they were compared"):
        next(steps)


def test_a_second_click_does_not_disturb(qtbot, viewer, part, layers):
    with qtbot.waitSignal(part.controller.finished, timeout=15_000):
        click(part, "compare")
        part.compare()
    assert len(errors_on(viewer)) == 1


def test_the_widget_may_go_while_the_thread_works(qtbot, viewer, layers, given):
    made = ComparePanel(given)
    made.compare()
    made.deleteLater()
    qtbot.waitUntil(no_thread_is_at_work, timeout=15_000)
    assert isinstance(viewer.layers[0], Labels)


@pytest.mark.parametrize("side", ["result", "annotation"])
def test_a_mask_on_either_side_is_told(qtbot, viewer, part, side):
    true = label(discs((40, 100), [(20, 10), (20, 30), (20, 50)]) > 0)
    layers = {
        name: viewer.add_labels(np.where(true > 0, 255, 0) if name == side else true, name=name)
        for name in ("result", "annotation")
    }
    part.set_value(ComparedLayers(**layers))
    compared(qtbot, part)
    called = {"result": "result", "annotation": "reference"}[side]
    assert part.words[-1] == f"The {called} is {MASK_HINT}"
    layers[side].data = true
    compared(qtbot, part)
    assert part.words[-1] == "3 of 3 nuclei of the reference were found correctly."


def test_a_result_that_was_saved_and_loaded_is_the_reference_of_one_made_here(viewer, part, layers):
    """Both have a record, and that of labels from a file names no layer, or another one."""
    result, annotation = layers
    set_record_entries(result, layer=str(result.unique_id))
    loaded = viewer.add_labels(annotation.data.copy(), name="loaded", scale=(0.5, 0.5))
    set_record_entries(loaded, layer="of a file")
    viewer.layers.remove(annotation)
    part.prefer_result(loaded)
    assert part.value() == ComparedLayers(result, loaded)


def test_the_result_is_grey_while_its_errors_are_shown(qtbot, viewer, part, layers):
    result, _ = layers
    before = result.get_color(40)
    compared(qtbot, part)
    (errors,) = errors_on(viewer)
    np.testing.assert_allclose(result.get_color(40), result.get_color(10))
    assert result.get_color(0) is None or not result.get_color(0)[3]
    errors.visible = False
    np.testing.assert_allclose(result.get_color(40), before)
    errors.visible = True
    assert not np.allclose(result.get_color(40), before)
    viewer.layers.remove(errors)
    np.testing.assert_allclose(result.get_color(40), before)
    compared(qtbot, part)
    colours = DirectLabelColormap(color_dict={None: "red", 0: "transparent"})
    result.colormap = colours  # of the table, for instance
    viewer.layers.remove(errors_on(viewer)[0])
    np.testing.assert_allclose(result.get_color(40), (1, 0, 0, 1))
