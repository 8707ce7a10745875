import dataclasses

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qtpy.QtWidgets import QLabel, QWidget

from napari_nuclei_unet.params import SegmentParams, TrainParams
from napari_nuclei_unet.widgets.common.params_form import ParamsForm

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
