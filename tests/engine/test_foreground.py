"""Tiles in which there is nothing are not predicted, and nothing is lost by that."""

import numpy as np
import pytest
from conftest import bright_network, discs

from napari_nuclei_unet.models.model import Model
from napari_nuclei_unet.segmentation.foreground import ForegroundCells
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
    plane = Plane(image, 0, 0, 255, gamma=gamma)
    assert ForegroundCells(plane).has_foreground((slice(0, 256), slice(0, 128)))
    assert not ForegroundCells(plane).has_foreground((slice(0, 256), slice(800, 1024)))
