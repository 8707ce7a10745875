"""The dock widget "Segment nuclei"."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFormLayout

from ...limits import DEFAULT_LIMITS, Limits
from ...params import RETUNED_NAMES, SegmentParams
from ..common.controller import RunState, Task
from ..common.controls import ScrollableForm, create_section
from ..common.lifetime import adopt, stop_listening_when_destroyed
from ..common.notify import report_user_errors, show_warning
from ..common.params_form import ParamsForm
from ..common.preferences import get_preference
from ..common.status_panel import StatusPanel
from ..layers.image_source import VISIBLE_REGION, ImageSource
from ..layers.labels_record import LabelsRecord, stale_ids_warning
from ..layers.labels_state import LabelsState
from ..layers.queue_watch import QueueWatch
from ..project.panel import ProjectPanel, RestoreBar
from ..session.model_form import ModelForm
from ..session.plane_result import PlaneResult, RetunedPlane
from ..session.session import Session
from ..session.warm_up import start_warm_up
from .brightness_form import BrightnessForm
from .controller import SegmentController
from .current_plane import CurrentPlane
from .display import DisplayOptions
from .keep_partial_dialog import ask_to_keep
from .left_out_line import LeftOutLine
from .linking import LinkingPanel
from .plane_task import SegmentRequest
from .plane_writer import PlaneWriter
from .reproduce import ReproducePanel
from .retuner import Retuner
from .save_panel import SavePanel
from .settings import read_settings, use_record, use_settings
from .source_form import SourceForm
from .stack_tuning import StackTuning
from .summary import summarize_plane
from .tuning_panel import TuningPanel

if TYPE_CHECKING:
    import napari.viewer

NO_IMAGE_TO_SEGMENT = "There is no image to segment: open one first (File ▸ Open)."
NO_EFFECT_IN_VOLUMES = "In volumes, what is smaller than a tenth of a typical nucleus is left out."
SEGMENT_SETTINGS = ("diameter", "tile", "batch", "precision", "average_orientations")


class SegmentWidget(ScrollableForm):
    """Segments the nuclei of the image on view; sliders retune the result.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        A ``napari.components.ViewerModel`` will do.
    limits : Limits, optional
        Of the session, if this dock is its first.

    Attributes
    ----------
    source_form, brightness_form, model_form, params_form
        What is segmented, how bright it is, by which model, and how; each has a value.
    controller : SegmentController
        Runs the tasks, and says how far they are.
    retuner : Retuner
        Recomputes nuclei when a slider moves.

    Signals
    -------
    finished
        A run, or a move of a slider, is over: labels and their table are as they will be.
    """

    finished = Signal()

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._session = Session.of(napari_viewer, limits)
        self._session.join(self)
        self._restoring = True  # while the form is set as a whole, nothing is retuned
        self._queues = QueueWatch()
        self._params_at_start: SegmentParams | None = None  # None: none of the labels on view
        self._build()
        self._writer = PlaneWriter(
            napari_viewer, self._session, self._display_options, self._watch_queue
        )
        self.controller = SegmentController(self, self._writer, self._session)
        self.retuner = Retuner(self, self._session.predictions, self._find_retuned)
        self._stack_tuning = StackTuning(
            self._current_plane, self._session.predictions, self._writer, self._request,
            self._start_task,
        )  # fmt: skip
        adopt(self, self._stack_tuning)
        stop_listening_when_destroyed(self, napari_viewer)
        self._watch()
        self._restoring = False
        self._session.segment_settings.connect(self, read_settings, use_settings)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 Qt's name
        """Load what the first click needs as soon as the dock is on the screen."""
        super().showEvent(event)
        QTimer.singleShot(0, start_warm_up)

    def _build(self) -> None:
        self.source_form = SourceForm(self._viewer)
        self.brightness_form = BrightnessForm()
        self.model_form = ModelForm()
        self.params_form = ParamsForm(SegmentParams)
        forms = self.source_form, self.brightness_form, self.model_form, self.params_form
        adopt(self, *forms, self._queues)
        self._current_plane = CurrentPlane(self.source_form, self.model_form, self._session)
        self._tuning_panel = TuningPanel(self.params_form, self.model_form)
        self._status_panel = StatusPanel()
        self._display_options = DisplayOptions(self._viewer, self.source_form, self._current_plane)
        self._left_out = LeftOutLine(self._viewer, self.source_form, self._current_plane)
        self._linking_panel = LinkingPanel(self._viewer, self.source_form)
        self._save_panel = SavePanel(self._viewer, self.source_form)
        self._project_panel = ProjectPanel(self._viewer)
        self._reproduce_panel = ReproducePanel(
            self._viewer, self.source_form, partial(use_record, self), self._current_plane
        )
        top = QFormLayout()
        self.source_form.fill(top)
        top.addRow("Brightness", self.brightness_form.combo.native)
        self.model_form.fill(top)
        settings = self.params_form.container(*SEGMENT_SETTINGS)
        self.set_parts(
            RestoreBar(self._viewer),
            top,
            self._tuning_panel,
            create_section("settings", "Advanced", settings),
            self._status_panel,
            self._left_out,
            self._display_options,
            self._save_panel,
            self._linking_panel,
            self._reproduce_panel,
            self._project_panel,
        )

    def _watch(self) -> None:
        panel, controller = self._status_panel, self.controller
        panel.segment.clicked.connect(self.segment)
        panel.segment.setText(self.source_form.planes.describe())
        self.source_form.planes.described.connect(panel.segment.setText)
        panel.preview.clicked.connect(self.preview)
        panel.cancel.clicked.connect(self.cancel)
        panel.continue_planes.clicked.connect(self.resume)
        controller.state_changed.connect(self._on_state)
        controller.progressed.connect(panel.step)
        controller.notice.connect(show_warning)
        controller.finished.connect(self._on_finished)
        for part in (
            self._linking_panel, self._reproduce_panel, self._save_panel, self._project_panel,
            self._display_options, self.retuner, controller,
        ):  # fmt: skip
            part.message.connect(panel.show_message)
        panel.set_missing("" if self.source_form.image.value is not None else NO_IMAGE_TO_SEGMENT)
        self._linking_panel.requested.connect(self._link)
        self._tuning_panel.all_requested.connect(self.tune_all)
        self.model_form.changed.connect(self._offer_all)
        self.params_form.changed.connect(self._on_setting)
        self._session.watcher.invalidated.connect(self._on_invalidated)
        self._queues.emptied.connect(self._check_settled)
        self.source_form.image_changed.connect(self._on_source_changed)
        self.source_form.planes.described.connect(self._show_what_applies)
        self.retuner.retuned.connect(self._on_retuned)
        self.retuner.finished.connect(self._check_settled)

    def _on_source_changed(self) -> None:
        has_image = self.source_form.image.value is not None
        self._status_panel.set_missing("" if has_image else NO_IMAGE_TO_SEGMENT)
        if self.controller.is_idle:
            self._status_panel.show_message("")  # it belongs to another image
        self._offer_all()

    def _show_what_applies(self, *_: object) -> None:
        is_volume = self.source_form.planes.slices() is not None
        reason = NO_EFFECT_IN_VOLUMES if is_volume else ""
        self.params_form.disable("leave_out_fragments", reason)

    def _on_invalidated(self, _: Any) -> None:
        self.controller.check()
        self._offer_all()

    # public methods, for scripts and tests

    @property
    def state(self) -> RunState:
        """What the dock does."""
        return self.controller.state

    @property
    def is_settled(self) -> bool:
        """Whether nothing is at work, so that labels and their table are as they will be."""
        is_waiting = self.retuner.is_busy or self._stack_tuning.is_waiting
        return self.controller.is_idle and not is_waiting and self._queues.is_empty

    def use_model_file(self, path: str | Path) -> None:
        """Add a model file to the list and choose it; a file that is no model is refused."""
        self.model_form.use_file(path)

    def use_record(self, record: dict[str, Any]) -> None:
        """Set the form to the settings of a result.

        Parameters
        ----------
        record : dict
            As in ``metadata["napari_nuclei_unet"]`` of a labels layer.
        """
        with report_user_errors(show_warning):
            use_record(self, LabelsRecord.from_json(record))

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """Set the form inside the block, without retuning the result on view."""
        self._restoring = True
        try:
            yield
        finally:
            self._restoring = False

    def segment(self, *_: object) -> None:
        """Segment, as a click on the button does; does nothing during a run."""
        self._begin(None)

    start = segment  # its name in earlier versions

    def preview(self, *_: object) -> None:
        """Segment only the visible region."""
        self._begin(VISIBLE_REGION)

    def tune_all(self, *_: object) -> None:
        """Retune all cached planes, or volumes, of the stack on view."""
        if self.controller.is_idle:
            self._stack_tuning.tune_all()

    def resume(self, *_: object) -> None:
        """Segment the planes that are left, as a click on Continue does."""
        self._note_params()
        self._start(self.controller.resume)

    def cancel(self, *_: object) -> None:
        """End a run, as a click on Cancel does."""
        self.controller.end()

    def _begin(self, region: Any) -> None:
        with report_user_errors(show_warning):
            form, is_part = self.source_form.planes, region == VISIBLE_REGION
            if not is_part:
                self.source_form.use_file_size()
            source = self.source_form.source(region)
            planes = None if is_part else form.plane_indices(source.plane_index)
            slices = None if planes is None else form.slices()
            request, is_film = self._request(source), form.is_time_series
            self._start(lambda: self.controller.segment(request, planes, is_part, slices, is_film))

    def _link(self, over_time: bool) -> None:
        self._note_params()
        self._start(lambda: self.controller.start(self._linking_panel.create_task(over_time)))

    def _start_task(self, task: Task) -> None:
        self._start(lambda: self.controller.start(task))

    def _start(self, start: Callable[[], None]) -> None:
        """Start a task, if none is running."""
        if not self.controller.is_idle:
            return
        self.retuner.stop()
        with report_user_errors(show_warning):
            start()

    def _note_params(self) -> None:
        """Note what the labels on view were made with; a slider move that still waits is new."""
        self._params_at_start = None if self.retuner.is_busy else self.params_form.value()

    def _request(self, source: ImageSource) -> SegmentRequest:
        params = self._params_at_start = self.params_form.value()
        return SegmentRequest(
            source, self.model_form.model.value, self.model_form.device.value,
            self.brightness_form.apply(params, source.image), get_preference("threads_free"),
        )  # fmt: skip

    def _on_state(self, state: RunState) -> None:
        task = self.controller.task
        self._status_panel.show_state(state, "" if task is None else task.begins)
        self._status_panel.continue_planes.setVisible(self.controller.rest is not None)
        self._linking_panel.set_idle(self.controller.is_idle)

    def _on_finished(self) -> None:
        """Ask about a partial result; retune, if sliders were moved during the run."""
        self._offer_all()
        self.source_form.planes.z_step.refresh()  # it may have been estimated
        links = self.controller.take_linking()
        if self.state is RunState.ASKING:
            ask_to_keep(self, self.controller.answer)
        elif links:
            self._link(True)
        elif self.params_form.value() != self._params_at_start:
            self.retuner.request()
        self._check_settled()

    def _on_setting(self, name: str) -> None:
        if self.controller.is_idle and not self._restoring and name in RETUNED_NAMES:
            self.retuner.request()

    def _find_retuned(self) -> tuple[PlaneResult, SegmentParams] | None:
        """Find the plane on view, or say why it cannot be retuned; a volume becomes a task."""
        if self._stack_tuning.request():
            return None
        if (result := self._current_plane.plane_result()) is not None:
            return result, self.params_form.value()
        if self.source_form.image.value is not None:
            self._status_panel.show_message(self._current_plane.explain_missing())
        return None

    def _on_retuned(self, result: PlaneResult, retuned: RetunedPlane) -> None:
        with report_user_errors(self._status_panel.show_message):
            result.update(retuned)
            self._watch_queue(result.state)
            self._left_out.refresh()
            self._status_panel.show_message(
                summarize_plane(retuned, result.source, None) + stale_ids_warning(result.layer)
            )

    def _watch_queue(self, state: LabelsState) -> None:
        """Do not finish before labels are measured."""
        self._queues.add(state.features.queue)

    def _check_settled(self, *_: object) -> None:
        if self.is_settled:
            self.finished.emit()

    def _offer_all(self, *_: object) -> None:
        self._stack_tuning.offer_all(self._tuning_panel)
        self._left_out.refresh()
        self.source_form.announce_result()
