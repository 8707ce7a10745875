"""The sample images of the package.

Five images of the training part of the Data Science Bowl 2018 (BBBC038, CC0; Caicedo et al.
2019, doi:10.1038/s41592-019-0612-7), each with its annotation; and a film, a z-stack and a second
channel, composed of their nuclei.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from ..errors import UserError
from .planted_errors import plant_errors
from .synthetic import STACK_STEP, MadeImage, make_film, make_marker, make_stack

SAMPLES = {
    "fluorescence_small": "Fluorescence (small)",
    "fluorescence_large": "Fluorescence (large)",
    "histology_purple": "Histology (purple)",
    "histology_pink_purple": "Histology (pink and purple)",
    "grayscale_tissue": "Tissue (grey)",
}
# Of the samples that are composed: micrometres, as of a 20x objective, and time between frames.
MADE_PIXEL, FRAME_MINUTES = 0.4, 10.0
SampleLayer = tuple[Any, dict[str, Any], str]
SAMPLES_FOLDER = Path(str(files("napari_nuclei_unet"))) / "sample_images"


def read_sample(name: str) -> tuple[NDArray[Any], NDArray[np.uint16]]:
    """Read a sample image and its annotation.

    Parameters
    ----------
    name : str
        A key of ``SAMPLES``, or of those that are composed: "two_channels", "z_stack", "film".

    Returns
    -------
    image : ndarray, uint8, uint16 if composed
        Of shape (Y, X) or (Y, X, 3), if composed (C, Y, X), (Z, Y, X) or (T, Y, X).
    annotation : ndarray, uint16
        0 is background, else the nucleus' id. It has all axes but channels and colours.

    Raises
    ------
    UserError
        If there is no such sample.
    """
    if name in SAMPLES:
        return _read_bundled(name)
    if name not in COMPOSED:
        known = ", ".join([*SAMPLES, *COMPOSED])
        raise UserError(f"There is no sample '{name}': choose one of {known}.")
    return COMPOSED[name]()


def _read_bundled(name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    image = np.asarray(PIL.Image.open(SAMPLES_FOLDER / f"{name}.png"))
    annotation = np.asarray(PIL.Image.open(SAMPLES_FOLDER / f"{name}_annotation.png"))
    return image, annotation.astype(np.uint16)


def _compose(
    make: Callable[[NDArray[Any], NDArray[Any]], MadeImage],
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    made = make(*_read_bundled("fluorescence_small"))
    return made.pixels, made.truth


def _compose_channels() -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    image, annotation = _read_bundled("fluorescence_small")
    return np.stack([image, make_marker(image, annotation)]), annotation


COMPOSED: dict[str, Callable[[], tuple[NDArray[np.uint16], NDArray[np.uint16]]]] = {
    "two_channels": _compose_channels,
    "z_stack": partial(_compose, make_stack),
    "film": partial(_compose, make_film),
}


def repeated_sample(edge: int = 4096) -> NDArray[np.uint8]:
    """Tile a fluorescence sample, mirrored without seams, to a large square.

    Parameters
    ----------
    edge : int
        In pixels.

    Returns
    -------
    ndarray, shape (edge, edge), uint8
    """
    image, _ = _read_bundled("fluorescence_small")
    height, width = image.shape
    return np.pad(image, ((0, edge - height), (0, edge - width)), mode="symmetric")


def sample_layers(name: str) -> list[SampleLayer]:
    """Return a sample as napari layer data: the image and its annotation."""
    image, annotation = read_sample(name)
    title = SAMPLES[name]
    return [
        (image, {"name": title, "rgb": image.ndim == 3}, "image"),
        (annotation, {"name": f"{title} annotation", "visible": False}, "labels"),
    ]


def fluorescence_errors() -> list[SampleLayer]:
    """Return a sample with ten errors to correct, as napari layer data."""
    image, annotation = sample_layers("fluorescence_small")
    title = f"{SAMPLES['fluorescence_small']} to correct"
    return [image, annotation, (plant_errors(annotation[0]), {"name": title}, "labels")]


def film() -> list[SampleLayer]:
    """Return a film in which nuclei move and divide, as napari layer data."""
    return _made_layers("film", "Film", ("t", "y", "x"), (FRAME_MINUTES, MADE_PIXEL, MADE_PIXEL))


def z_stack() -> list[SampleLayer]:
    """Return a z-stack, as napari layer data."""
    scale = STACK_STEP * MADE_PIXEL, MADE_PIXEL, MADE_PIXEL
    return _made_layers("z_stack", "Z-stack", ("z", "y", "x"), scale)


def two_channels() -> list[SampleLayer]:
    """Return nuclei, and a marker that a third of them have, as napari layer data."""
    image, annotation = _read_bundled("fluorescence_small")
    marker = make_marker(image, annotation)
    place = _geometry(("y", "x"), (MADE_PIXEL, MADE_PIXEL))
    look = {"blending": "additive", **place}
    return [
        (annotation, {"name": "Two channels annotation", "visible": False, **place}, "labels"),
        (marker, {"name": "Two channels (marker)", "colormap": "magenta", **look}, "image"),
        # last, so that it is selected, and Segment takes it
        (image, {"name": "Two channels (DAPI)", "colormap": "cyan", **look}, "image"),
    ]


def _made_layers(
    name: str, title: str, axes: tuple[str, ...], scale: tuple[float, ...]
) -> list[SampleLayer]:
    pixels, truth = read_sample(name)
    place = _geometry(axes, scale)
    return [
        (pixels, {"name": title, **place}, "image"),
        (truth, {"name": f"{title} annotation", "visible": False, **place}, "labels"),
    ]


def _geometry(axes: tuple[str, ...], scale: tuple[float, ...]) -> dict[str, Any]:
    units = tuple("min" if axis == "t" else "um" for axis in axes)
    return {"axis_labels": axes, "scale": scale, "units": units}


fluorescence_small = partial(sample_layers, "fluorescence_small")
fluorescence_large = partial(sample_layers, "fluorescence_large")
histology_purple = partial(sample_layers, "histology_purple")
histology_pink_purple = partial(sample_layers, "histology_pink_purple")
grayscale_tissue = partial(sample_layers, "grayscale_tissue")
