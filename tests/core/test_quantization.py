"""Maps in 16 bits stand for the values that they were made of."""

import numpy as np

from napari_nuclei_unet.arrays.quantization import UNIT_STEPS, dequantize_unit, quantize_unit


def test_values_come_back_to_half_a_step():
    values = np.random.default_rng(0).random((50, 60), np.float32)
    values[0, :2] = 0, 1
    back = dequantize_unit(quantize_unit(values))
    assert back.dtype == np.float32
    assert np.abs(back - values).max() <= 0.51 / UNIT_STEPS
    assert back[0, :2].tolist() == [0, 1]


def test_every_step_comes_back():
    steps = np.arange(UNIT_STEPS + 1, dtype=np.uint16)
    np.testing.assert_array_equal(quantize_unit(dequantize_unit(steps)), steps)


def test_values_that_are_floating_stay():
    values = np.full((2, 2), 0.5)
    assert dequantize_unit(values) is values
