"""The dock widget "Segment nuclei"."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels
from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFormLayout,
    QLabel,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.models import THRESHOLDS
from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.widgets._again import Again
from napari_nuclei_unet.widgets._asking import ask_to_keep
from napari_nuclei_unet.widgets._form import ParamsForm
from napari_nuclei_unet.widgets._job import Job
from napari_nuclei_unet.widgets._layers import place_of, shape_of, show_labels
from napari_nuclei_unet.widgets._live import Answer, Kept, Live
from napari_nuclei_unet.widgets._look import Look
from napari_nuclei_unet.widgets._model import ModelChoice
from napari_nuclei_unet.widgets._parts import button, row
from napari_nuclei_unet.widgets._preferences import preference
from napari_nuclei_unet.widgets._run import (
    Finished,
    Run,
    Wanted,
    check_offline,
    segment_source,
    summary,
)
from napari_nuclei_unet.widgets._source import VIEW, WHOLE, Source
from napari_nuclei_unet.widgets._where import Where

if TYPE_CHECKING:
    import napari.viewer

    from napari_nuclei_unet.prediction import Step

SETTINGS = ("diameter", "tile", "batch", "precision")


class SegmentWidget(QWidget):
    """Finds the nuclei of the image on view, and keeps them tunable.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        A ``napari.components.ViewerModel`` will do.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._job = Job()
        self._live = Live()
        self._run: Run | None = None
        self._build()
        self._watch()
        self._show_thresholds()

    # what is seen

    def _build(self) -> None:
        self._where = Where(self._viewer)
        self._model = ModelChoice()
        self._form = ParamsForm(SegmentParams)
        self._segment = button("segment", "Segment", "Find the nuclei in the plane on view.")
        self._preview = button(
            "preview", "Preview", "Find the nuclei in what the view shows, before the long run."
        )
        self._cancel = button("cancel", "Cancel", "Stop after the tile at work.")
        self._cancel.setEnabled(False)
        self._bar = QProgressBar(objectName="progress")
        self._bar.setVisible(False)
        self._status = QLabel("", objectName="status")
        self._status.setWordWrap(True)
        self._look = Look(self._viewer, self._where)
        self._again = Again(self._viewer, self._where, self.use_record)
        layout = QVBoxLayout(self)
        layout.setAlignment(Qt.AlignmentFlag.AlignTop)
        layout.addLayout(self._top())
        layout.addWidget(self._tuning())
        layout.addWidget(self._settings())
        layout.addWidget(row(self._segment, self._preview, self._cancel))
        layout.addWidget(self._bar)
        layout.addWidget(self._status)
        layout.addWidget(self._look)
        layout.addWidget(self._again)

    def _top(self) -> QFormLayout:
        top = QFormLayout()
        self._where.fill(top)
        self._model.fill(top)
        return top

    def _tuning(self) -> QWidget:
        """Sliders that act at once on what the network has said."""
        self._reset = button("reset", "Reset", "Back to the values that were tuned for the model.")
        made = QWidget()
        layout = QVBoxLayout(made)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._form.container(*THRESHOLDS))
        layout.addWidget(self._reset, alignment=Qt.AlignmentFlag.AlignRight)
        return made

    def _settings(self) -> QCollapsible:
        made = QCollapsible("Settings of the network")
        made.setObjectName("settings")
        made.addWidget(self._form.container(*SETTINGS))
        return made

    # what happens elsewhere

    def _watch(self) -> None:
        self._segment.clicked.connect(self.start)
        self._preview.clicked.connect(self.preview)
        self._cancel.clicked.connect(self._on_cancel)
        self._reset.clicked.connect(self._show_thresholds)
        self._look.probability_wanted.connect(self._on_probability)
        self._again.said.connect(self._status.setText)
        self._model.changed.connect(self._on_model)
        self._form.changed.connect(self._on_tuned)
        self._viewer.layers.events.removed.connect(self._on_removed)
        self._viewer.layers.events.inserted.connect(self._on_inserted)
        for layer in self._viewer.layers:
            self._watch_content(layer)
        self._live.retuned.connect(self._on_retuned)
        self._live.said.connect(self._status.setText)
        self._live.failed.connect(self._tell)
        self._job.stepped.connect(self._on_step)
        self._job.returned.connect(self._on_result)
        self._job.failed.connect(self._on_failure)
        self._job.finished.connect(self._on_finished)
        self.destroyed.connect(self._job.cancel)
        self.destroyed.connect(self._live.stop)

    def _on_inserted(self, event: Any) -> None:
        self._watch_content(event.value)

    def _watch_content(self, layer: Any) -> None:
        if isinstance(layer, Image):
            layer.events.data.connect(self._on_data)

    def _on_data(self, event: Any) -> None:
        self._live.forget(event.source)

    def _on_removed(self, event: Any) -> None:
        self._live.forget(event.value)

    def _on_model(self) -> None:
        self._live.forget_other_models(self._model.model.value)
        self._show_thresholds()

    def _show_thresholds(self, *_: object) -> None:
        """Show the values that were tuned for the chosen model."""
        if (card := self._model.card()) is not None:
            tuned = card.thresholds | {"minimum_area": None}  # it depends on the size of nuclei
            self._form.set(dataclasses.replace(self._form.get(), **tuned))

    # the public face, for scripts and tests

    def use_model_file(self, path: str | Path) -> None:
        """Offer a model file in the list and choose it; a file that is no model is refused.

        Parameters
        ----------
        path : str or Path
        """
        self._model.use_file(path)

    def use_record(self, record: dict[str, Any]) -> None:
        """Set the form to what made a result.

        Parameters
        ----------
        record : dict
            As it is kept in ``metadata["napari_nuclei_unet"]`` of a labels layer.
        """
        try:
            params = SegmentParams(**record["params"])
        except (UserError, KeyError, TypeError):
            show_warning("The record of these labels is damaged, or of another version.")
            return
        if not self._model.use_record(record):
            show_warning(
                f"The model '{record.get('model')}' of these labels is not here any more, so "
                f"'{self._model.model.value}' stays chosen; everything else is as it was."
            )
        self._form.set(params)  # after the model, which brought its own thresholds
        self._where.use_record(record)

    def start(self, *_: object) -> None:
        """Segment, as a click on the button does; a run under way goes on undisturbed."""
        self._begin(None)

    def preview(self, *_: object) -> None:
        """Segment only what the view shows."""
        self._begin(VIEW)

    def _begin(self, where: Any) -> None:
        if self._job.running:
            return
        try:
            source = self._where.source(where)
            check_offline(source)
        except UserError as error:
            show_warning(str(error))
            return
        self._live.stop()
        wanted = Wanted(
            source,
            self._model.model.value,
            self._model.device.value,
            self._form.get(),
            preference("threads_free"),
        )
        self._run = Run(wanted)
        for one in (self._segment, self._preview):
            one.setEnabled(False)
        self._cancel.setEnabled(True)
        self._bar.setRange(0, 0)  # busy, until the first step says how much there is
        self._bar.setVisible(True)
        self._status.setText("Starting …")
        self._job.start(f"Nuclei in {source.image.name}", segment_source, wanted)

    def _on_cancel(self, *_: object) -> None:
        if preference("on_cancel") == "discard":
            self._job.cancel()
        else:
            self._job.stop()
            if self._run is not None:
                self._run.stopping = True
        self._status.setText("Stopping …")

    # what the job says

    def _on_step(self, step: Step) -> None:
        if (run := self._run) is None:
            return
        if step.notice:
            run.said.add(step.notice)
            show_warning(step.notice)
        self._bar.setRange(0, step.total)
        self._bar.setValue(step.done)
        self._status.setText(run.words(step))

    def _on_result(self, finished: Finished) -> None:
        run = self._end_run()
        for notice in finished.answer.result.notices:
            if notice not in run.said:
                show_info(notice)
        inside = finished.prediction.inside
        if not finished.prediction.record["stopped"]:
            self._add(run, finished)
        elif inside is None or not inside.any():
            self._status.setText("Cancelled.")
        else:
            self._status.setText("Cancelled.")
            ask_to_keep(self, lambda: self._add(run, finished))

    def _add(self, run: Run, finished: Finished) -> None:
        """Show what a run has found, and keep what the network said for the sliders."""
        source = run.wanted.source
        name = source.image.name
        if source.image not in self._viewer.layers:
            show_warning(
                f"The image '{name}' was removed while it was being segmented, so its nuclei were "
                "not added."
            )
            return
        if self._changed(run):
            show_warning(
                f"The image '{name}' was changed while it was being segmented, so its nuclei were "
                "not added: segment it again."
            )
            return
        answer = finished.answer
        try:
            layer = self._show(source, answer)
        except UserError as error:
            show_error(str(error))
            return
        kept = Kept(
            source, finished.prediction, finished.content, run.wanted.model, layer,
            place_of(source.image, source.cut), answer.inside,
        )  # fmt: skip
        kept.remember()
        self._live.keep(kept)
        self._status.setText(summary(answer, source, run.seconds))
        self._look.show_map(kept)

    def _changed(self, run: Run) -> bool:
        return shape_of(run.wanted.source.image) != run.shape

    def _show(self, source: Source, answer: Answer) -> Labels:
        layer = show_labels(
            self._viewer, source.image, source.cut, answer.labels, answer.inside,
            answer.result.record,
        )  # fmt: skip
        self._look.apply(layer)
        return layer

    def _tell(self, error: Exception) -> None:
        if not isinstance(error, UserError):
            raise error  # a bug: napari shows its traceback
        show_error(str(error))

    def _on_failure(self, error: Exception) -> None:
        self._end_run()
        self._tell(error)

    def _on_finished(self) -> None:
        if self._run is not None:  # it gave neither a result nor an error
            self._end_run()
            self._status.setText("Cancelled.")
        self._bar.setVisible(False)
        for one in (self._segment, self._preview):
            one.setEnabled(True)
        self._cancel.setEnabled(False)

    def _end_run(self) -> Run:
        run, self._run = self._run, None
        assert run is not None  # a job says at most once how it ended
        self._status.setText("")
        return run

    # live tuning

    def _on_tuned(self, name: str) -> None:
        if name in THRESHOLDS and (kept := self._kept()) is not None:
            self._live.tune(kept, self._form.get())

    def _kept(self) -> Kept | None:
        """Give what the network said of the plane that the form and the view show."""
        try:
            key = self._where.source(WHOLE).key
        except UserError:
            return None
        return self._live.find(key, self._model.model.value)

    def _on_probability(self) -> None:
        if (kept := self._kept()) is not None:
            self._look.show_map(kept)

    def _on_retuned(self, kept: Kept, answer: Answer) -> None:
        self._show(kept.source, answer)
        kept.remember()
        self._status.setText(summary(answer, kept.source, None))
