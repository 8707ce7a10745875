"""The states of a controller, with real threads."""

import threading

import pytest
from qtpy.QtCore import QObject, QThreadPool

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.progress import Step
from napari_nuclei_unet.widgets.common.controller import Controller, RunState, Task


class Count(Task):
    """Counts to three; waits after its first step until it may go on."""

    def __init__(self, error=None, full=None):
        self.may_go_on, self.error, self.full = threading.Event(), error, full
        self.shown, self.result, self.ended, self.cancelled = [], None, 0, 0

    def steps(self):
        for number in range(3):
            stop = yield Step(number, 3, "one" if number == 1 else "")
            self.may_go_on.wait(10)
            if self.error is not None:
                raise self.error
            if stop:
                return number + 1
        return 3

    def on_step(self, step):
        self.shown.append(step.done)

    def follow_up(self, result):
        return Count() if result < 3 else None

    def on_result(self, result):
        self.result = result
        if self.full is not None:
            raise self.full

    def on_end(self):
        self.ended += 1

    def on_cancelled(self, result):
        self.cancelled += self.ended  # it comes after the end
        self.discarded = result


@pytest.fixture
def controller(qtbot):
    parent = QObject()
    made = Controller(parent)
    made.states, made.notices, made.errors = [], [], []
    made.state_changed.connect(made.states.append)
    made.notice.connect(made.notices.append)
    made.failed.connect(made.errors.append)
    yield made
    made.cancel()


def wait_for_step(qtbot, task):
    qtbot.waitUntil(lambda: bool(task.shown))


def test_a_task_that_is_left_alone_returns_its_result(qtbot, controller):
    task = Count()
    task.may_go_on.set()
    with qtbot.waitSignal(controller.finished):
        controller.start(task)
    assert controller.states == [RunState.RUNNING, RunState.IDLE]
    assert (task.result, task.ended, task.shown) == (3, 1, [0, 1, 2])
    assert not task.cancelled
    assert controller.notices == ["one"]


@pytest.mark.parametrize("keep", [True, False])
def test_a_stopped_task_asks_about_its_part(qtbot, controller, keep):
    task = Count()
    controller.start(task)
    wait_for_step(qtbot, task)
    controller.stop()
    with qtbot.waitSignal(controller.finished):
        task.may_go_on.set()
    assert controller.state is RunState.ASKING
    assert (task.result, task.ended) == (None, 1)
    controller.answer(keep)
    assert controller.state is (RunState.RUNNING if keep else RunState.IDLE)
    if keep:
        rest = controller.task
        with qtbot.waitSignal(controller.finished):
            rest.may_go_on.set()
        assert rest.result == 3
    controller.answer(keep)  # nobody asks any more
    assert controller.state is RunState.IDLE


def test_a_cancelled_task_has_no_result(qtbot, controller):
    task = Count()
    controller.start(task)
    wait_for_step(qtbot, task)
    controller.stop()
    controller.cancel()
    with qtbot.waitSignal(controller.finished):
        task.may_go_on.set()
    assert controller.states[-2:] == [RunState.CANCELLING, RunState.IDLE]
    assert (task.result, task.ended, task.cancelled) == (None, 1, 1)


def test_a_task_that_was_over_when_it_was_cancelled_has_no_result_either(qtbot, controller):
    task, messages = Count(), []
    task.may_go_on.set()
    controller.message.connect(messages.append)
    with qtbot.waitSignal(controller.finished):
        controller.start(task)
        QThreadPool.globalInstance().waitForDone()  # what it returns is still on its way
        controller.cancel()
    assert messages == ["Cancelled."]
    assert (task.result, task.ended, task.cancelled, task.discarded) == (None, 1, 1, 3)


def test_a_failed_task_ends_and_says_why(qtbot, controller):
    task = Count(UserError("The disk is full."))
    task.may_go_on.set()
    with qtbot.waitSignal(controller.finished):
        controller.start(task)
    assert [str(error) for error in controller.errors] == ["The disk is full."]
    assert (controller.state, task.result, task.ended) == (RunState.IDLE, None, 1)


def test_a_result_that_cannot_be_shown_ends_the_task_all_the_same(qtbot, controller, messages):
    task = Count(full=UserError("There is not enough memory."))
    task.may_go_on.set()
    with qtbot.waitSignal(controller.finished):
        controller.start(task)
    assert (controller.state, task.ended) == (RunState.IDLE, 1)
    assert messages == [("error", "There is not enough memory.")]


def test_a_bug_in_showing_a_result_is_no_end_of_the_dock(qtbot, controller):
    task = Count(full=ZeroDivisionError())
    task.may_go_on.set()
    with qtbot.captureExceptions() as bugs, qtbot.waitSignal(controller.finished):
        controller.start(task)
    assert [kind for kind, *_ in bugs] == [ZeroDivisionError]
    assert (controller.state, task.ended) == (RunState.IDLE, 1)


def test_a_bug_in_showing_a_step_ends_the_task_and_is_reported_once(qtbot, controller):
    task = Count()
    task.may_go_on.set()

    def fail(_):
        raise ZeroDivisionError

    task.on_step = fail
    with qtbot.captureExceptions() as bugs, qtbot.waitSignal(controller.finished):
        controller.start(task)
    assert [kind for kind, *_ in bugs] == [ZeroDivisionError]
    assert (controller.state, task.result, task.ended) == (RunState.IDLE, None, 1)


def test_no_other_move_is_possible(qtbot, controller):
    task = Count()
    controller.start(task)
    with pytest.raises(AssertionError, match="RUNNING does not become RUNNING"):
        controller.start(Count())
    with qtbot.waitSignal(controller.finished):
        task.may_go_on.set()
