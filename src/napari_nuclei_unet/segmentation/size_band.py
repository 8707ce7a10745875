"""Which sizes of nuclei a network takes as they are, and the zoom for others."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..arrays.resampling import as_fraction
from ..models.model import ModelCard
from .normalization import Plane, shape_without_alpha

MIN_PLANE_ZOOM, MAX_PLANE_ZOOM = 1 / 16, 3.0
# An enlarged plane has at most so many pixels, or its maps would not fit into memory.
MAX_ENLARGED_PIXELS = 64e6
# A plane of fewer pixels is enlarged sooner: that takes little time, and more is found.
SMALL_PLANE_PIXELS = 2**20
# It is not worth its time where nuclei become larger by less than this.
MIN_ENLARGEMENT = math.sqrt(2)
# Median, from black to white, of stained sections at least. They lose where they are enlarged.
MIN_SECTION_MEDIAN = 0.4


@dataclass(frozen=True)
class SizeBand:
    """Sizes of nuclei that a network takes as they are.

    Attributes
    ----------
    smallest, largest : float
        Diameters of the band, in pixels.
    ideal : float
        Diameter to which nuclei outside it are zoomed.
    max_zoom : float
    """

    smallest: float
    largest: float
    ideal: float
    max_zoom: float = MAX_PLANE_ZOOM

    @classmethod
    def of(cls, card: ModelCard, enlarged: tuple[int, ...] = (1, 1)) -> SizeBand:
        """Return the band of a model.

        Parameters
        ----------
        card : ModelCard
            Has sizes.
        enlarged : (int, int), optional
            Height and width of what will be enlarged at once, which memory limits.
        """
        smallest, largest = card.sizes
        most = math.sqrt(MAX_ENLARGED_PIXELS / math.prod(enlarged))
        return cls(
            smallest,
            largest,
            card.ideal or math.sqrt(smallest * largest),
            max(1.0, min(MAX_PLANE_ZOOM, most)),
        )

    @property
    def for_small_plane(self) -> SizeBand:
        """The band in which every nucleus that can be enlarged by much is too small."""
        return replace(self, smallest=max(self.smallest, self.ideal / MIN_ENLARGEMENT))

    def suit(self, plane: Plane) -> SizeBand:
        """Return the band for a plane; a small one is enlarged sooner, unless it is a section."""
        is_small = math.prod(plane.shape) < SMALL_PLANE_PIXELS
        return self.for_small_plane if is_small and not is_section(plane) else self

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
        zoom = min(max(self.ideal / diameter, MIN_PLANE_ZOOM), self.max_zoom)
        return float(as_fraction(zoom))


def is_section(plane: Plane) -> bool:
    """Return whether a plane has colours on bright ground, as stained sections do."""
    if plane.is_blank or len(shape_without_alpha(plane.pixels.shape)) == 2:
        return False
    median = max(plane.middle - plane.low, 0.0) / (plane.high - plane.low)
    return bool(median**plane.gamma >= MIN_SECTION_MEDIAN)
