"""Threads: nothing is lost and nothing is left behind, whatever a generator does."""

import threading

import pytest

from napari_nuclei_unet.progress import Step
from napari_nuclei_unet.widgets.common.job import ThreadJob


@pytest.fixture
def job(qtbot):
    return ThreadJob()


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


def test_a_job_can_be_started_again_after_each_end(job, qtbot):
    failures = []
    job.failed.connect(failures.append)
    for start in ((fail_with, ValueError()), (count_to, 1, []), (fail_with, RuntimeError())):
        with qtbot.waitSignal(job.finished):
            job.start("again", *start)
    assert len(failures) == 2
