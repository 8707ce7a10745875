"""Labels of planes and volumes that are kept compressed."""

import numpy as np

from napari_nuclei_unet.arrays.axes import PlaneIndex, group_slices
from napari_nuclei_unet.arrays.packed_labels import PackedLabels


def test_labels_come_back_and_others_are_background():
    labels = np.arange(24, dtype=np.int64).reshape(2, 3, 4)
    packed = PackedLabels(labels.shape)
    packed.put(7, labels)
    np.testing.assert_array_equal(packed.read(7), labels)
    assert packed.read(7).dtype == packed.read(0).dtype == np.int32
    assert packed.read(0).shape == labels.shape
    packed.put(7, np.zeros_like(labels))
    assert not packed.read(7).any()


def test_slices_of_a_volume_are_those_that_differ_on_one_axis():
    planes = [PlaneIndex((t, 0, z, None, None)) for z in range(2) for t in range(3)]
    assert group_slices(planes, 2) == [(0, 3), (1, 4), (2, 5)]
    assert group_slices(planes, 0) == [(0, 1, 2), (3, 4, 5)]
