"""The pixel grid of labels, and its NGFF metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import UserError
from .units import plane_micrometers

NgffVersion = Literal["0.4", "0.5"]
# The format of zarr that each version is written on.
ZARR_FORMATS: dict[NgffVersion, Literal[2, 3]] = {"0.4": 2, "0.5": 3}
# On zarr 2: what QuPath, Fiji and napari-ome-zarr all read.
DEFAULT_NGFF: NgffVersion = "0.4"
# Axes of labels, in their order; there is a place for one more after the first.
NGFF_ORDER = "TZYX"
NGFF_AXIS_TYPES = {"T": "time", "C": "channel", "Z": "space", "Y": "space", "X": "space"}


def order_ngff_axes(axes: str) -> str:
    """Return the axes of labels in the order that NGFF requires.

    Raises
    ------
    UserError
        If it has no place for them.
    """
    others = [name for name in axes[:-2] if name not in NGFF_ORDER]
    if len(others) > 1 or not axes.endswith("YX"):
        raise UserError(
            f"OME-Zarr cannot store labels with the axes {axes}: it can store T, one other axis, "
            "Z, Y and X, in this order."
        )
    return "T" * ("T" in axes) + "".join(others) + "Z" * ("Z" in axes) + "YX"


@dataclass(frozen=True)
class LabelsGrid:
    """The pixel grid of labels.

    Attributes
    ----------
    shape : tuple of int
    axes : str
        A letter for each axis, Y and X among them. NGFF wants the order T, C, Z, Y, X.
    scale : tuple of float
        Size of a pixel along each axis.
    units : tuple of (str or None)
        Of the scale: names of UDUNITS, such as "micrometer".
    translation : tuple of float
        Position of the first pixel along each axis, in these units; empty: 0.
    """

    shape: tuple[int, ...]
    axes: str
    scale: tuple[float, ...]
    units: tuple[str | None, ...]
    translation: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        lengths = {len(self.shape), len(self.axes), len(self.scale), len(self.units)}
        if len(lengths) > 1 or not {"Y", "X"} <= set(self.axes):
            raise ValueError(f"These do not fit together: {self}")

    @property
    def micrometers(self) -> tuple[float, float] | None:
        """Size of a pixel along Y and X, if known."""
        return plane_micrometers(self.axes, self.scale, self.units)

    def chunks(self, edge: int) -> tuple[int, ...]:
        """Return the chunk shape: one plane, at most ``edge`` pixels in Y and X."""
        pairs = zip(self.axes, self.shape, strict=True)
        return tuple(max(1, min(edge, n)) if axis in "YX" else 1 for axis, n in pairs)

    def level(self, level: int) -> tuple[int, ...]:
        """Return the shape after taking every second pixel in Y and X, ``level`` times."""
        pairs = zip(self.axes, self.shape, strict=True)
        return tuple(-(-n // 2**level) if axis in "YX" else n for axis, n in pairs)

    def to_ngff(self, name: str, levels: int, version: NgffVersion) -> dict[str, Any]:
        """Return the NGFF metadata of an image with this many levels, as attributes of zarr."""
        axes = []
        for letter, unit in zip(self.axes, self.units, strict=True):
            kind = {"type": NGFF_AXIS_TYPES[letter]} if letter in NGFF_AXIS_TYPES else {}
            axes.append({"name": letter.lower(), **kind, **({"unit": unit} if unit else {})})
        datasets = [
            {"path": str(level), "coordinateTransformations": self._transformations(level)}
            for level in range(levels)
        ]
        image = {"name": name, "axes": axes, "datasets": datasets, "type": "nearest"}
        if version == "0.4":
            return {"multiscales": [{"version": version, **image}]}
        return {"ome": {"version": version, "multiscales": [image]}}

    def _transformations(self, level: int) -> list[dict[str, Any]]:
        # the same translation: a pixel of a level has the centre of the pixel it was taken from
        pairs = zip(self.axes, self.scale, strict=True)
        scale = [size * 2**level if axis in "YX" else size for axis, size in pairs]
        steps: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        if any(self.translation):
            steps.append({"type": "translation", "translation": list(self.translation)})
        return steps


def read_ngff(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the NGFF metadata among attributes of zarr: since 0.5 they are apart from others."""
    return dict(attributes.get("ome", attributes))


def with_ngff(attributes: Mapping[str, Any], **metadata: Any) -> dict[str, Any]:
    """Return the attributes of zarr that change when NGFF metadata do."""
    if "ome" not in attributes:
        return metadata
    return {"ome": {**attributes["ome"], **metadata}}
