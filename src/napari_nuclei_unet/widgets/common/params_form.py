"""A form made from a parameter dataclass."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any, Generic, TypeVar, get_args, get_type_hints

from magicgui.widgets import Slider, Widget, create_widget
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFormLayout, QWidget

_Params = TypeVar("_Params")


# What a control holds while it means "auto"; below the least value of every such parameter.
AUTO_VALUE = 0


class ParamsForm(QObject, Generic[_Params]):
    """One control for every field of a parameter dataclass.

    Parameters
    ----------
    params : type
        ``SegmentParams`` or ``TrainParams``.

    Signals
    -------
    changed : str
        Name of a parameter that the user, or :meth:`set`, has changed.
    """

    changed = Signal(str)

    def __init__(self, params: type[_Params]) -> None:
        super().__init__()
        self._params = params
        hints = get_type_hints(params)
        self._controls = {
            one.name: _control(one, hints[one.name])
            for one in dataclasses.fields(params)  # type: ignore[arg-type]
        }
        for name, control in self._controls.items():
            control.changed.connect(partial(self._on_changed, name))

    def container(self, *names: str) -> QWidget:
        """Lay out some of the controls, one below the other; each is named like its parameter.

        Parameters
        ----------
        *names : str
            Of parameters; every control has one place.
        """
        made = QWidget()
        layout = QFormLayout(made)
        layout.setContentsMargins(0, 0, 0, 0)
        for name in names:
            layout.addRow(self._controls[name].label, self._controls[name].native)
        return made

    def get(self) -> _Params:
        """Values shown, as the dataclass; what is shown as auto is None."""
        return self._params(**{name: _value(one) for name, one in self._controls.items()})

    def set(self, params: _Params) -> None:
        """Show values; a field that is None becomes auto, or keeps what is shown where no auto is.

        Parameters
        ----------
        params : instance of the dataclass
        """
        for name, control in self._controls.items():
            value = getattr(params, name)
            if value is not None:
                if isinstance(control, Slider):  # it goes as far as its values
                    control.max = max(control.max, value)
                control.value = value
            elif control.auto:
                control.value = AUTO_VALUE

    def _on_changed(self, name: str, _: Any) -> None:
        self.changed.emit(name)


def _control(field: dataclasses.Field[Any], hint: Any) -> Widget:
    meta = field.metadata
    options = {key: meta[key] for key in ("min", "max", "step", "choices") if key in meta}
    if "choices" in options:
        options["choices"] = list(options["choices"])
    elif "decimals" in meta:
        options |= {"widget_type": "FloatSpinBox", "step": 10.0 ** -meta["decimals"]}
    elif meta["max"] <= 1:
        options["widget_type"] = "FloatSlider"
    elif "slider" in meta:
        options |= {"widget_type": "Slider", "max": meta["slider"]}
    auto = field.default is None and options.get("widget_type") != "FloatSlider"
    start = meta["min"] if field.default is None else field.default
    if auto:
        start = options["min"] = AUTO_VALUE
    kind = next((t for t in get_args(hint) if t is not type(None)), hint)
    control = create_widget(
        name=field.name, label=meta["label"], annotation=kind, value=start, options=options
    )
    if auto and "widget_type" not in options:
        control.native.setSpecialValueText("auto")
    control.auto = auto
    control.digits = meta.get("decimals", 4)
    control.tooltip = meta["help"]
    control.native.setObjectName(field.name)
    control.native.setToolTip(meta["help"])
    return control


def _value(control: Widget) -> Any:
    """Say what a control means: a click in a slider gives 0.79999 for the 0.8 that it shows."""
    if _is_auto(control):
        return None
    value = control.value
    return round(value, control.digits) if isinstance(value, float) else value


def _is_auto(control: Widget) -> bool:
    return control.auto and control.value == AUTO_VALUE
