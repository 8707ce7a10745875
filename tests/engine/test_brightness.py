"""What cameras and programs write into an image changes nothing of what is found."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import add_debris, add_frame, add_hot_pixels, add_lines, add_stamp, nuclei_image

from napari_nuclei_unet import SegmentParams, UserError, run, segment, segment_stack
from napari_nuclei_unet.blockwise.block import BlockParams, InMemoryPlane
from napari_nuclei_unet.blockwise.journal import Journal
from napari_nuclei_unet.blockwise.run import segment_blockwise_steps
from napari_nuclei_unet.blockwise.stages import BlockwisePlane
from napari_nuclei_unet.blockwise.survey import Survey, survey_steps
from napari_nuclei_unet.io.ngff import LabelsGrid
from napari_nuclei_unet.io.ome_zarr import LabelsStore
from napari_nuclei_unet.metrics.matching import count_matches
from napari_nuclei_unet.segmentation.device import plan_inference
from napari_nuclei_unet.segmentation.intensity_range import Brightness, estimate_intensity_range

CLEAN, PLACES = nuclei_image()
ARTEFACTS = {
    "row": add_lines(CLEAN, 1, 0, 80),
    "lines": add_lines(CLEAN, 2, 1, 80),
    "frame": add_frame(CLEAN, 5, 80),
    "black frame": add_frame(CLEAN, 5, -40),
    "hot pixels": add_hot_pixels(CLEAN, 0.01, 80),
    "stamp": add_stamp(CLEAN, 80),
    "debris": add_debris(CLEAN, 0.008, 100),
}


def as_camera(pixels):
    """Return 16 bits on an offset of half the range."""
    return np.clip(np.round(pixels * 800 + 32_868), 0, 65_535).astype(np.uint16)


def count_found(labels):
    """Count places at which there is a nucleus of its own."""
    return len({labels[place] for place in PLACES} - {0})


@pytest.mark.parametrize("name", ARTEFACTS)
def test_all_nuclei_are_found(name):
    pixels = as_camera(ARTEFACTS[name])
    assert count_found(segment(pixels)) == 9
    assert count_found(segment(pixels.astype(np.float32) / 7 - 9000)) == 9


def test_an_offset_changes_nothing():
    pixels = np.round(CLEAN * 800 + 100)
    labels = segment(pixels.astype(np.uint16))
    np.testing.assert_array_equal(segment((pixels + 32_768).astype(np.uint16)), labels)
    np.testing.assert_array_equal(segment((pixels - 1e6).astype(np.int32)), labels)
    assert labels.max() == 9


def stream(pixels, folder, params):
    store = LabelsStore.create(
        folder / "out.zarr", LabelsGrid(pixels.shape, "YX", (1, 1), (None, None)), "i4"
    )
    journal = Journal(folder / "journal.json", folder / "out.csv", {})
    journal.begin()
    notices = []
    run(
        segment_blockwise_steps([BlockwisePlane(InMemoryPlane(pixels))], store, journal, params),
        lambda step: notices.append(step.notice),
    )
    return store.labels[:], [notice for notice in notices if notice]


@pytest.mark.parametrize(
    "params",
    [SegmentParams(), SegmentParams(black=32_800, white=33_500, gamma=0.6)],
    ids=["measured", "given"],
)
def test_blocks_give_the_nuclei_of_the_whole_plane(tmp_path, params):
    clean, _ = nuclei_image(shape=(400, 520), count=90)
    worse = add_frame(add_hot_pixels(add_lines(clean, 2, 1, 80), 0.005, 80), 30, -40)
    pixels = as_camera(add_debris(worse, 0.004, 100))
    labels, _ = stream(pixels, tmp_path, BlockParams("nuclei", params, size=256))
    given = {name: getattr(params, name) for name in ("black", "white", "gamma")}
    whole = segment(pixels, **given)
    assert whole.max() > 50
    assert count_matches(whole, labels).scores()["AP@0.9"] >= 0.99


def test_a_survey_has_the_range_of_the_plane(bright):
    """Of four million pixels and more it sees a regular sample, part by part."""
    clean, _ = nuclei_image(shape=(1000, 500), count=100)
    pixels = as_camera(add_debris(add_lines(np.tile(clean, (3, 5)), 9, 0, 80), 0.005, 100))
    pixels[:200] = 0
    plan = plan_inference(SegmentParams(), "cpu", bright)
    survey = run(survey_steps(pixels, bright, SegmentParams(), plan, []))
    whole = estimate_intensity_range(pixels)
    assert (survey.low, survey.middle, survey.high) == (whole.low, whole.middle, whole.high)
    assert whole.high < 34_000
    params = SegmentParams(white=40_000, gamma=2)
    survey = run(survey_steps(pixels, bright, params, plan, []))
    assert (survey.low, survey.high, survey.gamma) == (whole.low, 40_000, 2)
    stored = survey.to_json()
    assert Survey.from_json(stored).gamma == 2
    del stored["gamma"]  # as in journals of before
    assert Survey.from_json(stored).gamma == 1


def test_planes_of_a_stack_are_seen_as_alone():
    pixels = as_camera(np.stack([CLEAN, ARTEFACTS["frame"]]))
    given = {"black": 32_800.0, "white": 33_800.0, "gamma": 0.7}
    stack = segment_stack(pixels, "ZYX", **given)
    for labels, plane in zip(stack, pixels, strict=True):
        np.testing.assert_array_equal(labels > 0, segment(plane, **given) > 0)


def test_black_is_lower_than_white(tmp_path):
    with pytest.raises(UserError, match="`black` must be lower than `white`: they are 5 and 3"):
        SegmentParams(black=5, white=3)
    with pytest.raises(UserError, match="white"):
        SegmentParams(white=float("nan"))
    with pytest.raises(UserError, match="give both, `black` lower than `white`"):
        segment(as_camera(CLEAN), black=60_000)
    with pytest.raises(UserError, match="give both"):
        stream(as_camera(CLEAN), tmp_path, BlockParams("nuclei", SegmentParams(black=60_000)))


def test_a_range_with_nothing_in_it_is_told_once(tmp_path):
    pixels, words = as_camera(CLEAN), "Less than 1 % of the pixels lie between black"
    with pytest.warns(UserWarning, match=words):
        assert segment(pixels, black=0, white=100).max() == 0
    _, notices = stream(pixels, tmp_path, BlockParams("nuclei", SegmentParams(black=0, white=100)))
    assert [words in notice for notice in notices] == [True]


def test_parameters_say_what_affects_the_result():
    """Results from before there was brightness still count as done where it is automatic."""
    params = SegmentParams(threshold=0.3, batch=4)
    unset = {"batch", "black", "white", "gamma", "average_orientations"}
    assert params.fingerprint().keys() == vars(params).keys() - unset
    assert replace(params, black=0.0).fingerprint()["black"] == 0
    assert Brightness.of(params).is_automatic
