"""Segmenting a plane: the one straight line from pixels to separated nuclei."""

from __future__ import annotations

import dataclasses
import time
import warnings
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nuclei_unet.core.instances import SMOOTHING, separate
from napari_nuclei_unet.core.planes import Plane, check_plane
from napari_nuclei_unet.devices import plan
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.models import THRESHOLDS, Model, load_model, thresholds_at
from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.prediction import Step, run
from napari_nuclei_unet.zooming import predict_fitting


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What was found in one plane.

    Attributes
    ----------
    plane : Plane
        What was segmented.
    labels : ndarray, shape (Y, X), int32
        0 is background; nuclei are 1..n, each connected.
    maps : ndarray, shape (n, Y, X), float32, values 0 to 1
        As the network predicted them: nucleus, and of most models border, distance and size;
        ``maps[0]`` is the probability of nucleus.
    record : dict
        What makes this result again, and says what made it: plugin version, model name and
        SHA-256, every parameter, device, precision, time, the typical ``diameter`` in pixels
        (None where nothing was found) and the ``zoom`` at which the network saw the plane. JSON
        can hold it.
    notices : tuple of str
        Sentences for the user: what was ignored, what was not as wished.
    """

    plane: Plane
    labels: NDArray[np.int32]
    maps: NDArray[np.float32]
    record: dict[str, Any]
    notices: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of nuclei."""
        return int(self.labels.max(initial=0))


def segment(
    image: NDArray[np.generic],
    model: str | Path | Model = "nuclei",
    *,
    device: str = "auto",
    **params: Any,
) -> NDArray[np.int32]:
    """Find and separate the nuclei of one image plane.

    Parameters
    ----------
    image : ndarray, shape (Y, X), (Y, X, 3) or (Y, X, 4)
        Grey, RGB or RGBA; bool, integer or floating, in any range.
    model : str, Path or Model
        Name of a shipped model, path of a ``.safetensors`` file, or what ``load_model`` gave.
    device : {"auto", "cpu", "cuda", "mps"}
        auto takes a graphics card where there is one.
    **params
        Fields of :class:`~napari_nuclei_unet.SegmentParams`.

    Returns
    -------
    ndarray, shape (Y, X), int32
        0 is background; nuclei are 1..n without gaps, each 4-connected.

    Raises
    ------
    UserError
        If image, model, device or a parameter cannot be used; the message says what to do.

    Warns
    -----
    UserWarning
        Where something was ignored, such as NaN or an alpha channel.

    Examples
    --------
    >>> from napari_nuclei_unet import segment
    >>> from napari_nuclei_unet.samples import read_sample
    >>> image, annotation = read_sample("fluorescence_small")
    >>> labels = segment(image)
    >>> labels.shape == image.shape
    True
    """
    result = run(segment_steps(image, model, checked_params(params), device))
    for notice in result.notices:
        warnings.warn(notice, stacklevel=2)
    return result.labels


def checked_params(params: dict[str, Any]) -> SegmentParams:
    """Make parameters of keywords, and name the one that does not exist."""
    known = [one.name for one in dataclasses.fields(SegmentParams)]
    for name in params:
        if name not in known:
            raise UserError(f"There is no parameter '{name}': choose among {', '.join(known)}.")
    return SegmentParams(**params)


def segment_steps(
    image: NDArray[np.generic],
    model: str | Path | Model = "nuclei",
    params: SegmentParams | None = None,
    device: str = "auto",
) -> Generator[Step, None, Segmentation]:
    """Segment one plane piece by piece; closing the generator cancels the run.

    Parameters
    ----------
    image : ndarray, shape (Y, X), (Y, X, 3) or (Y, X, 4)
    model : str, Path or Model
        As in :func:`segment`.
    params : SegmentParams, optional
        What is None in it is taken from the model's card.
    device : {"auto", "cpu", "cuda", "mps"}

    Yields
    ------
    Step
        After each batch of tiles, and when a notice has to be given.

    Returns
    -------
    Segmentation

    Raises
    ------
    UserError
        As :func:`segment`.
    """
    started = time.perf_counter()
    plane = check_plane(image)
    model = model if isinstance(model, Model) else load_model(model)
    params = params or SegmentParams()
    how = plan(params, device, model.network.config)
    notices = list(plane.notices)
    zoom, diameter = 1.0, params.diameter
    if plane.blank:
        maps = np.zeros((model.network.config.out_channels, *plane.shape), np.float32)
        notices.append("All pixels have the same value: there is nothing to find.")
    else:
        maps, how, zoom, diameter = yield from predict_fitting(
            plane, model, params.diameter, how, notices
        )
    if plane.invalid is not None:
        maps[0][plane.invalid] = 0
    thresholds = thresholds_of(params, model, zoom)
    try:
        labels = separate(maps, **thresholds, smoothing=SMOOTHING / zoom)
    except MemoryError as error:
        raise UserError(
            "There is not enough memory to separate the nuclei; crop the image."
        ) from error
    record = _record(model, device) | {
        "params": dataclasses.asdict(params) | thresholds,
        "ran_on": dataclasses.asdict(how),
        "diameter": None if diameter is None else round(diameter, 1),
        "zoom": round(zoom, 4),
        "seconds": round(time.perf_counter() - started, 3),
    }
    return Segmentation(plane, labels, maps, record, tuple(notices))


def thresholds_of(params: SegmentParams, model: Model, zoom: float = 1.0) -> dict[str, Any]:
    """Give the arguments of ``separate``: from the model's card, where they are not set."""
    tuned = thresholds_at(model.card.thresholds, zoom)
    wanted = {name: getattr(params, name) for name in THRESHOLDS}
    return {name: tuned[name] if value is None else value for name, value in wanted.items()}


def _record(model: Model, device: str) -> dict[str, Any]:
    return {
        "plugin": "napari-nuclei-unet",
        "version": version("napari-nuclei-unet"),
        "model": model.card.name,
        "model_sha256": model.card.sha256,
        "device": device,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
