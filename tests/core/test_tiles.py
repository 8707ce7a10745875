"""Laws of the overlap-tile strategy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_nuclei_unet.arrays.tiling import (
    count_read_pixels,
    plan_tiles,
    plan_tiles_around,
    read_tile,
)

extent = st.integers(1, 150)
plans = st.fixed_dictionaries(
    {
        "shape": st.tuples(extent, extent),
        "size": st.integers(1, 200),
        "halo": st.integers(0, 40),
        "divisor": st.sampled_from([1, 2, 8, 16]),
    }
)


@given(plans)
def test_tiles_cover_every_pixel_once(plan):
    covered = np.zeros(plan["shape"], int)
    for tile in plan_tiles(**plan):
        covered[tile.core] += 1
    assert (covered == 1).all()


@given(plans)
def test_what_tiles_keep_of_what_they_read_is_the_image(plan):
    image = np.random.default_rng(0).integers(0, 1000, plan["shape"])
    stitched = np.full(plan["shape"], -1)
    for tile in plan_tiles(**plan):
        stitched[tile.core] = read_tile(image, tile)[tile.core_in_read]
    np.testing.assert_array_equal(stitched, image)


@given(plans)
def test_tiles_read_no_more_than_a_square_one_of_their_size(plan):
    divisor = plan["divisor"]
    size, halo = (-(-plan[name] // divisor) * divisor for name in ("size", "halo"))
    for tile in plan_tiles(**plan):
        assert math.prod(tile.read_shape) <= (size + 2 * halo) ** 2


@given(plans, st.tuples(*[st.integers(0, 9)] * 2), st.integers(1, 80))
def test_tiles_around_a_box_cover_all_but_that(plan, corner, edge):
    divisor = plan["divisor"]
    starts = [
        min(divisor * n, extent - 1) // divisor * divisor
        for n, extent in zip(corner, plan["shape"], strict=True)
    ]
    edge = -(-edge // divisor) * divisor
    known = tuple(slice(a, min(a + edge, b)) for a, b in zip(starts, plan["shape"], strict=True))
    tiles = plan_tiles_around(**plan, known=known)
    covered = np.zeros(plan["shape"], int)
    for tile in tiles:
        covered[tile.core] += 1
    outside = np.ones(plan["shape"], bool)
    outside[known] = False
    assert (covered[outside] == 1).all()
    assert count_read_pixels(tiles) <= count_read_pixels(plan_tiles(**plan))
    if not covered[known].any():
        return
    assert (covered == 1).all()  # the whole plane reads less


@given(plans)
def test_the_network_can_take_every_tile(plan):
    for tile in plan_tiles(**plan):
        assert all(edge % plan["divisor"] == 0 for edge in tile.read_shape)
        for part, extent in zip(tile.read, plan["shape"], strict=True):
            is_thin = 2 * extent <= plan["divisor"]
            assert part.stop - part.start == plan["divisor"] if is_thin else True
            assert is_thin or part.start % plan["divisor"] == 0


@given(plans)
@settings(max_examples=50)
def test_beyond_the_image_lies_its_mirror_image(plan):
    image = np.random.default_rng(0).integers(0, 1000, (*plan["shape"], 3))
    pad = 300
    mirrored = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode="reflect")
    for tile in plan_tiles(**plan):
        rows, columns = (slice(part.start + pad, part.stop + pad) for part in tile.read)
        np.testing.assert_array_equal(read_tile(image, tile), mirrored[rows, columns])


@given(plans)
def test_a_tile_sees_its_halo_inside_the_image(plan):
    height, width = plan["shape"]
    for tile in plan_tiles(**plan):
        for core, read, size in zip(tile.core, tile.read, (height, width), strict=True):
            assert read.start <= max(core.start - plan["halo"], 0)
            assert read.stop >= min(core.stop + plan["halo"], size)


@pytest.mark.parametrize(("shape", "most"), [((1, 100_000), 17), ((3, 100_000), 6)])
def test_thin_planes_are_read_with_little_around_them(shape, most):
    """At 16 rows, which the network needs at least, and not 48 of them."""
    for turned in (shape, shape[::-1]):
        tiles = plan_tiles(turned, 1472, 96, 16)
        assert count_read_pixels(tiles) < 1.15 * most * math.prod(shape)
