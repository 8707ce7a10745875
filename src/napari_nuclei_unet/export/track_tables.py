"""The tables of tracks and of lineages."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ..io.atomic import file_crc32
from ..io.tables import LINEAGE_SUFFIX, TRACKS_SUFFIX, with_time_column, write_table
from ..tracking.lineage import TrackScale, measure_tracks, summarize_tracks


def lineage_path(tracks: Path) -> Path:
    """Return the path of the lineages beside a table of tracks."""
    return tracks.with_name(f"{tracks.name.removesuffix(TRACKS_SUFFIX)}{LINEAGE_SUFFIX}")


def tracks_crc32(tracks: Path, lineages: Path) -> int:
    """Compute the checksum of a table of tracks and of its lineages, as it stands in records."""
    return file_crc32(lineages, before=file_crc32(tracks))


def write_track_tables(
    path: Path, lineages: Path, tracks: pd.DataFrame, scale: TrackScale, decimal_comma: bool = False
) -> None:
    """Write a row for each nucleus and moment, measured, and a row for each track."""
    measured = measure_tracks(tracks, scale)
    write_table(path, with_time_column(measured), decimal_comma=decimal_comma)
    write_table(lineages, summarize_tracks(measured, scale), decimal_comma=decimal_comma)
