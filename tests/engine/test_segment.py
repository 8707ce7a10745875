import json
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest

from napari_nuclei_unet import SegmentParams, UserError, load_model, run, segment, segment_steps
from napari_nuclei_unet.samples.images import read_sample
from napari_nuclei_unet.segmentation.segment import compute_relief, predict_plane_steps, retune


def test_three_discs_are_three_nuclei(bright, three_discs):
    labels = segment(three_discs, bright)
    assert labels.dtype == np.int32
    assert labels.max() == 3
    assert ((labels > 0) == (three_discs > 0)).mean() > 0.99


@pytest.mark.parametrize(
    "dtype",
    ["bool", "int8", "uint8", "uint16", "int32", "uint32", "float16", "float32", "float64"],
)
def test_any_real_type_gives_the_same_labels(bright, three_discs, dtype):
    image = (three_discs > 0).astype(dtype)
    np.testing.assert_array_equal(segment(image, bright), segment(three_discs, bright))


@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (90, 1), (17, 33)])
def test_any_size(bright, shape):
    image = np.random.default_rng(0).random(shape)
    assert segment(image, bright).shape == shape


@pytest.mark.parametrize("value", [0, 7, np.nan])
def test_one_value_only_is_an_empty_result_and_said(bright, value):
    with pytest.warns(UserWarning, match="same value"):
        labels = segment(np.full((20, 30), value, np.float32), bright)
    assert labels.shape == (20, 30)
    assert labels.max() == 0


def test_nan_is_background_and_said(bright, three_discs):
    image = three_discs.astype(float)
    image[:8, :8] = np.nan
    image[-1, -1] = np.inf
    with pytest.warns(UserWarning, match="NaN"):
        labels = segment(image, bright)
    np.testing.assert_array_equal(labels, segment(three_discs, bright))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_is_no_nucleus_on_bright_ground_either(value):
    image = read_sample("histology_purple")[0].astype(np.float32)
    image[100:160, 100:180] = value
    with pytest.warns(UserWarning, match="NaN"):
        labels = segment(image, precision="fp32")
    assert labels[100:160, 100:180].max() == 0
    assert labels.max() > 10


def test_rgba_is_taken_without_alpha(bright, three_discs):
    rgba = np.dstack([three_discs] * 3 + [np.zeros_like(three_discs)])
    with pytest.warns(UserWarning, match="alpha"):
        labels = segment(rgba, bright)
    assert labels.max() == 3


def test_numbers_of_numpy_are_numbers(bright, three_discs):
    params = SegmentParams(minimum_area=np.int64(3), threshold=np.float32(0.5))
    assert json.dumps(run(segment_steps(three_discs, bright, params)).record)


def test_parameters_count(bright, three_discs):
    assert segment(three_discs, bright, minimum_area=1000).max() == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"minimum_area": 0}, "minimum_area must be a whole number from 1"),
        ({"threshold": 2.0}, "threshold must be a number from"),
        ({"tile": 100.5}, "tile must be a whole number"),
        ({"batch": "2"}, "batch must be a whole number"),
        ({"model": None}, "no model 'None'"),
        ({"precision": "fp8"}, "precision must be one of"),
        ({"sharpness": 1}, "no parameter 'sharpness'"),
        ({"device": "tpu"}, "no device 'tpu'"),
        ({"precision": "fp16", "device": "cpu"}, "fp16 works on graphics cards"),
        ({"model": "liver"}, "no model 'liver'"),
    ],
)
def test_wrong_options_are_told(bright, three_discs, options, words):
    with pytest.raises(UserError, match=words):
        segment(three_discs, **{"model": bright, **options})


def test_a_device_that_is_not_there(bright, three_discs):
    import torch

    missing = "mps" if not torch.backends.mps.is_available() else "cuda"
    if missing == "cuda" and torch.cuda.is_available():
        pytest.skip("this computer has every device")
    with pytest.raises(UserError, match=f"no {missing.upper()}"):
        segment(three_discs, bright, device=missing)


def test_steps_count_up_to_the_total(bright, three_discs):
    steps = []
    result = run(segment_steps(three_discs, bright, SegmentParams(tile=16)), steps.append)
    assert [s.done for s in steps] == sorted({s.done for s in steps})
    assert steps[0].done == 0
    assert steps[-1].done == steps[-1].total > 10
    assert result.count == 3
    assert result.maps.shape == (2, *three_discs.shape)


def test_closing_the_generator_cancels(bright, three_discs):
    steps = segment_steps(three_discs, bright, SegmentParams(tile=16))
    next(steps)
    steps.close()
    with pytest.raises(StopIteration):
        next(steps)
    assert segment(three_discs, bright).max() == 3


def test_the_record_makes_the_same_labels_again(bright, three_discs):
    first = run(segment_steps(three_discs, bright, SegmentParams(threshold=0.3, tile=32)))
    record = json.loads(json.dumps(first.record))
    assert record["model"] == "bright"
    assert record["model_sha256"] == bright.card.sha256
    assert record["params"]["minimum_area"] == bright.card.thresholds["minimum_area"]
    assert record["ran_on"]["device"] in ("cpu", "cuda", "mps")
    again = segment(three_discs, bright, device=record["device"], **record["params"])
    np.testing.assert_array_equal(again, first.labels)


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space as Linux does")
def test_running_out_of_memory_ends_with_a_result():
    """A real shortage: the process may take 650 MB more than it has when torch is loaded.

    The first tile needs over a gigabyte, and what fails is one large array, which torch reports;
    where memory is so short that small ones fail, libraries abort. The C library is told to
    return arrays to the system when they are freed, as the limit counts what it keeps, too.
    """
    program = """
        import resource, numpy as np, psutil
        from napari_nuclei_unet import SegmentParams, load_model, run, segment_steps
        model = load_model("nuclei")
        from napari_nuclei_unet.samples.images import repeated_sample
        image = repeated_sample(2400)
        small = run(segment_steps(image[:64, :64], model, device="cpu"))
        taken = psutil.Process().memory_info().vms
        resource.setrlimit(resource.RLIMIT_AS, (taken + 650_000_000,) * 2)
        wish = SegmentParams(tile=2400, batch=2, precision="fp32")
        steps = []
        result = run(segment_steps(image, model, wish, "cpu"), steps.append)
        print(result.labels.shape, result.record["ran_on"]["tile"] < 2400)
        print(any("Memory ran out" in n for n in result.notices))
        print(any("Memory ran out" in s.notice for s in steps))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        env={
            "OMP_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "1",
            "MALLOC_MMAP_THRESHOLD_": "200000",
            "PATH": "",
        },
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["(2400, 2400) True", "True", "True"]


def test_labels_do_not_depend_on_the_tile():
    image, _ = read_sample("histology_purple")
    np.testing.assert_array_equal(
        segment(image, tile=64, precision="fp32"), segment(image, precision="fp32")
    )


@pytest.mark.parametrize("sample", ["fluorescence_small", "histology_pink_purple"])
def test_a_relief_that_is_kept_changes_nothing(sample):
    """Real network, real images: what a slider finds with it and without it is the same."""
    image, _ = read_sample(sample)
    predicted = run(predict_plane_steps(image[:160, :160], load_model("nuclei"), SegmentParams()))
    relief = compute_relief(predicted)
    assert relief is not None
    for threshold in (0.3, 0.5, 0.8):
        params = SegmentParams(threshold=threshold, separation=threshold)
        kept, anew = retune(predicted, params, relief), retune(predicted, params)
        np.testing.assert_array_equal(kept.labels, anew.labels)
        assert kept.count


def test_without_a_predicted_distance_there_is_no_relief(bright, three_discs):
    predicted = run(predict_plane_steps(three_discs, bright, SegmentParams()))
    mask_only = replace(predicted, quantized_maps=predicted.quantized_maps[:1])
    assert compute_relief(mask_only) is None
    assert retune(mask_only, SegmentParams()).count == 3
