"""The nucleus maps of all slices of a volume, predicted one by one and put together."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from ..arrays.boxes import enlarged, full_box
from ..arrays.quantization import UNIT_STEPS
from ..arrays.resampling import ZoomedView, as_fraction
from ..errors import UserError
from ..models.model import Model
from ..progress import Step, Stop
from .device import InferencePlan
from .intensity_range import drop_alpha
from .network_form import network_form
from .normalization import Plane, check_type_and_shape
from .predict import predict_maps_steps
from .volume_separation import LIGHT_STRIDE, VolumeMaps, estimate_step
from .volume_survey import VolumeSurvey

STEP_ESTIMATED = (
    "How far apart the slices are is not known; the shape of the nuclei says about {:.1f} pixels. "
    "Give `z_step` if you know it."
)
# In pixels, where nothing says how far apart slices are.
UNKNOWN_STEP = 1.0
# So many slices without a picture are bridged.
MAX_BRIDGED_SLICES = 2
ALL_SLICES_EMPTY = "All slices hold one value only: there is nothing to find."
SLICES_EMPTY = "{} slices hold one value only, and have no nuclei; the first is slice {}."
STEP_UNKNOWN = (
    "How far apart the slices are is not known, and too few nuclei are whole to tell: they are "
    "taken to be as far apart as pixels. Give `z_step`."
)


class SlicePredictor:
    """Predicts the nucleus maps of slices, and puts them together.

    Attributes
    ----------
    plan : InferencePlan
        What worked.
    zoom : Fraction
    size : (int, int)
        Of a slice in pixels.
    failed : dict of int to str
    empty : list of int
        Slices that hold one value only, as where chunks are missing.
    """

    def __init__(
        self,
        model: Model,
        plan: InferencePlan,
        survey: VolumeSurvey,
        depth: int,
        notices: list[str],
    ) -> None:
        self._model, self._survey, self._depth, self._notices = model, survey, depth, notices
        self.plan, self.zoom = plan, as_fraction(survey.zoom)
        self.size = (0, 0)
        self.failed: dict[int, str] = {}
        self.empty: list[int] = []
        self._nucleus = self._light = np.zeros((0, 0, 0), np.uint8)
        self._z = 0

    def steps(self, z: int, pixels: NDArray[np.generic]) -> Generator[Step, Stop, bool]:
        """Predict a slice; returns whether it was finished."""
        check_type_and_shape(pixels)
        seen, self._z = self._survey.range, z
        plane = Plane(drop_alpha(pixels), seen.low, seen.middle, seen.high, gamma=seen.gamma)
        light = plane.normalized()
        if self.zoom != 1:
            view = ZoomedView(light, self.zoom)
            light = view[full_box(view.shape)]
        if not self._nucleus.size:
            self.size = plane.shape
            rows, columns = light.shape[:2]
            self._nucleus = np.zeros((self._depth, rows, columns), np.uint8)
            self._light = np.zeros_like(self._nucleus[:, ::LIGHT_STRIDE, ::LIGHT_STRIDE])
        elif plane.shape != self.size:
            raise UserError(f"it has the shape {plane.shape}, and not {self.size} as the others.")
        if _has_one_value(pixels):
            self.empty.append(z)
        elif not plane.is_blank:
            seen_by_network = Plane(light, 0.0, 0.5, 1.0)
            network = network_form(self._model, self.plan.precision)
            maps = yield from predict_maps_steps(seen_by_network, network, self.plan, self._notices)
            if maps.finished is not None:
                return False
            self.plan = maps.plan
            steps = UNIT_STEPS // 255
            self._nucleus[z] = (maps.quantized[0].astype(np.uint32) + steps // 2) // steps
            self._clear_invalid(z, pixels)
        grey = light if light.ndim == 2 else light.mean(axis=2)
        self._light[z] = np.round(grey[::LIGHT_STRIDE, ::LIGHT_STRIDE] * 255)
        return True

    def count(self, step: Step) -> Step:
        """Return a step of a slice as one of all slices."""
        return Step(self._z, self._depth, step.notice)

    def finish(self, step: float | None) -> VolumeMaps:
        """Return the maps of all slices; one that failed is what lies between its neighbours.

        Raises
        ------
        UserError
            If no slice could be read.
        """
        if len(self.failed) == self._depth:
            raise UserError(next(iter(self.failed.values())))
        self._fill_gaps()
        is_blank = len(self.empty) == self._depth
        if is_blank:
            self._notices.append(ALL_SLICES_EMPTY)
        elif self.empty:
            self._notices.append(SLICES_EMPTY.format(len(self.empty), self.empty[0]))
        zoom = float(self.zoom)
        if step is None and is_blank:
            step = UNKNOWN_STEP
        elif step is None:
            estimated = estimate_step(self._nucleus)
            step = UNKNOWN_STEP if estimated is None else max(round(estimated / zoom, 1), 0.1)
            text = STEP_UNKNOWN if estimated is None else STEP_ESTIMATED
            self._notices.append(text.format(step))
        return VolumeMaps(self._nucleus, self._light, step * zoom)

    def _clear_invalid(self, z: int, pixels: NDArray[np.generic]) -> None:
        """Remove nuclei where values are NaN or infinite."""
        if pixels.dtype.kind != "f" or np.isfinite(pixels).all():
            return
        invalid = ~np.isfinite(pixels if pixels.ndim == 2 else pixels[..., :3].mean(axis=2))
        self._nucleus[z][enlarged(invalid, self._nucleus[z].shape)] = 0

    def _fill_gaps(self) -> None:
        """Fill slices without a picture, so that a short gap does not cut nuclei in two."""
        gaps = {*self.failed, *self.empty}
        good = [z for z in range(self._depth) if z not in gaps]
        for z in gaps:
            below = max((at for at in good if at < z), default=None)
            above = min((at for at in good if at > z), default=None)
            if below is None or above is None or above - below > MAX_BRIDGED_SLICES + 1:
                continue
            for values in (self._nucleus, self._light):
                values[z] = np.minimum(values[below], values[above])


def _has_one_value(pixels: NDArray[np.generic]) -> bool:
    if pixels.dtype.kind == "f":
        pixels = pixels[np.isfinite(pixels)]
    return pixels.size == 0 or bool(pixels.min() == pixels.max())
