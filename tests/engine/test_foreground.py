"""Tiles in which there is nothing are not predicted, and nothing is lost by that.

Nor does it matter whether the plane is in memory.
"""

import numpy as np
import pytest
from conftest import bright_network, discs
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_nuclei_unet.arrays.boxes import full_box
from napari_nuclei_unet.arrays.tiling import split_box
from napari_nuclei_unet.blockwise.survey import survey_steps
from napari_nuclei_unet.models.model import Model
from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.progress import run
from napari_nuclei_unet.segmentation.device import plan_inference
from napari_nuclei_unet.segmentation.foreground import CELL_EDGE, ForegroundCells
from napari_nuclei_unet.segmentation.intensity_range import Brightness
from napari_nuclei_unet.segmentation.normalization import Plane, check_plane
from napari_nuclei_unet.segmentation.segment import segment

FAR_APART = [(40, 40), (300, 260), (2280, 2310)]


@pytest.fixture
def counting(bright):
    """The brightness network, and the pixels that it was given."""
    network, pixels = bright_network(), []
    network.register_forward_pre_hook(lambda _, given: pixels.append(given[0].shape[-2:].numel()))
    return Model(bright.card, network), pixels


@pytest.mark.parametrize("diameter", [None, 12.0])
def test_empty_tiles_are_passed_over(counting, diameter):
    model, pixels = counting
    image = discs((2400, 2500), FAR_APART)
    labels = segment(image, model, tile=256, precision="fp32", diameter=diameter)
    assert labels.max() == 3
    assert [labels[at] > 0 for at in FAR_APART] == [True] * 3
    assert sum(pixels) < image.size / 2


def test_a_bright_ground_is_empty_too_and_dark_nuclei_in_it_are_not():
    image = np.full((600, 1200), 230, np.uint8)
    image[100:120, 300:330] = 120
    cells = ForegroundCells(check_plane(image))
    assert cells.has_foreground((slice(0, 256), slice(256, 512)))
    assert cells.has_foreground((slice(0, 256), slice(512, 600)))  # beside it
    assert not cells.has_foreground((slice(0, 600), slice(1000, 1200)))


@pytest.mark.parametrize(
    ("ground", "nucleus", "gamma"),
    [(4, 10, 0.5), (250, 245, 3.0), ([200, 90, 90], [90, 200, 90], 1.0), (10, 18, 1.0)],
)
def test_what_the_network_might_see_is_not_empty(ground, nucleus, gamma):
    """Dim beside bright ones, in another colour of the same brightness, or raised by a gamma."""
    image = np.empty((256, 1024, *np.shape(ground)), np.uint8)
    image[:] = ground
    image[100:112, 40:52] = nucleus
    cells = ForegroundCells(Plane(image, 0, 0, 255, gamma=gamma))
    assert cells.has_foreground((slice(0, 256), slice(0, 128)))
    assert not cells.has_foreground((slice(0, 256), slice(800, 1024)))


@given(st.lists(st.integers(0, 12), min_size=12, max_size=12), st.sampled_from([0.4, 1.0, 2.5]))
@settings(max_examples=40)
def test_the_same_squares_are_empty_in_blocks(bright, steps, gamma):
    """In the second colour, by steps of 0.1 % of the range, on a bright and on a dark ground."""
    image = np.zeros((700, 1000, 3), np.uint16)
    image[:, :500], image[:2, :2] = 700, 1000
    for (row, column), step in zip(np.ndindex(3, 4), steps, strict=True):
        image[row * 256 + 90 : row * 256 + 100, column * 256 + 90 : column * 256 + 100, 1] += step
    params = SegmentParams(black=0.0, white=1000.0, gamma=gamma)
    cells = ForegroundCells(check_plane(image, Brightness.of(params)))
    survey = run(survey_steps(image, bright, params, plan_inference(params, "cpu", bright), []))
    for box in split_box(full_box(image.shape), CELL_EDGE, CELL_EDGE):
        assert survey.has_foreground(box) == cells.has_foreground(box)
