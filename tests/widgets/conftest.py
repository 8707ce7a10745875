"""Real widgets on a real viewer model, without a window system of its own."""

import gc
from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from npe2 import DynamicPlugin
from qtpy.QtCore import QCoreApplication, QEvent, Qt, QThreadPool
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QComboBox, QLabel, QPushButton

from napari_nuclei_unet.limits import DEFAULT_LIMITS
from napari_nuclei_unet.widgets import (
    ManyImagesWidget,
    ReviewWidget,
    SegmentWidget,
    TableWidget,
    TrainWidget,
)
from napari_nuclei_unet.widgets.session.model_registry import MODEL_REGISTRY

gc.freeze()  # modules stay: collecting after each test need not look at them


@pytest.fixture(scope="session", autouse=True)
def readers():
    """The readers of napari: before 0.9, windows load them, of which there are none here."""
    from napari.plugins import _initialize_plugins

    _initialize_plugins()


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
def review(qtbot, viewer):
    """The widget "Review nuclei"."""
    made = ReviewWidget(viewer)
    qtbot.addWidget(made)
    return made


@pytest.fixture
def table(qtbot, viewer):
    """The widget "Nuclei table", on view."""
    made = TableWidget(viewer)
    qtbot.addWidget(made)
    made.resize(1000, 300)
    made.show()
    return made


@pytest.fixture
def many(qtbot, viewer, bright_file, preferences):
    """The widget "Many images" with the brightness network as default."""
    preferences.model = str(bright_file)
    made = ManyImagesWidget(viewer)
    qtbot.addWidget(made)
    return made


@pytest.fixture
def home(tmp_path, monkeypatch, preferences):
    """A user's folder of its own, with nothing in it, and fresh preferences."""
    monkeypatch.setenv("NUCLEI_UNET_HOME", str(tmp_path / "home"))
    yield tmp_path / "home"
    MODEL_REGISTRY.session_model = ""


@pytest.fixture
def trainer(qtbot, viewer, bright_file, home):
    """The widget "Train nuclei model", to begin with the brightness network, and quick.

    It has no reference images, of which the scores take three times as long as all the rest.
    """
    made = TrainWidget(viewer)
    qtbot.addWidget(made)
    made.model_form.use_file(bright_file)
    quick = {"epochs": 2, "steps": 3, "batch": 2, "patch": 32, "reference": 0.0}
    made.params_form.set_value(replace(made.params_form.value(), **quick))
    return made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown():
    """Delete what a test leaves behind, in the thread of the window.

    Forms without a dock belong to Python, which may collect them in any thread.
    """
    result = yield
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    gc.collect()
    return result


@pytest.fixture(autouse=True)
def no_worker_is_left(qtbot):
    """Fail the test that leaves a thread at work."""
    yield
    qtbot.waitUntil(no_thread_is_at_work, timeout=20_000)


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


def no_thread_is_at_work():
    return not QThreadPool.globalInstance().activeThreadCount()


def click(widget, name):
    button = widget.findChild(QPushButton, name)
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def click_and_wait(qtbot, widget, name="segment"):
    """Click a button, and wait until all that follows is over."""
    with qtbot.waitSignal(widget.finished, timeout=60_000):
        click(widget, name)


def settle(qtbot, widget):
    """Wait until a widget has nothing to do any more."""
    qtbot.waitUntil(lambda: widget.is_settled, timeout=60_000)


def move(widget, name, value):
    """Set a control of the form."""
    form = widget.params_form
    form.set_value(replace(form.value(), **{name: value}))


def choose(widget, **values):
    """Set what is segmented: attributes of ``SourceChoice``."""
    form = widget.source_form
    form.set_value(replace(form.value(), **values))


def select(widget, name, text):
    """Select an entry of a list of the form."""
    widget.findChild(QComboBox, name).setCurrentText(text)


def offered(widget, name):
    """Return the entries of a list of the form."""
    combo = widget.findChild(QComboBox, name)
    return [combo.itemText(number) for number in range(combo.count())]


def open_as(viewer, path, data, **options):
    """Add an image as if a reader of the user's had it from a path, such as a lazy one."""
    with DynamicPlugin("reader-of-the-user") as plugin:

        @plugin.contribute.reader(filename_patterns=["*"], accepts_directories=True)
        def get_reader(path):
            return lambda *_: [(data, options, "image")]

        (image,) = viewer.open(path, plugin=plugin.name)
    return image


def drawn(layer):
    """Return what napari draws of a layer, pixel by pixel; None where that is nothing."""
    rows, columns = layer.data.shape[-2:]
    hidden = [0] * (layer.ndim - 2)
    pixels = [[layer.get_value((*hidden, y, x)) for x in range(columns)] for y in range(rows)]
    return np.array(pixels, object)


def status(widget):
    """Return the line of status."""
    return widget.findChild(QLabel, "status").text()
