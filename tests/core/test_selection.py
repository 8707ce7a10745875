"""Which axis is which, where an image does not say it."""

import numpy as np
import pytest

from napari_nuclei_unet import UserError, segment_stack
from napari_nuclei_unet.arrays.selection import select_planes


@pytest.mark.parametrize("channel", [None, 1])
@pytest.mark.parametrize(
    ("shape", "is_rgb", "words"),
    [
        ((120, 130, 5), None, "YXC or ZYX"),
        ((120, 130, 2), None, "YXC or ZYX"),
        ((120, 130, 15), None, "YXC or ZYX"),
        ((120, 130, 6), False, "YXC or ZYX"),
        ((4, 120, 130, 7), None, "ZYXC or TZYX"),
    ],
)
def test_a_last_axis_that_may_be_channels_is_asked_for(shape, is_rgb, words, channel):
    with pytest.raises(UserError, match=f"with `axes` what it is, {words}"):
        select_planes(shape, None, (), channel, None, is_rgb)
    channels, planes = words.split(" or ")
    assert select_planes(shape, channels, (), 1).size == (120, 130)
    assert select_planes(shape, planes).size == (130, shape[-1])


@pytest.mark.parametrize(
    ("shape", "is_rgb", "axes"),
    [
        ((120, 130, 3), None, "YX"),  # RGB
        ((120, 130, 4), None, "YX"),
        ((120, 130, 1), None, "YX"),
        ((10, 120, 5), None, "ZYX"),  # no axis is much shorter than both others
        ((120, 130, 16), None, "ZYX"),
        ((5, 120, 130), None, "ZYX"),
        ((6, 5), None, "YX"),
    ],
)
def test_what_is_clear_is_not_asked_for(shape, is_rgb, axes):
    assert select_planes(shape, None, (), None, None, is_rgb).axes == axes


def test_a_stack_in_python_is_asked_for_its_axes(bright):
    with pytest.raises(UserError, match="may be channels"):
        segment_stack(np.zeros((120, 130, 5), np.uint8), model=bright)


@pytest.mark.parametrize("shape", [(), (5,)])
@pytest.mark.parametrize("axes", [None, "YX"])
def test_what_has_no_plane_is_refused(shape, axes):
    with pytest.raises(UserError, match="at least the axes Y and X"):
        select_planes(shape, axes)
