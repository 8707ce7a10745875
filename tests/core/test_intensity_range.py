"""Black and white point: what is no measurement does not count, and all else does as ever."""

import numpy as np
import pytest
from scipy import ndimage
from synthetic import add_debris, add_frame, add_hot_pixels, add_lines, add_stamp, nuclei_image

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.samples.images import SAMPLES, read_sample
from napari_nuclei_unet.segmentation.intensity_range import Brightness, estimate_intensity_range
from napari_nuclei_unet.segmentation.normalization import check_plane

OFFSET = {"uint8": 0, "uint16": 32_768, "int32": -1_000_000, "float32": 0.25}
SPAN = {"uint8": 90, "uint16": 800, "int32": 800, "float32": 0.01}
# What a camera, or a program, writes where it has nothing to say.
WHITE = {"uint8": 255, "uint16": 65_535, "int32": 2**31 - 1, "float32": 1.0}
BLACK = {"uint8": 0, "uint16": 0, "int32": -(2**31), "float32": -1.0}


def make(dtype, **options):
    """Nuclei on a ground with noise, on the offset of a camera, as floating numbers."""
    return nuclei_image(**options)[0] * SPAN[dtype] + OFFSET[dtype]


def store(pixels, dtype):
    if np.dtype(dtype).kind == "f":
        return pixels.astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.round(pixels), limits.min, limits.max).astype(dtype)


def percentiles(pixels):
    return tuple(np.percentile(pixels, [1, 50, 99.8]))


def points(pixels):
    found = estimate_intensity_range(pixels)
    return found.low, found.middle, found.high


def check_same_contrast(pixels, clean, reach=1.0):
    """Compare ranges: the network bears one that is several times too wide, never too narrow."""
    low, _, high = points(pixels)
    first, _, last = percentiles(clean)
    span = last - first
    assert first - reach * span <= low <= first + 0.1 * span
    assert last - 0.1 * span <= high <= last + reach * span


def rotate(pixels, angle, value, order=1):
    return ndimage.rotate(pixels, angle, order=order, mode="constant", cval=value)


def outside_circle(pixels, value):
    rows, columns = np.indices(pixels.shape) - np.array(pixels.shape)[:, None, None] / 2
    return np.where(np.hypot(rows, columns) > min(pixels.shape) / 2, value, pixels)


ARTEFACTS = {
    "frame": lambda a, black, white, span: add_frame(a, 24, white),
    "black frame": lambda a, black, white, span: add_frame(a, 24, black),
    "two sides": lambda a, black, white, span: add_frame(a, 30, black)[30:, 30:],
    "turned": lambda a, black, white, span: rotate(a, 12, black),
    "turned a little": lambda a, black, white, span: rotate(a, 3, white),
    "turned, cubic": lambda a, black, white, span: rotate(a, 40, black, order=3),
    "round field": lambda a, black, white, span: outside_circle(a, black),
    "tiles": lambda a, black, white, span: np.pad(
        np.block([[a, np.full((256, 20), black), a]]), 20, constant_values=black
    ),
    "band": lambda a, black, white, span: np.where(np.indices(a.shape)[0] // 14 == 7, white, a),
    "half a row": lambda a, black, white, span: np.where(
        (np.indices(a.shape)[0] == 77) & (np.indices(a.shape)[1] < 140), white, a
    ),
    "row": lambda a, black, white, span: add_lines(a, 1, 0, white),
    "rows and columns": lambda a, black, white, span: add_lines(a, 2, 2, white),
    "dead rows": lambda a, black, white, span: add_lines(a, 4, 0, black),
    "hot pixels": lambda a, black, white, span: add_hot_pixels(a, 0.01, white),
    "dead pixels": lambda a, black, white, span: add_hot_pixels(a, 0.015, black),
    "hot and dead pixels": lambda a, black, white, span: add_hot_pixels(
        add_hot_pixels(a, 0.01, white), 0.015, black
    ),
    "stamp and bar": lambda a, black, white, span: add_stamp(a, white),
    "debris": lambda a, black, white, span: add_debris(a, 0.01, 100 * span),
    "debris, 30 times": lambda a, black, white, span: add_debris(a, 0.005, 30 * span),
    "debris, blurred": lambda a, black, white, span: add_debris(a, 0.005, 100 * span, blur=2),
    "debris, several": lambda a, black, white, span: add_debris(a, 0.008, 100 * span, count=5),
    "black and white sides": lambda a, black, white, span: np.pad(
        np.pad(a, ((20, 0), (0, 0)), constant_values=black),
        ((0, 0), (0, 20)),
        constant_values=white,
    ),
    "all at once": lambda a, black, white, span: add_frame(
        add_hot_pixels(
            add_hot_pixels(add_lines(add_debris(a, 0.004, 100 * span), 1, 1, white), 0.005, white),
            0.005,
            black,
        ),
        20,
        black,
    ),
    "frame and row": lambda a, black, white, span: add_frame(add_lines(a, 1, 1, white), 20, black),
}


@pytest.mark.parametrize("dtype", OFFSET)
@pytest.mark.parametrize("name", ARTEFACTS)
def test_what_is_no_measurement_does_not_count(name, dtype):
    clean = make(dtype, shape=(256, 256), count=30)
    worse = ARTEFACTS[name](clean, BLACK[dtype], WHITE[dtype], SPAN[dtype])
    # eight bits have no room for more than three times
    check_same_contrast(store(worse, dtype), store(clean, dtype), 3 if dtype == "uint8" else 0.3)


@pytest.mark.parametrize("count", [2, 5, 12, 60])
def test_neither_many_nuclei_nor_few_are_debris(count):
    """Of two in 512 x 512 there are 0.2 %, as far from the ground as debris is from nuclei."""
    for noise in (0.001, 0.01, 0.05):
        pixels, _ = nuclei_image(shape=(512, 512), count=count, noise=noise)
        for dtype in ("uint16", "float32"):
            stored = store(pixels * 20_000 + 500, dtype)
            assert points(stored) == percentiles(stored)


def test_few_bright_nuclei_in_dim_cells_are_no_debris():
    """A nucleus is a small part of a cell, whose rest is not dark."""
    cells, places = nuclei_image(shape=(400, 400), count=8, radius=22, noise=0.05)
    bright, _ = nuclei_image(shape=(400, 400), radius=7, noise=0, places=places)
    stored = store(cells * 40 + bright * 4000 + 100, "uint16")
    assert points(stored) == percentiles(stored)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("gain", [1, 200])
def test_clean_images_have_the_percentiles_as_ever(name, gain):
    image = read_sample(name)[0].astype(np.uint16) * gain
    assert points(image) == percentiles(image)


@pytest.mark.parametrize("radius", [6, 12, 40])
@pytest.mark.parametrize("ground", [0, 255])
def test_an_even_ground_is_no_fill(radius, ground):
    """A black ground of 0, or a white one of 255, is as even as fill is, and reaches the rim."""
    pixels, _ = nuclei_image(shape=(300, 300), count=12, radius=radius, noise=0)
    sharp = np.where(pixels > 0.5, 200, 0) + np.random.default_rng(0).normal(0, 12, pixels.shape)
    for bright in (pixels * 200, np.where(pixels > 0.5, sharp, 0), np.where(pixels > 0.5, 255, 0)):
        stored = store(bright if ground == 0 else 255 - bright, "uint8")
        assert points(stored) == percentiles(stored)


@pytest.mark.parametrize(("count", "size"), [(3, 256), (30, 256), (30, 150), (4, 70)])
@pytest.mark.parametrize("is_sharp", [False, True])
def test_saturated_nuclei_are_no_artefacts(count, size, is_sharp):
    """Some of them are cut by the rim, as fill is."""
    pixels, _ = nuclei_image(shape=(256, 256), count=count, noise=0.02)
    pixels = np.roll(pixels, (-25, -25), (0, 1))[:size, :size]
    pixels = np.where(pixels > 0.5, 1, np.minimum(pixels, 0.1)) if is_sharp else pixels
    stored = store(pixels * 900 + 10 if not is_sharp else pixels * 245 + 10, "uint8")
    assert points(stored) == percentiles(stored)


@pytest.mark.parametrize("radius", [30, 60])
def test_one_large_nucleus_on_even_ground_is_no_field(radius):
    rows, columns = np.indices((200, 200)) - 100
    textured = np.random.default_rng(0).normal(180, 12, (200, 200))
    stored = store(np.where(np.hypot(rows, columns) < radius, textured, 0), "uint8")
    assert points(stored) == percentiles(stored)


def test_infinite_colours_are_left_out():
    image = read_sample("histology_purple")[0].astype(np.float32)
    worse = add_frame(image, 9, np.inf)
    worse[:9, :, 0] = -np.inf
    worse[100] = 1e6
    assert points(worse)[2] <= percentiles(image)[2] + 9


def test_a_plane_of_noise_with_a_row_is_still_no_error():
    noise = np.random.default_rng(0).normal(100, 5, (64, 64))
    assert check_plane(add_lines(noise, 1, 1, 1e6)).low < 120
    assert check_plane(np.full((9, 9), np.nan)).is_blank
    for shape in [(1, 1), (1, 50), (50, 1), (3, 4)]:
        assert check_plane(np.arange(np.prod(shape)).reshape(shape)).low >= 0


def test_colours_with_a_stamp_and_fill():
    image = read_sample("histology_purple")[0].astype(np.uint16) + 3000
    worse = add_frame(image, 12, 65_535)
    worse[20:30, 20:60] = 0
    low, _, high = points(worse)
    assert percentiles(image)[0] - 40 < low
    assert high < percentiles(image)[2] + 40


def test_the_given_range_is_taken_as_it_is():
    image = np.linspace(0, 100, 400).reshape(20, 20)
    plane = check_plane(image, Brightness(20, 60, 0.5))
    np.testing.assert_allclose(
        plane.normalized(), np.sqrt(np.clip((image - 20) / 40, 0, 1)), atol=1e-6
    )
    assert check_plane(image, Brightness(white=50)).high == 50
    assert check_plane(image, Brightness(white=50)).low == check_plane(image).low
    assert not plane.notices


def test_a_range_with_next_to_nothing_in_it_is_told():
    image = np.linspace(0, 100, 400).reshape(20, 20)
    (notice,) = check_plane(image, Brightness(1000, 2000)).notices
    assert "Less than 1 % of the pixels lie between black (1000) and white (2000)" in notice
    with pytest.raises(UserError, match="`black` lower than `white`"):
        check_plane(image, Brightness(black=500))
