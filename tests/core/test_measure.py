"""The table of nuclei against scikit-image, and against shapes of known size."""

import numpy as np
import pytest
from conftest import region_median
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import regionprops_table

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.labels import run_lengths as runs
from napari_nuclei_unet.labels import shape as outlines
from napari_nuclei_unet.labels.regionprops import Frame, bounding_boxes, measure
from napari_nuclei_unet.labels.volume_regionprops import measure_volume
from napari_nuclei_unet.samples.images import read_sample

SHAPES = {
    "area": "area",
    "equivalent_diameter": "equivalent_diameter_area",
    "major_axis": "axis_major_length",
    "minor_axis": "axis_minor_length",
    "eccentricity": "eccentricity",
    "solidity": "solidity",
    "feret_diameter": "feret_diameter_max",
}
STATISTICS = ("mean", "min", "max", "std")
INTENSITIES = {f"{name}_intensity": f"intensity_{name}" for name in STATISTICS}
SAMPLES = ["fluorescence_small", "fluorescence_large", "grayscale_tissue"]


def blobs(seed):
    """Nuclei in pieces, with holes, that touch each other and the edge; and an image."""
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 50, 2)
    if rng.integers(2):
        hills = ndimage.gaussian_filter(rng.random(shape), 3 * rng.random())
        labels = np.digitize(hills, [0.45, 0.5, 0.55])
    else:
        labels = np.zeros(shape, np.int64)
        for nucleus in range(1, rng.integers(2, 7)):
            top, left = rng.integers(0, shape)
            height, width = rng.integers(1, 20, 2)
            labels[top : top + height, left : left + width] = nucleus
            labels[tuple(rng.integers(0, shape))] = nucleus
        labels[rng.random(shape) < 0.3 * rng.random()] = 0
    return labels, 1e4 + rng.random(shape)


planes = st.integers(0, 2**32 - 1).map(blobs)


def check(labels, image, spacing):
    table = measure(labels, image, frame=Frame(spacing))
    if not labels.any():
        return
    columns = SHAPES | INTENSITIES
    if spacing[0] == spacing[1]:  # scikit-image knows no other
        columns |= {"perimeter": "perimeter"}
    theirs = regionprops_table(
        labels.astype(np.int32), image, ["label", "centroid", "orientation", *columns.values()],
        spacing=spacing, extra_properties=[region_median],
    )  # fmt: skip
    columns |= {"median_intensity": "region_median"}
    np.testing.assert_array_equal(table["label"], theirs["label"])
    for axis, name in enumerate(("centroid_y", "centroid_x")):
        np.testing.assert_allclose(table[name] * spacing[axis], theirs[f"centroid-{axis}"], 1e-6)
    for ours, name in columns.items():
        # 0 of a line or a circle is a difference of equal numbers, whose root is taken
        rounded = 1e-6 * max(theirs["axis_major_length"].max(), 1)
        atol = rounded if ours in ("minor_axis", "eccentricity") else 1e-12
        np.testing.assert_allclose(table[ours], theirs[name], 1e-6, atol, err_msg=ours)
    total = np.bincount(labels.ravel(), image.ravel())[table["label"]]
    np.testing.assert_allclose(table["integrated_intensity"], total, 1e-6)
    check_direction(table, theirs["orientation"])


def check_direction(table, orientation):
    """Compare the orientation of nuclei that have one, as an angle that does not jump."""
    long = table["eccentricity"] > 0.01
    turned = 2 * (table["orientation"] - orientation)[long]
    np.testing.assert_allclose(np.cos(turned), 1, rtol=1e-6)
    assert table["orientation"].between(-np.pi / 2, np.pi / 2).all()


def assert_same(one, other, rtol=1e-9):
    assert list(one) == list(other)
    for name, column in one.items():
        assert column.dtype == other[name].dtype, name
        np.testing.assert_allclose(column, other[name], rtol, 1e-6, err_msg=name)


@given(planes, st.sampled_from([(1.0, 1.0), (0.37, 0.37), (1.3, 0.4)]))
@settings(max_examples=200)
def test_it_is_that_of_scikit_image(plane, spacing):
    check(*plane, spacing)


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.2, 0.5)])
def test_of_the_samples_too(name, spacing):
    image, labels = read_sample(name)
    check(labels, image if image.ndim == 2 else image[..., 0], spacing)


def test_every_channel_has_its_columns():
    image, labels = read_sample("histology_purple")
    table = measure(labels, image, channels=("R", "G", "B"))
    theirs = regionprops_table(labels, image, ["intensity_mean", "intensity_std"])
    for number, name in enumerate("RGB"):
        np.testing.assert_allclose(
            table[f"mean_intensity_{name}"], theirs[f"intensity_mean-{number}"]
        )
        np.testing.assert_allclose(
            table[f"std_intensity_{name}"], theirs[f"intensity_std-{number}"]
        )
    grey = measure(labels, image.mean(axis=2))
    np.testing.assert_allclose(table["mean_intensity"], grey["mean_intensity"])
    first = [f"{what}_intensity" + end for end in ("_0", "_1", "_2") for what in
             ("mean", "min", "max", "std", "median", "integrated")]  # fmt: skip
    shape = list(grey)[: list(grey).index("mean_intensity")]
    expected = [*shape, "mean_intensity", *first, "confidence", "touches_border"]
    assert list(measure(labels, image)) == expected
    assert list(measure(labels, image, channels=("same", "same", "same"))) == expected
    assert list(measure(labels, None)) == [*shape, "confidence", "touches_border"]


@given(planes, st.sampled_from([np.uint16, np.int32, np.int64]))
@settings(max_examples=50)
def test_ids_may_be_any(plane, dtype):
    labels, image = plane
    ids = np.array([0, 3, 70, 500, 501, np.iinfo(dtype).max - 1, np.iinfo(dtype).max], dtype)
    table, moved = measure(labels, image), measure(ids[labels], image)
    assert_same(table.assign(label=ids[table["label"]].astype(np.int64)), moved, 0)


@given(planes, st.tuples(st.integers(0, 9), st.integers(0, 9)))
@settings(max_examples=50)
def test_a_part_has_the_rows_of_the_whole(plane, margin):
    part, image = plane
    around = [(margin[0], margin[1]), (margin[1], margin[0])]
    labels, pixels = np.pad(part, around), np.pad(image, around)
    frame = Frame((0.5, 0.8), (margin[0], margin[1]), labels.shape)
    assert_same(
        measure(part, image, image / 2e4, frame),
        measure(labels, pixels, pixels / 2e4, Frame((0.5, 0.8))),
    )


@given(planes)
@settings(max_examples=50)
def test_however_much_is_looked_at_in_one_go(plane):
    labels, image = plane
    whole = measure(labels, image, image / 2e4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "BAND", 60)
        patch.setattr(outlines, "HULL_ROWS", 5)
        assert_same(measure(labels, image, image / 2e4), whole, 0)


def test_without_nuclei_there_are_all_columns_and_no_rows():
    image, labels = read_sample("histology_purple")
    full = measure(labels, image)
    for shape in ((0, 0), (0, 5), (5, 0), (5, 5)):
        empty = measure(np.zeros(shape, np.uint16), np.zeros((*shape, 3), np.uint8))
        assert list(empty) == list(full)
        assert len(empty) == 0
        assert empty.dtypes.equals(full.dtypes)
        assert bounding_boxes(np.zeros(shape, np.uint16))[1].shape == (0, 4)


def test_a_rectangle_has_its_size_in_units_of_the_spacing():
    labels = np.zeros((40, 50), np.int32)
    labels[5:25, 10:41] = 3
    [table] = measure(labels, None, frame=Frame((2.0, 0.5))).to_dict("records")
    assert table["area"] == 20 * 31
    assert table["perimeter"] == 2 * (19 * 2 + 30 * 0.5)
    assert (table["centroid_y"], table["centroid_x"]) == (14.5, 25)
    assert table["solidity"] == 1
    assert table["major_axis"] == pytest.approx(4 * 2 * np.sqrt((20**2 - 1) / 12))
    assert np.isnan(table["confidence"])


def test_a_disc_is_round_whatever_the_spacing():
    y, x = np.mgrid[-40:41, -80:81]
    labels = (np.hypot(y, x / 2) < 36).astype(np.uint8)
    [table] = measure(labels, None, frame=Frame((1.0, 0.5))).to_dict("records")
    assert table["major_axis"] == pytest.approx(72, rel=0.01)
    assert table["equivalent_diameter"] == pytest.approx(72, rel=0.01)
    assert table["perimeter"] == pytest.approx(np.pi * 72, rel=0.08)
    assert table["eccentricity"] < 0.1
    assert table["solidity"] > 0.97


def test_ratios_are_those_of_their_columns_and_not_infinite():
    labels = np.zeros((40, 60), int)
    labels[5:15, 5:25], labels[20, 5:25], labels[30, 30] = 1, 2, 3
    table = measure(labels, None)
    assert table["aspect_ratio"][0] == pytest.approx(
        table["major_axis"][0] / table["minor_axis"][0]
    )
    assert table["circularity"][0] == pytest.approx(4 * np.pi * 200 / table["perimeter"][0] ** 2)
    assert table["aspect_ratio"].isna().tolist() == [False, True, True]
    assert np.isnan(table["circularity"][2])  # a pixel has no perimeter
    assert table["feret_diameter"][1] == 20


def test_it_tells_which_nuclei_touch_the_edge_of_the_plane():
    labels = np.zeros((6, 7), np.int32)
    labels[0, 2], labels[3, 0], labels[5, 3], labels[2, 6], labels[2:4, 2:5] = 1, 2, 3, 4, 5
    assert measure(labels, None)["touches_border"].tolist() == [True] * 4 + [False]
    inner = Frame(offset=(1, 1), shape=(9, 9))
    assert not measure(labels, None, frame=inner)["touches_border"].any()
    last = Frame(offset=(3, 2), shape=(9, 9))
    assert measure(labels, None, frame=last)["touches_border"].tolist() == [
        False, False, True, True, False,
    ]  # fmt: skip


def test_what_is_not_finite_counts_as_zero():
    labels = np.ones((1, 4), np.uint8)
    image = np.array([[np.nan, np.inf, -np.inf, 8]], np.float32)
    [table] = measure(labels, image).to_dict("records")
    assert table["mean_intensity"] == 2
    assert (table["min_intensity"], table["max_intensity"]) == (0, 8)
    assert table["std_intensity"] == pytest.approx(np.std([0, 0, 0, 8]))


def test_deviations_are_not_lost_beside_a_large_mean():
    labels = np.repeat([[1], [1], [2]], 1000, axis=1)
    image = 1e9 + np.random.default_rng(0).random(labels.shape)
    image[1] += 1  # a row unlike the other
    expected = [np.std(image[:2] - 1e9), np.std(image[2] - 1e9)]
    np.testing.assert_allclose(measure(labels, image)["std_intensity"], expected, 1e-6)


def test_every_nucleus_has_its_box():
    _, labels = read_sample("fluorescence_large")
    theirs = regionprops_table(labels, properties=["label", "bbox"])
    ids, found = bounding_boxes(labels)
    np.testing.assert_array_equal(ids, theirs["label"])
    np.testing.assert_array_equal(found, np.stack([theirs[f"bbox-{n}"] for n in range(4)], axis=1))


@pytest.mark.parametrize(
    ("measure_objects", "labels", "image"),
    [
        (measure, (6, 7), (5, 7)),
        (measure, (6, 7), (8, 9)),
        (measure, (6, 7), (2, 6, 7)),
        (measure, (1, 6, 7), (6, 7)),
        (measure_volume, (2, 6, 7), (3, 4, 7)),  # as many voxels
        (measure_volume, (6, 7), (2, 6, 7)),
    ],
)
def test_an_image_of_another_shape_is_refused(measure_objects, labels, image):
    with pytest.raises(UserError, match=r"^(The labels have the shape|Give labels of shape) .*\.$"):
        measure_objects(np.ones(labels, int), np.ones(image))
    if len(labels) == len(image):
        with pytest.raises(UserError, match=r"but the probability"):
            measure_objects(np.ones(labels, int), None, np.ones(image))
