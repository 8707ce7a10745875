import numpy as np
import pytest

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.segmentation.normalization import check_plane

RAMP = np.linspace(0, 100, 400).reshape(20, 20)


@pytest.mark.parametrize(
    "dtype",
    ["int8", "uint8", "int16", "uint16", "uint32", "int64", "float16", "float32", "float64"],
)
def test_every_real_type_looks_the_same_to_the_network(dtype):
    image = RAMP.astype(dtype)
    seen = check_plane(image).normalized()
    assert seen.dtype == np.float32
    expected = np.clip((RAMP - 1) / (99.8 - 1), 0, 1)
    np.testing.assert_allclose(seen, expected, atol=0.02)


def test_bool_is_black_and_white():
    plane = check_plane(RAMP > 50)
    assert (plane.low, plane.high) == (0, 1)


@pytest.mark.parametrize("offset", [0, 1e9, -1e12])
def test_offset_and_gain_do_not_matter(offset):
    image = RAMP * 7 + offset
    np.testing.assert_allclose(
        check_plane(image).normalized(), check_plane(RAMP).normalized(), atol=1e-3
    )


def test_nan_and_infinity_are_marked_and_told():
    image = RAMP.astype(np.float32)
    image[0, :3] = [np.nan, np.inf, -np.inf]
    plane = check_plane(image)
    assert "3 values are NaN or infinite" in plane.notices[0]
    assert plane.invalid.sum() == 3
    assert plane.invalid[0, :3].all()
    assert np.isfinite(plane.normalized()).all()


def test_a_single_bright_pixel_is_enough_to_be_no_blank_plane():
    image = np.zeros((100, 100))
    assert check_plane(image).is_blank
    image[3, 3] = 1
    assert not check_plane(image).is_blank


def test_alpha_is_left_out_and_told():
    plane = check_plane(np.zeros((4, 5, 4), np.uint8))
    assert plane.pixels.shape == (4, 5, 3)
    assert plane.notices == ("The alpha channel was ignored.",)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((0, 5)), "empty"),
        (np.zeros(5), "A single plane is needed"),
        (np.zeros((5, 6, 7)), "A single plane is needed"),
        (np.zeros((2, 5, 6, 3)), "A single plane is needed"),
        (np.zeros((5, 5), complex), "complex128"),
        (np.array([["a", "b"]]), "cannot be segmented"),
    ],
)
def test_what_is_no_plane_is_refused_in_one_sentence(image, words):
    with pytest.raises(UserError, match=words):
        check_plane(image)
