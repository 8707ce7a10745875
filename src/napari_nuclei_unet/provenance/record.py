"""Provenance of a result: what made it, and what makes it again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..arrays.axes import PlaneIndex
from ..arrays.roi import Region
from ..errors import UserError
from ..params import SegmentParams, complete_params
from .left_out_counts import LeftOutCounts

if TYPE_CHECKING:
    from pydantic import TypeAdapter

PLUGIN = "napari-nuclei-unet"
DAMAGED_RECORD = "The record of these labels is damaged, or of another version."
PLANES = re.compile(r"all|\d+-\d+")
# Keys of files that are not the names of attributes.
FINGERPRINT_KEY = "wish"
TABLE_CRC_KEY, TRACKS_CRC_KEY = "table_crc", "tracks_crc"
JSON_KEYS = {"fingerprint": FINGERPRINT_KEY}


@cache
def plugin_version() -> str:
    """Return the version of this program; looked up once, as that reads and parses a file."""
    return version(PLUGIN)


@dataclass(frozen=True)
class InferenceSettings:
    """How tiles went through the network.

    Attributes
    ----------
    device : str
        ``cpu``, ``cuda`` or ``mps``.
    precision : str
        ``fp32``, ``bf16`` or ``fp16``.
    tile : int
        Largest edge of a tile without its halo, in pixels.
    batch : int
        Tiles at a time.
    """

    device: str
    precision: str
    tile: int
    batch: int


@dataclass(frozen=True, kw_only=True)
class SourceImage:
    """Image and planes that a result is of.

    Attributes
    ----------
    path : str or None
        File of the image, if ``io.images.read_image`` returns the same array.
    scene : int or None
        Number of the image in a file of several.
    axes : str
        A letter for every axis.
    planes : tuple of (int or str)
        For every axis that is neither channels nor of the plane: a position, "all", or a range
        such as "2-5".
    channel : int, "mean" or None
    level : int
        Of a pyramid.
    size, level_size : (int, int)
        Height and width of a plane: at full resolution, and at the level.
    index : tuple of (int or None)
        Of a plane, for every axis.
    channel_axis : int or None
    mean_dtype : str
        In which channels are averaged.
    layer : str or None
        Name of the image layer, if the result was made in the window.
    multiscale : bool or None
        Whether that layer is a pyramid.
    lengths : tuple of int or None
        Of the axes of ``planes``; None if the level has fewer.
    """

    path: str | None = None
    axes: str
    planes: tuple[int | str, ...]
    channel: int | Literal["mean"] | None
    level: int
    # not "shape", by which tifffile would know its own metadata in a description
    size: tuple[int, int]
    level_size: tuple[int, int]
    index: tuple[int | None, ...]
    channel_axis: int | None
    mean_dtype: str = "float32"
    layer: str | None = None
    multiscale: bool | None = None
    lengths: tuple[int, ...] | None = None
    scene: int | None = None

    def __post_init__(self) -> None:
        free = sum(name not in "CYX" for name in self.axes)
        counts = {len(self.planes), free if self.lengths is None else len(self.lengths)}
        if len(self.index) != len(self.axes) or counts != {free}:
            raise ValueError("axes, index, planes and lengths do not fit each other")
        if self.channel_axis is not None and not 0 <= self.channel_axis < len(self.axes):
            raise ValueError("there is no such channel axis")
        if not all(isinstance(part, int) or PLANES.fullmatch(part) for part in self.planes):
            raise ValueError("planes are positions, ranges, or all")

    @classmethod
    def of(
        cls,
        plane_index: PlaneIndex,
        axes: str,
        dtype: np.dtype[Any],
        size: tuple[int, int],
        level_size: tuple[int, int],
        **others: Any,
    ) -> SourceImage:
        """Describe the image that a plane is of.

        Parameters
        ----------
        plane_index : PlaneIndex
        axes : str
            A letter for every axis of ``plane_index``.
        dtype : dtype
            Of the image.
        size, level_size : (int, int)
            Height and width of the plane: at full resolution, and at the level.
        **others
            Other attributes.
        """
        # shapes of some arrays hold integers of numpy, which JSON does not know
        index = tuple(None if at is None else int(at) for at in plane_index.index)
        planes = tuple(at for at, name in zip(index, axes, strict=True) if name not in "CYX")
        exact = "float32" if dtype.itemsize <= 2 else "float64"
        return cls(
            axes=axes,
            index=index,
            channel_axis=plane_index.channel_axis,
            mean_dtype=exact,
            size=(int(size[0]), int(size[1])),
            level_size=(int(level_size[0]), int(level_size[1])),
            channel=PlaneIndex(index, plane_index.channel_axis).channel,
            **{"planes": planes} | others,
        )


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What made a result, and what makes it again.

    Attributes
    ----------
    version : str or None
        Of this plugin.
    model : str
    model_sha256 : str or None
        Checksum of its file.
    device : str
        As it was asked for.
    time : str or None
        When the result was made, in ISO 8601, UTC.
    region : polygons or None
        As in ``arrays.roi.Region``; None: whole planes.
    stopped : bool
        Whether the run was stopped, so that something is missing.
    params : SegmentParams
        With thresholds as they were resolved.
    ran_on : InferenceSettings or None
    diameter, zoom : float, tuple of float, or None
        Typical diameter of nuclei in pixels (None where there are none), and the zoom at which
        the network saw the plane; tuples for several planes, None if they differ by block.
    gamma : float, tuple of float, or None
        By which the network saw a bright field lightened without that being asked for; a tuple
        for several planes. None: by none.
    seconds : float or None
    source : SourceImage or None
    model_file : str or None
        Path of a model that is not shipped.
    join : str or None
        Axis along which nuclei were joined.
    track : bool
        Whether nuclei were tracked over time.
    along : int or None
        Number of the axis of labels along which they were joined or tracked in the window.
    volume : bool
        Whether nuclei are objects along Z, too.
    z_step : float or None
        Of volumes, the distance between slices in pixels.
    exclude_border : bool
        Whether nuclei at the edge of the image were left out.
    format : {"tiff", "zarr"} or None
    nuclei : int or None
    recovered : int or None
        How many of them were found only as their tracks needed them; None: none were looked for.
    left_out : LeftOutCounts or None
        What was found beside them; None: it is not known, as of volumes.
    failed : tuple of str
        Parts that could not be read, with reasons.
    fingerprint : dict or None
        Everything that affects the result, under the names of flags.
    table_crc : int or None
        CRC-32 of the file of the table.
    tracks_crc : int or None
        CRC-32 of the tables of tracks and of lineages, one after the other.
    """

    version: str | None = None
    model: str
    model_sha256: str | None = None
    device: str = "auto"
    time: str | None = None
    region: tuple[tuple[tuple[float, float], ...], ...] | None = None
    stopped: bool = False
    params: SegmentParams
    ran_on: InferenceSettings | None = None
    diameter: float | tuple[float | None, ...] | None = None
    zoom: float | tuple[float, ...] | None = None
    gamma: float | tuple[float | None, ...] | None = None
    seconds: float | None = None
    source: SourceImage | None = None
    model_file: str | None = None
    join: str | None = None
    track: bool = False
    along: int | None = None
    volume: bool = False
    z_step: float | None = None
    exclude_border: bool = False
    format: Literal["tiff", "zarr"] | None = None
    nuclei: int | None = None
    recovered: int | None = None
    left_out: LeftOutCounts | None = None
    failed: tuple[str, ...] = ()
    fingerprint: dict[str, Any] | None = None
    table_crc: int | None = None
    tracks_crc: int | None = None

    @classmethod
    def of_run(cls, **values: Any) -> Provenance:
        """Describe a run of this version of the plugin that ends now."""
        time, plan = datetime.now(UTC).isoformat(timespec="seconds"), values.pop("ran_on")
        # not of a subclass, or it would not be equal
        settings = InferenceSettings(plan.device, plan.precision, plan.tile, plan.batch)
        return cls(version=plugin_version(), time=time, ran_on=settings, **values)

    @property
    def gammas(self) -> tuple[float, ...]:
        """Gammas of the planes that were lightened."""
        planes = self.gamma if isinstance(self.gamma, tuple) else (self.gamma,)
        return tuple(gamma for gamma in planes if gamma is not None)

    def to_json(self) -> dict[str, Any]:
        """Convert to what JSON can hold: the same keys, in the same order."""
        values = {name: _to_lists(value) for name, value in asdict(self).items()}
        if self.source is not None and self.source.scene is None:
            del values["source"]["scene"]  # as in files of the time when it was always the first
        if self.gamma is None:
            del values["gamma"]  # as in files of other images than bright fields
        if not self.volume:
            del values["volume"], values["z_step"]
        if not self.exclude_border:
            del values["exclude_border"]  # as in files of the time when it was not noted
        if self.recovered is None:
            del values["recovered"]  # as in files of other runs than of films
        if self.tracks_crc is None:
            del values["tracks_crc"]  # as in files of other runs than of films
        if self.left_out is None:
            del values["left_out"]  # as in files of the time when it was not counted
        if not self.params.leave_out_fragments:
            del values["params"]["leave_out_fragments"]  # as in files of the time before it
        if not self.params.average_orientations:
            del values["params"]["average_orientations"]  # as in files of the time before it
        return {"plugin": PLUGIN} | {JSON_KEYS.get(name, name): values[name] for name in values}

    @classmethod
    def from_json(cls, record: object) -> Provenance:
        """Convert from what :meth:`to_json`, or an earlier version, has written.

        Keys of others are ignored.

        Raises
        ------
        UserError
            If something is missing, or is of another kind.
        """
        try:
            if not isinstance(record, Mapping):
                raise TypeError(f"a record is an object, not a {type(record).__name__}")
            values = dict(record)
            for name, key in JSON_KEYS.items():
                values[name] = values.pop(key, None)
            given = {name: value for name, value in values.items() if value is not None}
            if isinstance(params := given.get("params"), Mapping):
                given["params"] = complete_params(params)
            return _adapter().validate_python(given)
        except (TypeError, ValueError, UserError) as error:
            raise UserError(DAMAGED_RECORD) from error

    def __post_init__(self) -> None:
        if self.region is not None:
            Region.of(self.region)
        axes = "" if self.source is None else self.source.axes
        if self.along is not None and not 0 <= self.along < len(axes):
            raise ValueError("there is no such axis to join along")


def _to_lists(value: Any) -> Any:
    """Convert tuples to lists, as JSON has them; the converter below takes 0.1 s to load."""
    if isinstance(value, dict):
        return {key: _to_lists(inner) for key, inner in value.items()}
    return [_to_lists(inner) for inner in value] if isinstance(value, list | tuple) else value


@cache
def _adapter() -> TypeAdapter[Provenance]:
    """Return the converter from JSON to objects."""
    # takes 0.1 s, which would delay the start of napari
    from pydantic import TypeAdapter

    return TypeAdapter(Provenance)
