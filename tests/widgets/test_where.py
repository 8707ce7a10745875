"""Where and what: regions, channels, levels; labels lie where they belong."""

import numpy as np
import pytest
from conftest import discs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image, Labels
from scipy import ndimage

from napari_nuclei_unet import segment
from napari_nuclei_unet.arrays.axes import PlaneIndex
from napari_nuclei_unet.arrays.roi import Region
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.provenance.record import Provenance
from napari_nuclei_unet.widgets.common.controller import RunState
from napari_nuclei_unet.widgets.layers.geometry import plane_on_view
from napari_nuclei_unet.widgets.layers.image_source import (
    VISIBLE_REGION,
    SourceOptions,
    source_on_view,
)
from napari_nuclei_unet.widgets.layers.labels_layer import show_labels as show_in
from napari_nuclei_unet.widgets.layers.placement import get_layer_placement
from widgets.conftest import choose, click, click_and_wait, drawn, offered

MADE = Provenance(model="nuclei", params=SegmentParams())

CENTRES = [(20, 20), (20, 60), (20, 100), (60, 20), (60, 60), (60, 100)]


def show_labels(viewer, image, cut, *rest):
    """Labels of a plane."""
    return show_in(viewer, image, get_layer_placement(image, cut), *rest)


@pytest.fixture
def six():
    return discs((80, 120), CENTRES)


def labels_in(viewer):
    return [layer for layer in viewer.layers if isinstance(layer, Labels)]


def test_inside_shapes_only_and_the_rest_stays(qtbot, viewer, widget, six):
    image = viewer.add_image(six, name="cells", scale=(2, 3), translate=(10, -5))
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    before = labels.data.copy()
    shapes = viewer.add_shapes(
        [[[5, 5], [5, 38], [38, 38], [38, 5]], [[45, 85], [45, 118], [78, 118], [78, 85]]],
        shape_type=["rectangle", "polygon"],
        scale=image.scale,
        translate=image.translate,
    )
    viewer.layers.selection.active = image
    image.data = np.zeros_like(six) + np.eye(80, 120, dtype=six.dtype)
    choose(widget, region=shapes)
    click_and_wait(qtbot, widget)
    inside = Region.of(shapes.data).mask(six.shape)
    np.testing.assert_array_equal(labels.data[~inside], before[~inside])
    assert not labels.data[30, 30]
    assert labels.data[60, 60]
    assert not labels.data[60, 100]


def test_what_the_view_shows(qtbot, viewer, widget, six, bright):
    image = viewer.add_image(six, name="cells")
    image.corner_pixels = np.array([[0, 40], [45, 119]])
    click_and_wait(qtbot, widget, "preview")
    (labels,) = labels_in(viewer)
    assert labels.data.shape == six.shape
    found = set(np.unique(labels.data)) - {0}
    assert len(found) == 2
    assert labels.data[20, 60]
    assert labels.data[20, 100]


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda v: v.add_shapes(name="s"), "has no shape"),
        (lambda v: v.add_shapes([[[0, 0], [9, 9]]], shape_type="line", name="s"), "line or path"),
        (lambda v: v.add_shapes([[[500, 500], [500, 600], [600, 600]]], shape_type="polygon",
                                name="s"), "cover no pixel"),
    ],
)  # fmt: skip
def test_shapes_that_are_no_region(viewer, widget, six, messages, draw, words):
    viewer.add_image(six, name="cells")
    shapes = draw(viewer)
    choose(widget, region=shapes)
    click(widget, "segment")
    assert words in messages[-1][1]
    assert widget.state is RunState.IDLE
    assert not labels_in(viewer)


def test_a_view_that_shows_nothing_of_the_image(viewer, widget, six, messages):
    image = viewer.add_image(six, name="cells")
    image.corner_pixels = np.array([[300, 300], [400, 400]])
    click(widget, "preview")
    assert "shows no pixel of 'cells'" in messages[-1][1]


def test_a_flattened_image_is_told(viewer, widget, six, messages):
    viewer.add_image(six, name="flat")
    # far enough from singular that napari takes it: of [[1, 1], [1, 1]] some processors leave it a
    # zero, which it refuses, and others 2e-16
    viewer.layers["flat"].affine = np.array([[1, 1, 0], [1, 1 + 1e-7, 0], [0, 0, 1]])
    click(widget, "segment")
    assert "flattened" in messages[-1][1]


@pytest.mark.parametrize("translate", [0, 1e6 / 3])
@pytest.mark.parametrize("kind", [Image, Labels])
@pytest.mark.parametrize(
    "linear", [[[1, 1], [1, 1]], [[1, 3], [0.1, 0.3]], [[0, 0], [0, 1]], [[1, 1], [1, 1 + 1e-9]]]
)
def test_a_flattened_layer_is_told_whatever_rounding_leaves_of_it(linear, kind, translate):
    """Its pivot is zero on one processor, 2e-16 on the next, and more beside a translation."""
    layer = kind(np.zeros((8, 9), np.uint8), translate=(translate, -translate))
    layer.affine = np.block([[np.array(linear), np.ones((2, 1))], [np.zeros((1, 2)), 1]])
    with pytest.raises(UserError, match="flattened"):
        plane_on_view(ViewerModel(), layer)


@pytest.mark.parametrize("shear", [0, 0.8, 1e3])
@pytest.mark.parametrize("scale", [(1, 1), (1e-9, 1e9), (1e-20, 2e-20), (1, 1e-15)])
def test_small_and_unequal_pixels_are_not_flattened(scale, shear):
    image = Image(np.zeros((8, 9)), scale=scale, shear=[shear], rotate=30)
    assert plane_on_view(ViewerModel(), image) == (slice(None), slice(None))


def test_a_volume_that_is_turned_out_of_the_view_has_no_region_in_it():
    affine = np.eye(4)
    turn = np.deg2rad(90)  # what its cosine is, beside zero, is up to the processor
    affine[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((5, 60, 80)), affine=affine)
    shapes = viewer.add_shapes([[[0, 10], [0, 40], [-9, 40]]], shape_type="polygon")
    with pytest.raises(UserError, match="no area"):
        source_on_view(viewer, image, SourceOptions(region=shapes))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_any_axis_can_hold_channels(qtbot, viewer, widget, six, bright, axis):
    channels = np.stack([six * 0, six, six // 2], axis=axis)
    viewer.add_image(channels, name="colours", rgb=False)
    assert widget.source_form.value().channel_axis == axis  # the shortest by far
    choose(widget, channel=1)
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    assert labels.data.size == six.size
    np.testing.assert_array_equal(labels.data.reshape(six.shape), segment(six, bright))
    choose(widget, channel="mean")
    click_and_wait(qtbot, widget)
    mean = channels.mean(axis=axis, dtype=np.float32)
    np.testing.assert_array_equal(labels.data.reshape(six.shape), segment(mean, bright))


def test_names_say_which_axis_holds_channels_and_the_choice_can_be_changed(viewer, widget):
    viewer.add_image(np.zeros((7, 2, 30, 40)), axis_labels=("C", "t", "y", "x"))
    assert widget.source_form.value().channel_axis == 0
    viewer.add_image(np.zeros((3, 30, 40)), axis_labels=("z", "y", "x"))
    assert widget.source_form.value().channel_axis is None
    choose(widget, channel_axis=0)
    assert offered(widget, "channel") == ["on view", "mean", "0", "1", "2"]


@pytest.mark.parametrize("level", [0, 1])
def test_every_level_gives_labels_of_the_full_shape_in_place(qtbot, viewer, widget, six, level):
    big = np.kron(six, np.ones((4, 4), six.dtype))
    viewer.add_image([big, big[::2, ::2]], multiscale=True, name="pyramid")
    choose(widget, level=level)
    click_and_wait(qtbot, widget)
    (labels,) = labels_in(viewer)
    assert labels.data.shape == big.shape
    centres = ndimage.center_of_mass(labels.data > 0, labels.data, range(1, 7))
    wanted = [(4 * y + 1.5, 4 * x + 1.5) for y, x in CENTRES]
    np.testing.assert_allclose(sorted(centres), wanted, atol=1.5)


def geometries():
    number = st.floats(0.2, 5)
    return st.fixed_dictionaries(
        {
            "scale": st.tuples(number, number, number),
            "translate": st.tuples(*[st.floats(-50, 50)] * 3),
            "angle": st.floats(-180, 180),
            "shear": st.floats(-0.8, 0.8),
            "channel_axis": st.sampled_from([None, 0, 1, 2]),
            "level": st.booleans(),
        }
    )


@given(geometries())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_centroid_has_one_place_in_the_world(geometry):
    """From labels to the world and back through the image: the same pixel, for every channel."""
    axis = geometry["channel_axis"]
    shape = [3, 40, 60] if axis is None else [40, 60]
    if axis is not None:
        shape.insert(axis, 3)
    plane_axes = [i for i in range(3) if i != (0 if axis is None else axis)]
    turn = np.eye(3)
    c, s = np.cos(np.deg2rad(geometry["angle"])), np.sin(np.deg2rad(geometry["angle"]))
    turn[np.ix_(plane_axes, plane_axes)] = [[c, -s], [s, c]]
    affine = np.eye(4)
    affine[plane_axes[0], plane_axes[1]] = geometry["shear"]
    affine[:3, 3] = (3, -4, 5)
    image = Image(
        np.zeros(shape), rgb=False, scale=geometry["scale"], translate=geometry["translate"],
        rotate=turn, affine=affine, units=("um",) * 3, axis_labels=tuple("abc"),
    )  # fmt: skip
    viewer = ViewerModel()
    viewer.add_layer(image)
    index = [None] * 3
    index[0 if axis is None else axis] = 1
    cut = PlaneIndex(tuple(index), axis)
    found = np.zeros((40, 60), np.int32)
    found[5:9, 10:15], found[30:36, 40:52] = 1, 2
    inside = np.zeros((40, 60), bool)
    inside[:20] = True
    labels = show_labels(viewer, image, cut, found, None, MADE)
    show_labels(viewer, image, cut, np.where(inside, found, 0), inside, MADE)
    place = get_layer_placement(image, cut)
    for y, x in ((6.5, 12), (32.5, 45.5)):
        here = np.array([0.0 if isinstance(at, slice) else at for at in place.index])
        here[[i for i, at in enumerate(place.index) if isinstance(at, slice)]] = y, x
        world = np.asarray(labels.data_to_world(here))
        there = np.array([1.0 if i not in plane_axes else 0 for i in range(3)])
        there[plane_axes] = y, x
        expected = np.asarray(image.data_to_world(there))
        np.testing.assert_allclose(world, expected[-len(world) :], atol=1e-9)
    assert labels.units == image.units[-labels.ndim :]
    assert labels.axis_labels == image.axis_labels[-labels.ndim :]


def test_labels_are_seen_beside_every_channel():
    """Where the axis of channels is not the first, one pixel of labels spans all of them."""
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((4, 3, 20, 30)), scale=(1, 2, 1, 1))
    cut = PlaneIndex((2, 1, None, None), 1)
    labels = show_labels(viewer, image, cut, np.ones((20, 30), np.int32), None, MADE)
    assert labels.data.shape == (4, 1, 20, 30)
    for channel in range(3):
        viewer.dims.set_current_step((0, 1), (2, channel))
        assert (drawn(labels) == 1).all()
    viewer.dims.set_current_step(0, 1)
    assert not drawn(labels).any()


def test_a_turned_layer_has_its_shapes_where_they_are_drawn():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((60, 80)), rotate=30, scale=(0.5, 2), translate=(7, 9))
    corners = np.array([[10, 10], [10, 40], [30, 40], [30, 10]], float)
    drawn = np.array([image.data_to_world(corner) for corner in corners])
    shapes = viewer.add_shapes([drawn], shape_type="polygon")
    source = source_on_view(viewer, image, SourceOptions(region=shapes))
    np.testing.assert_allclose(source.region.polygons[0], corners, atol=1e-4)
    viewer.dims.ndisplay = 3
    with pytest.raises(UserError, match="3-D view"):
        source_on_view(viewer, image, SourceOptions(region=VISIBLE_REGION))


def test_units_of_other_layers_move_neither_plane_nor_region():
    """napari counts sliders in the smallest unit of all layers."""
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((5, 60, 80)), scale=(2, 1, 1), units=("um",) * 3)
    viewer.add_image(np.zeros((5, 60, 80)), units=("nm",) * 3)
    viewer.dims.set_point(0, 6_000)
    assert source_on_view(viewer, image, SourceOptions()).plane_index.index == (3, None, None)
    corners = np.array([[10, 10], [10, 40], [30, 40], [30, 10]], float)
    shapes = viewer.add_shapes([corners * 1000], shape_type="polygon", units=("nm", "nm"))
    source = source_on_view(viewer, image, SourceOptions(region=shapes))
    np.testing.assert_allclose(source.region.polygons[0], corners, atol=1e-3)
