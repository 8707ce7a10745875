"""Names of masks, outlines and results that lie beside their images."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from .lazy_images import image_stem

# As Cellpose, StarDist, Fiji, QuPath, ilastik and this program name what they write.
_LABELS = (
    r"masks?|labels?|labell?ed|seg|segmentation|instances?|annotations?|gt|ground[ _\-]?truth|"
    r"label[ _\-]?image|object[ _\-]identities"
)
_PICTURES = r"outlines?|flows?|overlay|probabilities|prob"
_ENDING = re.compile(
    rf"[ _.\-]+(?:cp[ _\-]*)?(?:(?P<labels>{_LABELS})|{_PICTURES})(?:[ _\-]?\d+)?$", re.IGNORECASE
)
_BEGINNING = re.compile(r"^(?:(?:count )?masks? of |masks?[_\-])", re.IGNORECASE)


def strip_mask_name(stem: str) -> str:
    """Return the stem of the image of which a file may be the mask; the same where it is none."""
    stripped = _ENDING.sub("", stem)
    stripped = _BEGINNING.sub("", stem) if stripped == stem else stripped
    return re.sub(r"\.ome$", "", stripped, flags=re.IGNORECASE) or stem


def are_labels(stem: str) -> bool:
    """Return whether a file with this stem may hold labels: no outlines, flows or the like."""
    ending = _ENDING.search(stem)
    return ending is None or ending["labels"] is not None


def find_masks(paths: Iterable[Path]) -> set[Path]:
    """Return the files that are masks, outlines or the like of others among them.

    Parameters
    ----------
    paths : iterable of Path
        Of any kind; a mask is one only beside its image, in the same folder.

    Returns
    -------
    set of Path
    """
    given = list(paths)
    keys = {(path.parent, image_stem(path).casefold()) for path in given}
    return {
        path
        for path in given
        if (stem := image_stem(path)) != (image := strip_mask_name(stem))
        and (path.parent, image.casefold()) in keys
    }
