"""Buttons that reproduce a result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from napari.utils.notifications import show_warning
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QHBoxLayout

from ...provenance.reproduce import extend_record_to_stack, format_command, format_python
from ..common.controls import Panel, create_button, fill_layout
from ..common.notify import report_user_errors
from ..layers.metadata_keys import METADATA_KEY

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from .current_plane import CurrentPlane
    from .source_form import SourceForm


DAMAGED_RECORD = "The record of these labels is damaged, or of another version."
MIXED_SETTINGS = (
    "planes were made with different settings, and these are those of the plane on view"
)
PLANES_NOT_A_RANGE = (
    "it makes the plane on view only, as those that were segmented are no range, or fewer at the "
    "level"
)


@contextmanager
def report_damaged_record() -> Iterator[None]:
    """End the block, with a warning, where a record is not as this version writes it."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        show_warning(DAMAGED_RECORD)


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
        Has the record of the plane on view, which may differ from that of the labels.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        source_form: SourceForm,
        use: Callable[[dict[str, Any]], object],
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
        fill_layout(QHBoxLayout(self), command, python, restore)

    def _copy(self, format_record: Callable[[dict[str, Any]], str], noun: str, *_: object) -> None:
        if (record := self._record()) is None:
            return
        with report_user_errors(show_warning), report_damaged_record():
            stack_record, note = self._for_all_planes(record)
            text = format_record(self._with_current_name(stack_record))
            QGuiApplication.clipboard().setText(text)
            self.message.emit(f"The {noun} is on the clipboard{note}.")

    def _for_all_planes(self, record: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """Extend a record of the plane on view to all planes of its labels, with a note on it."""
        if (stack_record := extend_record_to_stack(record)) is None:
            plane_record = {name: record[name] for name in record if name not in ("join", "track")}
            return plane_record, f": {PLANES_NOT_A_RANGE}"
        layer = self._source_form.find_result()
        mixed = (
            stack_record is not record
            and layer is not None
            and self._current_plane.has_mixed_settings(layer)
        )
        return stack_record, f": {MIXED_SETTINGS}" if mixed else ""

    def _with_current_name(self, record: dict[str, Any]) -> dict[str, Any]:
        """Update the name of the image layer in a record."""
        for layer in self._viewer.layers:
            if str(layer.unique_id) == record.get("image") and "source" in record:
                return record | {"source": record["source"] | {"layer": layer.name}}
        return record

    def _restore(self, *_: object) -> None:
        if (record := self._record()) is None:
            return
        with report_damaged_record():
            stack_record, note = self._for_all_planes(record)
            self._use(stack_record)
            if MIXED_SETTINGS in note:
                self.message.emit(f"{MIXED_SETTINGS.capitalize()}.")

    def _record(self) -> dict[str, Any] | None:
        """Find the record of the selected labels, of their file, or of the image's result."""
        active = self._viewer.layers.selection.active
        if (
            isinstance(active, Labels)
            and METADATA_KEY not in active.metadata
            and active.source.path
        ):
            # imports tifffile, which would delay the start of napari
            from ...io.labels import read_record

            if (file_record := read_record(active.source.path)) is not None:
                return file_record
        layer = self._source_form.find_result()
        if layer is None:
            show_warning("There is no result yet: click Segment, or select its labels layer.")
            return None
        record = layer.metadata[METADATA_KEY]
        if not isinstance(record, dict):
            show_warning(DAMAGED_RECORD)
            return None
        return record | (self._current_plane.record(layer) or {})
