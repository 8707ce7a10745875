"""Counts, densities and means in regions, against shapely."""

import numpy as np
import pytest
from shapely import Point, Polygon, box

from napari_nuclei_unet.labels.column_units import find_column_unit
from napari_nuclei_unet.labels.region_summary import NamedOutline, PlaneNuclei, summarize_regions

SHAPE = (80, 100)
FIELD = box(-0.5, -0.5, 79.5, 99.5)


def star(rng):
    """A polygon with many corners, partly outside of the plane."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, 12))
    radius = rng.uniform(10, 80, 12)
    return np.c_[40 + radius * np.sin(angles), 50 + radius * np.cos(angles)]


@pytest.mark.parametrize("seed", range(5))
def test_counts_and_densities_are_those_of_shapely(seed):
    rng = np.random.default_rng(seed)
    outline, points = star(rng), rng.uniform(0, 80, (200, 2))
    values = rng.normal(size=200)
    nuclei = PlaneNuclei(SHAPE, points, values, values > 0, (0.5, 0.25))
    first, whole = summarize_regions(nuclei, [NamedOutline("a", outline)]).to_dict("records")
    theirs = Polygon(outline)
    inside = np.array([theirs.contains(Point(point)) for point in points])
    area = theirs.intersection(FIELD).area * 0.125e-6
    assert first["nuclei"] == inside.sum()
    assert first["area_mm2"] == pytest.approx(area)
    assert first["nuclei_per_mm2"] == pytest.approx(inside.sum() / area)
    assert first["mean"] == pytest.approx(values[inside].mean())
    assert first["within_limits"] == (values[inside] > 0).sum()
    assert first["percent_within"] == pytest.approx(100 * (values[inside] > 0).mean())
    assert (whole["region"], whole["nuclei"]) == ("whole field", 200)
    assert whole["area_mm2"] == pytest.approx(8000 * 0.125e-6)


def test_without_a_size_densities_are_per_pixel():
    square = NamedOutline("a", np.array([[10, 10], [10, 60], [60, 60], [60, 10]]))
    table = summarize_regions(PlaneNuclei(SHAPE, np.array([[20.0, 20.0]]), np.zeros(1)), [square])
    assert table["area_px2"].tolist() == [2500, 8000]
    assert table["nuclei_per_px2"].tolist() == [1 / 2500, 1 / 8000]
    assert "within_limits" not in table


def test_no_nuclei_and_no_area_are_no_error():
    outside = NamedOutline("a", np.array([[110, 110], [110, 160], [160, 160.0]]))
    table = summarize_regions(PlaneNuclei(SHAPE, np.zeros((0, 2)), np.zeros(0)), [outside])
    assert table["nuclei"].tolist() == [0, 0]
    assert table["area_px2"].tolist() == [0, 8000]
    assert np.isnan(table["nuclei_per_px2"][0])
    assert table["mean"].isna().all()


def test_missing_values_are_in_no_mean_and_in_no_percentage():
    points, values = np.array([[5.0, 5], [6, 6], [7, 7]]), np.array([2, np.nan, 4])
    nuclei = PlaneNuclei(SHAPE, points, values, np.array([True, False, False]))
    (whole,) = summarize_regions(nuclei, []).to_dict("records")
    assert (whole["nuclei"], whole["mean"]) == (3, 3)
    assert (whole["within_limits"], whole["percent_within"]) == (1, 50)


@pytest.mark.parametrize(
    ("column", "length", "unit"),
    [
        ("area", "µm", "µm²"),
        ("area", "", ""),
        ("feret_diameter", "px", "px"),
        ("centroid_y", "mm", "mm"),
        ("orientation", "", "rad"),
        ("ring_area", "µm", "px²"),
        ("nearest_distance", "µm", "px"),
        ("nearest_distance_um", "px", "µm"),
        ("area_um2", "px", "µm²"),
        ("solidity", "µm", ""),
        ("mean_intensity_Ki67", "µm", ""),
    ],
)
def test_columns_have_their_unit(column, length, unit):
    assert find_column_unit(column, length) == unit
