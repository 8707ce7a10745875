"""Lineages: what is known of tracks beside their places, row by row and track by track."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..io.tables import TIME_COLUMN, with_time_column
from ..io.units import to_micrometers

SPACE_COLUMNS = ("z", "y", "x")
# What :func:`measure_tracks` adds to a table of tracks.
TRACK_MEASUREMENTS = (
    "lineage", "generation", "frame", "displacement", "speed", "displacement_um",
    "speed_um_per_min", "is_division",
)  # fmt: skip
_MINUTES = {
    "microsecond": 1 / 60e6, "millisecond": 1 / 60e3, "second": 1 / 60, "minute": 1.0,
    "hour": 60.0, "day": 1440.0,
}  # fmt: skip


@dataclass(frozen=True)
class TrackScale:
    """Sizes of a pixel and a frame.

    Attributes
    ----------
    micrometers : mapping of str to float
        By axis, "z", "y" and "x"; those that are unknown are not in it.
    minutes : float or None
        From frame to frame; None if unknown.
    """

    micrometers: Mapping[str, float] = field(default_factory=dict)
    minutes: float | None = None

    @classmethod
    def of(cls, axes: str, spacing: Sequence[float], units: Sequence[str | None]) -> TrackScale:
        """Return the sizes of an image.

        Parameters
        ----------
        axes : str
            A letter for each axis, such as "TYX".
        spacing : sequence of float
            Size of a pixel along each axis; empty if unknown.
        units : sequence of (str or None)
            Of the spacing, by their names in UDUNITS; empty if unknown.
        """
        known = dict(zip(axes.lower(), zip(spacing, units, strict=False), strict=False))
        lengths = {
            axis: to_micrometers(*known[axis]) or 0.0 for axis in SPACE_COLUMNS if axis in known
        }
        step, unit = known.get("t", (0.0, None))
        return cls(
            {axis: length for axis, length in lengths.items() if length > 0},
            step * _MINUTES.get(unit or "", 0.0) or None,
        )


UNKNOWN_SCALE = TrackScale()


def drop_track_measurements(tracks: pd.DataFrame) -> pd.DataFrame:
    """Return a table of tracks without what :func:`measure_tracks` has added."""
    return tracks.drop(columns=[name for name in TRACK_MEASUREMENTS if name in tracks])


def measure_tracks(tracks: pd.DataFrame, scale: TrackScale = UNKNOWN_SCALE) -> pd.DataFrame:
    """Measure tracks at each of their moments.

    Parameters
    ----------
    tracks : pandas.DataFrame
        One row per nucleus and moment: ``track``, ``time`` (or ``t``), ``y`` and ``x``, or ``z``
        too, in pixels, and ``parent``, the track of the mother or 0.
    scale : TrackScale, optional
        Sizes of a pixel and a frame. Where axes differ, pixels are those of x.

    Returns
    -------
    pandas.DataFrame
        The same rows, by track and time, and these columns: ``lineage``, the track of the first
        ancestor; ``generation``, 0 without a mother; ``frame``; ``displacement`` from the start of
        the track, in pixels; ``speed`` since the row before, in pixels per frame, nan at the
        start; ``displacement_um`` and ``speed_um_per_min``, if these are known; ``is_division``,
        True in the last row of a mother.
    """
    rows = drop_track_measurements(with_time_column(tracks))
    rows = rows.sort_values(["track", TIME_COLUMN], ignore_index=True)
    track = rows["track"].to_numpy(np.int64)
    is_first, is_last = _track_ends(track)
    first = np.maximum.accumulate(np.where(is_first, np.arange(len(rows)), 0))
    places = _places(rows, scale)
    elapsed = np.diff(rows[TIME_COLUMN].to_numpy(float), prepend=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        speed = np.where(is_first, np.nan, _steps(places) / elapsed)
    displacement = np.linalg.norm(places - places[first], axis=1)
    ancestry = _trace_ancestry(rows)
    mothers = rows.loc[(rows["parent"] != track) & (rows["parent"] > 0), "parent"].unique()
    measured = rows.assign(
        lineage=[ancestry[one].lineage for one in track.tolist()],
        generation=[ancestry[one].generation for one in track.tolist()],
        frame=rows[TIME_COLUMN],
        displacement=displacement,
        speed=speed,
    )
    if (pixel := _pixel_micrometers(rows, scale)) is not None:
        measured["displacement_um"] = displacement * pixel
        if scale.minutes is not None:
            measured["speed_um_per_min"] = speed * pixel / scale.minutes
    measured["is_division"] = is_last & np.isin(track, mothers)
    return measured


def build_lineage_table(tracks: pd.DataFrame, scale: TrackScale = UNKNOWN_SCALE) -> pd.DataFrame:
    """Build the table of lineages.

    Parameters
    ----------
    tracks, scale
        As of :func:`measure_tracks`.

    Returns
    -------
    pandas.DataFrame
        One row per track: ``track``; ``parent`` or 0; ``lineage``; ``generation``; ``start`` and
        ``end``, its first and last frame; ``frames`` in which it was found; ``duration`` from
        start to end, in frames; ``daughters``, their number; ``divides``; ``mean_speed``, the path
        by the duration, in pixels per frame; ``net_displacement``, from start to end, and
        ``path_length``, in pixels; ``confinement_ratio``, of these two: 1 is straight, nan stands
        still. Then the same in minutes and micrometers, as far as these are known.
    """
    return summarize_tracks(measure_tracks(tracks, scale), scale)


def summarize_tracks(rows: pd.DataFrame, scale: TrackScale = UNKNOWN_SCALE) -> pd.DataFrame:
    """Summarize tracks that :func:`measure_tracks` has measured, as :func:`build_lineage_table`.

    Parameters
    ----------
    rows : pandas.DataFrame
    scale : TrackScale, optional
    """
    track = rows["track"].to_numpy(np.int64)
    is_first, is_last = _track_ends(track)
    ends = rows[is_last].reset_index(drop=True)
    starts = rows.loc[is_first, "frame"].to_numpy()
    steps = np.where(is_first, 0.0, _steps(_places(rows, scale)))
    number = np.cumsum(is_first) - 1
    path = np.bincount(number, steps, minlength=len(ends))
    duration = ends["frame"].to_numpy() - starts
    parents = ends.loc[ends["parent"] != ends["track"], "parent"].value_counts()
    daughters = ends["track"].map(parents).fillna(0).astype(np.int64)
    net = ends["displacement"].to_numpy(float)
    with np.errstate(divide="ignore", invalid="ignore"):
        speed = np.where(duration > 0, path / duration, np.nan)
        confinement = np.where(path > 0, net / path, np.nan)
    table = ends[["track", "parent", "lineage", "generation"]].assign(
        start=starts,
        end=ends["frame"],
        frames=np.bincount(number, minlength=len(ends)),
        duration=duration,
        daughters=daughters,
        divides=daughters > 0,
        mean_speed=speed,
        net_displacement=net,
        path_length=path,
        confinement_ratio=confinement,
    )
    return _with_physical_units(table, _pixel_micrometers(rows, scale), scale.minutes)


def _with_physical_units(
    table: pd.DataFrame, pixel: float | None, minutes: float | None
) -> pd.DataFrame:
    known = {}
    if minutes is not None:
        known["duration_min"] = table["duration"] * minutes
    if pixel is not None:
        if minutes is not None:
            known["mean_speed_um_per_min"] = table["mean_speed"] * pixel / minutes
        known["net_displacement_um"] = table["net_displacement"] * pixel
        known["path_length_um"] = table["path_length"] * pixel
    return table.assign(**known)


def _track_ends(track: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which rows, sorted by track, are the first, and which the last of a track."""
    changes = track[1:] != track[:-1]
    edge = np.ones(min(len(track), 1), bool)
    return np.stack([np.concatenate([edge, changes]), np.concatenate([changes, edge])])


def _places(rows: pd.DataFrame, scale: TrackScale) -> NDArray[np.float64]:
    """Return positions in pixels of x, shape (n, axes)."""
    axes = [name for name in SPACE_COLUMNS if name in rows]
    places = rows[axes].to_numpy(np.float64)
    pixel = _pixel_micrometers(rows, scale)
    return places if pixel is None else places * [scale.micrometers[name] / pixel for name in axes]


def _pixel_micrometers(rows: pd.DataFrame, scale: TrackScale) -> float | None:
    """Return the size of a pixel along x; None unless all axes of the tracks have one."""
    known = all(name in scale.micrometers for name in SPACE_COLUMNS if name in rows)
    return scale.micrometers["x"] if known else None


def _steps(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance of each place from that before; of the first one it is 0."""
    return np.asarray(np.linalg.norm(np.diff(places, axis=0, prepend=places[:1]), axis=1))


@dataclass(frozen=True)
class _Ancestry:
    lineage: int
    generation: int


def _trace_ancestry(rows: pd.DataFrame) -> dict[int, _Ancestry]:
    """Trace each track back to its first ancestor; a mother that is not there is none."""
    firsts = rows.drop_duplicates("track")
    mothers = dict(zip(firsts["track"].tolist(), firsts["parent"].tolist(), strict=True))
    known: dict[int, _Ancestry] = {}
    for track in mothers:
        line = [track]
        while line[-1] not in known and (mother := mothers[line[-1]]) in mothers:
            if mother in line:  # in a circle, as only a damaged table has
                break
            line.append(mother)
        before = known.get(line[-1], _Ancestry(line[-1], 0))
        for number, one in enumerate(reversed(line)):
            known[one] = _Ancestry(before.lineage, before.generation + number)
    return known
