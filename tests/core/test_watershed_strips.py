"""The compiled watershed gives the labels of the one in NumPy, to the pixel."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_nuclei_unet.segmentation.kernel_choice import KernelChoice, load_kernels
from napari_nuclei_unet.segmentation.watershed import (
    SeparationParams,
    separate_nuclei,
    separate_plane,
    smooth_distance,
)
from napari_nuclei_unet.segmentation.watershed_strips import RawDistance, smooth_in_strips

numba = pytest.importorskip("numba", reason="the extra 'fast' is not installed")

DEFAULTS = SeparationParams(threshold=0.5, separation=0.9, minimum_area=5, confidence=0.7)


def random_maps(seed, shape, n_maps=2, levels=None, width=2.0):
    """Blobs; of few levels they are terraces, and most ways up are ties."""
    noise = np.random.default_rng(seed).random((n_maps, *shape))
    maps = ndimage.gaussian_filter(noise, (0, width, width))
    maps = (maps - maps.min()) / max(np.ptp(maps), 1e-9)
    if levels is not None:
        maps = np.round(maps * levels) / levels
    return maps.astype(np.float32)


def in_steps(maps):
    return np.round(maps * 65535).astype(np.uint16)


def assert_same_labels(maps, params, relief=None):
    by_numpy, by_kernels = (
        separate_plane(maps, params, relief, compiled=compiled) for compiled in (False, True)
    )
    np.testing.assert_array_equal(by_kernels.labels, by_numpy.labels)
    assert by_kernels.labels.dtype == by_numpy.labels.dtype
    left_out = [one.left_out.to_labels() for one in (by_kernels, by_numpy)]
    np.testing.assert_array_equal(*left_out)
    assert by_kernels.left_out.counts == by_numpy.left_out.counts
    assert not ((by_numpy.labels > 0) & (left_out[0] > 0)).any()
    return by_numpy.labels


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.sampled_from([(1, 1), (1, 60), (60, 1), (2, 3), (5, 40), (33, 48)]),
    n_maps=st.integers(1, 4),
    levels=st.sampled_from([None, 2, 5, 30]),
    is_uint16=st.booleans(),
    threshold=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    separation=st.floats(0, 1),
    confidence=st.sampled_from([0.0, 0.7, 0.9]),
    smoothing=st.sampled_from([0.0, 0.1, 0.7, 1.0, 3.3]),
    fragment=st.sampled_from([0, 20]),
)
@settings(max_examples=100)
def test_kernels_give_the_labels_of_numpy(
    seed, shape, n_maps, levels, is_uint16, threshold, separation, confidence, smoothing, fragment
):
    maps = random_maps(seed, shape, n_maps, levels)
    params = SeparationParams(threshold, separation, 3, confidence, smoothing, fragment)
    assert_same_labels(in_steps(maps) if is_uint16 else maps, params)
    assert_same_labels(maps, params, smooth_distance(maps, smoothing))


@pytest.mark.parametrize(
    ("shape", "levels"), [((600, 1000), None), ((600, 1000), 20), ((40, 33_000), None)]
)
def test_strips_and_threads_leave_no_seams(monkeypatch, shape, levels):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    params = SeparationParams(threshold=0.4, separation=0.98, minimum_area=5)
    assert assert_same_labels(random_maps(0, shape, levels=levels), params).max() > 1000


@pytest.mark.parametrize("value", [0, 0.6, 1])
def test_a_plateau_over_all_strips_is_one_nucleus(value):
    maps = np.full((2, 600, 1000), value, np.float32)
    assert assert_same_labels(maps, DEFAULTS).max() == (value > 0.6)


def test_a_basin_may_wind_through_many_strips():
    maps = np.zeros((2, 1500, 400), np.float32)
    ramp = np.linspace(0.1, 0.9, 1500, dtype=np.float32)
    maps[:, :, 5::20] = maps[:, :, 6::20] = ramp[:, None]
    maps[:, :, 15::20] = maps[:, :, 16::20] = ramp[::-1, None]
    params = SeparationParams(0.05, 0.9, 5)
    assert assert_same_labels(maps, params).max() == 40


def test_kernels_smooth_to_the_bit():
    distance = random_maps(1, (600, 900), 1)[0]
    for smoothing in (0.0, 0.4, 1.0, 2.7):
        smoothed = smooth_in_strips(load_kernels(), RawDistance(distance, smoothing))
        np.testing.assert_array_equal(smoothed, ndimage.gaussian_filter(distance, smoothing))


def test_steps_of_sixteen_bits_are_the_values_that_they_stand_for():
    steps = in_steps(random_maps(2, (60, 50), 3))
    values = steps / np.float32(65535)
    for compiled in (False, True):
        found = separate_nuclei(steps, DEFAULTS, compiled=compiled)
        np.testing.assert_array_equal(found, separate_nuclei(values, DEFAULTS, compiled=compiled))


def test_border_and_size_are_not_used():
    nucleus, border, distance, size = random_maps(3, (60, 50), 4)
    expected = assert_same_labels(np.stack([nucleus, distance]), DEFAULTS)
    for others in ((border,), (border, size)):
        maps = np.stack([nucleus, others[0], distance, *others[1:]])
        np.testing.assert_array_equal(assert_same_labels(maps, DEFAULTS), expected)


def test_parts_of_maps_and_maps_that_are_read_only():
    maps = random_maps(4, (80, 90))
    maps.flags.writeable = False
    assert_same_labels(maps, DEFAULTS)
    assert_same_labels(maps[:, 10:60, 20:], DEFAULTS)
    assert_same_labels(maps.transpose(0, 2, 1), DEFAULTS)


def test_other_types_are_left_to_numpy():
    maps = random_maps(5, (40, 50)).astype(np.float64)
    assert assert_same_labels(maps, DEFAULTS).max() > 0


def test_several_threads_at_once(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    planes = [random_maps(seed, (500, 1000)) for seed in range(4)]
    expected = [separate_nuclei(maps, DEFAULTS, compiled=False) for maps in planes]
    with ThreadPoolExecutor(4) as threads:
        found = threads.map(lambda maps: separate_nuclei(maps, DEFAULTS, compiled=True), planes)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_kernels_are_loaded_when_they_pay():
    choice = KernelChoice()
    assert choice.find(1_000_000) is None
    assert choice.find(9_000_000) is load_kernels() is not None
    assert choice.find(1) is not None


def test_kernels_are_not_loaded_where_memory_is_short():
    program = (
        "import os, psutil\n"
        "from napari_nuclei_unet.segmentation.kernel_choice import KernelChoice\n"
        "used = psutil.Process().memory_info().rss // 2**20\n"
        "os.environ['SLURM_MEM_PER_NODE'] = str(used + 300)\n"
        "choice = KernelChoice()\n"
        "print(choice.find(20_000_000))\n"
        "os.environ['SLURM_MEM_PER_NODE'] = str(used + 3000)\n"
        "print(choice.find(20_000_000))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["None", "<module"]


def test_kernels_are_loaded_beside_other_work():
    choice = KernelChoice()
    choice.expect(20_000_000)
    kernels = load_kernels()  # waits for the thread that loads them
    while (found := choice.find(20_000_000)) is None:
        pass  # it is about to end
    assert found is kernels


IN_A_PROCESS = """
import sys
if {is_missing}:
    sys.modules["numba"] = None
import numpy as np
from napari_nuclei_unet.segmentation.kernel_choice import load_kernels
from napari_nuclei_unet.segmentation.watershed import SeparationParams, separate_nuclei
labels = separate_nuclei(np.load(sys.argv[1]), SeparationParams(0.5, 0.9, 5, 0.7), compiled=True)
np.save(sys.argv[2], labels)
assert load_kernels() is None
"""


OLD_NUMBA = pytest.mark.skipif(
    not hasattr(numba.config, "CACHE_LOCATOR_CLASSES"), reason="numba falls back to other folders"
)


@pytest.mark.parametrize("is_missing", [True, pytest.param(False, marks=OLD_NUMBA)])
def test_without_numba_or_a_folder_for_what_it_compiles(tmp_path, is_missing):
    maps = random_maps(6, (60, 70))
    np.save(tmp_path / "maps.npy", maps)
    blocked = {  # no folder can be made in a file
        "NUMBA_CACHE_DIR": str(tmp_path / "maps.npy" / "cache"),
        "NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator",
    }
    subprocess.run(
        [
            *(sys.executable, "-c", IN_A_PROCESS.format(is_missing=is_missing)),
            *(str(tmp_path / "maps.npy"), str(tmp_path / "labels.npy")),
        ],
        check=True,
        env=os.environ | ({} if is_missing else blocked),
    )
    expected = separate_nuclei(maps, DEFAULTS, compiled=False)
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), expected)
