"""What has to be known of a whole plane before its blocks are looked at one by one."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..arrays.boxes import Box, full_box, scale_box
from ..arrays.resampling import as_fraction
from ..arrays.tiling import ArrayLike, split_box
from ..models.model import Model
from ..params import SegmentParams
from ..progress import Step, Stop
from ..segmentation.device import InferencePlan
from ..segmentation.foreground import (
    CELL_EDGE,
    CELLS_PER_PIXEL,
    POOL_EDGE,
    find_foreground,
    pool_means,
)
from ..segmentation.intensity_range import (
    Brightness,
    drop_alpha,
    sample_intensity_range,
    sampling_step,
)
from ..segmentation.normalization import Plane, shape_without_alpha
from ..segmentation.probe import PROBE_EDGE, Probe, measure_contrast, probe_corners
from ..segmentation.scale import look_at_size_steps
from ..segmentation.size_band import SizeBand, is_measured

PART_UNREAD = "A part of the image could not be read at first ({}); its block is tried again."
# Rows and columns that are read at once.
SURVEY_BAND_HEIGHT, SURVEY_BAND_WIDTH = PROBE_EDGE, 8 * PROBE_EDGE


@dataclass(frozen=True, eq=False)
class Survey:
    """What blocks of a plane have in common.

    Attributes
    ----------
    low, middle, high : float
        As of ``normalization.Plane``, as is ``gamma``.
    zoom : Fraction
        At which the network looks at the plane.
    diameter : float or None
        Typical one of a nucleus, in pixels; None where nothing was found.
    foreground : ndarray, shape (Y / 256, X / 256), bool
        Squares of 256 pixels in which there may be nuclei.
    block_size : int
        Edge of what a block answers for, which memory may have limited; 0: as ever.
    """

    low: float
    middle: float
    high: float
    zoom: Fraction
    diameter: float | None
    foreground: NDArray[np.bool_]
    gamma: float = 1.0
    block_size: int = 0

    def to_json(self) -> dict[str, Any]:
        """Convert to what JSON can hold."""
        made = {
            name: getattr(self, name)
            for name in ("low", "middle", "high", "diameter", "gamma", "block_size")
        }
        rows = [np.packbits(row).tobytes().hex() for row in self.foreground]
        return made | {"zoom": str(self.zoom), "live": rows, "columns": self.foreground.shape[1]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Survey:
        """Make it again of what :meth:`to_json` gave."""
        packed = [np.frombuffer(bytes.fromhex(row), np.uint8) for row in data["live"]]
        live = np.array([np.unpackbits(row, count=data["columns"]) for row in packed], bool)
        low, middle, high = data["low"], data["middle"], data["high"]
        # journals of before have neither
        gamma, size = data.get("gamma", 1.0), data.get("block_size", 0)
        return cls(low, middle, high, Fraction(data["zoom"]), data["diameter"], live, gamma, size)

    def plane(self, pixels: ArrayLike) -> Plane:
        """Return pixels of the plane, which are seen as the whole of it is."""
        return Plane(pixels, self.low, self.middle, self.high, gamma=self.gamma)

    def has_foreground(self, box: Box) -> bool:
        """Return whether there may be nuclei in a box of the plane."""
        return bool(self.foreground[scale_box(box, CELLS_PER_PIXEL)].any())

    def background(self, box: Box) -> NDArray[np.bool_]:
        """Return the mask of the pixels of a box that lie in empty squares."""
        rows, columns = (np.arange(part.start, part.stop) // CELL_EDGE for part in box)
        return ~self.foreground[np.ix_(rows, columns)]


def survey_steps(
    pixels: ArrayLike, model: Model, params: SegmentParams, plan: InferencePlan, notices: list[str]
) -> Generator[Step, Stop, Survey | None]:
    """Look at a plane once, part by part: its brightness, where it is empty, how large nuclei are.

    Black and white point are those of ``normalization.check_plane``, and nuclei are measured in
    the same pixels of the plane as in memory, so that a plane means the same either way.

    Parameters
    ----------
    pixels : array-like, shape (Y, X), (Y, X, 3) or (Y, X, 4)
        Is only sliced.
    model : Model
    params : SegmentParams
        Has the diameter, and black and white point, if they are not to be measured.
    plan : InferencePlan
    notices : list of str
        What could not be read, and what else the user should know, is appended.

    Yields
    ------
    Step

    Returns
    -------
    Survey or None
        None: it was told to stop.

    Raises
    ------
    UnreadablePlaneError
        If nothing of it could be read.
    UserError
        If black is not below white.
    """
    seen, reason = _SurveyAccumulator(pixels.shape), ""
    plane = ReadablePlane(pixels)
    parts = split_box(full_box(pixels.shape), SURVEY_BAND_HEIGHT, SURVEY_BAND_WIDTH)
    for done, box in enumerate(parts):
        if (yield Step(done, len(parts))):
            return None
        reason = seen.read(plane, box)
        if reason and (notice := PART_UNREAD.format(reason)) not in notices:
            notices.append(notice)
    if seen.is_empty:
        raise UnreadablePlaneError(reason)
    bright = sample_intensity_range(seen.sample, seen.step, Brightness.of(params))
    low, middle, high, gamma = bright.low, bright.middle, bright.high, bright.gamma
    notices += bright.notices
    whole = Plane(plane, low, middle, high, gamma=gamma)
    live = seen.foreground(whole)
    zoom, diameter = 1.0, params.diameter
    if model.card.sizes and seen.probe is not None and low < high:
        if diameter is not None:
            zoom = SizeBand.of(model.card).suit(whole).choose_zoom(diameter)
        elif is_measured(model.card, plane.shape):
            zoom, diameter = yield from _measure_steps(whole, seen, model, plan, notices)
    return Survey(low, middle, high, as_fraction(zoom), diameter, live, gamma)


def _measure_steps(
    plane: Plane,
    seen: _SurveyAccumulator,
    model: Model,
    plan: InferencePlan,
    notices: list[str],
) -> Generator[Step, Stop, tuple[float, float | None]]:
    """Measure nuclei as in memory; return zoom and diameter."""
    assert seen.probe is not None
    copy = Probe.of_whole(replace(plane, pixels=seen.probe))
    probe = copy if seen.probe_box is None else Probe(plane, seen.probe_box)
    band = SizeBand.of(model.card).suit(plane)  # memory is no limit: blocks shrink, not zooms
    try:
        looking = look_at_size_steps(probe, band, model, plan, notices)
        _, zoom, diameter = yield from looking
    except UnreadablePlaneError:  # what lies around the probe
        looking = look_at_size_steps(copy, band, model, plan, notices)
        _, zoom, diameter = yield from looking
    return zoom, diameter


class UnreadablePlaneError(Exception):
    """A part, or all, of a plane could not be read; the message is the reason."""


@dataclass(frozen=True, eq=False)
class ReadablePlane:
    """A plane without transparency, of which parts may be unreadable; it is only sliced."""

    pixels: ArrayLike

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width, and the number of colours."""
        return shape_without_alpha(self.pixels.shape)

    def __getitem__(self, box: Box) -> NDArray[np.generic]:
        """Read a box.

        Raises
        ------
        UnreadablePlaneError
            If this fails, other than for lack of memory.
        """
        try:
            part = np.asarray(self.pixels[box])
        except MemoryError:
            raise
        except Exception as error:  # whatever lies behind it; its block will say so again
            raise UnreadablePlaneError((str(error).splitlines() or [repr(error)])[0]) from error
        return drop_alpha(part)


class _SurveyAccumulator:
    """Gathers what parts of a plane tell."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.step = sampling_step(shape)
        size = [-(-edge // self.step) for edge in shape[:2]]
        # a regular sample of all values; NaN where nothing was read
        self.sample = np.full((*size, *shape_without_alpha(shape)[2:]), np.nan)
        self.is_empty = True
        cells = [-(-edge // CELL_EDGE) for edge in shape[:2]]
        colours = math.prod(shape_without_alpha(shape)[2:])
        self.lowest = np.full((*cells, colours), np.inf)
        self.highest = -self.lowest
        self.probe: NDArray[np.generic] | None = None
        self.probe_box: Box | None = None  # None: all of the plane
        self._max_contrast = -1.0
        self._small = math.prod(shape[:2]) <= PROBE_EDGE**2  # is its own probe, whatever its shape

    def read(self, plane: ReadablePlane, box: Box) -> str:
        """Read a part, or what can be read of it; return the reason if that is not all."""
        try:
            self.add(box, plane[box])
        except UnreadablePlaneError as error:
            for square in split_box(box, CELL_EDGE, CELL_EDGE):
                with suppress(UnreadablePlaneError):
                    self.add(square, plane[square])
            return str(error)
        return ""

    def add(self, box: Box, part: NDArray[np.generic]) -> None:
        rows, columns = (-one.start % self.step for one in box)
        values = part[rows :: self.step, columns :: self.step]
        top, left = (-(-one.start // self.step) for one in box)
        self.sample[top : top + values.shape[0], left : left + values.shape[1]] = values
        self.is_empty = False
        self._update_probe(box, part)
        self._pool(box, part)

    def _update_probe(self, box: Box, part: NDArray[np.generic]) -> None:
        """Take what is looked at in memory: the liveliest square, or all of a small plane."""
        if self._small:
            if self.probe is None:
                self.probe = np.zeros((*self.shape[:2], *part.shape[2:]), part.dtype)
            self.probe[box] = part
            return
        for top, left in probe_corners(self.shape):
            if box[0].start != top or not box[1].start <= left < box[1].stop:
                continue
            square = part[:PROBE_EDGE, left - box[1].start :][:, :PROBE_EDGE]
            if (lively := measure_contrast(square)) > self._max_contrast:
                self._max_contrast, self.probe = lively, square.copy()
                rows, columns = square.shape[:2]
                self.probe_box = slice(top, top + rows), slice(left, left + columns)

    def _pool(self, box: Box, part: NDArray[np.generic]) -> None:
        """Compute the lowest and highest mean of a few pixels in every cell."""
        top, left = box[0].start // CELL_EDGE, box[1].start // CELL_EDGE
        for row in range(0, part.shape[0], CELL_EDGE):
            strip = pool_means(part[row : row + CELL_EDGE])
            for column in range(0, strip.shape[1], CELL_EDGE // POOL_EDGE):
                cell = strip[:, column : column + CELL_EDGE // POOL_EDGE]
                at = top + row // CELL_EDGE, left + column * POOL_EDGE // CELL_EDGE
                self.lowest[at], self.highest[at] = cell.min(axis=(0, 1)), cell.max(axis=(0, 1))

    def foreground(self, plane: Plane) -> NDArray[np.bool_]:
        """Return the cells that are not empty, and those beside them: nuclei reach over edges."""
        full = find_foreground(self.lowest, self.highest, plane)  # unread: its block shall try
        return np.asarray(ndimage.binary_dilation(full, np.ones((3, 3))))
