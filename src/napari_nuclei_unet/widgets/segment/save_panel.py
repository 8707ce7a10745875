"""The buttons that lead from nuclei to the dock "Review nuclei", and to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout

from ..common.controls import Panel, create_button, fill_layout
from ..common.disabled_button import disable
from ..common.dock_button import DockButton

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from .source_form import SourceForm

REVIEW_HINT = "Open the widget that corrects nuclei, measures and saves them."
SAVE_HINT = "Measure the nuclei, and save them with their table, or as outlines."
NO_NUCLEI_TO_SAVE = "There are no nuclei to save: click Segment first."


class SavePanel(Panel):
    """Buttons to open the dock "Review nuclei", and to save there what was found.

    They are hidden where there is no window.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    source_form : SourceForm
        Holds the chosen image.
    """

    def __init__(self, viewer: ViewerModel, source_form: SourceForm) -> None:
        super().__init__()
        self._viewer, self._source_form = viewer, source_form
        self._review = DockButton(viewer, "Review nuclei", "Correct, measure …", REVIEW_HINT)
        self._review.clicked.connect(self._select_result)
        self._save_button = create_button("save_nuclei", "Save …", SAVE_HINT, self._save)
        self._save_button.setVisible(hasattr(viewer, "window"))
        fill_layout(QHBoxLayout(self), self._review, self._save_button)
        source_form.result_changed.connect(self._show_reason)
        self._show_reason()

    def _show_reason(self) -> None:
        has_result = self._source_form.find_result() is not None
        disable(self._save_button, "" if has_result else NO_NUCLEI_TO_SAVE)

    def _select_result(self, *_: object) -> None:
        """Select the nuclei of the image, which are then reviewed, and show them."""
        if (labels := self._source_form.find_result()) is not None:
            labels.visible = True
            self._viewer.layers.selection.active = labels

    def _save(self, *_: object) -> None:
        """Have the nuclei of the image saved by the dock that measures them."""
        self._select_result()
        self._review.open_dock().ask_to_save()
