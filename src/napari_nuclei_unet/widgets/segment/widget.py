"""The dock widget "Segment nuclei"."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from napari.utils.notifications import show_error, show_info, show_warning
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFormLayout,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.models.model import THRESHOLDS
from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.widgets.common.controls import button, row
from napari_nuclei_unet.widgets.common.notify import tell
from napari_nuclei_unet.widgets.common.params_form import ParamsForm
from napari_nuclei_unet.widgets.common.preferences import preference
from napari_nuclei_unet.widgets.common.status_panel import Progress
from napari_nuclei_unet.widgets.layers.image_source import VIEW, Source, check_offline
from napari_nuclei_unet.widgets.layers.labels_layer import (
    check_room,
    check_unlocked,
    labels_of,
    place_of,
    release,
    show_labels,
)
from napari_nuclei_unet.widgets.layers.watcher import Gone
from napari_nuclei_unet.widgets.segment.blockwise_task import Large, is_large
from napari_nuclei_unet.widgets.segment.current_plane import OnView
from napari_nuclei_unet.widgets.segment.display import Look
from napari_nuclei_unet.widgets.segment.linking import Across, broken
from napari_nuclei_unet.widgets.segment.plane_task import Finished, Run, Wanted, summary
from napari_nuclei_unet.widgets.segment.reproduce import DAMAGED, Again
from napari_nuclei_unet.widgets.segment.retune_task import TuneAll
from napari_nuclei_unet.widgets.segment.review_button import ToReview
from napari_nuclei_unet.widgets.segment.runner import Runner
from napari_nuclei_unet.widgets.segment.source_form import Where
from napari_nuclei_unet.widgets.segment.stack_writer import Stacker
from napari_nuclei_unet.widgets.session.model_form import ModelChoice
from napari_nuclei_unet.widgets.session.plane_result import Answer, Kept, model_stamp
from napari_nuclei_unet.widgets.session.predictions import Live

if TYPE_CHECKING:
    import napari.viewer

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
        self._live = Live()
        self._restoring = True  # while the form is set as a whole, nothing is tuned
        self._build()
        self._runner = Runner(self._progress)
        parts = (napari_viewer, self._live, self._runner, self._progress)
        self._stacker = Stacker(*parts, self._look)
        self._tune_all = TuneAll(*parts)
        self._large = Large(napari_viewer, self._runner, self._progress, self._look)
        self._watch()
        self._show_thresholds()
        self._restoring = False

    # what is seen

    def _build(self) -> None:
        self._where = Where(self._viewer)
        self._model = ModelChoice()
        self._form = ParamsForm(SegmentParams)
        self._on_view = OnView(self._where, self._model, self._live)
        self._progress = Progress()
        self._look = Look(self._viewer, self._where)
        self._across = Across(self._viewer, self._where, self._live.writing_all)
        self._again = Again(self._viewer, self._where, self.use_record, self._on_view)
        layout = QVBoxLayout(self)
        layout.setAlignment(Qt.AlignmentFlag.AlignTop)
        layout.addLayout(self._top())
        layout.addWidget(self._tuning())
        layout.addWidget(self._settings())
        layout.addWidget(self._progress)
        layout.addWidget(self._look)
        layout.addWidget(ToReview(self._viewer))
        layout.addWidget(self._across)
        layout.addWidget(self._again)

    def _top(self) -> QFormLayout:
        top = QFormLayout()
        self._where.fill(top)
        self._model.fill(top)
        return top

    def _tuning(self) -> QWidget:
        """Sliders that act at once on what the network has said."""
        self._reset = button("reset", "Reset", "Back to the values that were tuned for the model.")
        self._all = button(
            "tune_all", "Tune all planes", "Use these values in all planes that were segmented."
        )
        self._all.setVisible(False)
        made = QWidget()
        layout = QVBoxLayout(made)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._form.container(*THRESHOLDS))
        layout.addWidget(row(self._all, self._reset), alignment=Qt.AlignmentFlag.AlignRight)
        return made

    def _settings(self) -> QCollapsible:
        made = QCollapsible("Settings of the network")
        made.setObjectName("settings")
        made.addWidget(self._form.container(*SETTINGS))
        return made

    # what happens elsewhere

    def _watch(self) -> None:
        self._progress.segment.clicked.connect(self.start)
        self._progress.preview.clicked.connect(self.preview)
        self._reset.clicked.connect(self._show_thresholds)
        self._look.probability_wanted.connect(self._on_probability)
        self._across.said.connect(self._progress.say)
        self._again.said.connect(self._progress.say)
        self._model.changed.connect(self._show_thresholds)
        self._form.changed.connect(self._on_tuned)
        Gone(self._viewer, self).gone.connect(self._forget)
        self._where.changed.connect(self._on_where)
        self._live.retuned.connect(self._on_retuned)
        self._live.said.connect(self._progress.say)
        self._live.failed.connect(tell)
        self._runner.found.connect(self._on_found)
        self._stacker.kept.connect(self._on_kept)
        self._stacker.ended.connect(self._catch_up)
        self._all.clicked.connect(self.tune_all)
        self._tune_all.ended.connect(self._catch_up)
        self._model.changed.connect(self._offer_all)
        self.destroyed.connect(self._runner.job.cancel)
        self.destroyed.connect(self._live.close)

    def _on_where(self) -> None:
        if not self._runner.running:
            self._progress.say("")  # what it says is of another image
        self._offer_all()

    def _forget(self, layer: Any) -> None:
        self._live.forget(layer)
        self._stacker.check()
        self._offer_all()

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
        self._restoring = True  # or what is shown now would be tuned with what was used elsewhere
        try:
            self._use_record(record)
        except UserError as error:
            show_warning(str(error))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            show_warning(DAMAGED)
        finally:
            self._restoring = False

    def _use_record(self, record: dict[str, Any]) -> None:
        try:
            params = SegmentParams(**record["params"])
        except UserError as error:
            raise ValueError from error
        self._where.use_record(record)
        self._where.planes.use((record.get("source") or {}).get("planes", ()))
        known = self._model.use_record(record)
        self._form.set(params)  # after the model, which brought its own thresholds
        if not known:
            show_warning(
                f"The model '{record.get('model')}' of these labels is not here any more, so "
                f"'{self._model.model.value}' stays chosen; everything else is as it was."
            )

    def start(self, *_: object) -> None:
        """Segment, as a click on the button does; a run under way goes on undisturbed."""
        self._begin(None)

    def preview(self, *_: object) -> None:
        """Segment only what the view shows."""
        self._begin(VIEW)

    def tune_all(self, *_: object) -> None:
        """Tune all planes that are kept of the stack on view."""
        planes = self._on_view.planes()
        if planes and not self._runner.running:
            self._live.stop()
            self._tune_all.start(self._wanted(planes[-1].source), planes)

    def _begin(self, where: Any) -> None:
        if self._runner.running:
            return
        try:
            source = self._where.source(where)
            check_offline(source.image)
            cuts = None if where == VIEW else self._where.planes.cuts(source.cut)
            if where != VIEW and is_large(source):
                self._large.start(self._wanted(source), cuts or [source.cut])
                return
            place = place_of(source.image, source.cut)
            before = labels_of(self._viewer, source.image, len(place.shape))
            check_unlocked(before)
            check_room(source.image, place, before)
        except UserError as error:
            show_warning(str(error))
            return
        self._live.stop()
        self._stacker.drop()
        if cuts is None:
            self._runner.start(self._wanted(source))
        else:
            self._stacker.start(self._wanted(source), cuts)

    def _wanted(self, source: Source) -> Wanted:
        return Wanted(
            source, self._model.model.value, self._model.device.value, self._form.get(),
            preference("threads_free"),
        )  # fmt: skip

    # what was found

    def _on_found(self, run: Run, finished: Finished) -> None:
        """Show what a run has found, and keep what the network said for the sliders."""
        source, answer = run.wanted.source, finished.answer
        assert answer is not None
        name = source.image.name
        if source.image not in self._viewer.layers:
            show_warning(
                f"The image '{name}' was removed while it was being segmented, so its nuclei were "
                "not added."
            )
            return
        if not source.current:
            show_warning(
                f"The image '{name}' was changed while it was being segmented, so its nuclei were "
                "not added: segment it again."
            )
            return
        place = place_of(source.image, source.cut)
        before = labels_of(self._viewer, source.image, len(place.shape))
        if before is not None and answer.inside is None and self._live.edited(before, place):
            release(before)
            show_info(f"What you have corrected in '{before.name}' stays as it is.")
            before = None
        try:
            layer = self._live.writing(before, place, lambda: self._show(source, answer))
        except UserError as error:
            show_error(str(error))
            return
        if layer != before:
            self._look.apply(layer)
        kept = Kept(
            source, finished.prediction, finished.content, model_stamp(run.wanted.model), layer,
            place, answer.inside, answer.result.record,
        )  # fmt: skip
        kept.remember()
        kept.tabulate(answer)
        self._live.keep(kept)
        self._progress.say(summary(answer, source, run.seconds) + broken(layer))
        if self._on_view.kept() is kept:
            self._catch_up(run.wanted)
        self._look.show_map(kept)
        self._offer_all()

    def _catch_up(self, wanted: Wanted) -> None:
        """Tune the plane on view, if sliders were moved while a run was under way."""
        params = self._form.get()
        if params != wanted.params and (kept := self._on_view.kept()) is not None:
            self._live.tune(kept, params)

    def _on_kept(self, _: Kept) -> None:
        if self._all.isHidden():
            self._offer_all()

    def _show(self, source: Source, answer: Answer) -> Labels:
        return show_labels(
            self._viewer, source.image, source.cut, answer.labels, answer.inside,
            answer.result.record,
        )  # fmt: skip

    # live tuning

    def _on_tuned(self, name: str) -> None:
        if self._runner.running or self._restoring or name not in THRESHOLDS:
            return
        if (kept := self._on_view.kept()) is not None:
            self._live.tune(kept, self._form.get())
        elif self._where.image.value is not None:
            self._progress.say(self._on_view.missing())

    def _offer_all(self, *_: object) -> None:
        self._all.setVisible(len(self._on_view.planes()) > 1)

    def _on_probability(self) -> None:
        if (kept := self._on_view.kept()) is not None:
            self._look.show_map(kept)
        else:
            self._progress.say(self._on_view.missing())

    def _on_retuned(self, kept: Kept, answer: Answer) -> None:
        self._live.writing(kept.layer, kept.place, lambda: kept.update(answer))
        self._progress.say(summary(answer, kept.source, None) + broken(kept.layer))
