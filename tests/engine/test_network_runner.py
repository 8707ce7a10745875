"""What runs on a graphics card, tried on the CPU: the same numbers, and errors of a reader."""

import threading

import numpy as np
import pytest
import torch

from napari_nuclei_unet.arrays.quantization import quantize_unit
from napari_nuclei_unet.arrays.tiling import MappedView
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.progress import run
from napari_nuclei_unet.segmentation.device import InferencePlan
from napari_nuclei_unet.segmentation.network_runner import (
    can_normalize_tensor,
    normalize_tensor,
    quantize_logits,
    view_signed,
)
from napari_nuclei_unet.segmentation.normalization import Plane
from napari_nuclei_unet.segmentation.predict import predict_maps_steps

PLAN = InferencePlan("cpu", "fp32", tile=64, batch=1)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.uint16, np.int16, ">u2"])
@pytest.mark.parametrize("gamma", [1.0, 0.5])
def test_a_device_normalises_as_the_plane_does(dtype, gamma):
    info = np.array([0, 1]) if dtype is bool else np.iinfo(dtype)
    low, high = (0, 2) if dtype is bool else (info.min, info.max)
    values = np.random.default_rng(0).integers(low, high, (40, 50)).astype(dtype)
    black, white = np.percentile(values.astype(float), [10, 90])
    plane = Plane(values, black, black, max(white, black + 0.5), gamma=gamma)
    sent = torch.from_numpy(view_signed(values))
    assert can_normalize_tensor(plane, values.dtype)
    found = normalize_tensor(sent, plane, values.dtype.kind != "u").numpy()
    np.testing.assert_allclose(found, plane.normalized(), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint32, np.float32])
def test_what_needs_more_digits_is_normalised_on_the_cpu(dtype):
    assert not can_normalize_tensor(Plane(np.zeros((2, 2), dtype), 0, 0, 1), np.dtype(dtype))


def test_maps_come_back_in_16_bits():
    logits = torch.linspace(-30, 30, 1001)
    expected = quantize_unit(torch.sigmoid(logits).numpy())
    np.testing.assert_array_equal(quantize_logits(logits).numpy().view(np.uint16), expected)


def test_the_next_tile_is_read_in_another_thread(bright):
    threads, pixels = set(), np.random.default_rng(0).integers(0, 255, (200, 150), np.uint8)

    def read(box):
        threads.add(threading.get_ident())
        return pixels[box]

    lazy = Plane(MappedView(read, pixels.shape), 0, 100, 255)
    found = run(predict_maps_steps(lazy, bright.network, PLAN, []))
    whole = run(predict_maps_steps(Plane(pixels, 0, 100, 255), bright.network, PLAN, []))
    np.testing.assert_array_equal(found.quantized, whole.quantized)
    assert threads
    assert threading.get_ident() not in threads


def test_an_error_of_the_reader_ends_the_run(bright):
    def read(box):
        if box[0].start > 0:
            raise UserError("The disk is gone.")
        return np.zeros((200, 150), np.uint8)[box]

    lazy = Plane(MappedView(read, (200, 150)), 0, 100, 255)
    with pytest.raises(UserError, match=r"The disk is gone\."):
        run(predict_maps_steps(lazy, bright.network, PLAN, []))
    assert not [one for one in threading.enumerate() if one.name.startswith("reads the next")]
