"""How nuclei are drawn: their colours, as outlines or filled."""

from __future__ import annotations

from napari.layers import Labels
from napari.utils.colormaps import CyclicLabelColormap

from ..common.preferences import get_preference

# Width of outlines in pixels.
OUTLINE_WIDTH = 2
FILLED_OPACITY = 0.7
# Bright on black, and far from the purple and pink of stained sections, from grey and from white:
# CIEDE2000 of at least 26 to each; of napari's own 49 colours the half is nearer than 24, and ten
# nearer than 10, which as outlines cannot be seen. Neighbours in the list differ most, as nuclei
# that lie side by side often have ids that follow each other.
OUTLINE_COLORS = (
    (0.0, 0.7, 1.0), (1.0, 0.7, 0.2), (0.3, 1.0, 0.0), (1.0, 0.5, 0.3), (0.3, 0.9, 1.0),
    (0.7, 0.7, 0.0), (0.0, 0.8, 0.7), (1.0, 1.0, 0.7), (0.0, 0.7, 0.3),
)  # fmt: skip


def nuclei_colormap() -> CyclicLabelColormap:
    """Return the colours of nuclei, by their ids; background is transparent."""
    colors = [(0.0, 0.0, 0.0, 0.0), *((*color, 1.0) for color in OUTLINE_COLORS)]
    return CyclicLabelColormap(colors=colors)


def draw_nuclei(layer: Labels, is_outlined: bool | None = None) -> None:
    """Draw outlines, which have to be opaque to be seen, or fill nuclei; None: as preferred."""
    if is_outlined is None:
        is_outlined = bool(get_preference("outlines"))
    layer.contour = OUTLINE_WIDTH if is_outlined else 0
    layer.opacity = 1.0 if is_outlined else FILLED_OPACITY
