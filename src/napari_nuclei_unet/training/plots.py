"""Reports of a training beside its model: the history as a table and plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import find_boundaries

from ..counts import format_count
from ..io.atomic import atomic_write
from ..io.tables import write_table

# Distinguishable with every kind of colour vision, and on dark, bright and purple backgrounds.
ANNOTATED_COLOR, FOUND_COLOR = (0.0, 0.85, 1.0), (1.0, 0.75, 0.0)
NO_PLOTS = (
    "curves.png and predictions.png are not drawn, as matplotlib is not installed: "
    "pip install 'napari-nuclei-unet[train]'."
)


def can_plot() -> bool:
    """Return whether matplotlib, of the extra ``train``, is installed."""
    return find_spec("matplotlib") is not None


@dataclass(frozen=True, eq=False)
class ValidationPicture:
    """One validation image with its annotation and what a model found in it.

    Attributes
    ----------
    title : str
    image : ndarray, shape (Y, X, 3), floating, values 0 to 1
    true, found : ndarray, shape (Y, X), integer
    """

    title: str
    image: NDArray[np.floating]
    true: NDArray[np.integer]
    found: NDArray[np.integer]


def write_history(path: Path, history: Sequence[dict[str, float]]) -> None:
    """Write one CSV row for each epoch.

    Parameters
    ----------
    path : Path
    history : sequence of dict
        As in ``loop.Epoch``.
    """
    import pandas as pd  # takes longer to load than a dock

    with atomic_write(path) as temporary:
        write_table(temporary, pd.DataFrame(history), float_format="%.6g")


def plot_curves(path: Path, history: Sequence[dict[str, float]]) -> None:
    """Draw loss and IoU against the epoch, and mark the epoch whose weights are kept.

    Parameters
    ----------
    path : Path
        A PNG.
    history : sequence of dict
        As in ``loop.Epoch``.

    Notes
    -----
    Draws nothing without matplotlib (``can_plot``).
    """
    if not can_plot():
        return
    from matplotlib.figure import Figure

    epochs = [row["epoch"] for row in history]
    best = best_epoch_row(history)
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, name, title in zip(
        figure.subplots(1, 2), ("loss", "iou"), ("Loss", "IoU of the foreground"), strict=True
    ):
        for part in ("training", "validation"):
            axes.plot(epochs, [row[f"{part}_{name}"] for row in history], "o-", ms=3, label=part)
        if best is not None:
            label = f"kept: epoch {best['epoch']}"
            axes.axvline(best["epoch"], color="0.6", ls=":", label=label)
        axes.set(title=title, xlabel="Epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120)


def best_epoch_row(history: Sequence[dict[str, float]]) -> dict[str, float] | None:
    """Return the row of the epoch whose weights are kept, if there is one."""
    kept = [row for row in history if row["kept"]]
    return kept[-1] if kept else None


def plot_predictions(path: Path, predictions: Sequence[ValidationPicture]) -> None:
    """Draw images beside the outlines of their annotation and of the nuclei found.

    Parameters
    ----------
    path : Path
        A PNG.
    predictions : sequence of ValidationPicture
        One row each.

    Notes
    -----
    Draws nothing without matplotlib (``can_plot``).
    """
    if not can_plot():
        return
    from matplotlib.figure import Figure

    rows = len(predictions)
    figure = Figure(figsize=(10, 3.5 * rows), layout="constrained")
    for axes, picture in zip(figure.subplots(rows, 3, squeeze=False), predictions, strict=True):
        axes[0].imshow(picture.image)
        axes[0].set_title(picture.title, fontsize=9)
        axes[1].imshow(draw_outlines(picture.image, picture.true, ANNOTATED_COLOR))
        axes[1].set_title(f"annotated: {_describe_nuclei(picture.true)}", fontsize=9)
        axes[2].imshow(draw_outlines(picture.image, picture.found, FOUND_COLOR))
        axes[2].set_title(f"found: {_describe_nuclei(picture.found)}", fontsize=9)
        for panel in axes:
            panel.set_axis_off()
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120)


def draw_outlines(
    image: NDArray[np.floating],
    labels: NDArray[np.integer],
    colour: tuple[float, ...],
    mode: Literal["inner", "outer"] = "inner",
) -> NDArray[np.floating]:
    """Draw the outlines of labels (Y, X), in them or around, into a copy of an image (Y, X, 3)."""
    return np.where(find_boundaries(labels, mode=mode)[..., None], colour, image)


def _describe_nuclei(labels: NDArray[np.integer]) -> str:
    return format_count(int(np.count_nonzero(np.bincount(labels.ravel())[1:])), "nucleus")
