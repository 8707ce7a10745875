"""Labels lie exactly on their image, whatever its geometry."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_nuclei_unet.arrays.axes import PlaneIndex
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.provenance.record import Provenance
from napari_nuclei_unet.widgets.layers.geometry import plane_on_view
from napari_nuclei_unet.widgets.layers.labels_layer import show_labels as show_in
from napari_nuclei_unet.widgets.layers.metadata_keys import METADATA_KEY
from napari_nuclei_unet.widgets.layers.placement import get_layer_placement
from widgets.conftest import drawn

MADE = Provenance(model="nuclei", params=SegmentParams())

number = st.floats(0.1, 10)


def show_labels(viewer, image, index, labels, record):
    """Labels of the plane with an index of numpy."""
    cut = PlaneIndex(tuple(None if isinstance(at, slice) else at for at in index))
    place = get_layer_placement(image, cut)
    return show_in(viewer, image, place, np.asarray(labels, np.int32), None, record)


@given(
    ndim=st.integers(2, 4),
    scale=st.lists(number, min_size=4, max_size=4),
    translate=st.lists(st.floats(-100, 100), min_size=4, max_size=4),
    angle=st.floats(-180, 180),
    shear=st.floats(-1, 1),
    rgb=st.booleans(),
)
@settings(max_examples=20)
def test_a_pixel_has_one_place_in_the_world(ndim, scale, translate, angle, shear, rgb):
    shape = (3, 4, 20, 30)[-ndim:]
    affine = np.eye(ndim + 1)
    affine[0, -1] = 5
    affine[-2, -3] = 0.2
    image = Image(
        np.zeros((*shape, 3) if rgb else shape),
        rgb=rgb,
        scale=scale[:ndim],
        translate=translate[:ndim],
        rotate=angle if ndim == 2 else None,
        shear=[shear] if ndim == 2 else None,
        affine=affine,
        units=("um",) * ndim,
        axis_labels=tuple("tzyx"[-ndim:]),
    )
    viewer = ViewerModel()
    viewer.add_layer(image)
    index = plane_on_view(viewer, image)
    labels = show_labels(viewer, image, index, np.ones((20, 30), np.int32), MADE)
    assert labels.data.shape == shape
    assert labels.units == image.units
    assert labels.axis_labels == image.axis_labels
    for pixel in np.random.default_rng(0).integers(0, shape, (5, ndim)):
        np.testing.assert_allclose(labels.data_to_world(pixel), image.data_to_world(pixel))


@pytest.fixture
def stack():
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((5, 6, 20, 30)), scale=(1, 2, 0.5, 0.5), name="stack")
    return viewer, image


def test_the_plane_on_view_follows_the_sliders(stack):
    viewer, image = stack
    viewer.dims.set_point((0, 1), (3, 4))
    assert plane_on_view(viewer, image) == (3, 2, slice(None), slice(None))


@pytest.mark.parametrize(
    "geometry",
    [
        {"rotate": (20, 0, 0)},
        {"rotate": (0, 20, 0)},
        {"shear": [0.3, 0.2, 0.1]},
        {"affine": [[1, 0, 0.4, 2], [0, 1, 0, 0], [0, 0.3, 1, 0], [0, 0, 0, 1]]},
        {"scale": (3, 0.5, 0.5), "translate": (7, 1, 2)},
    ],
    ids=str,
)
def test_the_plane_on_view_is_the_one_that_napari_draws(geometry):
    data = np.arange(12)[:, None, None] * np.ones((12, 30, 40))
    viewer = ViewerModel()
    image = viewer.add_image(data, **geometry)
    seen = set()
    for world in np.linspace(*viewer.dims.range[0][:2], 9):
        viewer.dims.set_point(0, world)
        pixels = drawn(image)
        try:
            index = plane_on_view(viewer, image)
        except UserError:
            assert not pixels.any()  # napari draws nothing
            continue
        assert (data[index] == pixels).all()
        seen.add(index[0])
    assert len(seen) > 3


def test_sliders_beyond_the_layer_and_empty_layers_are_told(stack):
    viewer, _ = stack
    short = viewer.add_image(np.ones((2, 6, 20, 30)), name="short")
    viewer.dims.set_point(0, 4)
    with pytest.raises(UserError, match="shows nothing of 'short'"):
        plane_on_view(viewer, short)


def test_labels_that_were_narrowed_are_widened_again(stack):
    viewer, image = stack
    index = (0, 1, slice(None), slice(None))
    labels = show_labels(viewer, image, index, np.full((20, 30), 5), MADE)
    labels.data = labels.data.astype(np.uint8)
    assert show_labels(viewer, image, index, np.full((20, 30), 4095), MADE) is labels
    assert labels.data.max() == 4095


def test_a_copy_of_the_result_is_left_alone(stack):
    viewer, image = stack
    index = (0, 1, slice(None), slice(None))
    labels = show_labels(viewer, image, index, np.full((20, 30), 1), MADE)
    backup = viewer.add_labels(np.full(labels.data.shape, 7), metadata=labels.metadata)
    viewer.layers.remove(labels)
    assert show_labels(viewer, image, index, np.full((20, 30), 2), MADE) is not backup
    assert (backup.data == 7).all()


def test_labels_larger_than_memory_are_told():
    viewer = ViewerModel()
    planes = np.broadcast_to(np.zeros((1, 64, 64), np.uint8), (2_000_000_000, 64, 64))
    image = viewer.add_image(planes, contrast_limits=(0, 1))
    index = (3, slice(None), slice(None))
    with pytest.raises(UserError, match="not enough memory for labels"):
        show_labels(viewer, image, index, np.ones((64, 64), int), MADE)


def test_the_plane_on_view_follows_the_order_of_axes(stack):
    viewer, image = stack
    viewer.dims.order = (2, 0, 1, 3)
    viewer.dims.set_point(2, 3.5)
    assert plane_on_view(viewer, image) == (2, slice(None), 7, slice(None))


def test_in_a_3d_view_the_last_two_axes_are_the_plane(stack):
    viewer, image = stack
    viewer.dims.ndisplay = 3
    index = plane_on_view(viewer, image)
    assert index[2:] == (slice(None), slice(None))
    assert all(isinstance(i, int) for i in index[:2])


def test_a_flat_image_beside_a_stack_is_its_own_plane(stack):
    viewer, _ = stack
    flat = viewer.add_image(np.zeros((8, 9)))
    assert plane_on_view(viewer, flat) == (slice(None), slice(None))


def test_other_planes_keep_their_labels(stack):
    viewer, image = stack
    for t in (0, 3):
        show_labels(viewer, image, (t, 1, slice(None), slice(None)), np.ones((20, 30)), MADE)
    (labels,) = (layer for layer in viewer.layers if isinstance(layer, Labels))
    assert labels.name == "stack nuclei"
    assert (labels.data[0, 1] == 1).all()
    assert (labels.data[3, 1] == 2).all()  # no two planes share an id
    assert np.count_nonzero(labels.data) == 2 * 20 * 30


def test_multiscale_labels_have_full_resolution():
    viewer = ViewerModel()
    image = viewer.add_image([np.zeros((64, 64)), np.zeros((32, 32))], multiscale=True)
    labels = show_labels(viewer, image, plane_on_view(viewer, image), np.ones((64, 64), int), MADE)
    assert labels.data.shape == (64, 64)
    assert labels.metadata[METADATA_KEY]["image"] == str(image.unique_id)
