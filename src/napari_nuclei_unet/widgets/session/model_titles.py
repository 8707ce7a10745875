"""What the window calls models; everywhere else they go by the names of their files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from pathlib import Path

from ...errors import UserError
from ...models.model import ModelCard, read_card

SHIPPED_TITLES = {"nuclei": "Standard (fluorescence and H&E)"}
# Name of a new model unless the user gives it another, and what models of this name are called.
DEFAULT_MODEL_NAME, DEFAULT_MODEL_TITLE = "my nuclei", "Mine"
# Not those of the system's language, which the rest of the window is not in.
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def title_model(name: str) -> str:
    """Return the title of a model that is known by its name, such as the parent of another."""
    return SHIPPED_TITLES.get(name, _title_stem(name))


def title_files(paths: Sequence[Path]) -> list[str]:
    """Return the titles of models of the user's folder: name and date, different from each other.

    Parameters
    ----------
    paths : sequence of Path

    Returns
    -------
    list of str
    """
    titles = [title_file(path) for path in paths]
    counts = Counter((*titles, *SHIPPED_TITLES.values()))
    return [
        path.stem if counts[title] > 1 else title for path, title in zip(paths, titles, strict=True)
    ]


def title_file(path: Path) -> str:
    """Return the title of a model of the user's folder."""
    try:
        made = _read_date(path, path.stat().st_mtime_ns)
    except OSError:  # it has just been deleted
        made = ""
    title = _title_stem(path.stem)
    return f"{title}, {made}" if made else title


def _title_stem(stem: str) -> str:
    """Return a name, or "Mine", with a number where there are several."""
    numbered = re.fullmatch(rf"{re.escape(DEFAULT_MODEL_NAME)}( \d+)?", stem)
    return stem if numbered is None else f"{DEFAULT_MODEL_TITLE}{numbered[1] or ''}"


@lru_cache(maxsize=1024)
def _read_date(path: Path, _changed: int) -> str:
    """Read when a model was made, as text; empty: its file does not say so."""
    try:
        return format_created(read_card(path))
    except UserError:
        return ""


def format_created(card: ModelCard) -> str:
    """Return when a model was made, such as 28 Nov 2026; empty where that is not known."""
    try:
        made = date.fromisoformat(card.created[:10])
    except (TypeError, ValueError):
        return ""
    return f"{made.day} {MONTHS[made.month - 1]} {made.year}"
