"""Real widgets on a real viewer model, without a window system of its own."""

from dataclasses import replace

import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QPushButton
from superqt.utils import WorkerBase

from napari_nuclei_unet.limits import DEFAULT_LIMITS
from napari_nuclei_unet.widgets import SegmentWidget, TrainWidget


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def limits():
    """The limits of the widget; tests and modules that need other ones replace this."""
    return DEFAULT_LIMITS


@pytest.fixture
def widget(qtbot, viewer, bright_file, limits):
    """The widget "Segment nuclei" with the brightness network chosen."""
    made = SegmentWidget(viewer, limits)
    qtbot.addWidget(made)
    made.use_model_file(bright_file)
    return made


@pytest.fixture
def home(tmp_path, monkeypatch, preferences):
    """A user's folder of its own, with nothing in it, and fresh preferences."""
    monkeypatch.setenv("NUCLEI_UNET_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def trainer(qtbot, viewer, bright_file, home):
    """The widget "Train nuclei model", to begin with the brightness network, and quick."""
    made = TrainWidget(viewer)
    qtbot.addWidget(made)
    made._model.use_file(bright_file)
    made._form.set(replace(made._form.get(), epochs=2, steps=3, batch=2, patch=32))
    return made


@pytest.fixture(autouse=True)
def no_worker_is_left(qtbot):
    """Fail the test that leaves a thread at work."""
    yield
    qtbot.waitUntil(lambda: not WorkerBase._worker_set, timeout=20_000)


@pytest.fixture
def messages():
    """Notifications that the user would see, as (severity, text)."""
    from napari.utils.notifications import notification_manager

    seen = []

    def keep(notification):
        seen.append((str(notification.severity), notification.message))

    notification_manager.notification_ready.connect(keep)
    yield seen
    notification_manager.notification_ready.disconnect(keep)


def click(widget, name):
    button = widget.findChild(QPushButton, name)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def click_and_wait(qtbot, widget, name="segment"):
    with qtbot.waitSignal(widget._runner.job.finished, timeout=60_000):
        click(widget, name)
