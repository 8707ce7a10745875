"""Buttons that reproduce a result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from napari.layers import Labels
from qtpy.QtWidgets import QHBoxLayout

from ...errors import UserError
from ...provenance.record import Provenance
from ...provenance.reproduce import extend_to_stack, format_command, format_python
from ..common.controls import Panel, copy_text, create_button, fill_layout
from ..common.disabled_button import disable
from ..common.notify import report_user_errors, show_warning
from ..layers.labels_record import LabelsRecord
from ..layers.metadata_keys import METADATA_KEY

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from .current_plane import CurrentPlane
    from .source_form import SourceForm


NO_RECORD = "There is no result yet: click Segment, or select its labels layer."
MIXED_SETTINGS = (
    "planes were made with different settings, and these are those of the plane on view"
)
PLANES_NOT_A_RANGE = (
    "it makes the plane on view only, as those that were segmented are no range, or fewer at the "
    "level"
)


class ReproducePanel(Panel):
    """Copies a command or code that reproduces a result, or restores its settings.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    source_form : SourceForm
        Holds the chosen image.
    use : callable
        Called with the record whose settings are restored.
    current_plane : CurrentPlane
        Has the provenance of the plane on view, which may differ from that of the labels.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        source_form: SourceForm,
        use: Callable[[LabelsRecord], object],
        current_plane: CurrentPlane,
    ) -> None:
        super().__init__()
        self._viewer, self._source_form = viewer, source_form
        self._use, self._current_plane = use, current_plane
        command = create_button(
            "copy_command", "Copy as command", "Copy the command line that makes this result again."
        )
        command.clicked.connect(partial(self._copy, format_command, "command"))
        python = create_button(
            "copy_python", "Copy as Python", "Copy the Python code that makes this result again."
        )
        python.clicked.connect(partial(self._copy, format_python, "Python code"))
        restore = create_button(
            "restore",
            "Use its settings",
            "Set the form to what made the selected labels layer, or the result of the image.",
            self._restore,
        )
        self._buttons = command, python, restore
        fill_layout(QHBoxLayout(self), *self._buttons)
        source_form.result_changed.connect(self._show_reason)
        self._show_reason()

    def _show_reason(self) -> None:
        """Disable the buttons while there is no labels layer that may have a record."""
        active = self._viewer.layers.selection.active
        has_file = isinstance(active, Labels) and bool(active.source.path)
        has_record = has_file or self._source_form.find_result() is not None
        for button in self._buttons:
            disable(button, "" if has_record else NO_RECORD)

    def _copy(self, format_result: Callable[[Provenance], str], noun: str, *_: object) -> None:
        with report_user_errors(show_warning):
            record, note = self._for_all_planes(self.find_record())
            text = format_result(self._with_current_name(record))
            copy_text(text)
            self.message.emit(f"The {noun} is on the clipboard{note}.")

    def _restore(self, *_: object) -> None:
        with report_user_errors(show_warning):
            record, note = self._for_all_planes(self.find_record())
            self._use(record)
            if MIXED_SETTINGS in note:
                self.message.emit(f"{MIXED_SETTINGS.capitalize()}.")

    def _for_all_planes(self, record: LabelsRecord) -> tuple[LabelsRecord, str]:
        """Extend a record of the plane on view to all planes of its labels, with a note on it."""
        provenance = extend_to_stack(record.provenance, record.planes_written)
        if provenance is None:
            unlinked = replace(record.provenance, join=None, track=False)
            return replace(record, provenance=unlinked), f": {PLANES_NOT_A_RANGE}"
        layer = self._source_form.find_result()
        mixed = (
            provenance is not record.provenance
            and layer is not None
            and self._current_plane.has_mixed_settings(layer)
        )
        return replace(record, provenance=provenance), f": {MIXED_SETTINGS}" if mixed else ""

    def _with_current_name(self, record: LabelsRecord) -> Provenance:
        """Return the provenance with the present name of the image layer."""
        source = record.provenance.source
        for layer in self._viewer.layers:
            if str(layer.unique_id) == record.image and source is not None:
                return replace(record.provenance, source=replace(source, layer=layer.name))
        return record.provenance

    def find_record(self) -> LabelsRecord:
        """Find the record of the selected labels, of their file, or of the image's result.

        Raises
        ------
        UserError
            If there is none, or it is damaged.
        """
        active = self._viewer.layers.selection.active
        if (
            isinstance(active, Labels)
            and METADATA_KEY not in active.metadata
            and active.source.path
        ):
            # imports tifffile, which would delay the start of napari
            from ...io.labels import read_record

            if (file_record := read_record(active.source.path)) is not None:
                return LabelsRecord.from_json(file_record)
        layer = self._source_form.find_result()
        if layer is None:
            raise UserError(NO_RECORD)
        record = LabelsRecord.from_json(layer.metadata[METADATA_KEY])
        plane = self._current_plane.provenance(layer)
        if plane is None:
            return record
        linked = {name: getattr(record.provenance, name) for name in ("join", "track", "along")}
        return replace(record, provenance=replace(plane, **linked))
