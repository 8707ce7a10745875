"""The table of nuclei of a volume against scikit-image, and against ellipsoids of known surface."""

import itertools

import numpy as np
import pytest
import skimage
from conftest import region_median
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version
from scipy import ndimage
from scipy.spatial.transform import Rotation
from scipy.special import elliprg
from skimage.measure import marching_cubes, mesh_surface_area, regionprops_table

from napari_nuclei_unet import UserError
from napari_nuclei_unet.labels.regionprops import measure
from napari_nuclei_unet.labels.surface_area import DIRECTIONS, weigh_exits
from napari_nuclei_unet.labels.volume_regionprops import VolumeFrame, measure_volume

SHAPES = {
    "volume": "area",
    "equivalent_diameter": "equivalent_diameter_area",
    "major_axis": "axis_major_length",
    "minor_axis": "axis_minor_length",
}
STATISTICS = ("mean", "min", "max", "std")
INTENSITIES = {f"{name}_intensity": f"intensity_{name}" for name in STATISTICS}
SPACINGS = [(1.0, 1.0, 1.0), (4.0, 1.0, 1.0), (0.9, 0.2, 0.3)]


def blobs(seed):
    """Nuclei in pieces, with holes, that touch each other and the faces; and an image."""
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, [9, 20, 20])
    hills = ndimage.gaussian_filter(rng.random(shape), 2 * rng.random())
    labels = np.digitize(hills, [0.45, 0.5, 0.55]) * rng.integers(1, 1000)
    labels[rng.random(shape) < 0.3 * rng.random()] = 0
    return labels, 1e4 + rng.random(shape)


volumes = st.integers(0, 2**32 - 1).map(blobs)


def ellipsoid(axes, spacing, seed):
    """Return an ellipsoid of three half axes in any direction, and its surface."""
    rng = np.random.default_rng(seed)
    reach = [int(np.ceil(max(axes) / size)) + 2 for size in spacing]
    grid = np.stack(np.mgrid[tuple(slice(-n, n + 1) for n in reach)], axis=-1)
    points = (grid + rng.uniform(-0.5, 0.5, 3)) * spacing
    turned = points @ Rotation.random(random_state=int(rng.integers(2**31))).as_matrix()
    a, b, c = np.square(axes)
    return ((turned / axes) ** 2).sum(-1) <= 1, 4 * np.pi * elliprg(a * b, a * c, b * c)


def count_steps_out(mask, step):
    """Count the voxels of a mask whose neighbour in a direction is not in it."""
    padded = np.pad(mask, 1)
    return int((padded & ~np.roll(padded, -step, (0, 1, 2))).sum())


@pytest.mark.skipif(
    Version(skimage.__version__) < Version("0.26"),
    reason="its minor axis is the root of a number that rounding makes negative",
)
@settings(max_examples=60, deadline=None)
@given(volumes, st.sampled_from(SPACINGS))
def test_shapes_and_intensities_are_those_of_scikit_image(volume, spacing):
    labels, image = volume
    if not labels.any():
        return
    table = measure_volume(labels, image, frame=VolumeFrame(spacing))
    columns = SHAPES | INTENSITIES
    theirs = regionprops_table(
        labels.astype(np.int32), image, ["label", "centroid", "bbox", *columns.values()],
        spacing=spacing, extra_properties=[region_median],
    )  # fmt: skip
    columns |= {"median_intensity": "region_median"}
    np.testing.assert_array_equal(table["label"], theirs["label"])
    for axis, name in enumerate(("centroid_z", "centroid_y", "centroid_x")):
        np.testing.assert_allclose(table[name] * spacing[axis], theirs[f"centroid-{axis}"], 1e-6)
    for ours, name in columns.items():
        # the root of a difference of equal numbers
        atol = 1e-6 * max(spacing) * max(labels.shape) if ours == "minor_axis" else 1e-12
        np.testing.assert_allclose(table[ours], theirs[name], 1e-6, atol, err_msg=ours)
    extent = (theirs["bbox-3"] - theirs["bbox-0"]) * spacing[0]
    np.testing.assert_allclose(table["z_extent"], extent)
    sections = [(labels == nucleus).any(axis=(1, 2)).sum() for nucleus in table["label"]]
    np.testing.assert_array_equal(table["sections"], sections)
    total = np.bincount(labels.ravel(), image.ravel())[table["label"]]
    np.testing.assert_allclose(table["integrated_intensity"], total, 1e-6)
    assert (table["major_axis"] >= table["middle_axis"]).all()
    assert (table["middle_axis"] >= table["minor_axis"]).all()


@settings(max_examples=60, deadline=None)
@given(volumes, st.sampled_from(SPACINGS))
def test_surfaces_are_counted_as_defined(volume, spacing):
    """Voxel by voxel, for nuclei with holes, in pieces and at the faces."""
    labels, _ = volume
    table = measure_volume(labels, None, frame=VolumeFrame(spacing))
    weights = weigh_exits(spacing)
    for row in table.itertuples():
        steps = [count_steps_out(labels == row.label, step) for step in DIRECTIONS]
        assert row.surface_area == pytest.approx(float(steps @ weights))


@pytest.mark.parametrize(
    ("step", "radius", "tolerance"),
    [(1.0, 8, 0.01), (1.0, 20, 0.005), (4.0, 12, 0.03), (4.0, 20, 0.02), (8.0, 30, 0.03)],
)
def test_surfaces_of_ellipsoids_are_right_at_any_z_step(step, radius, tolerance):
    ratios, meshes = [], []
    for seed in range(8):
        axes = radius * np.array([1, 0.9, 0.7])
        mask, surface = ellipsoid(axes, (step, 1.0, 1.0), seed)
        table = measure_volume(mask.astype(np.uint8), None, None, VolumeFrame((step, 1.0, 1.0)))
        ratios.append(table["surface_area"][0] / surface)
        corners, faces, *_ = marching_cubes(
            np.pad(mask, 1).astype(float), 0.5, spacing=(step, 1, 1)
        )
        meshes.append(mesh_surface_area(corners, faces) / surface)
    assert np.mean(ratios) == pytest.approx(1, abs=tolerance)
    assert np.abs(np.subtract(ratios, 1)).max() < 2 * tolerance
    assert np.mean(meshes) > 1.07  # what a mesh of voxels makes of them


def test_ball_has_the_numbers_of_a_ball():
    spacing = (2.0, 0.5, 0.5)
    mask, surface = ellipsoid((10.0, 10.0, 10.0), spacing, 3)
    table = measure_volume(mask.astype(np.int32), None, frame=VolumeFrame(micrometers=spacing))
    row = table.iloc[0]
    for name in ("equivalent_diameter_um", "major_axis_um", "middle_axis_um", "minor_axis_um"):
        assert row[name] == pytest.approx(20, rel=0.02), name
    assert row["volume_um3"] == pytest.approx(4 / 3 * np.pi * 1000, rel=0.02)
    assert row["surface_area_um2"] == pytest.approx(surface, rel=0.02)
    assert row["volume"] == mask.sum()
    assert table["volume"].dtype == np.int64
    whole = measure_volume(mask.astype(np.int32), None, frame=VolumeFrame(spacing))
    assert whole["sphericity"][0] == pytest.approx(1, abs=0.02)
    assert whole["volume"][0] == pytest.approx(row["volume_um3"])


@pytest.mark.parametrize("spacing", [*SPACINGS, (1e4, 1.0, 1.0), (1e-4, 1.0, 3.0)])
def test_directions_cover_the_sphere_once(spacing):
    length = np.linalg.norm(DIRECTIONS * spacing, axis=1)
    assert (weigh_exits(spacing) * length / np.prod(spacing)).sum() == pytest.approx(4)


def test_surface_does_not_depend_on_the_order_of_axes():
    mask = np.random.default_rng(0).random((6, 7, 8)) < 0.6
    for order in itertools.permutations(range(3)):
        spacing = tuple(np.take((3.0, 1.0, 2.0), order).tolist())
        turned = measure_volume(mask.transpose(order).astype(int), None, None, VolumeFrame(spacing))
        plain = measure_volume(mask.astype(int), None, None, VolumeFrame((3.0, 1.0, 2.0)))
        for name in ("surface_area", "major_axis", "middle_axis", "minor_axis", "volume"):
            np.testing.assert_allclose(turned[name], plain[name])


def test_channels_and_confidence_are_named_and_measured_as_in_planes():
    labels, _ = blobs(5)
    rng = np.random.default_rng(5)
    image = rng.random((*labels.shape, 2)).astype(np.float32)
    image[rng.random(image.shape) < 0.1] = np.nan
    nucleus = rng.random(labels.shape).astype(np.float32)
    table = measure_volume(labels, image, nucleus, channels=("DAPI", "GFP"))
    rows = labels.shape[0] * labels.shape[1]
    flat = measure(
        labels.reshape(rows, -1), image.reshape(rows, -1, 2), nucleus.reshape(rows, -1),
        channels=("DAPI", "GFP"),
    )  # fmt: skip
    names = [name for name in flat if "intensity" in name] + ["confidence"]
    assert names == [name for name in table if "intensity" in name or name == "confidence"]
    assert "median_intensity_GFP" in names
    for name in names:
        np.testing.assert_array_equal(table[name], flat[name], err_msg=name)


def test_every_face_of_the_stack_is_a_border():
    labels = np.zeros((5, 9, 9), np.uint16)
    labels[2, 4, 4] = 1
    for number, at in enumerate(
        [(0, 4, 4), (4, 4, 4), (2, 0, 4), (2, 8, 4), (2, 4, 0), (2, 4, 8)], 2
    ):
        labels[at] = number
    table = measure_volume(labels, None).set_index("label")
    assert table["touches_border"].tolist() == [False, *[True] * 6]


def test_one_slice_alone_has_edges_but_no_first_and_last_slice():
    labels = np.zeros((1, 9, 9), np.uint8)
    labels[0, 4:6, 4:6], labels[0, 0, 0] = 1, 2
    table = measure_volume(labels, None)
    assert table["touches_border"].tolist() == [False, True]
    assert table["minor_axis"].tolist() == [0, 0]


def test_part_of_a_stack_has_the_places_of_the_stack():
    labels = np.zeros((9, 20, 30), np.uint8)
    labels[3:6, 8:12, 20:26], labels[2:4, 4:6, 4:6] = 1, 2
    spacing = {"spacing": (2.0, 1.0, 1.0), "micrometers": (4.0, 2.0, 2.0)}
    whole = measure_volume(labels, None, frame=VolumeFrame(**spacing))
    frame = VolumeFrame(offset=(2, 4, 4), shape=(9, 20, 30), **spacing)
    part = measure_volume(labels[2:7, 4:15, 4:28], None, None, frame)
    assert part.equals(whole)
    assert not part["touches_border"].any()
    np.testing.assert_array_equal(whole["centroid_z_um"], whole["centroid_z"] * 4)
    cut = measure_volume(labels[2:7, 4:15, 4:28], None)
    assert cut["touches_border"].tolist() == [False, True]


@pytest.mark.parametrize("shape", [(4, 5, 6), (0, 5, 6), (1, 1, 1)])
def test_stack_without_nuclei_has_all_columns_and_no_row(shape):
    frame = VolumeFrame(micrometers=(1.0, 1.0, 1.0))
    empty = measure_volume(np.zeros(shape, np.uint16), np.zeros(shape), None, frame)
    full = measure_volume(np.ones((2, 2, 2), int), np.zeros((2, 2, 2)), None, frame)
    assert list(empty) == list(full)
    assert len(empty) == 0


def test_views_that_are_not_contiguous_are_measured_alike():
    labels, image = blobs(11)
    turned = np.ascontiguousarray(labels.transpose(2, 0, 1)).transpose(1, 2, 0)
    assert not turned.flags.c_contiguous
    assert measure_volume(turned, image).equals(measure_volume(labels, image))


@pytest.mark.parametrize("size", [(0.0, 1.0, 1.0), (-1.0, 1.0, 1.0), (float("nan"), 1.0, 1.0)])
@pytest.mark.parametrize("name", ["spacing", "micrometers"])
def test_step_of_nothing_is_refused(name, size):
    with pytest.raises(UserError, match=f"`{name}`"):
        VolumeFrame(**{name: size})
