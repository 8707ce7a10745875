"""The question that stands before anything is replaced."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from ..common.controls import create_button, create_check_box, create_label, create_row, fill_layout
from .run_task import ManyOutcome, ReplaceAnswer


class QuestionBar(QWidget):
    """Asks what becomes of results with other settings; hidden while there is no question.

    Signals
    -------
    answered : ReplaceAnswer
    """

    answered = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("question")
        self._text = create_label("question_text")
        self._edited = create_check_box(
            "replace_edited", "", "What you have corrected in these images is lost, then."
        )
        keep = create_button(
            "keep_results", "Keep them",
            "Leave these results as they are, and segment only images that have none.",
            lambda *_: self.answer(False),
        )  # fmt: skip
        replace = create_button(
            "replace_results", "Replace them",
            "Segment these images again, with the present settings.",
            lambda *_: self.answer(True),
        )  # fmt: skip
        fill_layout(QVBoxLayout(self), self._text, self._edited, create_row(keep, replace))
        self.setVisible(False)

    def ask(self, outcome: ManyOutcome) -> None:
        """Show the question."""
        self._text.setText(describe_question(outcome))
        corrected = f"{outcome.edited} that were" if outcome.edited > 1 else "1 that was"
        self._edited.setText(f"also replace the {corrected} corrected by hand")
        self._edited.setChecked(False)
        self._edited.setVisible(outcome.edited > 0)
        self.setVisible(True)

    def answer(self, replace: bool) -> None:
        """Answer the question, as a click on one of the buttons does."""
        self.setVisible(False)
        self.answered.emit(ReplaceAnswer(replace, replace and self._edited.isChecked()))


def describe_question(outcome: ManyOutcome) -> str:
    """Return the question in words."""
    one = outcome.other == 1
    images = "1 image was" if one else f"{outcome.other} images were"
    them = "this result" if one else "these results"
    kept = " What you corrected by hand is kept in any case, unless you tick it here."
    question = (
        f"{images} segmented with other settings, or changed since. Do you want to keep {them}, or "
        f"replace {'it' if one else 'them'}?"
    )
    return question + (kept if outcome.edited else "")
