"""What is known of tracks: generations, speeds, divisions, and the table of lineages."""

import numpy as np
import pandas as pd
import pytest

from napari_nuclei_unet import TrackScale, build_lineage_table, measure_tracks
from napari_nuclei_unet.tracking.lineage import drop_track_measurements


def family(time="t"):
    """A mother, two daughters, of which one divides again; and a nucleus with a gap."""
    rows = [
        (1, 0, 0.0, 0.0, 0), (1, 1, 3.0, 4.0, 0),
        (2, 2, 3.0, 6.0, 1), (2, 3, 3.0, 6.0, 1),
        (3, 2, 3.0, 2.0, 1),
        (4, 4, 3.0, 7.0, 2), (5, 4, 3.0, 5.0, 2),
        (9, 0, 50.0, 50.0, 0), (9, 2, 50.0, 58.0, 0), (9, 3, 50.0, 54.0, 0),
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["track", time, "y", "x", "parent"])


@pytest.mark.parametrize("time", ["t", "time"])
def test_each_moment_has_its_ancestor_generation_and_speed(time):
    rows = measure_tracks(family(time).sample(frac=1, random_state=0))
    assert rows["track"].tolist() == [1, 1, 2, 2, 3, 4, 5, 9, 9, 9]
    assert rows["lineage"].tolist() == [1] * 7 + [9] * 3
    assert rows["generation"].tolist() == [0, 0, 1, 1, 1, 2, 2, 0, 0, 0]
    assert rows["frame"].tolist() == rows["time"].tolist()
    np.testing.assert_allclose(rows["displacement"], [0, 5, 0, 0, 0, 0, 0, 0, 8, 4])
    nan = np.nan
    np.testing.assert_allclose(rows["speed"], [nan, 5, nan, 0, nan, nan, nan, nan, 4, 4])
    assert np.flatnonzero(rows["is_division"]).tolist() == [1, 3]
    assert not {"displacement_um", "speed_um_per_min"} & set(rows)
    back = drop_track_measurements(rows)
    pd.testing.assert_frame_equal(back, family("time"))


def test_a_row_per_track():
    table = build_lineage_table(family()).set_index("track")
    assert table.index.tolist() == [1, 2, 3, 4, 5, 9]
    assert table["parent"].tolist() == [0, 1, 1, 2, 2, 0]
    assert table["daughters"].tolist() == [2, 2, 0, 0, 0, 0]
    assert table["divides"].tolist() == [True, True, False, False, False, False]
    seen = table.loc[9, ["start", "end", "frames", "duration"]].tolist()
    assert seen == [0, 3, 3, 3]
    assert table.loc[9, "mean_speed"] == pytest.approx(12 / 3)
    assert table.loc[9, "net_displacement"] == pytest.approx(4)
    assert table.loc[9, "path_length"] == pytest.approx(12)
    assert table.loc[9, "confinement_ratio"] == pytest.approx(1 / 3)
    assert np.isnan(table.loc[3, "mean_speed"])  # of one moment
    assert np.isnan(table.loc[2, "confinement_ratio"])  # it stood still


def test_sizes_that_are_known_give_micrometers_and_minutes():
    scale = TrackScale.of("TYX", (30.0, 0.5, 0.5), ("second", "micrometer", "micrometer"))
    rows = measure_tracks(family(), scale)
    np.testing.assert_allclose(rows["displacement_um"], rows["displacement"] / 2)
    np.testing.assert_allclose(rows["speed_um_per_min"], rows["speed"])
    nine = build_lineage_table(family(), scale).set_index("track").loc[9]
    assert nine["duration_min"] == pytest.approx(1.5)
    assert nine["path_length_um"] == pytest.approx(6)
    assert nine["mean_speed_um_per_min"] == pytest.approx(4)


def test_a_step_in_depth_is_as_long_as_it_is():
    """Ten times as long as a pixel; pixels are those of x."""
    tracks = family().rename(columns={"y": "z"}).assign(y=0.0)
    um = ("minute", *["micrometer"] * 3)
    scale = TrackScale.of("TZYX", (1.0, 2.0, 0.2, 0.2), um)
    rows = measure_tracks(tracks, scale)
    assert rows["displacement"][1] == pytest.approx(np.hypot(30, 4))
    assert rows["displacement_um"][1] == pytest.approx(np.hypot(6, 0.8))


@pytest.mark.parametrize(
    ("spacing", "units"),
    [((), ()), ((1.0, 1.0, 1.0), (None, None, None)), ((0.0, 0.0, 0.0), ("second", "meter", None))],
)
def test_sizes_that_are_unknown_are_left_out(spacing, units):
    scale = TrackScale.of("TYX", spacing, units)
    assert scale == TrackScale()
    assert not [name for name in build_lineage_table(family(), scale) if "um" in name]


@pytest.mark.parametrize("parents", [{3: 77}, {3: 3}, {1: 4}])
def test_mothers_that_are_none_are_no_ancestors(parents):
    """One that is not there, oneself, and a daughter's daughter."""
    tracks = family()
    tracks["parent"] = tracks["track"].map(parents).fillna(tracks["parent"]).astype(int)
    rows = measure_tracks(tracks)
    assert len(build_lineage_table(tracks)) == 6
    assert (rows["generation"] < 6).all()
    if 3 in parents:
        assert (rows.loc[rows["track"] == 3, "lineage"] == 3).all()


def test_no_tracks_have_no_lineages():
    empty = family().iloc[:0]
    assert not len(measure_tracks(empty))
    assert not len(build_lineage_table(empty))
