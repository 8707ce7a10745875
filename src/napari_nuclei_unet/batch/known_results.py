"""What is known of results without opening them: from the names of files, and the summary."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..io.labels import LABELS_SUFFIX, PLAIN_LABELS_SUFFIX, STORE_SUFFIX
from .inputs import InputImage
from .outputs import ResultPaths, result_paths_in
from .summary import SUMMARY_FILE_NAME, SummaryRow, read_summary

# What separates folders in the paths of a summary, which may come from another system.
SEPARATORS = re.compile(r"[/\\]")
LABELS_SUFFIXES = (LABELS_SUFFIX, PLAIN_LABELS_SUFFIX, STORE_SUFFIX)


@dataclass(frozen=True)
class KnownResult:
    """What is known of an image that an earlier run has come to.

    Attributes
    ----------
    results : ResultPaths or None
        None: there are no labels, as it has failed.
    row : SummaryRow or None
        None: the last summary does not have it.
    """

    results: ResultPaths | None
    row: SummaryRow | None


def find_known_results(items: Iterable[InputImage], folder: Path) -> dict[InputImage, KnownResult]:
    """Find the images that an earlier run, of window or command line, has come to.

    Parameters
    ----------
    items : iterable of InputImage
    folder : Path
        Of the results; need not exist.
    """
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError:
        return {}
    rows = read_summary(folder / SUMMARY_FILE_NAME)
    by_result = {_last_part(row.result): row for row in rows if row.result}
    by_image = {_last_part(row.image): row for row in rows if not row.result and row.error}
    found: dict[InputImage, KnownResult] = {}
    for item in items:
        labels = _find_labels(item, names)
        if labels is not None:
            found[item] = KnownResult(
                result_paths_in(folder, item.stem, labels), by_result.get(f"{item.stem}{labels}")
            )
        elif (row := by_image.get(item.title)) is not None:
            found[item] = KnownResult(None, row)
    return found


def _find_labels(item: InputImage, names: set[str]) -> str | None:
    """Return the suffix of the labels of an image; None if there are none."""
    return next((suffix for suffix in LABELS_SUFFIXES if f"{item.stem}{suffix}" in names), None)


def find_result_paths(item: InputImage, folder: Path, row: SummaryRow) -> ResultPaths | None:
    """Return the files of a result in a folder by its row of the summary; None: it has none."""
    suffixes = (suffix for suffix in LABELS_SUFFIXES if row.result.endswith(suffix))
    suffix = next(suffixes, None)
    return None if suffix is None else result_paths_in(folder, item.stem, suffix)


def _last_part(path: str) -> str:
    return SEPARATORS.split(path)[-1]
