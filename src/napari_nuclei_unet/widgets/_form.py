"""A form made from a parameter dataclass."""

from __future__ import annotations

import dataclasses
from typing import Any, Generic, TypeVar, get_args, get_type_hints

from magicgui.widgets import Container, Widget, create_widget

Params = TypeVar("Params")


# What a spin box holds while it shows "auto"; below the least value of every such parameter.
AUTO = 0


class ParamsForm(Generic[Params]):
    """One control for every field of a parameter dataclass.

    Parameters
    ----------
    params : type
        ``SegmentParams`` or ``TrainParams``.

    Attributes
    ----------
    container : magicgui.widgets.Container
        The controls; each has its parameter's name as objectName.
    """

    def __init__(self, params: type[Params]) -> None:
        self._params = params
        hints = get_type_hints(params)
        self._controls = {
            one.name: _control(one, hints[one.name])
            for one in dataclasses.fields(params)  # type: ignore[arg-type]
        }
        self.container = Container(widgets=list(self._controls.values()))
        self.container.margins = (0, 0, 0, 0)

    def get(self) -> Params:
        """Values shown, as the dataclass; what is shown as auto is None."""
        return self._params(
            **{name: None if _is_auto(one) else one.value for name, one in self._controls.items()}
        )

    def set(self, params: Params) -> None:
        """Show values; a field that is None becomes auto, or keeps what is shown where no auto is.

        Parameters
        ----------
        params : instance of the dataclass
        """
        for name, control in self._controls.items():
            value = getattr(params, name)
            if value is not None:
                control.value = value
            elif _has_auto(control):
                control.value = AUTO


def _control(field: dataclasses.Field[Any], hint: Any) -> Widget:
    meta = field.metadata
    options = {key: meta[key] for key in ("min", "max", "step", "choices") if key in meta}
    if "choices" in options:
        options["choices"] = list(options["choices"])
    elif meta["max"] <= 1:
        options["widget_type"] = "FloatSlider"
    auto = field.default is None and "widget_type" not in options
    start = meta["min"] if field.default is None else field.default
    if auto:
        start = options["min"] = AUTO
    kind = next((t for t in get_args(hint) if t is not type(None)), hint)
    control = create_widget(
        name=field.name, label=meta["label"], annotation=kind, value=start, options=options
    )
    if auto:
        control.native.setSpecialValueText("auto")
    control.tooltip = meta["help"]
    control.native.setObjectName(field.name)
    control.native.setToolTip(meta["help"])
    return control


def _has_auto(control: Widget) -> bool:
    return bool(getattr(control.native, "specialValueText", str)())


def _is_auto(control: Widget) -> bool:
    return _has_auto(control) and control.value == AUTO
