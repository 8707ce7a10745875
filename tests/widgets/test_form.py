"""Forms have a value, and one signal that it has changed."""

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qtpy.QtWidgets import QCheckBox, QLabel, QWidget

from napari_nuclei_unet.models.library import RANDOM_WEIGHTS_NAME
from napari_nuclei_unet.params import SegmentParams, TrainParams
from napari_nuclei_unet.training.recipes import RECIPES
from napari_nuclei_unet.widgets.common.params_form import ParamsForm
from napari_nuclei_unet.widgets.layers.image_source import VISIBLE_REGION, WHOLE_IMAGE
from napari_nuclei_unet.widgets.segment.plane_form import PlaneForm, StackAxis
from napari_nuclei_unet.widgets.segment.source_form import SourceChoice, SourceForm
from napari_nuclei_unet.widgets.session.model_form import ModelChoice, ModelForm

segment_params = st.builds(
    SegmentParams,
    diameter=st.none() | st.integers(1, 5000).map(float),
    threshold=st.integers(1, 99).map(lambda n: n / 100),
    separation=st.integers(1, 99).map(lambda n: n / 100),
    confidence=st.integers(0, 99).map(lambda n: n / 100),
    minimum_area=st.none() | st.integers(1, 1_000_000),
    tile=st.integers(0, 1024).map(lambda n: 16 * n),
    batch=st.integers(0, 256),
    precision=st.sampled_from(["auto", "fp32", "bf16", "fp16"]),
)


@given(params=segment_params)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_what_is_set_is_got(qtbot, params):
    form = ParamsForm(SegmentParams)
    form.set_value(params)
    assert form.value() == params


def test_none_is_shown_as_auto_where_it_can_be(qtbot):
    form = ParamsForm(SegmentParams)
    form.set_value(SegmentParams(diameter=30.0, minimum_area=7))
    assert (form.value().diameter, form.value().minimum_area) == (30.0, 7)
    form.set_value(SegmentParams())
    assert (form.value().diameter, form.value().minimum_area) == (None, None)
    assert form.container("diameter").findChild(QWidget, "diameter").text() == "auto"


def test_more_sensitivity_is_a_lower_threshold(qtbot):
    form = ParamsForm(SegmentParams)
    shown = form.container("threshold", "confidence")
    form.set_value(SegmentParams(threshold=0.3, confidence=0.2))
    sensitivity = shown.findChild(QWidget, "threshold")
    assert sensitivity.value() == pytest.approx(0.7)
    sensitivity.setValue(0.9)
    assert form.value().threshold == pytest.approx(0.1)
    assert form.value().confidence == pytest.approx(0.2)  # below where the slider begins


def test_none_keeps_what_is_shown(qtbot):
    form = ParamsForm(SegmentParams)
    form.set_value(SegmentParams(threshold=0.3))
    form.set_value(SegmentParams(threshold=None))
    assert form.value().threshold == pytest.approx(0.3)


@pytest.mark.parametrize("params", [SegmentParams, TrainParams])
def test_every_parameter_has_a_named_control_with_label_and_tooltip(qtbot, params):
    shown_fields = [
        field for field in dataclasses.fields(params) if field.metadata.get("in_form", True)
    ]
    form = ParamsForm(params)
    shown = form.container(*(field.name for field in shown_fields))
    for field in shown_fields:
        assert shown.findChild(QWidget, field.name).toolTip() == field.metadata.get(
            "inverted_help", field.metadata["help"]
        )
        named = [*shown.findChildren(QLabel), *shown.findChildren(QCheckBox)]
        assert field.metadata["label"] in [control.text() for control in named]


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_are_set_and_got(qtbot, recipe):
    form = ParamsForm(TrainParams)
    form.set_value(RECIPES[recipe])
    assert form.value() == RECIPES[recipe]


def test_a_form_names_each_parameter_that_changes(qtbot):
    form = ParamsForm(SegmentParams)
    names = []
    form.changed.connect(names.append)
    form.set_value(dataclasses.replace(form.value(), threshold=0.31, minimum_area=7))
    assert names == ["threshold", "minimum_area"]
    form.set_value(form.value())
    assert len(names) == 2


def test_a_model_and_a_device_that_are_set_are_got(qtbot, bright_file, home):
    form = ModelForm(allow_random=True)
    changes = []
    form.changed.connect(lambda: changes.append(form.value().model))
    begun = form.value()
    for choice in (
        ModelChoice(RANDOM_WEIGHTS_NAME, "cpu"),
        ModelChoice(str(bright_file), "auto"),  # which is not in the list before
        ModelChoice(begun.model, "cpu"),
    ):
        form.set_value(choice)
        assert form.value() == choice
    assert changes == [RANDOM_WEIGHTS_NAME, str(bright_file), begun.model]
    form.set_value(ModelChoice(begun.model, "auto"))
    assert len(changes) == 3


def test_a_model_that_is_gone_is_told_and_not_chosen(qtbot, tmp_path, messages, home):
    form = ModelForm()
    begun = form.value()
    form.set_value(ModelChoice(str(tmp_path / "gone.safetensors"), "cpu"))
    assert "gone" in messages[-1][1]
    assert form.value() == ModelChoice(begun.model, "cpu")


@pytest.fixture
def sources(qtbot, viewer):
    """A form with two images and a region, and the values that it has had since."""
    data = np.zeros((4, 3, 60, 80))
    viewer.add_image(data, name="stack", axis_labels=tuple("zcyx"))
    pyramid = [data[0, 0], data[0, 0, ::2, ::2]]
    viewer.add_image(pyramid, multiscale=True, name="pyramid")
    viewer.add_shapes([[[0, 0], [0, 30], [47, 30]]], shape_type="polygon", name="region")
    form = SourceForm(viewer)
    form.values = []
    form.changed.connect(lambda: form.values.append(form.value()))
    return form


def test_a_source_that_is_set_is_got(viewer, sources):
    stack, pyramid, region = viewer.layers
    choices = [
        SourceChoice(stack, 1, 2, planes="all"),
        SourceChoice(stack, 1, "mean", planes="1-2"),
        SourceChoice(stack, None, region=VISIBLE_REGION, planes="0-3, 1"),
        SourceChoice(pyramid, level=1, region=region),
        SourceChoice(stack, 1),
    ]
    for choice in choices:
        sources.set_value(choice)
        assert sources.value() == choice
    assert sources.values == choices  # each is told once
    sources.set_value(choices[-1])
    assert len(sources.values) == len(choices)


def test_what_a_source_does_not_have_is_not_chosen(viewer, sources):
    stack, pyramid, region = viewer.layers
    sources.set_value(SourceChoice(pyramid, 0, 5, 7, region, "all"))
    assert sources.value() == SourceChoice(pyramid, region=region)
    gone = viewer.add_image(np.zeros((60, 80)))
    viewer.layers.remove(gone)
    sources.set_value(SourceChoice(gone))
    assert sources.value().image in (stack, pyramid)


def test_each_change_of_a_source_is_told_once_with_the_whole_value(viewer, sources):
    stack, pyramid, region = viewer.layers
    sources.set_value(SourceChoice(stack, 1, 2, 0, region, "1-2"))
    sources.values.clear()
    viewer.layers.remove(region)
    assert sources.values == [SourceChoice(stack, 1, 2, 0, WHOLE_IMAGE, "1-2")]
    stack.data = np.zeros((5, 3, 60, 80))
    assert sources.values[1:] == [SourceChoice(stack, 1, planes="z-stack")]  # it has a name
    viewer.layers.selection.active = pyramid
    assert sources.values[2:] == [SourceChoice(pyramid)]
    pyramid.name = "another"  # which is no other value
    assert len(sources.values) == 3


def test_planes_that_are_set_are_got(qtbot, viewer):
    form, values = PlaneForm(viewer), []
    form.changed.connect(lambda: values.append(form.value()))
    form.set_value("all")  # there is no stack yet
    assert form.value() == "this one"
    form.offer(None, [StackAxis(0, "z", 5)])
    for value in ("all", "1-3", "2", "this one", "4"):
        form.set_value(value)
        assert form.value() == value
    assert values == ["all", "1-3", "2", "this one", "4"]
    form.offer(None, [StackAxis(0, "z", 6)])
    assert form.value() == values[-1] == "this one"  # a range of other planes is none of these
    form.set_value("all")
    form.offer(None, [])
    assert form.value() == values[-1] == "this one"
    assert len(values) == 8
