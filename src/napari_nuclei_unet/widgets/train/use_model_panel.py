"""The question whether a new model is used, where its scores alone do not answer it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QVBoxLayout, QWidget

from ..common.controls import create_button, create_label, create_row, fill_layout
from ..session.model_registry import set_default_model, use_model_for_session
from ..session.model_titles import title_file

if TYPE_CHECKING:
    from ...training.evaluation import FineTuned

USED_FROM_NOW_ON = "'{name}' is used from now on, in all docks and the next time napari starts."
USED_FOR_SESSION = "'{name}' is used in all docks until napari is closed."
NOT_USED = "'{name}' is saved, and not used. You can choose it in the list of models at any time."


class UseModelPanel(QWidget):
    """Says whether a new model is used, or asks: from now on, for this session, or not."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("use_model")
        self._path = Path()
        self._text = create_label("use_model_text")
        specs = (
            ("use_from_now_on", "Use it from now on",
             "Choose it in all docks, also the next time napari starts.", USED_FROM_NOW_ON),
            ("use_for_session", "For this session",
             "Choose it in all docks until napari is closed.", USED_FOR_SESSION),
            ("use_not", "No", "Leave the models of all docks as they are.", NOT_USED),
        )  # fmt: skip
        self._buttons = create_row(
            *(
                create_button(name, text, hint, partial(self._answer, answer))
                for name, text, hint, answer in specs
            )
        )
        fill_layout(QVBoxLayout(self), self._text, self._buttons)
        self.hide()

    def show_result(self, path: Path, result: FineTuned) -> None:
        """Use a model that is clearly better; ask about one that may or may not be.

        Parameters
        ----------
        path : Path
            Of the new model.
        result : FineTuned
        """
        self._path = path
        self._buttons.setVisible(not (result.better or result.worse))
        if result.better:
            self._answer(USED_FROM_NOW_ON)
        elif result.worse:
            self._text.setText(NOT_USED.format(name=title_file(path)))
        else:
            self._text.setText(
                f"'{title_file(path)}' is saved. {_reason(result)} Use it in all docks?"
            )
        self.show()

    def _answer(self, answer: str, *_: object) -> None:
        """Do as the user has answered, and say so in place of the question."""
        self._buttons.hide()
        self._text.setText(answer.format(name=title_file(self._path)))
        if answer == USED_FROM_NOW_ON:
            set_default_model(self._path)
        elif answer == USED_FOR_SESSION:
            use_model_for_session(self._path)


def _reason(result: FineTuned) -> str:
    """Return why the user is asked."""
    # loads torch, but the training has done so before
    from ...training.evidence import Evidence

    if not result.before:
        return "It began with random weights, so there is no model to compare it with."
    return {
        Evidence.TOO_FEW: "There are too few validation nuclei to judge it by.",
        Evidence.CHANCE: "It is neither clearly better nor clearly worse than the model before.",
    }.get(result.judgement.evidence, "It is not known whether it is better than the model before.")
