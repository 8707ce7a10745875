"""Declaration of parameters, and checks of their values."""

from __future__ import annotations

import numbers
from dataclasses import field, fields
from typing import Any

from .errors import UserError


def parameter(default: Any, label: str, help: str, **bounds: Any) -> Any:
    """Declare a field of a parameter dataclass.

    Parameters
    ----------
    default : object
        Its default value.
    label : str
        Label in the form.
    help : str
        One or two sentences for tooltip and ``--help``.
    **bounds
        None where the default is a bool; else ``min`` and ``max`` (included), ``step``, or
        ``choices``; ``slider`` and ``slider_min``, the ends of the slider as long as no value
        beyond is set; ``inverted_help``, of a form that shows 1 minus the value;
        ``decimals`` of a number that is typed instead, as its order of magnitude matters;
        ``in_form``, False where a form has no control of its own for it.
    """
    return field(default=default, metadata={"label": label, "help": help, **bounds})


def check_bounds(params: Any) -> None:
    """Refuse values out of bounds, of the wrong type, or not among the choices.

    Parameters
    ----------
    params : SegmentParams or TrainParams

    Raises
    ------
    UserError
        Names the parameter, the value and the bounds.
    """
    for one in fields(params):
        value, meta = getattr(params, one.name), one.metadata
        if value is None and one.default is None:
            continue
        if isinstance(one.default, bool):
            if not isinstance(value, bool):
                raise UserError(f"{one.name} must be True or False, it is {value}.")
            continue
        if "choices" in meta:
            if value not in meta["choices"]:
                raise UserError(f"{one.name} must be one of {', '.join(meta['choices'])}.")
            continue
        whole = isinstance(meta["min"], int)
        kind = numbers.Integral if whole else numbers.Real
        number = isinstance(value, kind) and not isinstance(value, bool)
        if not number or not meta["min"] <= value <= meta["max"]:
            raise UserError(
                f"{one.name} must be a {'whole ' if whole else ''}number from {meta['min']} to "
                f"{meta['max']}, it is {value}."
            )
        # numbers of numpy become Python's, which JSON can store
        object.__setattr__(params, one.name, int(value) if whole else float(value))
