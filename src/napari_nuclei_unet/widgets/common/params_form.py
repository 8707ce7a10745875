"""A form that is built from a parameter dataclass."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, Generic, TypeVar, get_args, get_type_hints

from magicgui.widgets import CheckBox, FloatSlider, Slider, create_widget
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFormLayout, QWidget

from .disabled_button import disable
from .lifetime import adopt_event_filter

_Params = TypeVar("_Params")

# Value of a control that means "auto"; below the minimum of every such parameter.
AUTO_VALUE = 0


class ParamsForm(QObject, Generic[_Params]):
    """One control for every field of a parameter dataclass that does not say otherwise.

    Parameters
    ----------
    params : type
        ``SegmentParams`` or ``TrainParams``.

    Signals
    -------
    changed : str
        Name of a parameter that the user, or :meth:`set_value`, has changed.
    """

    changed = Signal(str)

    def __init__(self, params: type[_Params]) -> None:
        super().__init__()
        self._params = params
        hints = get_type_hints(params)
        self._controls: dict[str, Any] = {
            param.name: _create_control(param, hints[param.name])
            for param in dataclasses.fields(params)  # type: ignore[arg-type]
            if param.metadata.get("in_form", True)
        }
        for name, control in self._controls.items():
            control.changed.connect(partial(self._on_changed, name))
            self.destroyed.connect(control.native.deleteLater)  # also if it is in no container

    def container(self, *names: str) -> QWidget:
        """Lay out some of the controls, one below the other.

        Parameters
        ----------
        *names : str
            Of parameters; a control can be in one container only.
        """
        container = QWidget()
        layout = QFormLayout(container)
        layout.setContentsMargins(0, 0, 0, 0)
        for name in names:
            control = self._controls[name]
            if isinstance(control, CheckBox):  # has its label beside it
                layout.addRow(control.native)
            else:
                layout.addRow(control.label, control.native)
        return container

    def disable(self, name: str, reason: str) -> None:
        """Disable a check box, with the reason as its tooltip; without one enable it again."""
        disable(self._controls[name].native, reason)

    def value(self) -> _Params:
        """Return the values as the dataclass; auto is None."""
        values = {name: _get_value(control) for name, control in self._controls.items()}
        return self._params(**values)

    def set_value(self, params: _Params) -> None:
        """Show values; None becomes auto, or leaves the control as it is where it has no auto.

        Parameters
        ----------
        params : instance of the dataclass
        """
        for name, control in self._controls.items():
            value = getattr(params, name)
            if value is not None:
                shown = convert_shown(control.field, value)
                if isinstance(control, Slider | FloatSlider):  # its range includes every value
                    control.min, control.max = min(control.min, shown), max(control.max, shown)
                control.value = shown
            elif control.auto:
                control.value = AUTO_VALUE

    def _on_changed(self, name: str, _: Any) -> None:
        self.changed.emit(name)


def convert_shown(field: dataclasses.Field[Any], value: Any) -> Any:
    """Convert a value to what a form shows of it, or back: of some parameters it is 1 minus it."""
    return 1 - value if "inverted_help" in field.metadata else value


def _create_control(field: dataclasses.Field[Any], hint: Any) -> Any:
    meta = field.metadata
    options = {key: meta[key] for key in ("min", "max", "step", "choices") if key in meta}
    if "choices" in options:
        titles = meta.get("choice_titles", {})
        options["choices"] = [(titles.get(one, one), one) for one in options["choices"]]
    elif "decimals" in meta:
        options |= {"widget_type": "FloatSpinBox", "step": 10.0 ** -meta["decimals"]}
    elif isinstance(field.default, bool):
        pass  # a check box needs nothing
    elif meta["max"] <= 1:
        options |= {"widget_type": "FloatSlider", "min": meta.get("slider_min", meta["min"])}
    elif "slider" in meta:
        options |= {"widget_type": "Slider", "max": meta["slider"]}
    has_auto = field.default is None and options.get("widget_type") != "FloatSlider"
    value: Any = options.get("min") if field.default is None else field.default
    if has_auto:
        value = options["min"] = AUTO_VALUE
    kind = next((t for t in get_args(hint) if t is not type(None)), hint)
    control: Any = create_widget(
        name=field.name,
        label=meta["label"],
        annotation=kind,
        value=convert_shown(field, value),
        options=options,
    )
    if has_auto and "widget_type" not in options:
        control.native.setSpecialValueText("auto")
    control.auto, control.field = has_auto, field
    control.digits = meta.get("decimals", 4)
    explained = meta.get("inverted_help", meta["help"])
    control.tooltip = explained
    control.native.setObjectName(field.name)
    adopt_event_filter(control)
    control.native.setToolTip(explained)
    return control


def _get_value(control: Any) -> Any:
    """Return the value shown: a click on a slider sets 0.79999 where it shows 0.8."""
    value = control.value
    if control.auto and value == AUTO_VALUE:
        return None
    value = convert_shown(control.field, value)
    return round(value, control.digits) if isinstance(value, float) else value
