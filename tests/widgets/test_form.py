import dataclasses

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qtpy.QtWidgets import QLabel, QWidget

from napari_nuclei_unet.models.library import RANDOM_WEIGHTS_NAME
from napari_nuclei_unet.params import SegmentParams, TrainParams
from napari_nuclei_unet.training.recipes import RECIPES
from napari_nuclei_unet.widgets.common.params_form import ParamsForm
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


def test_none_keeps_what_is_shown(qtbot):
    form = ParamsForm(SegmentParams)
    form.set_value(SegmentParams(threshold=0.3))
    form.set_value(SegmentParams(threshold=None))
    assert form.value().threshold == pytest.approx(0.3)


@pytest.mark.parametrize("params", [SegmentParams, TrainParams])
def test_every_parameter_has_a_named_control_with_label_and_tooltip(qtbot, params):
    names = [field.name for field in dataclasses.fields(params)]
    form = ParamsForm(params)
    shown = form.container(*names)
    for field in dataclasses.fields(params):
        assert shown.findChild(QWidget, field.name).toolTip() == field.metadata["help"]
        assert field.metadata["label"] in [label.text() for label in shown.findChildren(QLabel)]


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
