"""What is known of a model, in six lines, and all of it as JSON behind them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFormLayout, QPlainTextEdit, QVBoxLayout, QWidget

from ...counts import format_count
from ...models.model import ModelCard
from ..common.controls import create_label, create_section, with_properties
from ..session.model_titles import format_created, title_model

# Images that are named; of more, their number is given.
MAX_NAMED_IMAGES = 3
NOT_KNOWN = "not known"
# Of the JSON, in screen pixels.
DETAILS_HEIGHT = 260


@dataclasses.dataclass(frozen=True)
class CardLine:
    """A line of a card.

    Attributes
    ----------
    title, text : str
    """

    title: str
    text: str


def describe_card(card: ModelCard) -> tuple[CardLine, ...]:
    """Describe a model in six lines."""
    lines = {
        "Made from": _describe_parent,
        "Date": format_created,
        "Images": _describe_images,
        "Nuclei": _describe_nuclei,
        "Scores": _describe_scores,
        "Settings": _describe_settings,
    }
    return tuple(CardLine(title, _describe(describe, card)) for title, describe in lines.items())


def _describe(describe: Callable[[ModelCard], str], card: ModelCard) -> str:
    """Return the text of a line; a card of others may have anything in its fields."""
    try:
        return describe(card) or NOT_KNOWN
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError):
        return NOT_KNOWN


def _describe_parent(card: ModelCard) -> str:
    parent = card.parent.get("name", "")
    return title_model(parent) if parent else "random weights"


def _describe_images(card: ModelCard) -> str:
    annotated = card.trained_on.get("annotated")
    if not isinstance(annotated, list):
        count = card.trained_on.get("images")
        return NOT_KNOWN if count is None else format_count(count, "image")
    names = [str(image.get("name", "")) for image in annotated]
    named = ", ".join(names[:MAX_NAMED_IMAGES])
    more = f" and {len(names) - MAX_NAMED_IMAGES} more" if len(names) > MAX_NAMED_IMAGES else ""
    return f"{format_count(len(names), 'image')}: {named}{more}"


def _describe_nuclei(card: ModelCard) -> str:
    annotated = card.trained_on.get("annotated")
    if isinstance(annotated, list):
        count = sum(int(image.get("nuclei", 0)) for image in annotated)
    else:
        count = card.trained_on.get("nuclei", -1)
    if count < 0:
        return NOT_KNOWN
    found = (card.validated_on.get("after") or {}).get("found", ())
    judged = sum(map(len, found))
    return f"{count:,} annotated" + (f", {judged:,} of them for validation" if judged else "")


def _describe_scores(card: ModelCard) -> str:
    before, after = card.scores.get("before", {}), card.scores.get("after", {})
    if not after:
        score = card.scores.get("all", {}).get("AP@0.5")
        return NOT_KNOWN if score is None else f"AP@0.5 {score:.2f} on validation images"
    evidence = card.validated_on.get("evidence", "")
    parts = []
    for on, where in (("held back", "on validation"), ("reference images", "on reference images")):
        was, now = before.get(on, {}).get("AP@0.5"), after.get(on, {}).get("AP@0.5")
        if now is not None:
            what = f" ({evidence})" if evidence and on == "held back" else ""
            change = f"{now:.2f}" if was is None else f"{was:.2f} → {now:.2f}"
            parts.append(f"{change} {where}{what}")
    return f"AP@0.5 {', '.join(parts)}"


def _describe_settings(card: ModelCard) -> str:
    params = card.training
    if not params.get("epochs"):
        return NOT_KNOWN
    done = int(card.history[-1].get("epoch", 0)) if card.history else params["epochs"]
    texts = [f"epoch {params.get('best_epoch', done)} of {format_count(done, 'epoch')}"]
    if params.get("steps"):
        texts.append(f"{format_count(params['steps'], 'step')} each")
    if "learning_rate" in params:
        texts.append(f"learning rate {params['learning_rate']:g}")
    return ", ".join(texts)


def format_card(card: ModelCard) -> str:
    """Format a whole card as JSON, without the history."""
    fields = {name: value for name, value in dataclasses.asdict(card).items() if name != "history"}
    return json.dumps(fields, indent=2, ensure_ascii=False)


class CardView(QWidget):
    """The card of a model.

    Parameters
    ----------
    card : ModelCard
    """

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        layout, form = QVBoxLayout(self), QFormLayout()
        layout.setAlignment(Qt.AlignmentFlag.AlignTop)
        for line in describe_card(card):
            label = create_label(f"card_{line.title.lower().replace(' ', '_')}")
            label.setText(line.text)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            form.addRow(line.title, label)
        layout.addLayout(form)
        text = with_properties(
            QPlainTextEdit(format_card(card)), objectName="card_text", readOnly=True
        )
        text.setFixedHeight(DETAILS_HEIGHT)
        layout.addWidget(create_section("card_details", "Details", text))
