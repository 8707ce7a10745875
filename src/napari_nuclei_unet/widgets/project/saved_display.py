"""How a layer lies and looks, as a project saves it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer

from ...provenance.project import SavedDisplay, SavedGeometry
from ..layers.placement import get_geometry


def describe_geometry(layer: Layer) -> SavedGeometry:
    """Return where a layer lies."""
    geometry = get_geometry(layer)
    return SavedGeometry(
        **{name: _to_tuple(geometry[name]) for name in ("scale", "translate", "rotate", "shear")},
        affine=_to_tuple(np.asarray(geometry["affine"])),
        units=tuple(map(str, geometry["units"])),
        axis_labels=tuple(geometry["axis_labels"]),
    )


def _to_tuple(values: Any) -> Any:
    return tuple(map(_to_tuple, values)) if np.ndim(values) else float(values)


def use_geometry(layer: Layer, geometry: SavedGeometry) -> None:
    """Put a layer where it lay, as far as it has the same axes."""
    if len(geometry.scale) != layer.ndim:
        return
    for name in ("scale", "translate", "rotate", "shear", "affine"):
        _set(layer, name, np.asarray(getattr(geometry, name), float))
    for name in ("units", "axis_labels"):
        _set(layer, name, getattr(geometry, name))


def describe_display(layer: Layer) -> SavedDisplay:
    """Return how a layer is shown."""
    is_image = isinstance(layer, Image)
    grey = is_image and not layer.rgb
    return SavedDisplay(
        visible=layer.visible,
        opacity=float(layer.opacity),
        blending=str(layer.blending),
        contrast_limits=(float(layer.contrast_limits[0]), float(layer.contrast_limits[1]))
        if grey
        else None,
        gamma=float(layer.gamma) if grey else None,
        colormap=layer.colormap.name if grey else None,
        contour=layer.contour if isinstance(layer, Labels) else None,
    )


def use_display(layer: Layer, display: SavedDisplay) -> None:
    """Show a layer as it was shown."""
    for name, value in vars(display).items():
        if value is not None and hasattr(layer, name):
            _set(layer, name, value)


def _set(layer: Layer, name: str, value: Any) -> None:
    """Set an attribute; one that this version of napari does not take stays as it is."""
    with suppress(ValueError, TypeError, KeyError):
        if not np.array_equal(np.asarray(getattr(layer, name)), np.asarray(value)):
            setattr(layer, name, value)
