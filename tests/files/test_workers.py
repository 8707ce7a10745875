"""Images of a run side by side: real files, real threads, real signals."""

import csv
import signal
import sys
import threading
import time
import traceback
from dataclasses import replace

import pytest
import tifffile
import torch
from conftest import bright_network, discs

from napari_nuclei_unet import SegmentParams, UserError
from napari_nuclei_unet.batch.inputs import find_inputs
from napari_nuclei_unet.batch.outputs import OutputOptions
from napari_nuclei_unet.batch.series_image import SegmentRun
from napari_nuclei_unet.batch.settings import JobSettings
from napari_nuclei_unet.batch.workers import THREAD_PREFIX, WorkerPlan, plan_workers
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.cli._segment_files import segment_files
from napari_nuclei_unet.io.labels import read_record
from napari_nuclei_unet.labels.threads import WAIT_POLICY, choose_wait_policy
from napari_nuclei_unet.limits import Limits
from napari_nuclei_unet.models.model import Model
from napari_nuclei_unet.progress import check_interruption


def three_workers() -> WorkerPlan:
    """Each with one thread, and as much memory as it likes."""
    return WorkerPlan(3, 1, torch.get_num_threads(), 10**12)


@pytest.fixture
def folder(tmp_path):
    """Nine images with 1 to 9 nuclei, two of them bad, one larger, one a stack."""
    images = tmp_path / "images"
    images.mkdir()
    for number in range(1, 10):
        plane = discs((64, 200), [(20, 15 + 20 * at) for at in range(number)])
        tifffile.imwrite(images / f"i{number}.tif", plane)
    (images / "i3.tif").write_bytes(b"II*\x00\x08\x00\x00\x00\xff\xff")
    (images / "i5.tif").unlink()
    (images / "i5.tif").symlink_to(images / "gone")
    tifffile.imwrite(images / "i6.tif", discs((128, 256), [(20, 20)]))
    stack = [discs((40, 60), [(20, 20)]), discs((40, 60), [(20, 40)])]
    tifffile.imwrite(images / "i8.tif", stack, metadata={"axes": "TYX"}, photometric="minisblack")
    return images


def results(out):
    """All that a run has written, without its times."""
    found = {}
    for path in sorted(out.iterdir()):
        if path.name == "nuclei_summary.csv":
            with path.open(newline="", encoding="utf-8") as opened:
                rows = list(csv.DictReader(opened))
            found[path.name] = [(row["image"], row["status"], row["nuclei"]) for row in rows]
        elif path.suffix == ".csv":
            found[path.name] = path.read_bytes()
        else:
            record = {k: v for k, v in read_record(path).items() if k not in ("time", "seconds")}
            found[path.name] = record, tifffile.imread(path).tobytes()
    return found


def test_workers_write_and_say_the_same_as_one_after_the_other(
    tmp_path, folder, bright_file, capsys
):
    limits = Limits(worker_pixels=20_000)  # one is larger
    printed, written = {}, {}
    for workers in ("1", "4"):
        out = tmp_path / workers
        args = ["segment", str(folder), "--out", str(out), "--model", str(bright_file)]
        assert main([*args, "--diameter", "12", "--workers", workers], limits) == 2
        said = capsys.readouterr()
        printed[workers] = [text.replace(str(out), "OUT") for text in said]
        written[workers] = results(out)
    assert printed["4"] == printed["1"]
    assert written["4"] == written["1"]
    assert "i9.tif: 9 nuclei" in printed["4"][0]
    images = [row[0].rpartition("/")[2] for row in written["4"]["nuclei_summary.csv"]]
    assert images == [f"i{number}.tif" for number in range(1, 10)]
    assert len(printed["4"][1].splitlines()) == 2
    # now all but the two bad ones are there
    assert main([*args, "--diameter", "12", "--workers", "4"], limits) == 2
    assert "7 of 9 files" in capsys.readouterr().out


@pytest.mark.parametrize("workers", ["0", "-1", "two"])
def test_a_number_of_workers_is_at_least_one(tmp_path, folder, capsys, workers):
    with pytest.raises(SystemExit):
        main(["segment", str(folder), "--out", str(tmp_path / "out"), "--workers", workers])
    assert "whole number from 1" in capsys.readouterr().err


def test_there_are_as_many_workers_as_images_threads_and_memory(bright):
    settings = JobSettings(bright, "bright")
    assert plan_workers(1000, 3, settings).workers == 3
    assert plan_workers(None, 1, settings).workers == 1
    assert plan_workers(None, 10**6, settings).workers <= torch.get_num_threads()
    assert plan_workers(10**6, 10**6, settings).workers < 10**6
    with pytest.raises(UserError, match="`workers` is 0"):
        plan_workers(0, 3, settings)


@pytest.fixture
def begin(tmp_path, folder, bright):
    """Begin a run of three workers, with a hook that is called before each tile."""

    def begin_run(hook, plan=None):
        network = bright_network()
        network.register_forward_pre_hook(hook)
        settings = JobSettings(
            Model(bright.card, network), "bright", SegmentParams(diameter=12, precision="fp32")
        )
        (tmp_path / "out").mkdir(exist_ok=True)
        run = SegmentRun(settings, OutputOptions(tmp_path / "out"), overwrite=False, compute=None)
        return segment_files(find_inputs([folder]), run, plan or three_workers())

    return begin_run


@pytest.fixture(autouse=True)
def no_thread_is_left():
    threads = torch.get_num_threads()
    yield
    assert not [one for one in threading.enumerate() if one.name.startswith(THREAD_PREFIX)]
    assert torch.get_num_threads() == threads


@pytest.fixture
def ctrl_c():
    """Ctrl-C raises an error, as on a terminal; in the background it does not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_stops_all_workers_and_leaves_what_is_finished(tmp_path, begin, ctrl_c):
    calls, times, rows, is_stopped = iter(range(1000)), [], [], False

    def is_waiting():
        """Whether the main thread has taken what is done, and waits for more."""
        main_thread = sys._current_frames()[threading.main_thread().ident]  # noqa: SLF001
        at = {frame.f_code.co_name for frame, _ in traceback.walk_stack(main_thread)}
        return sum(row.status == "done" for row in rows) == 3 and "_wait_for" in at

    def work_until_stopped(*_):
        call = next(calls)
        deadline = time.monotonic() + 60
        while call >= 3:  # as a large tile, in many layers
            check_interruption()
            assert time.monotonic() < deadline
            if call == 3 and not times and is_waiting():
                times.append(time.monotonic())
                signal.raise_signal(signal.SIGINT)

    try:
        for row in begin(work_until_stopped):
            rows.append(row)
    except KeyboardInterrupt:
        is_stopped = True
    assert is_stopped
    assert time.monotonic() - times[0] < 5  # 0.05 s where nobody else is at work
    states = [row.status for row in rows]
    assert states.count("done") == 3
    assert 1 <= states.count("stopped") <= 3
    done = [row for row in rows if row.status == "done"]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert len(names) == 2 * len(done)  # nothing that passes for finished, and nothing aside
    assert all(row.result.rpartition("/")[2] in names for row in done)


def test_a_bug_keeps_its_traceback_and_ends_the_run(begin):
    def divide(*_):
        return 1 // 0

    with pytest.raises(ZeroDivisionError) as caught:
        list(begin(divide))
    assert any(entry.name == "divide" for entry in caught.traceback)


def test_an_image_for_which_memory_is_short_beside_others_runs_alone(begin):
    threads = []

    def need_memory(*_):
        if threading.current_thread() is not threading.main_thread():
            raise MemoryError
        threads.append(torch.get_num_threads())

    plan = replace(three_workers(), threads=torch.get_num_threads())
    states = [row.status for row in begin(need_memory, plan)]
    assert states == ["done", "done", "failed", "done", "failed", *["done"] * 4]
    assert set(threads) == {torch.get_num_threads()}


def test_without_memory_for_workers_each_image_runs_alone(begin):
    threads = set()
    plan = replace(three_workers(), worker_bytes=1)
    rows = list(begin(lambda *_: threads.add(threading.current_thread()), plan))
    assert [row.status for row in rows].count("done") == 7
    assert threads == {threading.main_thread()}


def test_threads_wait_as_the_user_wants(monkeypatch):
    for name in (*WAIT_POLICY, "KMP_BLOCKTIME"):
        monkeypatch.delenv(name, raising=False)
    assert choose_wait_policy() == WAIT_POLICY
    monkeypatch.setenv("KMP_BLOCKTIME", "200")
    assert choose_wait_policy() == {}
