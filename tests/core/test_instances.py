from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.morphology import h_maxima

from napari_nuclei_unet.metrics.matching import count_matches
from napari_nuclei_unet.segmentation.watershed import (
    DISTANCE_SMOOTHING,
    SeparationParams,
    separate_nuclei,
)
from napari_nuclei_unet.training.example import make_targets

DEFAULTS = SeparationParams(threshold=0.5, separation=0.9, minimum_area=1)


def touching_pair():
    labels = np.zeros((40, 50), np.int32)
    y, x = np.mgrid[:40, :50]
    labels[(y - 20) ** 2 + (x - 16) ** 2 < 100] = 1
    labels[(y - 20) ** 2 + (x - 33) ** 2 < 100] = 2
    return labels


def test_touching_nuclei_get_different_ids():
    truth = touching_pair()
    found = separate_nuclei(make_targets(truth)[0], DEFAULTS)
    assert found.max() == 2
    assert count_matches(truth, found).scores()["AP@0.9"] == 1


def test_perfect_maps_give_back_the_annotation_of_a_real_image():
    from napari_nuclei_unet.samples.images import read_sample

    _, truth = read_sample("fluorescence_small")
    found = separate_nuclei(make_targets(truth.astype(np.int32))[0], DEFAULTS)
    assert count_matches(truth, found).scores()["AP@0.5"] > 0.97


@given(st.integers(0, 2**32 - 1), st.floats(0.1, 0.9), st.floats(0.1, 0.9), st.integers(1, 30))
@settings(max_examples=40)
def test_labels_are_gapless_connected_large_enough_and_inside_the_mask(
    seed, threshold, separation, minimum_area
):
    rng = np.random.default_rng(seed)
    maps = ndimage.gaussian_filter(rng.random((3, 48, 40)), (0, 2, 2))
    maps = (maps - maps.min()) / np.ptp(maps)
    labels = separate_nuclei(maps, SeparationParams(threshold, separation, minimum_area))
    assert set(np.unique(labels)) - {0} == set(range(1, labels.max() + 1))
    assert (maps[0][labels > 0] > threshold).all()
    for one in range(1, labels.max() + 1):
        assert (labels == one).sum() >= minimum_area
        assert ndimage.label(labels == one)[1] == 1


@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.4))
@settings(max_examples=60)
def test_summits_that_count_are_the_h_maxima_of_the_distance(seed, depth):
    noise = np.random.default_rng(seed).random((40, 50))
    relief = ndimage.gaussian_filter(noise, 2)
    relief = 0.05 + 0.9 * (relief - relief.min()) / np.ptp(relief)
    labels = separate_nuclei(
        np.stack([np.ones_like(relief), relief * 0, relief]), SeparationParams(0.5, 1 - depth, 1)
    )
    cross = ndimage.generate_binary_structure(2, 1)
    summits = h_maxima(ndimage.gaussian_filter(relief, DISTANCE_SMOOTHING), depth, footprint=cross)
    assert labels.max() == ndimage.label(summits)[1]
    assert labels.min() == 1


def test_no_nucleus_is_an_empty_result():
    labels = separate_nuclei(np.zeros((3, 1, 7)), DEFAULTS)
    assert labels.shape == (1, 7)
    assert labels.max() == 0


def test_nuclei_without_a_seed_are_kept():
    maps = np.zeros((3, 20, 20))
    maps[0, 5:9, 5:9] = 0.9  # the distance stays below every seed
    assert separate_nuclei(maps, DEFAULTS).max() == 1


def test_a_lower_threshold_makes_no_nucleus_doubtful():
    maps = np.zeros((3, 30, 30))
    maps[0, 5:25, 5:25] = 0.3  # a wide, faint rim
    maps[0, 10:20, 10:20] = 0.95
    maps[2, 10:20, 10:20] = 0.8
    for threshold in (0.2, 0.5, 0.8):
        found = separate_nuclei(maps, replace(DEFAULTS, threshold=threshold, confidence=0.9))
        assert found.max() == 1
    maps[0] = np.minimum(maps[0], 0.5)  # nowhere likely: only without a confidence
    assert separate_nuclei(maps, replace(DEFAULTS, threshold=0.2, confidence=0.1)).max() == 0
    assert separate_nuclei(maps, replace(DEFAULTS, threshold=0.2, confidence=0.0)).max() == 1
