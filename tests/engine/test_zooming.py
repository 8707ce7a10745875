"""The size of nuclei is found, and the network sees them as large as it learnt them."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import discs
from hypothesis import given
from hypothesis import strategies as st

from napari_nuclei_unet import SegmentParams, run, segment_steps
from napari_nuclei_unet.labels.diameter import diameter_to_size, estimate_diameter, size_to_diameter
from napari_nuclei_unet.segmentation.normalization import check_plane
from napari_nuclei_unet.segmentation.probe import PROBE_EDGE
from napari_nuclei_unet.segmentation.size_band import SizeBand


def rows_of_discs(shape, radius):
    step = 4 * radius
    centres = [
        (y, x)
        for y in range(step // 2, shape[0] - radius, step)
        for x in range(step // 2, shape[1] - radius, step)
    ]
    return discs(shape, centres, radius=radius), len(centres)


@given(st.floats(4, 256))
def test_size_and_diameter_are_inverse(diameter):
    assert size_to_diameter(diameter_to_size(np.float64(diameter))) == pytest.approx(diameter)


def squares(edges, shape=(400, 400)):
    """Return maps of nuclei with these edges, side by side."""
    nucleus, size = np.zeros((2, *shape))
    y = x = 0
    for edge in edges:
        if x + edge > shape[1]:
            y, x = y + max(edges), 0
        nucleus[y : y + edge, x : x + edge] = 1
        size[y : y + edge, x : x + edge] = diameter_to_size(np.float64(edge))
        x += edge
    assert y + max(edges) <= shape[0]
    return nucleus, size


@pytest.mark.parametrize(
    ("edges", "typical"),
    [
        ([20] * 5 + [30] * 2, 20),  # not the median of pixels
        ([40] * 10 + [8] * 40, 40),  # four micronuclei a nucleus
        ([10] * 30 + [120], 10),  # something large out of focus, with more pixels than nuclei
    ],
)
def test_micronuclei_and_smears_do_not_change_the_size(edges, typical):
    nucleus, size = squares(edges)
    assert estimate_diameter(nucleus, size) == pytest.approx(typical)
    assert estimate_diameter(nucleus * 0, size) is None


@pytest.mark.parametrize(("radius", "zoom"), [(2, 12 / 4), (6, 1), (24, 12 / 48)])
def test_nuclei_of_any_size_are_measured_and_zoomed(choosy, radius, zoom):
    image, n = rows_of_discs((400, 500), radius)
    result = run(segment_steps(image, choosy, SegmentParams(minimum_area=1), "cpu"))
    assert result.record["diameter"] == pytest.approx(2 * radius, rel=0.35)
    assert result.record["zoom"] == pytest.approx(zoom, rel=0.35)
    assert result.count == n
    assert result.labels.shape == image.shape
    areas = np.bincount(result.labels.ravel())[1:]
    assert np.median(areas) == pytest.approx(np.sum(image > 0) / n, rel=0.3)
    # in place: the middle of every disc is inside its nucleus
    assert (result.labels[4 * radius // 2 :: 4 * radius, 4 * radius // 2 :: 4 * radius] > 0).any()


def test_a_given_diameter_is_obeyed_and_recorded(choosy):
    image, _ = rows_of_discs((200, 200), 6)
    result = run(segment_steps(image, choosy, SegmentParams(diameter=48.0), "cpu"))
    assert result.record["zoom"] == 0.25
    assert result.record["diameter"] == 48
    assert result.record["params"]["diameter"] == 48


def test_a_large_plane_is_measured_on_its_liveliest_part(choosy):
    """Very large nuclei in one corner of an empty plane."""
    image = np.zeros((PROBE_EDGE + 600, 2 * PROBE_EDGE), np.float32)
    image[:PROBE_EDGE, :PROBE_EDGE] = np.nan  # and another in which nothing can be measured
    part, n = rows_of_discs((500, 500), 20)
    image[-500:, -500:] = part
    seen = []
    result = run(segment_steps(image, choosy, SegmentParams(), "cpu"), seen.append)
    assert result.record["zoom"] < 0.5
    assert result.count == n
    done = [step.done for step in seen]
    assert done == sorted(done)  # measuring is no progress that would be taken back


def test_the_smallest_area_of_the_model_counts_pixels_that_the_network_sees(choosy):
    image, _ = rows_of_discs((300, 300), 24)
    result = run(segment_steps(image, choosy, None, "cpu"))
    tuned = choosy.card.thresholds["minimum_area"]
    wanted = tuned / result.record["zoom"] ** 2
    assert result.record["params"]["minimum_area"] == pytest.approx(wanted, rel=0.05)


def test_a_plane_without_nuclei_is_taken_as_it_is(choosy):
    specks = np.zeros((90, 70), np.uint8)
    specks[::9, ::9] = 255
    result = run(segment_steps(specks, choosy, None, "cpu"))
    assert result.record["zoom"] == 1
    assert result.record["diameter"] is None
    assert result.count == 0


def test_a_model_says_to_what_size_nuclei_are_zoomed(choosy):
    assert SizeBand.of(choosy.card).choose_zoom(24.0) == pytest.approx(12 / 24)  # in the middle
    picky = SizeBand.of(replace(choosy.card, ideal=16.0))
    assert picky.choose_zoom(32.0) == 0.5
    assert picky.choose_zoom(4.0) == 3
    assert picky.choose_zoom(10.0) == 1


def test_enlarging_is_limited_by_memory(choosy):
    assert SizeBand.of(choosy.card, (100, 100)).choose_zoom(1.0) == 3
    assert SizeBand.of(choosy.card, (7_500, 7_500)).choose_zoom(1.0) < 1.2
    assert SizeBand.of(choosy.card, (90_000, 90_000)).choose_zoom(1.0) == 1


@pytest.mark.parametrize(
    ("shape", "ground", "zoom"),
    [((300, 300), 0, 1.5), ((300, 300, 3), 0, 1.5), ((1100, 1100), 0, 1), ((300, 300), 200, 1.5)],
)
def test_small_planes_are_enlarged_sooner(choosy, shape, ground, zoom):
    image = np.full(shape, ground, np.uint8)
    image[::3] = 255 - ground
    band = SizeBand.of(replace(choosy.card, ideal=12.0)).suit(check_plane(image))
    assert band.choose_zoom(8.0) == zoom


def test_stained_sections_are_enlarged_later_and_by_less(choosy):
    image = np.full((300, 300, 3), (230, 200, 220), np.uint8)
    image[::3] = 120, 60, 140
    band = SizeBand.of(replace(choosy.card, ideal=12.0)).suit(check_plane(image))
    assert band.choose_zoom(8.0) == 1
    assert band.choose_zoom(3.5) == pytest.approx(12 / 2**0.5 / 3.5, rel=0.05)
    assert band.choose_zoom(32.0) == pytest.approx(12 / 32)


@pytest.mark.parametrize("tile", [0, 512])
def test_what_was_measured_is_part_of_the_maps(choosy, tile):
    """The probe of a plane that is not zoomed is the plane there, its neighbours included."""
    image, _ = rows_of_discs((1300, 2500), 6)
    image += np.random.default_rng(0).integers(0, 50, image.shape, np.uint8)
    params = SegmentParams(tile=tile, precision="fp32")
    measured = run(segment_steps(image, choosy, params, "cpu"))
    given = run(segment_steps(image, choosy, replace(params, diameter=12.0), "cpu"))
    assert measured.provenance.zoom == given.provenance.zoom == 1
    np.testing.assert_array_equal(measured.quantized_maps, given.quantized_maps)
