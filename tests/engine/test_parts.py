"""Part of a plane is segmented as the whole would be, and a stopped run keeps what is finished."""

import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import discs
from scipy import ndimage

from napari_nuclei_unet import SegmentParams, UserError, predict_plane_steps, retune, run, segment
from napari_nuclei_unet.progress import interruptible
from napari_nuclei_unet.samples.images import read_sample


@pytest.fixture
def many():
    centres = [(y, x) for y in range(20, 400, 40) for x in range(20, 400, 40)]
    return discs((400, 400), centres)


def test_inside_a_region_is_what_the_whole_has_there(many, bright):
    whole = segment(many, bright)
    part = segment(many, bright, region=[[(90, 90), (90, 250), (210, 250), (210, 90)]])
    inside = np.zeros(many.shape, bool)
    inside[90:211, 90:251] = True
    assert part.shape == many.shape
    assert not part[~inside].any()
    np.testing.assert_array_equal(part[inside] > 0, whole[inside] > 0)
    assert 1 < part.max() < whole.max()


def test_of_real_nuclei_too():
    image, _ = read_sample("fluorescence_small")
    height, width = image.shape[:2]
    whole = segment(image, device="cpu")
    box = np.s_[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4]
    y, x = ((part.start, part.stop - 1) for part in box)
    polygon = [(y[0], x[0]), (y[0], x[1]), (y[1], x[1]), (y[1], x[0])]
    part = segment(image, device="cpu", region=[polygon])
    inner = whole[box].copy()
    cut_off = np.unique(np.concatenate([inner[0], inner[-1], inner[:, 0], inner[:, -1]]))
    inner[np.isin(inner, cut_off)] = 0
    nuclei = np.unique(inner[inner > 0])
    assert len(nuclei) > 3
    for one in nuclei:
        (other,) = np.unique(part[box][inner == one])
        assert ((part[box] == other) == (inner == one)).all()


def test_an_empty_region_is_told(many, bright):
    with pytest.raises(UserError, match="covers no pixel"):
        segment(many, bright, region=[[(500, 500), (500, 600), (600, 600)]])


def test_tuning_again_is_segmenting_again(many, bright):
    predicted = run(predict_plane_steps(many, bright, device="cpu"))
    for wish in ({}, {"threshold": 0.8}, {"minimum_area": 200}, {"separation": 0.9}):
        again = retune(predicted, SegmentParams(**wish))
        np.testing.assert_array_equal(again.labels, segment(many, bright, device="cpu", **wish))
        assert again.record["params"]["threshold"] == wish.get("threshold", 0.5)


def test_a_stopped_run_keeps_what_is_finished(many, bright):
    whole = segment(many, bright)
    params = SegmentParams(tile=64)
    predicted = run(
        predict_plane_steps(many, bright, params, "cpu"),
        lambda step: 0 < step.total // 2 < step.done,
    )
    assert predicted.record["stopped"]
    finished = predicted.inside
    assert 0.4 < finished.mean() < 0.7
    labels = retune(predicted, params).labels
    np.testing.assert_array_equal(labels > 0, (whole > 0) & finished)


def test_a_run_stopped_within_a_tile_keeps_those_before(many, bright):
    done = []
    with interruptible(is_cancelled=bool, is_stopped=lambda: len(done) > 5):
        predicted = run(
            predict_plane_steps(many, bright, SegmentParams(tile=64), "cpu"),
            lambda step: done.append(step.done),
        )
    assert predicted.record["stopped"]
    assert 0 < predicted.inside.mean() < 0.5


def test_a_run_stopped_at_once_keeps_nothing(many, bright):
    predicted = run(predict_plane_steps(many, bright, device="cpu"), lambda _: True)
    assert not predicted.inside.any()
    assert not retune(predicted).labels.any()


@pytest.mark.parametrize("zoomed", [False, True])
def test_one_wish_to_stop_is_never_lost(many, choosy, zoomed):
    """Sent once, at any step: the run ends before the next tile, even in a probe or a look."""
    image = np.tile(many, (3, 3))  # so large that a part of it is measured first
    if zoomed:
        image = np.kron(image, np.ones((2, 2), image.dtype))
    params = SegmentParams(tile=512)
    steps = sum(1 for _ in predict_plane_steps(image, choosy, params, "cpu"))
    for when in range(steps - 1):
        seen = []

        def once(step, seen=seen, when=when):
            seen.append(step)
            return len(seen) == when + 1

        made = run(predict_plane_steps(image, choosy, params, "cpu"), once)
        assert made.record["stopped"], when
        assert len(seen) <= when + 4


def test_16_bits_where_the_processor_has_none(tmp_path):
    """A command that was copied on another computer runs here, too, if slowly."""
    code = (
        "import numpy as np; from napari_nuclei_unet import segment; "
        "segment(np.random.default_rng(0).random((64, 64)), precision='bf16', device='cpu')"
    )
    limited = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    subprocess.run([sys.executable, "-c", code], env=limited, check=True, timeout=300)


def test_a_stopped_run_of_a_zoomed_plane_lies_in_place(choosy):
    centres = [(y, x) for y in range(30, 400, 60) for x in range(30, 400, 60)]
    image = discs((400, 400), centres, radius=20)
    params = SegmentParams(tile=32, diameter=40.0)  # of a plane that is shrunk to 120 x 120
    whole = segment(image, choosy, device="cpu", diameter=40.0)
    predicted = run(
        predict_plane_steps(image, choosy, params, "cpu"), lambda step: step.done >= 9 < step.total
    )
    assert predicted.zoom < 0.5
    assert 0.3 < predicted.inside.mean() < 0.8
    inner = ndimage.binary_erosion(predicted.inside, iterations=12)
    found = retune(predicted, params).labels > 0
    assert np.mean(found[inner] == (whole > 0)[inner]) > 0.99
