"""The dock widget "Segment nuclei"."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_warning
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFormLayout, QVBoxLayout, QWidget

from ...limits import DEFAULT_LIMITS, Limits
from ...models.model import THRESHOLD_NAMES
from ...params import SegmentParams
from ..common.controls import create_button, create_row, create_section, fill_layout
from ..common.notify import report_user_errors, show_user_error
from ..common.params_form import ParamsForm
from ..common.preferences import get_preference
from ..common.status_panel import StatusPanel
from ..layers.image_source import VISIBLE_REGION, ImageSource, check_offline
from ..layers.labels_layer import check_labels_memory, check_unlocked, find_labels_layer
from ..layers.labels_record import LabelsRecord
from ..layers.watcher import LayerWatcher
from ..session.model_form import ModelForm
from ..session.plane_result import PlaneResult, RetunedPlane
from ..session.predictions import PredictionCache
from ..session.warm_up import start_warm_up
from .blockwise_task import BlockwiseController, is_large
from .current_plane import CurrentPlane
from .display import DisplayOptions
from .linking import LinkingPanel, stale_ids_warning
from .plane_task import PlaneTask, PlaneTaskOutput, SegmentRequest, summarize_plane
from .plane_writer import PlaneWriter
from .reproduce import ReproducePanel
from .retune_task import RetuneController
from .review_button import ReviewButton
from .runner import Runner, SegmentContext
from .source_form import SourceForm
from .stack_writer import StackWriter

if TYPE_CHECKING:
    import napari.viewer

SEGMENT_SETTINGS = ("diameter", "tile", "batch", "precision")


class SegmentWidget(QWidget):
    """Segments the nuclei of the image on view; sliders retune the result.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        A ``napari.components.ViewerModel`` will do.
    limits : Limits, optional
    """

    def __init__(
        self, napari_viewer: napari.viewer.Viewer, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        super().__init__()
        self._limits = limits
        self._viewer = napari_viewer
        self._predictions = PredictionCache()
        self._restoring = True  # while the form is set as a whole, nothing is retuned
        self._build()
        self._runner = Runner(self._status_panel)
        context = SegmentContext(
            napari_viewer,
            self._predictions,
            self._runner,
            self._status_panel,
            self._display_options,
        )
        self._plane_writer, self._stack_writer = PlaneWriter(context), StackWriter(context)
        self._retune_controller = RetuneController(context)
        self._blockwise_controller = BlockwiseController(context, limits)
        self._watch()
        self._show_thresholds()
        self._restoring = False

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802 Qt's name
        """Load what the first click needs as soon as the dock is on the screen."""
        super().showEvent(event)
        QTimer.singleShot(0, start_warm_up)

    # layout

    def _build(self) -> None:
        self._source_form = SourceForm(self._viewer)
        self._model = ModelForm()
        self._form = ParamsForm(SegmentParams)
        self._current_plane = CurrentPlane(
            self._source_form, self._model, self._predictions, self._limits
        )
        self._status_panel = StatusPanel()
        self._display_options = DisplayOptions(self._viewer, self._source_form)
        self._linking_panel = LinkingPanel(self._viewer, self._source_form, self._predictions.write)
        self._reproduce_panel = ReproducePanel(
            self._viewer, self._source_form, self._use_record, self._current_plane
        )
        layout = QVBoxLayout(self)
        layout.setAlignment(Qt.AlignmentFlag.AlignTop)
        layout.addLayout(self._create_form())
        settings = self._form.container(*SEGMENT_SETTINGS)
        for part in (
            self._tuning(),
            create_section("settings", "Settings of the network", settings),
            self._status_panel,
            self._display_options,
            ReviewButton(self._viewer),
            self._linking_panel,
            self._reproduce_panel,
        ):
            layout.addWidget(part)

    def _create_form(self) -> QFormLayout:
        top = QFormLayout()
        self._source_form.fill(top)
        self._model.fill(top)
        return top

    def _tuning(self) -> QWidget:
        """Create the sliders that recompute the nuclei from the stored network output."""
        reset = create_button("reset", "Reset", "Back to the values that were tuned for the model.")
        reset.clicked.connect(self._show_thresholds)
        self._all = create_button(
            "tune_all", "Tune all planes", "Use these values in all planes that were segmented."
        )
        self._all.clicked.connect(self.tune_all)
        self._all.setVisible(False)
        widget = QWidget()
        layout = QVBoxLayout(widget)
        fill_layout(layout, self._form.container(*THRESHOLD_NAMES))
        layout.addWidget(create_row(self._all, reset), alignment=Qt.AlignmentFlag.AlignRight)
        return widget

    # signals

    def _watch(self) -> None:
        self._status_panel.segment.clicked.connect(self.start)
        self._status_panel.preview.clicked.connect(self.preview)
        self._display_options.probability_requested.connect(self._on_probability)
        self._linking_panel.message.connect(self._status_panel.show_message)
        self._reproduce_panel.message.connect(self._status_panel.show_message)
        self._model.changed.connect(self._show_thresholds)
        self._form.changed.connect(self._on_setting)
        LayerWatcher(self._viewer, self).invalidated.connect(self._on_invalidated)
        self._source_form.changed.connect(self._on_source_changed)
        self._predictions.retuned.connect(self._on_retuned)
        self._predictions.message.connect(self._status_panel.show_message)
        self._predictions.failed.connect(show_user_error)
        self._runner.segmented.connect(self._on_segmented)
        self._stack_writer.plane_result.connect(self._on_plane_written)
        self._stack_writer.ended.connect(self._catch_up)
        self._retune_controller.ended.connect(self._catch_up)
        self._model.changed.connect(self._offer_all)
        self.destroyed.connect(self._runner.job.cancel)
        self.destroyed.connect(self._predictions.close)

    def _on_source_changed(self) -> None:
        if not self._runner.job.is_running:
            self._status_panel.show_message("")  # it belongs to another image
        self._offer_all()

    def _on_invalidated(self, layer: Any) -> None:
        self._predictions.remove_layer(layer)
        self._stack_writer.check()
        self._offer_all()

    def _show_thresholds(self, *_: object) -> None:
        """Show the thresholds that were tuned for the chosen model."""
        if (card := self._model.card()) is not None:
            tuned = card.thresholds | {"minimum_area": None}  # it depends on the size of nuclei
            self._form.set(dataclasses.replace(self._form.get(), **tuned))

    # public methods, for scripts and tests

    def use_model_file(self, path: str | Path) -> None:
        """Add a model file to the list and choose it; a file that is no model is refused.

        Parameters
        ----------
        path : str or Path
        """
        self._model.use_file(path)

    def use_record(self, record: dict[str, Any]) -> None:
        """Set the form to the settings of a result.

        Parameters
        ----------
        record : dict
            As in ``metadata["napari_nuclei_unet"]`` of a labels layer.
        """
        with report_user_errors(show_warning):
            self._use_record(LabelsRecord.from_json(record))

    def _use_record(self, record: LabelsRecord) -> None:
        self._restoring = True  # or the result on view would be retuned with these settings
        try:
            self._source_form.use_record(record)
            known = self._model.use_provenance(record.provenance)
            self._form.set(record.provenance.params)  # after the model, which set thresholds
        finally:
            self._restoring = False
        if not known:
            show_warning(
                f"The model '{record.provenance.model}' of these labels is not here any more, so "
                f"'{self._model.model.value}' stays chosen; everything else is as it was."
            )

    def start(self, *_: object) -> None:
        """Segment, as a click on the button does; does nothing during a run."""
        self._begin(None)

    def preview(self, *_: object) -> None:
        """Segment only the visible region."""
        self._begin(VISIBLE_REGION)

    def tune_all(self, *_: object) -> None:
        """Retune all cached planes of the stack on view."""
        planes = self._current_plane.planes()
        if planes and not self._runner.job.is_running:
            self._predictions.stop()
            self._retune_controller.start(self._request(planes[-1].source), planes)

    def _begin(self, region: Any) -> None:
        if self._runner.job.is_running:
            return
        with report_user_errors(show_warning):
            source, planes = self._source_form.source(region), None
            check_offline(source.image)
            request = self._request(source)
            if region != VISIBLE_REGION:
                planes = self._source_form.planes.plane_indices(source.plane_index)
                if is_large(source, self._limits):
                    self._blockwise_controller.start(request, planes or [source.plane_index])
                    return
            place = source.placement
            layer = find_labels_layer(self._viewer, source.image, len(place.shape))
            check_unlocked(layer)
            check_labels_memory(source.image, place, layer)
            self._predictions.stop()
            self._stack_writer.withdraw_continue()
            if planes is None:
                self._runner.start(request)
            else:
                self._stack_writer.start(request, planes)

    def _request(self, source: ImageSource) -> SegmentRequest:
        return SegmentRequest(
            source, self._model.model.value, self._model.device.value, self._form.get(),
            get_preference("threads_free"),
        )  # fmt: skip

    # results

    def _on_segmented(self, task: PlaneTask, output: PlaneTaskOutput) -> None:
        """Show the nuclei of a finished run, and cache its prediction for the sliders."""
        if (result := self._plane_writer.write(task.request, output)) is None:
            return
        assert output.retuned is not None
        self._status_panel.show_message(
            summarize_plane(output.retuned, result.source, task.seconds)
            + stale_ids_warning(result.layer)
        )
        if self._current_plane.plane_result() is result:
            self._catch_up(task.request)
        self._display_options.show_map(result)
        self._offer_all()

    def _catch_up(self, request: SegmentRequest) -> None:
        """Retune the plane on view, if sliders were moved during the run."""
        params = self._form.get()
        if params != request.params and (result := self._current_plane.plane_result()) is not None:
            self._predictions.request_retune(result, params)

    def _on_plane_written(self, _: PlaneResult) -> None:
        if self._all.isHidden():
            self._offer_all()

    # live tuning

    def _on_setting(self, name: str) -> None:
        if self._runner.job.is_running or self._restoring or name not in THRESHOLD_NAMES:
            return
        if (result := self._current_plane.plane_result()) is not None:
            self._predictions.request_retune(result, self._form.get())
        elif self._source_form.image.value is not None:
            self._status_panel.show_message(self._current_plane.explain_missing())

    def _offer_all(self, *_: object) -> None:
        self._all.setVisible(len(self._current_plane.planes()) > 1)

    def _on_probability(self) -> None:
        if (result := self._current_plane.plane_result()) is not None:
            self._display_options.show_map(result)
        else:
            self._status_panel.show_message(self._current_plane.explain_missing())

    def _on_retuned(self, result: PlaneResult, retuned: RetunedPlane) -> None:
        layer = result.layer
        self._predictions.write(
            layer, lambda: result.update(retuned), result.placement.index, result
        )
        self._status_panel.show_message(
            summarize_plane(retuned, result.source, None) + stale_ids_warning(layer)
        )
