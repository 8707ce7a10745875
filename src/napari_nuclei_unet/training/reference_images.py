"""The reference images of the package, on which a model should not get worse.

Crops of 256 x 256 pixels of the training part of the Data Science Bowl 2018 (BBBC038, CC0; Caicedo
et al. 2019, doi:10.1038/s41592-019-0612-7), picked by ``tools/pick_references.py``.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal

import numpy as np
import PIL.Image

from ..segmentation.normalization import check_plane
from .example import Example, make_example

REFERENCE_FOLDER = Path(str(files("napari_nuclei_unet"))) / "reference_images"
ANNOTATION_SUFFIX = "_annotation.png"


def read_reference_images(part: Literal["learn", "score"]) -> list[Example]:
    """Read reference images.

    Parameters
    ----------
    part : {"learn", "score"}
        ``learn`` are mixed into a fine-tuning; ``score`` were in the validation set of the shipped
        model, and are never used for training.

    Returns
    -------
    list of Example
        In order of their names; the kind is the modality.
    """
    examples = []
    for path in sorted((REFERENCE_FOLDER / part).glob(f"*{ANNOTATION_SUFFIX}")):
        name = path.name.removesuffix(ANNOTATION_SUFFIX)
        plane = check_plane(np.asarray(PIL.Image.open(path.with_name(f"{name}.png"))))
        labels = np.asarray(PIL.Image.open(path))
        kind = name.rsplit("_", 1)[0]
        examples.append(make_example(f"reference {name}", plane.normalized(), labels, kind=kind))
    return examples
