"""Micronuclei and fragments are left out, and counted, the same in memory and in blocks."""

import numpy as np
import pytest
from conftest import discs

from napari_nuclei_unet import SegmentParams, predict_plane_steps, retune, run, segment_steps
from napari_nuclei_unet.arrays.roi import Region
from napari_nuclei_unet.blockwise.block import BlockParams, InMemoryPlane
from napari_nuclei_unet.blockwise.journal import Journal
from napari_nuclei_unet.blockwise.retry import RunProgress
from napari_nuclei_unet.blockwise.run import segment_blockwise_steps
from napari_nuclei_unet.blockwise.stages import BlockwisePlane
from napari_nuclei_unet.io.ngff import LabelsGrid
from napari_nuclei_unet.io.ome_zarr import LabelsStore
from napari_nuclei_unet.provenance.left_out_counts import LeftOutCounts
from napari_nuclei_unet.provenance.record import Provenance

WANTED = SegmentParams(diameter=25.0)
# as the typical diameter is that of the large ones
EVERYTHING = SegmentParams(diameter=25.0, leave_out_fragments=False)
BESIDE = LeftOutCounts(small=36, fragments=121)


@pytest.fixture(scope="module")
def crowd():
    """Nuclei, a micronucleus beside each, also where blocks meet, and a few specks."""
    image = discs((480, 480), [(y, x) for y in range(20, 480, 40) for x in range(20, 480, 40)], 12)
    beside = [(y, x) for y in range(40, 480, 40) for x in range(40, 480, 40)]
    image |= discs(image.shape, beside, 3)
    specks = [(y, x) for y in range(40, 480, 80) for x in range(20, 480, 80)]
    return image | discs(image.shape, specks, 1)


def test_fragments_are_left_out_and_counted(crowd, bright):
    result = run(segment_steps(crowd, bright, WANTED, "cpu"))
    assert result.count == 144
    assert result.provenance.left_out == result.left_out.counts == BESIDE
    # whatever is left out was separated
    everything = run(segment_steps(crowd, bright, EVERYTHING, "cpu"))
    assert everything.count == 144 + BESIDE.fragments
    assert everything.provenance.left_out == LeftOutCounts(small=BESIDE.small)
    both = (result.labels > 0) | (result.left_out.to_labels() > 0)
    np.testing.assert_array_equal(both, crowd > 0)


def test_sliders_bring_them_back_without_the_network(crowd, bright):
    predicted = run(predict_plane_steps(crowd, bright, WANTED, "cpu"))
    assert retune(predicted, WANTED).count == 144
    again = retune(predicted, EVERYTHING)
    assert again.count == 144 + BESIDE.fragments
    assert not again.provenance.params.leave_out_fragments


def test_blocks_leave_out_and_count_the_same(crowd, bright, bright_file, tmp_path):
    square = Region.of([[(70, 70), (70, 330), (330, 330), (330, 70)]])
    for number, region in enumerate((None, square)):
        whole = run(segment_steps(crowd, bright, WANTED, "cpu", region))
        blocks = BlockParams(str(bright_file), WANTED, "cpu", region, size=256)
        grid = LabelsGrid(crowd.shape, "YX", (1, 1), (None, None))
        store = LabelsStore.create(tmp_path / f"{number}.zarr", grid, "i4")
        journal = Journal(tmp_path / f"{number}.json", tmp_path / f"{number}.csv", {})
        journal.begin()
        plane = BlockwisePlane(InMemoryPlane(crowd))
        progress = run(segment_blockwise_steps([plane], store, journal, blocks))
        np.testing.assert_array_equal(store.labels[:] > 0, whole.labels > 0)
        assert progress.left_out == whole.provenance.left_out
        assert progress.left_out.fragments > 0


def test_the_diameter_is_that_which_was_measured(crowd, choosy):
    result = run(segment_steps(crowd, choosy, SegmentParams(), "cpu"))
    assert result.provenance.zoom != 1
    assert result.count == 144


def test_records_and_journals_of_before_mean_what_they_meant(crowd, bright):
    record = run(segment_steps(crowd, bright, WANTED, "cpu")).record
    assert Provenance.from_json(record).left_out == BESIDE
    del record["left_out"], record["params"]["leave_out_fragments"]
    before = Provenance.from_json(record)
    assert before.left_out is None
    assert not before.params.leave_out_fragments
    assert "leave_out_fragments" not in before.params.fingerprint()
    assert WANTED.fingerprint()["leave_out_fragments"]
    journal = {"again": [], "failed": [], "nuclei": 3}
    assert RunProgress.from_json(journal).add_left_out(BESIDE) is None
