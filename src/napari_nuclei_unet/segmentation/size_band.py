"""Which sizes of nuclei a network takes as they are, and the zoom for others."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..arrays.resampling import as_fraction
from ..models.model import ModelCard
from .exposure import MIN_BRIGHT_MEDIAN
from .normalization import Plane, shape_without_alpha

MIN_PLANE_ZOOM, MAX_PLANE_ZOOM = 1 / 16, 3.0
# An enlarged plane has at most so many pixels, or its maps would not fit into memory.
MAX_ENLARGED_PIXELS = 64e6
# A plane of fewer pixels is enlarged sooner: that takes little time, and more is found.
SMALL_PLANE_PIXELS = 2**20
# It is not worth its time where nuclei become larger by less than this. Stained sections, of which
# nuclei are often measured too small, are enlarged to so much less than others.
MIN_ENLARGEMENT = math.sqrt(2)

# In a plane that is narrower, in pixels, no nucleus is whole, and none is measured.
MIN_MEASURED_EDGE = 8


def is_measured(card: ModelCard, shape: tuple[int, ...]) -> bool:
    """Return whether a network measures nuclei, and a plane is wide enough to have whole ones."""
    return bool(card.sizes) and min(shape[:2]) >= MIN_MEASURED_EDGE


@dataclass(frozen=True)
class SizeBand:
    """Sizes of nuclei that a network takes as they are.

    Attributes
    ----------
    smallest, largest : float
        Diameters of the band, in pixels.
    shrunken, enlarged : float
        Diameters to which larger and smaller nuclei are zoomed.
    max_zoom : float
    """

    smallest: float
    largest: float
    shrunken: float
    enlarged: float
    max_zoom: float

    @classmethod
    def of(cls, card: ModelCard, shape: tuple[int, ...] = (1, 1)) -> SizeBand:
        """Return the band of a model.

        Parameters
        ----------
        card : ModelCard
            Has sizes.
        shape : (int, int), optional
            Height and width of what will be enlarged at once, which memory limits.
        """
        smallest, largest = card.sizes
        ideal = card.ideal or math.sqrt(smallest * largest)
        most = math.sqrt(MAX_ENLARGED_PIXELS / math.prod(shape))
        return cls(smallest, largest, ideal, ideal, max(1.0, min(MAX_PLANE_ZOOM, most)))

    def suit(self, plane: Plane) -> SizeBand:
        """Return the band for a plane: small ones are enlarged sooner, and sections by less."""
        least = max(self.smallest, self.enlarged / MIN_ENLARGEMENT)
        if is_section(plane):
            return replace(self, enlarged=least)
        if math.prod(plane.shape) < SMALL_PLANE_PIXELS:
            return replace(self, smallest=least)
        return self

    def holds(self, diameter: float) -> bool:
        """Return whether nuclei of a diameter, in pixels, are seen as they are."""
        return self.smallest <= diameter <= self.largest

    def choose_zoom(self, diameter: float) -> float:
        """Choose the pixels that the network sees for a pixel of the plane, along each axis.

        Parameters
        ----------
        diameter : float
            Of a typical nucleus in pixels of the plane.
        """
        if self.holds(diameter):
            return 1.0
        wanted = self.enlarged if diameter < self.smallest else self.shrunken
        return float(as_fraction(min(max(wanted / diameter, MIN_PLANE_ZOOM), self.max_zoom)))


def is_section(plane: Plane) -> bool:
    """Return whether a plane has colours on bright ground, as stained sections do."""
    if plane.is_blank or len(shape_without_alpha(plane.pixels.shape)) == 2:
        return False
    median = max(plane.middle - plane.low, 0.0) / (plane.high - plane.low)
    return bool(median**plane.gamma >= MIN_BRIGHT_MEDIAN)
