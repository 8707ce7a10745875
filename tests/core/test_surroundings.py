"""Rings around nuclei and their neighbours, against scikit-image and plain loops."""

import numpy as np
import pytest
from conftest import discs
from skimage.measure import regionprops_table
from skimage.segmentation import expand_labels

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.labels.cells import expand_nuclei, find_rings
from napari_nuclei_unet.labels.regionprops import measure
from napari_nuclei_unet.labels.surroundings import (
    add_ring_ratios,
    measure_neighbours,
    measure_rings,
)
from napari_nuclei_unet.samples.images import read_sample


@pytest.fixture
def labels():
    """Three discs, two of which are nearer to each other than two rings are wide."""
    placed = [(20, 20), (20, 36), (50, 70)]
    return sum(number * (discs((70, 80), [at]) > 0) for number, at in enumerate(placed, 1))


def test_a_ring_ends_at_the_neighbour_the_edge_and_its_width(labels):
    rings = find_rings(labels, 4)
    assert not rings[labels > 0].any()
    np.testing.assert_array_equal(rings + labels, expand_labels(labels, 4))
    assert set(np.unique(rings)) == {0, 1, 2, 3}
    columns = np.arange(80)[None] + np.zeros((70, 1))
    assert columns[rings == 1].max() <= columns[rings == 2].min()


def test_spacing_counts():
    labels = np.zeros((40, 40), int)
    labels[20, 20] = 1
    rows, columns = np.nonzero(find_rings(labels, 3, (1.0, 0.5)))
    assert (np.ptp(rows), np.ptp(columns)) == (6, 12)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.325, 0.325), (0.5, 0.2), (0.1, 3.0)])
@pytest.mark.parametrize("distance", [0.4, 1.0, 5.3, 20.0, 1e9])
def test_cells_of_blocks_are_those_of_the_whole_plane(spacing, distance):
    random = np.random.default_rng(0)
    labels = np.zeros((1100, 700), np.uint16)  # several blocks, some of them empty
    for number, at in enumerate(random.uniform((0, 0), (1100, 400), (150, 2)).astype(int), 1):
        labels[at[0] : at[0] + number % 17 + 1, at[1] : at[1] + number % 11 + 1] = number
    cells = expand_nuclei(labels, distance, spacing)
    np.testing.assert_array_equal(cells, expand_labels(labels, distance, spacing))
    assert cells.dtype == labels.dtype
    np.testing.assert_array_equal(
        find_rings(labels, distance, spacing), np.where(labels > 0, 0, cells)
    )


def test_cells_of_pixels_that_are_tied_are_those_of_scikit_image():
    random = np.random.default_rng(1)
    labels = np.where(random.random((1030, 1030)) < 0.02, random.integers(1, 999, (1030, 1030)), 0)
    for distance in (2, 5, 40):
        np.testing.assert_array_equal(
            expand_nuclei(labels, distance), expand_labels(labels, distance)
        )


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (1, 1), (1, 900)])
def test_planes_without_nuclei_or_room_have_no_cells(shape):
    empty = np.zeros(shape, np.int32)
    assert not expand_nuclei(empty, 5).any()
    full = np.ones(shape, np.int32)
    np.testing.assert_array_equal(expand_nuclei(full, 5), full)
    assert not find_rings(full, 5).any()


def test_a_distance_that_is_none_gets_a_sentence(labels):
    for distance in (-1, np.nan):
        with pytest.raises(UserError, match="need a distance of 0 or more"):
            find_rings(labels, distance)
    np.testing.assert_array_equal(expand_nuclei(labels, 0), labels)
    assert expand_nuclei(labels, np.inf).all()


def test_rings_are_measured_as_by_scikit_image():
    image, labels = read_sample("histology_purple")
    rings = find_rings(labels, 3)
    table = measure_rings(rings, image, ("R", "G", "B"))
    theirs = regionprops_table(rings, image, ["label", "area", "intensity_mean", "intensity_max"])
    np.testing.assert_array_equal(table["label"], theirs["label"])
    np.testing.assert_array_equal(table["ring_area"], theirs["area"])
    for number, name in enumerate("RGB"):
        for ours, other in (("mean", "intensity_mean"), ("max", "intensity_max")):
            np.testing.assert_allclose(
                table[f"ring_{ours}_intensity_{name}"], theirs[f"{other}-{number}"]
            )


def test_the_ratio_is_that_of_the_means_and_never_infinite(labels):
    image = np.where(labels == 3, 30.0, np.where(labels > 0, 20.0, 10.0))
    image[find_rings(labels, 3) == 2] = 0
    both = measure(labels, image).merge(measure_rings(find_rings(labels, 3), image), on="label")
    ratios = add_ring_ratios(both)["nucleus_to_ring"]
    assert ratios[0] == 2
    assert np.isnan(ratios[1])
    assert ratios[2] == 3


def test_neighbours_are_counted_from_centre_to_centre():
    points = np.random.default_rng(0).uniform(0, 100, (60, 2))
    table = measure_neighbours(points, 15)
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(apart, np.inf)
    np.testing.assert_allclose(table["nearest_distance"], apart.min(axis=1))
    np.testing.assert_array_equal(table["neighbours"], (apart <= 15).sum(axis=1))


@pytest.mark.parametrize("count", [0, 1])
def test_few_nuclei_have_no_neighbours(count):
    table = measure_neighbours(np.zeros((count, 2)), 15)
    assert len(table) == count
    assert table["nearest_distance"].isna().all()
    assert not table["neighbours"].any()
