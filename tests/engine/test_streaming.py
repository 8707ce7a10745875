"""Planes larger than memory: seams leave no trace, and a run that was broken off goes on."""

import json
import os
import signal
import sys
from dataclasses import replace
from fractions import Fraction
from itertools import count as count_from

import numpy as np
import pandas as pd
import psutil
import pytest
import zarr
from processes import process

from napari_nuclei_unet import UserError, run, segment
from napari_nuclei_unet.arrays.blocks import number_surviving_labels
from napari_nuclei_unet.arrays.roi import Region
from napari_nuclei_unet.blockwise.block import BlockParams, InMemoryPlane
from napari_nuclei_unet.blockwise.block_size import fit_block_size
from napari_nuclei_unet.blockwise.journal import Journal
from napari_nuclei_unet.blockwise.open_store import OpenStore
from napari_nuclei_unet.blockwise.run import compute_locally_steps, segment_blockwise_steps
from napari_nuclei_unet.blockwise.stages import BlockStep, BlockwisePlane
from napari_nuclei_unet.blockwise.survey import survey_steps
from napari_nuclei_unet.io.ngff import LabelsGrid
from napari_nuclei_unet.io.ome_zarr import LabelsStore
from napari_nuclei_unet.metrics.matching import count_matches
from napari_nuclei_unet.models.model import load_model
from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.samples.images import read_sample
from napari_nuclei_unet.segmentation.device import plan_inference
from napari_nuclei_unet.segmentation.segment import predict_plane_steps


def mosaic(name, shape):
    """A sample, mirrored again and again, so that nothing is cut where it meets itself."""
    image, _ = read_sample(name)
    reach = [(0, max(wanted - have, 0)) for wanted, have in zip(shape, image.shape, strict=False)]
    wide = np.pad(image, [*reach, (0, 0)][: image.ndim], mode="symmetric")
    return wide[: shape[0], : shape[1]]


POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
SMALL_BLOCKS = BlockParams("nuclei", size=256)


def begin(folder, shape, wish=None):
    store = LabelsStore.create(
        folder / "out.zarr", LabelsGrid(shape, "YX", (1, 1), (None, None)), "i4"
    )
    journal = Journal(folder / "out.zarr" / "journal.json", folder / "out.csv", wish or {})
    journal.begin()
    return store, journal


def stream(image, folder, wanted=None, on_step=None):
    store, journal = begin(folder, image.shape[:2])
    steps = segment_blockwise_steps(
        [BlockwisePlane(InMemoryPlane(image))], store, journal, wanted or SMALL_BLOCKS
    )
    return run(steps, on_step), store.labels[:]


WHOLE = ("fluorescence_small", (600, 800)), ("histology_purple", (450, 500))


@pytest.fixture(scope="module", params=WHOLE, ids=[name for name, _ in WHOLE])
def both(request, tmp_path_factory):
    """A plane in blocks: how far it is, and its labels; and those of the plane as a whole."""
    name, shape = request.param
    image = mosaic(name, shape)
    return *stream(image, tmp_path_factory.mktemp("both")), segment(image)


def test_blocks_give_the_nuclei_of_the_whole_plane(both):
    progress, labels, whole = both
    assert count_matches(whole, labels).scores()["AP@0.9"] >= 0.99
    assert progress.nuclei == labels.max() == len(np.unique(labels)) - 1
    assert not progress.failed


@pytest.mark.parametrize("both", WHOLE[:1], indirect=True)
def test_no_nucleus_is_cut_along_a_seam(both):
    """Of the nuclei that reach over a seam, the other way round: each has one partner."""
    _, labels, whole = both
    for seam in (256, 512):
        for ours, theirs in ((labels, whole), (labels.T, whole.T)):
            here, there = ours[seam - 1 : seam + 1], theirs[seam - 1 : seam + 1]
            assert np.array_equal(here[0] == here[1], there[0] == there[1])
            crossing = np.unique(there[0][(there[0] == there[1]) & (there[0] > 0)])
            assert len(crossing) > 5 or seam >= ours.shape[0]
            for nucleus in crossing:
                assert len(np.unique(ours[theirs == nucleus])) == 1


def test_zoomed_nuclei_are_found_as_in_the_whole_plane(tmp_path):
    image = np.kron(mosaic("fluorescence_small", (300, 300)), np.ones((3, 3), np.uint8))
    _, labels = stream(image, tmp_path, BlockParams("nuclei", size=512))
    assert count_matches(segment(image), labels).scores()["AP@0.5"] > 0.95


def test_the_table_tells_every_nucleus_once(tmp_path, bright_blocks):
    image = mosaic("fluorescence_small", (520, 520))
    progress, labels = stream(image, tmp_path, bright_blocks)
    table = np.genfromtxt(tmp_path / "out.csv", delimiter=",", names=True)
    assert table["label"].tolist() == list(range(1, progress.nuclei + 1))
    assert np.array_equal(table["area"], np.bincount(labels.ravel())[1:])
    places = np.round([table["centroid_y"], table["centroid_x"]]).astype(int)
    assert (labels[*places] == table["label"]).mean() > 0.95


def test_empty_squares_are_skipped_and_change_nothing(tmp_path):
    image = np.full((800, 1000), 8, np.uint8)
    image[40:240, 60:240] = mosaic("fluorescence_small", (200, 180))
    steps = []
    _, labels = stream(image, tmp_path, on_step=lambda step: steps.append(step) or False)
    assert count_matches(segment(image), labels).scores()["AP@0.9"] >= 0.99
    blocks = [one for one in steps if isinstance(one, BlockStep) and one.written]
    assert len(blocks) < 6  # of 16


def test_stopped_and_gone_on_with_equals_uninterrupted(tmp_path, bright_blocks):
    image = mosaic("fluorescence_small", (600, 600))
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    _, expected = stream(image, tmp_path / "whole", bright_blocks)
    turns, over = 0, False
    while not over and turns < 20:
        turns += 1
        events = count_from(1)
        progress, labels = stream(
            image, tmp_path / "parts", bright_blocks, lambda _, events=events: next(events) > 8
        )
        over = progress.plane == 1
    assert turns > 3
    assert np.array_equal(labels, expected)
    tables = [(tmp_path / which / "out.csv").read_text() for which in ("whole", "parts")]
    assert tables[0] == tables[1]


def stream_and_tell(blocks, folder):
    def tell(step):
        sys.stdout.write(f"{getattr(step, 'block', 0)}\n")

    stream(mosaic("fluorescence_small", (600, 600)), folder, blocks, tell)


@POSIX
def test_killed_at_any_moment_and_gone_on_with_equals_uninterrupted(tmp_path, bright_blocks):
    image = mosaic("fluorescence_small", (600, 600))
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    _, expected = stream(image, tmp_path / "whole", bright_blocks)
    for wanted in (1, 4):
        told, end = os.pipe()
        child = process(
            stream_and_tell, bright_blocks, tmp_path / "parts", out=end, err=os.dup(end)
        )
        with child as other, open(told) as lines:
            assert any(int(block) >= wanted for block in lines)
            other.kill()
        assert other.exitcode == -signal.SIGKILL
    _, labels = stream(image, tmp_path / "parts", bright_blocks)
    assert np.array_equal(labels, expected)


class Broken:
    """A plane of which one part, or all, cannot be read as long as it is broken."""

    def __init__(self, pixels, everywhere=False, broken=True):
        self.pixels, self.shape, self.dtype = pixels, pixels.shape, pixels.dtype
        self.everywhere, self.broken = everywhere, broken

    def __getitem__(self, part):
        rows, columns = part
        if self.broken and (
            self.everywhere or (rows.start < 300 < (rows.stop or 0) and columns.stop > 500)
        ):
            raise OSError("chunk 1.2 is damaged")
        return self.pixels[part]


def test_a_block_that_cannot_be_read_is_left_empty_and_told(tmp_path, bright_blocks):
    image = mosaic("fluorescence_small", (700, 700))
    said = []
    store, journal = begin(tmp_path, image.shape)
    steps = segment_blockwise_steps(
        [BlockwisePlane(InMemoryPlane(Broken(image)))], store, journal, bright_blocks
    )
    progress = run(steps, lambda step: said.append(step.notice) and False)
    assert progress.next_plane(1) is None
    assert any("chunk 1.2 is damaged" in one.message for one in progress.failed)
    assert any("could not be read" in one for one in said)
    assert progress.nuclei > 50


def test_what_could_not_be_read_at_first_only_is_told_with_the_reason(tmp_path, bright_blocks):
    plane = Broken(mosaic("fluorescence_small", (700, 700)))
    store, journal = begin(tmp_path, plane.shape)
    said = []

    def leave(step):
        said.append(step.notice)
        plane.broken = getattr(step, "blocks", 1) == 1  # while the plane is looked at

    layers = [BlockwisePlane(InMemoryPlane(plane))]
    progress = run(segment_blockwise_steps(layers, store, journal, bright_blocks), leave)
    assert not progress.failed
    assert [one for one in said if one] == [
        "A part of the image could not be read at first (chunk 1.2 is damaged); its block is tried "
        "again."
    ]


def test_a_table_with_the_columns_of_another_version_is_not_gone_on_with(tmp_path):
    _, journal = begin(tmp_path, (8, 8))
    journal.add(pd.DataFrame({"label": [1], "area": [9]}), journal.progress, {})
    before = journal.table.read_bytes()
    with pytest.raises(UserError, match=r"out\.csv was started by another version"):
        journal.add(
            pd.DataFrame({"label": [2], "area": [9], "circularity": [1]}), journal.progress, {}
        )
    assert journal.table.read_bytes() == before
    journal.add(pd.DataFrame({"label": [2], "area": [9]}), journal.progress, {})
    assert len(pd.read_csv(journal.table)) == 2


def alike(one, other):
    """The same nuclei, whatever their ids are."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    return len(pairs[0]) == len(np.unique(one)) == len(np.unique(other))


def check_table(folder, labels, progress):
    table = np.genfromtxt(folder / "out.csv", delimiter=",", names=True)
    assert table["label"].tolist() == list(range(1, progress.nuclei + 1))
    assert np.array_equal(table["area"], np.bincount(labels.ravel())[1:])


@pytest.mark.parametrize("stops", [False, True], ids=["at once", "stopped meanwhile"])
def test_blocks_that_could_not_be_read_are_tried_again_by_the_next_run(
    tmp_path, bright_blocks, stops
):
    """The disk is gone for a while after the plane was looked at."""
    image = mosaic("fluorescence_small", (700, 700))
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole, expected = stream(image, tmp_path / "whole", bright_blocks)
    plane = Broken(image, broken=False)
    store, journal = begin(tmp_path / "parts", image.shape)

    def leave(step):
        plane.broken = getattr(step, "blocks", 1) > 1

    first = run(
        segment_blockwise_steps(
            [BlockwisePlane(InMemoryPlane(plane))], store, journal, bright_blocks
        ),
        leave,
    )
    failed = {one.block for one in first.failed}
    assert failed == {1, 2, 4, 5}  # all that see the part, or need it for what they see
    assert 0 < first.nuclei < whole.nuclei

    plane.broken = False
    tried = []

    def compute(tasks):
        tried.extend(task.block.core for task in tasks)
        yield from compute_locally_steps(tasks)

    progress = None
    while progress is None or progress.next_plane(1) is not None:
        store, journal = begin(tmp_path / "parts", image.shape)
        if stops:  # and what a killed run would have left of the block that is next
            top, left = (256 * at for at in divmod(journal.progress.again[0].block, 3))
            window = store.labels[top : top + 90, left : left + 90]
            store.labels[top : top + 90, left : left + 90] = np.where(window, window, 10**6)
        events = count_from(1)
        steps = segment_blockwise_steps(
            [BlockwisePlane(InMemoryPlane(plane))], store, journal, bright_blocks, compute
        )
        progress = run(steps, lambda _, events=events: stops and next(events) > 3)
    assert len(set(map(str, tried))) == len(failed)
    assert (len(tried) > len(failed)) == stops
    assert not progress.failed + progress.again
    assert not progress.surveys
    assert progress.nuclei == whole.nuclei
    labels = store.labels[:]
    assert alike(labels, expected)
    before = labels[labels <= first.nuclei].max()
    assert before == first.nuclei  # nothing that was there has another id
    check_table(tmp_path / "parts", labels, progress)


def test_a_plane_of_which_nothing_can_be_read_is_tried_again_as_a_whole(tmp_path, bright_blocks):
    image = mosaic("fluorescence_small", (400, 400))
    (tmp_path / "whole").mkdir()
    _, expected = stream(image, tmp_path / "whole", bright_blocks)
    plane = Broken(image, everywhere=True)
    grid = LabelsGrid((2, 400, 400), "ZYX", (1, 1, 1), (None, None, None))
    layers = [
        BlockwisePlane(InMemoryPlane(plane), (0,), {"z": 0}),
        BlockwisePlane(InMemoryPlane(image), (1,), {"z": 1}),
    ]

    def again():
        store = LabelsStore.create(tmp_path / "out.zarr", grid, "i4")
        journal = Journal(tmp_path / "journal.json", tmp_path / "out.csv", {})
        journal.begin()
        return run(segment_blockwise_steps(layers, store, journal, bright_blocks)), store.labels[:]

    for _ in range(2):
        progress, labels = again()
        assert [(one.plane, one.block) for one in progress.failed] == [(0, None)]
        assert progress.failed[0].message == "z 0: chunk 1.2 is damaged"
        assert np.array_equal(labels[1], expected)
    plane.broken = False
    progress, labels = again()
    assert progress.next_plane(2) is None
    assert not progress.failed
    assert alike(labels[0], expected)
    assert np.array_equal(labels[1], expected)
    assert labels[0][labels[0] > 0].min() == expected.max() + 1
    check_table(tmp_path, labels, progress)


def test_an_image_that_is_gone_ends_the_run_and_nothing_is_believed(tmp_path, bright_blocks):
    """What is read of a zarr that is gone is black, which the check of the image finds out."""
    image = mosaic("fluorescence_small", (400, 400))
    (tmp_path / "whole").mkdir()
    _, expected = stream(image, tmp_path / "whole", bright_blocks)
    array = zarr.create_array(tmp_path / "image.zarr", data=image, chunks=(128, 128))

    def check(_):
        if not (tmp_path / "image.zarr").exists():
            raise UserError("It is gone.")

    def leave(step):
        if getattr(step, "block", 0) == 2 and (tmp_path / "image.zarr").exists():
            (tmp_path / "image.zarr").rename(tmp_path / "elsewhere")

    how = (
        [BlockwisePlane(InMemoryPlane(array))],
        *begin(tmp_path, image.shape),
        bright_blocks,
    )
    with pytest.raises(UserError, match="gone"):
        run(segment_blockwise_steps(*how, check=check), leave)
    assert how[2].progress.block == 2
    assert not how[2].progress.failed
    (tmp_path / "elsewhere").rename(tmp_path / "image.zarr")
    store, journal = begin(tmp_path, image.shape)
    run(
        segment_blockwise_steps(
            [BlockwisePlane(InMemoryPlane(array))],
            store,
            journal,
            bright_blocks,
            check=check,
        )
    )
    assert np.array_equal(store.labels[:], expected)


@pytest.mark.parametrize("shape", [(200, 3000), (3000, 200), (1024, 1024), (1500, 600)])
def test_a_plane_is_measured_in_the_same_pixels_as_in_memory(tmp_path, shape):
    """Large nuclei lie in one part of it, and small ones, that are livelier, in another."""
    image = mosaic("fluorescence_small", shape) // 2
    large = np.kron(mosaic("fluorescence_small", shape), np.ones((3, 3), np.uint8))
    half = tuple(slice(0, edge // 2) if edge == max(shape) else slice(None) for edge in shape)
    image[half] = large[: shape[0], : shape[1]][half]
    how = plan_inference(SegmentParams(), "auto", load_model("nuclei"))
    survey = run(survey_steps(image, load_model("nuclei"), SegmentParams(), how, []))
    record = run(predict_plane_steps(image)).record
    assert round(survey.diameter, 1) == record["diameter"]
    assert round(float(survey.zoom), 4) == record["zoom"]


def test_another_wish_does_not_go_on_with_a_run(tmp_path):
    begin(tmp_path, (64, 64), {"model": "one"})
    with pytest.raises(UserError, match="another model"):
        begin(tmp_path, (64, 64), {"model": "two"})


def test_a_region_and_nan_are_left_out(tmp_path, bright_blocks):
    image = mosaic("fluorescence_small", (600, 600)).astype(np.float32)
    image[100:140, 100:140] = np.nan
    box = [[0, 0], [0, 300], [400, 300], [400, 0]]
    wanted = replace(bright_blocks, region=Region.of([box]))
    _, labels = stream(image, tmp_path, wanted)
    assert labels[:, 301:].max() == 0
    assert labels[:300, :300].max() > 0
    assert not labels[105:135, 105:135].any()


def test_a_zarr_is_only_sliced_and_planes_follow_one_another(tmp_path, bright_blocks):
    stack = np.stack([mosaic("fluorescence_small", (300, 300)), np.zeros((300, 300), np.uint8)])
    array = zarr.create_array(tmp_path / "image.zarr", shape=stack.shape, chunks=(1, 128, 128),
                              dtype=stack.dtype)  # fmt: skip
    array[:] = stack
    grid = LabelsGrid((2, 300, 300), "ZYX", (1, 1, 1), (None, None, None))
    store = LabelsStore.create(tmp_path / "out.zarr", grid, "i4")
    journal = Journal(tmp_path / "journal.json", tmp_path / "out.csv", {})
    journal.begin()
    layers = [BlockwisePlane(InMemoryPlane(stack[z]), (z,), {"z": z}) for z in range(2)]
    progress = run(segment_blockwise_steps(layers, store, journal, bright_blocks))
    assert progress.plane == 2
    assert store.labels[0].max() == progress.nuclei > 10
    assert store.labels[1].max() == 0
    header, first = (tmp_path / "out.csv").read_text().splitlines()[:2]
    assert header.startswith("z,label,")
    assert first.startswith("0,1,")


def test_what_a_killed_run_has_left_of_a_block_is_removed(tmp_path, bright_blocks):
    image = mosaic("fluorescence_small", (600, 600))
    (tmp_path / "whole").mkdir()
    _, expected = stream(image, tmp_path / "whole", bright_blocks)
    store, _ = begin(tmp_path, image.shape)
    store.labels[0:300, 0:300] = 77
    _, labels = stream(image, tmp_path, bright_blocks)
    assert np.array_equal(labels, expected)


@pytest.mark.parametrize("damage", ["missing", "cut", "unlogged"])
@pytest.mark.parametrize(("chunk", "block"), [("0/0/0", 0), ("0/2/4", 4), ("0/3/0", 3)])
def test_a_run_goes_back_to_the_first_block_of_which_labels_are_lost(
    tmp_path, bright_blocks, chunk, block, damage
):
    image = mosaic("fluorescence_small", (600, 600))
    (tmp_path / "whole").mkdir()
    _, expected = stream(image, tmp_path / "whole", bright_blocks)
    grid = LabelsGrid((600, 600), "YX", (1, 1), (None, None))

    def open_it():
        labels = LabelsStore.create(tmp_path / "out.zarr", grid, "i4", chunk=128)
        journal = Journal(tmp_path / "out.zarr" / "journal.json", tmp_path / "out.csv", {})
        opened = OpenStore(labels, journal)
        opened.resume(verify=False)
        return opened

    def steps(opened):
        plane = BlockwisePlane(InMemoryPlane(image))
        return segment_blockwise_steps([plane], opened.labels, opened.journal, bright_blocks)

    run(steps(open_it()), lambda step: isinstance(step, BlockStep) and step.block >= 6)
    lost = tmp_path / "out.zarr" / chunk
    lost.unlink() if damage == "missing" else lost.write_bytes(b"\x02\x01!")
    if damage == "unlogged":  # of the block that was at work, and in no line yet
        late = tmp_path / "out.zarr" / "0" / "4" / "4"
        late.parent.mkdir(exist_ok=True)
        late.write_bytes(b"")
    opened = open_it()
    assert opened.journal.progress.block == block
    assert opened.labels.labels[:].max() == opened.journal.progress.nuclei
    run(steps(opened))
    assert np.array_equal(opened.labels.labels[:], expected)
    table = (tmp_path / "whole" / "out.csv").read_bytes()
    assert (tmp_path / "out.csv").read_bytes() == table
    opened.check_written()


def test_a_run_that_goes_on_sees_the_plane_as_before(tmp_path, bright_blocks):
    """What was found out of the plane is kept with what is done."""
    image = mosaic("fluorescence_small", (600, 600))
    turns = count_from(1)
    stream(image, tmp_path, bright_blocks, lambda _: next(turns) > 6)
    kept = json.loads((tmp_path / "out.zarr" / "journal.json").read_text())["progress"]["surveys"][
        "0"
    ]
    assert kept["high"] == pytest.approx(np.percentile(image, 99.8))
    store, journal = begin(tmp_path, image.shape)
    run(
        segment_blockwise_steps(
            [BlockwisePlane(InMemoryPlane(image))], store, journal, bright_blocks
        )
    )
    assert not journal.progress.surveys


def test_a_run_that_goes_on_has_the_same_blocks(tmp_path, bright_blocks):
    """Other memory may be free by then, for which others would be chosen."""
    image = mosaic("fluorescence_small", (600, 600))
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    _, expected = stream(image, tmp_path / "whole", bright_blocks)
    turns = count_from(1)
    progress, _ = stream(image, tmp_path / "parts", bright_blocks, lambda _: next(turns) > 6)
    assert progress.plane == 0
    larger = replace(bright_blocks, size=2 * bright_blocks.size)
    _, labels = stream(image, tmp_path / "parts", larger)
    np.testing.assert_array_equal(labels, expected)


def test_blocks_are_smaller_where_memory_is_short(monkeypatch):
    used = psutil.Process().memory_info().rss // 2**20
    for megabytes, size in ((2000, 4096), (600, 2048), (180, 1024)):
        monkeypatch.setenv("SLURM_MEM_PER_NODE", str(used + megabytes))
        assert fit_block_size(4096, (9000, 9000), Fraction(1)) == size
    assert fit_block_size(4096, (900, 900), Fraction(1)) == 4096  # one block, which is small
    monkeypatch.setenv("SLURM_MEM_PER_NODE", str(used + 100))
    with pytest.raises(UserError, match=r"1024 x 1024 pixels take 0\.\d+ GB of memory"):
        fit_block_size(4096, (9000, 9000), Fraction(1))
    # an enlarged plane takes more
    monkeypatch.setenv("SLURM_MEM_PER_NODE", str(used + 150))
    assert fit_block_size(4096, (9000, 9000), Fraction(1)) == 1024
    with pytest.raises(UserError, match=r"1024 x 1024 pixels take 0\.\d+ GB of memory"):
        fit_block_size(4096, (9000, 9000), Fraction(3))


def test_blocks_of_several_processes_share_the_memory(monkeypatch):
    used = psutil.Process().memory_info().rss // 2**20

    def fit(processes, shape=(9000, 9000)):
        return fit_block_size(4096, shape, Fraction(1), processes)

    monkeypatch.setenv("SLURM_MEM_PER_NODE", str(used + 4000))
    assert [fit(count) for count in (0, 1, 4, 8)] == [4096, 4096, 2048, 1024]
    assert fit(8, (4000, 4000)) == 4096  # one block: the others have nothing to do
    with pytest.raises(UserError, match=r"1024 x 1024 pixels in 20 processes take 9\.\d GB"):
        fit(20)


def test_too_little_memory_for_any_block_is_told_before_the_image_is_read(
    tmp_path, bright_blocks, monkeypatch
):
    used = psutil.Process().memory_info().rss // 2**20
    monkeypatch.setenv("SLURM_MEM_PER_NODE", str(used + 150))
    read = []

    class Plane:
        shape, dtype = (2000, 2000), np.dtype(np.uint8)

        def __getitem__(self, box):
            read.append(box)
            return np.zeros((2000, 2000), np.uint8)[box]

    with pytest.raises(UserError, match=r"blocks takes 0\.\d+ GB of memory, .* at least [\d.]+ GB"):
        stream(Plane(), tmp_path, bright_blocks)
    assert not read


def test_large_numbers_on_a_large_offset_are_seen(tmp_path, bright, bright_blocks):
    image = mosaic("fluorescence_small", (400, 400)).astype(np.uint32) + 3_000_000_000
    _, labels = stream(image, tmp_path, bright_blocks)
    assert count_matches(segment(image, bright), labels).scores()["AP@0.9"] >= 0.99


def test_nuclei_that_earlier_blocks_have_covered_have_no_id():
    found = np.array([[1, 1, 0], [2, 2, 3]], np.int32)
    window = np.array([[0, 0, 0], [9, 9, 0]], np.int32)
    assert number_surviving_labels(found, window).tolist() == [0, 1, 0, 2]
