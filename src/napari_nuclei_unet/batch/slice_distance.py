"""The distance between slices, in pixels or micrometers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ..errors import UserError
from ..io.ngff import LabelsGrid


@dataclass(frozen=True)
class SliceDistance:
    """Distance between slices.

    Attributes
    ----------
    value : float
        In pixels, or micrometers.
    in_micrometers : bool
    """

    value: float
    in_micrometers: bool = False

    def apply_to(self, grid: LabelsGrid) -> LabelsGrid:
        """Return a grid with slices at this distance.

        Raises
        ------
        UserError
            If it is in micrometers, and the size of a pixel is not known.
        """
        size, units = dict(zip(grid.axes, grid.scale, strict=True)), list(grid.units)
        edge, step = (size["Y"] * size["X"]) ** 0.5, self.value
        if self.in_micrometers:
            if grid.micrometers is None:
                raise UserError(
                    "The image does not say how large its pixels are: give `z_step` in pixels."
                )
            step /= (grid.micrometers[0] * grid.micrometers[1]) ** 0.5
        size["Z"] = step * edge
        units[grid.axes.index("Z")] = units[grid.axes.index("Y")]
        return dataclasses.replace(
            grid, scale=tuple(size[axis] for axis in grid.axes), units=tuple(units)
        )
