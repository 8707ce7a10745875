"""The table of a training's scores, before and after."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from ..common.controls import create_label, fill_layout

SCORE_ROWS = ("AP@0.5", "mean AP", "count error")
# Scores of which lower is better.
LOWER_IS_BETTER = ("count error",)
SCORE_COLUMN_TITLES = {"held back": "validation", "reference images": "reference images"}


class ScoreTable(QWidget):
    """A small table of scores, and the verdict below it."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("outcome")
        self._table = QTableWidget(len(SCORE_ROWS), len(SCORE_COLUMN_TITLES))
        self._table.setObjectName("scores")
        self._table.setVerticalHeaderLabels(SCORE_ROWS)
        self._table.setHorizontalHeaderLabels(list(SCORE_COLUMN_TITLES.values()))
        self._table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        header = self._table.horizontalHeader()
        assert header is not None  # a table has one
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self._table.setToolTip(
            "Before and after training, on the validation areas and on the reference images of the "
            "package. Count error: nuclei too many or too few, as a share of those there are."
        )
        self._verdict = create_label("verdict")
        fill_layout(QVBoxLayout(self), self._table, self._verdict)
        self.setVisible(False)

    def show_scores(self, scores: dict[str, Any], verdict: str) -> None:
        """Show the scores of a card, ``before`` and ``after``, and a sentence.

        Parameters
        ----------
        scores : dict
            As in ``ModelCard.scores``.
        verdict : str
        """
        before, after = scores.get("before", {}), scores.get("after", {})
        for column, on in enumerate(SCORE_COLUMN_TITLES):
            for line, name in enumerate(SCORE_ROWS):
                was, now = before.get(on, {}).get(name), after.get(on, {}).get(name)
                self._table.setItem(line, column, QTableWidgetItem(_format_change(name, was, now)))
        rows = sum(self._table.rowHeight(line) for line in range(len(SCORE_ROWS)))
        header = self._table.horizontalHeader()
        self._table.setFixedHeight(rows + (0 if header is None else header.height()) + 4)
        self._verdict.setText(verdict)
        self.setVisible(True)


def _format_change(name: str, was: float | None, now: float | None) -> str:
    if now is None:
        return "-"
    if was is None:
        return f"{now:.2f}"
    change = (was - now) if name in LOWER_IS_BETTER else (now - was)
    mark = " better" if change > 0.005 else " worse" if change < -0.005 else ""
    return f"{was:.2f} → {now:.2f}{mark}"
