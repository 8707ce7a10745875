"""What of an annotated plane is known, what is held back, and what is learnt from."""

import numpy as np
import pytest
from conftest import discs
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import label, regionprops

from napari_nuclei_unet import UserError
from napari_nuclei_unet.arrays.roi import Region
from napari_nuclei_unet.labels.centroids import locate_nuclei
from napari_nuclei_unet.training.annotation import (
    crop_training_examples,
    crop_validation_examples,
    open_annotated_plane,
)
from napari_nuclei_unet.training.validation_choice import choose_validation_areas


def plane_of(shape, centres, radius=6, **how):
    image = discs(shape, centres, radius)
    return open_annotated_plane("one", image, label(image > 0), **how)


def test_nuclei_are_found_across_blocks_as_skimage_finds_them():
    rng = np.random.default_rng(0)
    labels = label(discs((2100, 1500), rng.integers(0, 1500, (60, 2)).tolist(), 20))
    found = locate_nuclei(labels)
    wanted = regionprops(labels)
    assert found.ids.tolist() == [one.label for one in wanted]
    assert found.areas.tolist() == [one.area for one in wanted]
    np.testing.assert_allclose(found.centres, [one.centroid for one in wanted])
    assert found.low.tolist() == [list(one.bbox[:2]) for one in wanted]
    assert found.high.tolist() == [list(one.bbox[2:]) for one in wanted]


def test_ids_beyond_32_bits_and_no_nuclei():
    labels = np.zeros((40, 40), np.int64)
    assert len(locate_nuclei(labels)) == 0
    labels[3:6, 3:6] = 2**40
    assert locate_nuclei(labels).ids.tolist() == [2**40]
    (crop,) = crop_training_examples(
        open_annotated_plane("one", np.arange(1600).reshape(40, 40), labels), []
    )
    assert crop.ids.max() == 1


places = st.lists(
    st.tuples(st.integers(8, 230), st.integers(8, 330)), min_size=2, max_size=30, unique=True
)


@given(places, st.integers(0, 5), st.floats(0.05, 0.6), st.sampled_from([0, 3]))
def test_no_pixel_and_no_nucleus_is_both_learnt_and_held_back(centres, seed, share, margin):
    plane = plane_of((240, 340), centres, 5, margin=margin)
    try:
        (boxes,) = choose_validation_areas([plane], share, seed)
    except UserError:
        assert len(plane.nuclei) < 2 or np.ptp(plane.nuclei.centres, axis=0).max() < 64
        return
    learnt, held = np.zeros((2, 240, 340), bool)
    for one in crop_training_examples(plane, boxes):
        learnt[_where(one)] |= one.is_known
    for box in boxes:
        pieces = crop_validation_examples(plane, box)
        assert pieces  # areas with nuclei only are held back
        for one in pieces:
            assert len(one.centres)
            held[_where(one)] |= one.is_known
    assert not (learnt & held).any()
    for number in np.unique(plane.labels)[1:]:
        nucleus = plane.labels == number
        for known in (learnt, held):
            assert known[nucleus].all() or not known[nucleus].any()  # never a piece


def _where(example):
    top, left = map(int, example.name.rsplit(" ", 1)[1].split(","))
    height, width = example.ids.shape
    return slice(top, top + height), slice(left, left + width)


def test_a_tenth_is_held_back_the_same_for_the_same_seed():
    grid = [(y, x) for y in range(20, 500, 40) for x in range(20, 500, 40)]
    planes = [plane_of((512, 512), grid) for _ in range(3)]
    held = choose_validation_areas(planes, 0.1, 7)
    assert held == choose_validation_areas(planes, 0.1, 7)
    assert held != choose_validation_areas(planes, 0.1, 8)
    pixels = sum((a.stop - a.start) * (b.stop - b.start) for boxes in held for a, b in boxes)
    assert 0.05 < pixels / (3 * 512 * 512) < 0.15


def test_a_model_is_judged_by_enough_nuclei_and_keeps_enough_to_learn_from():
    grid = [(y, x) for y in range(30, 512, 90) for x in range(30, 512, 90)]
    planes = [plane_of((512, 512), grid)]
    for wanted, least, most in ((0, 1, 9), (10, 10, 18), (30, 1, 9)):
        (boxes,) = choose_validation_areas(planes, 0.1, 0, wanted)
        held = sum(int(planes[0].nuclei.in_box(box).sum()) for box in boxes)
        assert least <= held <= most, wanted
    assert choose_validation_areas(planes, 0.1, 0, 30) == choose_validation_areas(planes, 0.1, 0)
    images = planes * 4
    whole = choose_validation_areas(images, 0.1, 0, 10, [0, 1, 2, 2])
    assert {len(boxes) for boxes in whole} == {0, 1}
    assert [bool(boxes) for boxes in whole][2:] in ([True] * 2, [False] * 2)  # slices of one
    for boxes in whole:
        assert boxes in ([], [(slice(0, 512), slice(0, 512))])


def test_unfinished_areas_and_what_lies_beyond_the_margin_are_unknown():
    centres = [(30, 30), (30, 100), (100, 30)]
    left = Region.of([[(0, 0), (0, 60), (139, 60), (139, 0)]])
    (crop,) = crop_training_examples(plane_of((140, 140), centres, finished=left), [])
    assert crop.is_known[:, :61].all()
    assert not crop.is_known[:, 61:].any()
    assert len(crop.centres) == 2
    (crop,) = crop_training_examples(plane_of((140, 140), centres, margin=4), [])
    known = np.zeros((140, 140), bool)
    known[_where(crop)] = crop.is_known
    assert known[30, 30 + 6 + 3]
    assert not known[30, 30 + 6 + 6]
    assert len(crop.centres) == 3


def test_nan_is_unknown():
    image = discs((64, 64), [(20, 20), (40, 40)]).astype(np.float32)
    truth = label(image > 0)
    image[5:8] = np.nan
    (crop,) = crop_training_examples(open_annotated_plane("one", image, truth), [])
    assert not crop.is_known[5:8].any()
    assert crop.is_known[8:].all()
    assert np.isfinite(crop.image.numpy()).all()


class Recorded:
    """An array that remembers the most that was read of it at once."""

    def __init__(self, array):
        self.array, self.most = array, 0
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, index):
        part = self.array[index]
        self.most = max(self.most, part.size)
        return part


@pytest.mark.parametrize("margin", [0, 8])
def test_a_large_plane_is_never_read_whole(margin):
    rng = np.random.default_rng(1)
    centres = rng.integers(20, 5980, (20, 2)).tolist()
    truth = label(discs((6000, 6000), centres, 12))
    image = Recorded(rng.integers(0, 255, (6000, 6000), dtype=np.uint8))
    labels = Recorded(truth)
    plane = open_annotated_plane("large", image, labels, margin=margin)
    (boxes,) = choose_validation_areas([plane], 0.1, 0)
    crops = [
        *crop_training_examples(plane, boxes),
        *(one for box in boxes for one in crop_validation_examples(plane, box)),
    ]
    places = [one.centres + [part.start for part in _where(one)] for one in crops]
    assert len(np.unique(np.concatenate(places).round(), axis=0)) == len(plane.nuclei)
    assert max(image.most, labels.most) <= 4_000_000
    assert sum(one.labels.numel() for one in crops) < 50e6


def test_a_large_area_is_held_back_in_pieces():
    centres = [(y, x) for y in range(40, 1500, 90) for x in range(40, 1500, 90)]
    plane = plane_of((1500, 1500), centres, 12)
    pieces = crop_validation_examples(plane, (slice(0, 1500), slice(0, 1500)))
    assert len(pieces) > 1
    assert max(one.labels.numel() for one in pieces) < 700**2


def test_of_a_plane_without_labels_not_a_pixel_is_read():
    image = Recorded(np.zeros((100, 100)))
    assert open_annotated_plane("one", image, np.zeros((100, 100), int)) is None
    assert image.most == 0


@pytest.mark.parametrize(
    ("centres", "words"),
    [
        ([], "Nothing is annotated"),
        ([(20, 20)], "Only one nucleus"),
        ([(20, 20), (20, 22)], "Only one nucleus"),  # grown together
    ],
)
def test_too_little_is_told(centres, words):
    planes = [one for one in [plane_of((64, 64), centres)] if one is not None]
    with pytest.raises(UserError, match=words):
        choose_validation_areas(planes, 0.1, 0)


def test_two_nuclei_side_by_side_cannot_be_parted():
    plane = plane_of((64, 64), [(16, 12), (16, 24)], 4)
    with pytest.raises(UserError, match="so close together"):
        choose_validation_areas([plane], 0.1, 0)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.ones((5, 6), int), "labels"),
        (np.zeros((5, 5)), "whole numbers"),
        (np.full((5, 5), -1), "negative"),
    ],
)
def test_labels_that_are_none_are_told(labels, words):
    with pytest.raises(UserError, match=words):
        open_annotated_plane("one", np.zeros((5, 5)), labels)
