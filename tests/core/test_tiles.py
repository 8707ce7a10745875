"""Laws of the overlap-tile strategy."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_nuclei_unet.arrays.tiling import plan_tiles, read_tile

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
def test_the_network_can_take_every_tile(plan):
    for tile in plan_tiles(**plan):
        assert all(edge % plan["divisor"] == 0 for edge in tile.read_shape)
        assert all(part.start % plan["divisor"] == 0 for part in tile.read)


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
