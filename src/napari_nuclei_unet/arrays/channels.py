"""A plane with all channels of its image, for measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_nuclei_unet.arrays.axes import PlaneIndex, PlaneView


@dataclass(frozen=True, eq=False)
class MultichannelView:
    """A plane of an array with all its channels, which are read only where it is sliced.

    Parameters
    ----------
    pixels : array-like
        Only sliced.
    plane_index : PlaneIndex
        Its channel is ignored.
    """

    pixels: Any
    plane_index: PlaneIndex

    @property
    def shape(self) -> tuple[int, ...]:
        """(Y, X), and the number of colours of RGB."""
        return PlaneView(self.pixels, self.plane_index).shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels."""
        return np.dtype(self.pixels.dtype)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the channels; none where the plane is grey."""
        axis = self.plane_index.channel_axis
        if axis is not None:
            return tuple(str(channel) for channel in range(self.pixels.shape[axis]))
        colours = self.pixels.shape[len(self.plane_index.index) :]
        return ("red", "green", "blue") if colours and colours[0] >= 3 else ()

    def __getitem__(self, part: tuple[slice, slice]) -> NDArray[Any]:
        """Read rows and columns, shape (Y, X) or (Y, X, C), without alpha.

        Raises
        ------
        UserError
            If the file, server or graph behind the array fails.
        """
        index, axis = list(self.plane_index.index), self.plane_index.channel_axis
        if axis is None:
            read = PlaneView(self.pixels, self.plane_index)[part]
            return read[..., :3] if read.ndim == 3 and read.shape[2] >= 3 else read
        each = [
            PlaneView(self.pixels, PlaneIndex((*index[:axis], channel, *index[axis + 1 :]), axis))[
                part
            ]
            for channel in range(self.pixels.shape[axis])
        ]
        return np.stack(each, axis=-1)
