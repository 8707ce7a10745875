"""How an image lies changes nothing where its eight orientations are averaged."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import discs
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_streaming import mosaic, stream

from napari_nuclei_unet import segment
from napari_nuclei_unet.arrays.orientation import ORIENTATIONS
from napari_nuclei_unet.blockwise.block import BlockParams
from napari_nuclei_unet.metrics.matching import count_matches
from napari_nuclei_unet.network.fusion import fuse_conv_bn_relu
from napari_nuclei_unet.network.unet import UNet, UNetConfig
from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.progress import run
from napari_nuclei_unet.samples.images import read_sample
from napari_nuclei_unet.segmentation.device import InferencePlan
from napari_nuclei_unet.segmentation.normalization import check_plane
from napari_nuclei_unet.segmentation.predict import MapsRequest, predict_maps_steps
from napari_nuclei_unet.segmentation.segment import segment_steps

AVERAGED = InferencePlan("cpu", "fp32", tile=4096, batch=1, averages_orientations=True)


@pytest.fixture(scope="module")
def lopsided():
    """A network of four maps with random weights, to which no two orientations are alike."""
    torch.manual_seed(1)
    network = UNet(UNetConfig(width=4, depth=2, stem=2, detail=4, out_channels=4))
    network(torch.rand(4, 3, 32, 32))
    return fuse_conv_bn_relu(network)


def predict(image, network, plan, **wanted):
    plane, request = check_plane(image), MapsRequest(with_size=True, **wanted)
    return run(predict_maps_steps(plane, network, plan, [], request)).all_maps


def noise(shape):
    return np.random.default_rng(0).random((*shape, 3))


@given(
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.sampled_from(ORIENTATIONS),
    st.tuples(*[st.integers(0, 20)] * 4),
)
def test_a_turned_plane_is_read_where_it_was(shape, orientation, ends):
    plane = np.arange(shape[0] * shape[1] * 2).reshape(*shape, 2)
    turned = orientation.turn(plane)
    assert np.array_equal(orientation.turn_back(turned), plane)
    rows, columns = (sorted(min(end, extent) for end in pair) for pair, extent in zip(
        (ends[:2], ends[2:]), shape, strict=True
    ))  # fmt: skip
    box = slice(*rows), slice(*columns)
    there = orientation.turn_box(box, shape)
    view = orientation.view(plane)
    assert view.shape == turned.shape
    assert np.array_equal(turned[there], orientation.turn(plane[box]))
    assert np.array_equal(view[there], turned[there])


def test_orientations_are_the_eight_that_there_are():
    seen = {orientation.turn(np.arange(6).reshape(2, 3)).tobytes() for orientation in ORIENTATIONS}
    assert len(seen) == len(ORIENTATIONS) == 8


@given(st.tuples(st.integers(1, 60), st.integers(1, 60)), st.sampled_from(ORIENTATIONS[1:]))
@settings(max_examples=300)
@example((12, 33), ORIENTATIONS[1])
def test_exposure_is_that_of_the_turned_plane(shape, orientation):
    """Noise is near the limit of what counts as stained, and squares of pixels decide."""
    image = noise(shape)
    turned, seen = check_plane(orientation.turn(image)), check_plane(image)
    assert (turned.low, turned.high, turned.gamma) == (seen.low, seen.high, seen.gamma)


@given(st.tuples(st.integers(2, 60), st.integers(2, 60)), st.sampled_from(ORIENTATIONS[1:]))
@settings(max_examples=30)
def test_averaged_maps_turn_with_the_plane(lopsided, shape, orientation):
    """To the last bit, and of planes that do not end where pooled squares do, too."""
    image = noise(shape)
    turned = predict(orientation.turn(image), lopsided, AVERAGED)
    for one, other in zip(predict(image, lopsided, AVERAGED), turned, strict=True):
        assert np.array_equal(orientation.turn(one), other)


def test_without_averaging_they_do_not(lopsided):
    image, plan = noise((40, 51)), replace(AVERAGED, averages_orientations=False)
    upright = predict(image, lopsided, plan)[0]
    for orientation in ORIENTATIONS[1:]:
        turned = predict(orientation.turn(image), lopsided, plan)[0]
        assert np.abs(orientation.turn(upright).astype(int) - turned).max() > 1000


@pytest.mark.parametrize("tile", [16, 32])
def test_tiles_and_windows_do_not_change_averaged_maps(lopsided, tile):
    image, box = noise((83, 110)), (slice(20, 70), slice(31, 110))
    whole = np.stack(predict(image, lopsided, AVERAGED)).astype(int)
    tiled = predict(image, lopsided, replace(AVERAGED, tile=tile, batch=3))
    assert np.abs(whole - tiled).max() <= 65
    part = predict(image, lopsided, AVERAGED, box=box, is_window=True)
    assert np.abs(whole[:, *box] - part).max() <= 65


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_section_has_as_many_nuclei_however_it_lies(precision):
    image = read_sample("histology_purple")[0][:131, 3:160]
    labels = segment(image, average_orientations=True, precision=precision)
    assert labels.max() > 10
    for orientation in ORIENTATIONS[1:]:
        turned = segment(orientation.turn(image), average_orientations=True, precision=precision)
        assert np.array_equal(turned > 0, orientation.turn(labels > 0))
        assert turned.max() == labels.max()


def test_the_record_has_it_and_only_where_it_was_asked_for(bright, three_discs):
    wanted = SegmentParams(average_orientations=True)
    record = run(segment_steps(three_discs, bright, wanted)).record
    assert record["params"]["average_orientations"] is True
    assert wanted.fingerprint()["average_orientations"] is True
    usual = run(segment_steps(three_discs, bright)).record
    assert usual["params"] == {
        name: at for name, at in record["params"].items() if name != "average_orientations"
    }
    assert usual["ran_on"] == record["ran_on"]
    assert "average_orientations" not in SegmentParams().fingerprint()


def test_a_stopped_run_keeps_the_tiles_that_are_finished(bright):
    image = discs((64, 128), [(30, 30), (30, 100)])
    params = SegmentParams(average_orientations=True, tile=64, precision="fp32")
    steps = segment_steps(image, bright, params)
    first = next(step for step in steps if step.done)
    assert first.done < first.total
    with pytest.raises(StopIteration) as end:
        steps.send(True)
    found = end.value.value
    assert found.count == 1
    assert found.labels[30, 30]
    assert found.provenance.stopped


def test_blocks_average_as_memory_does(tmp_path):
    image = mosaic("histology_purple", (130, 333))
    params = SegmentParams(average_orientations=True, precision="fp32")
    blocks = BlockParams("nuclei", params, size=256)
    _, labels = stream(image, tmp_path, blocks)
    whole = run(segment_steps(image, params=params)).labels
    assert count_matches(whole, labels).scores()["AP@0.9"] >= 0.99
    once = segment(image, precision="fp32")
    assert count_matches(once, labels).scores()["AP@0.9"] < 0.99
