"""What of a folder is segmented, and what is passed over, and why."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..io.file_kinds import find_kind
from ..io.labels import LABELS_SUFFIX, PLAIN_LABELS_SUFFIX, STORE_SUFFIX
from ..io.mask_names import find_masks
from ..io.open import IMAGE_SUFFIXES
from ..io.paths import printable
from ..io.readers import microscopes
from ..io.readers.ome_zarr import is_zarr
from ..io.tables import LINEAGE_SUFFIX, TABLE_SUFFIX, TRACK_GRAPH_SUFFIX, TRACKS_SUFFIX

# Files that are written beside images, by their endings; labels have an image's suffix.
RESULT_ENDINGS = (
    LABELS_SUFFIX, PLAIN_LABELS_SUFFIX, STORE_SUFFIX, TABLE_SUFFIX, TRACKS_SUFFIX,
    LINEAGE_SUFFIX, TRACK_GRAPH_SUFFIX, "nuclei_summary.csv",
)  # fmt: skip
MAX_REASONS = 6
MASKS, FOLDERS = "masks, labels or outlines beside their images", "folders, which are not searched"
ONE = {MASKS: "mask, labels or outlines beside its image", FOLDERS: "folder, which is not searched"}


@dataclass(frozen=True)
class Selection:
    """Paths that are images, and how many others were passed over for each reason."""

    images: tuple[Path, ...]
    passed_over: Counter[str]

    def describe(self) -> str:
        """Return how many were passed over and why; empty if none was."""
        if not self.passed_over:
            return ""
        total = self.passed_over.total()
        reasons = [
            f"{count} {ONE.get(reason, reason) if count == 1 else reason}"
            for reason, count in self.passed_over.most_common()
        ]
        more = reasons[MAX_REASONS:]
        shown = reasons[:MAX_REASONS] + ([f"{len(more)} other reasons"] if more else [])
        return f"{total} {'file' if total == 1 else 'files'} passed over: {'; '.join(shown)}"


def select_images(paths: Iterable[Path]) -> Selection:
    """Select the images among the entries of a folder, or what fits a pattern.

    Parameters
    ----------
    paths : iterable of Path

    Returns
    -------
    Selection
        In order of their names. Masks are passed over where their image is among the paths.
    """
    given = sorted(paths)
    beside = [path for path in given if not path.name.startswith(".")]
    masks = find_masks(beside)
    parts = {part for path in beside for part in microscopes.list_part_folders(path)}
    images, passed_over = [], Counter[str]()
    for path in given:
        if path in parts:
            continue
        reason = _find_reason(path, masks)
        if reason is None:
            images.append(path)
        else:
            passed_over[reason] += 1
    return Selection(tuple(images), passed_over)


def _find_reason(path: Path, masks: set[Path]) -> str | None:
    """Return why a path is no image to segment; None if it is one."""
    if path.name.startswith("."):
        return "hidden"
    if path.name.lower().endswith(RESULT_ENDINGS):
        return "written by this program"
    if path in masks:
        return MASKS
    suffix = path.suffix.lower()
    if os.path.isdir(path):  # a path that may not be looked at raises no error
        return None if is_zarr(path) else FOLDERS
    if suffix in microscopes.SUFFIXES:
        return None if microscopes.can_read() else f"of a microscope ({microscopes.INSTALL})"
    if suffix in IMAGE_SUFFIXES:
        return None
    kind = find_kind(path)
    return "no image" if kind is None else f"{kind.name} ({printable(path.name)})"
