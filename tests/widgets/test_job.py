"""Threads: nothing is lost and nothing is left behind, whatever a generator does."""

import subprocess
import sys
import threading

import pytest
from qtpy.QtCore import QObject

from napari_nuclei_unet.progress import Step, check_interruption
from napari_nuclei_unet.widgets.common.job import ThreadJob


@pytest.fixture
def job(qtbot):
    owner = QObject()
    yield ThreadJob(owner)
    owner.deleteLater()


def count_to(n, log):
    try:
        for i in range(n):
            log.append(threading.current_thread())
            yield Step(i, n)
        return "done"
    finally:
        log.append("closed")


def fail_with(error):
    yield Step(0, 1)
    raise error


def test_events_and_result_arrive_in_order_from_another_thread(job, qtbot):
    log, steps, results = [], [], []
    job.stepped.connect(steps.append)
    job.returned.connect(results.append)
    with qtbot.waitSignal(job.finished):
        job.start("counting", count_to, 3, log)
    assert [step.done for step in steps] == [0, 1, 2]
    assert results == ["done"]
    assert log[0] is not threading.current_thread()
    assert not job.is_running


@pytest.mark.parametrize("error", [ValueError("no"), RuntimeError("out of memory"), MemoryError()])
def test_every_error_arrives_even_a_runtime_error(job, qtbot, error):
    failures = []
    job.failed.connect(failures.append)
    with qtbot.waitSignal(job.finished):
        job.start("failing", fail_with, error)
    assert failures == [error]
    assert not job.is_running


def test_cancel_closes_the_generator_and_gives_no_result(job, qtbot):
    log, results = [], []
    job.stepped.connect(job.cancel)
    job.returned.connect(results.append)
    with qtbot.waitSignal(job.finished):
        job.start("counting", count_to, 1_000_000, log)
    assert log[-1] == "closed"
    assert results == []


def test_cancel_ends_a_step_that_takes_long(job, qtbot):
    closed, results = [], []

    def steps():
        try:
            yield Step(0, 1)
            while True:
                check_interruption()
        finally:
            closed.append(True)

    job.returned.connect(results.append)
    job.failed.connect(results.append)
    job.stepped.connect(job.cancel)
    with qtbot.waitSignal(job.finished, timeout=5000):
        job.start("", steps)
    assert closed
    assert not results


def test_a_job_can_be_started_again_after_each_end(job, qtbot):
    failures = []
    job.failed.connect(failures.append)
    for start in ((fail_with, ValueError()), (count_to, 1, []), (fail_with, RuntimeError())):
        with qtbot.waitSignal(job.finished):
            job.start("again", *start)
    assert len(failures) == 2


DELETED_OWNER = """
import time, qtpy
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QApplication
from napari_nuclei_unet.progress import Step
from napari_nuclei_unet.widgets.common.job import ThreadJob
if qtpy.PYQT6:
    from PyQt6.sip import delete
else:
    from shiboken6 import delete

def steps():
    yield Step(0, 1)
    time.sleep(0.02)
    return 1

def process_events(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        app.processEvents()

app = QApplication([])
for turn in range(100):
    owner = QObject()
    job = ThreadJob(owner)
    job.start("", steps)
    process_events(0.01 + 0.001 * (turn % 20))
    delete(owner)  # and the job with it, as labels take theirs along
    del owner, job
    process_events(0.02)
print("survived")
"""


def test_a_job_may_be_deleted_with_its_owner_while_it_runs():
    command = [sys.executable, "-W", "ignore", "-c", DELETED_OWNER]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert "survived" in done.stdout, done.stderr


CANCELLED_IMPORT = """
import sys
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication
from napari_nuclei_unet.progress import Step
from napari_nuclei_unet.widgets.common.job import ThreadJob, load_engine

def steps():
    load_engine(0)
    yield Step(0, 1)

def tell():
    engine = sys.modules.get("napari_nuclei_unet.segmentation.segment")
    print("loaded" if hasattr(engine, "segment") else "cancelled", flush=True)
    app.quit()

app = QApplication([])
assert "torch" not in sys.modules
job = ThreadJob(app)
job.finished.connect(tell)
job.start("", steps)
QTimer.singleShot(50, job.cancel)
app.exec()
"""


def test_cancel_does_not_wait_until_the_engine_is_imported():
    command = [sys.executable, "-W", "ignore", "-c", CANCELLED_IMPORT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.stdout.split() == ["cancelled"], done.stderr


def test_a_job_may_end_in_the_midst_of_its_step(qtbot):
    """PyQt had deleted what calls the slot when the slot returned, and the program crashed."""
    program = """
from qtpy.QtWidgets import QApplication
application = QApplication([])
from napari_nuclei_unet.progress import Step
from napari_nuclei_unet.widgets.common.job import ThreadJob
def steps():
    for number in range(5):
        yield Step(number, 5)
for _ in range(50):
    job, seen = ThreadJob(application), []
    def process_events(step):
        seen.append(step)
        while job.is_running and len(seen) < 3:
            application.processEvents()
        for _ in range(3):
            application.processEvents()
    job.stepped.connect(process_events)
    job.start("", steps)
    while job.is_running:
        application.processEvents()
    assert len(seen) == 5, seen
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
