"""A plane with all channels of its image, for measurements."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .axes import PlaneIndex, PlaneView


class MultichannelView(PlaneView):
    """A plane of an array with all its channels, read only where it is sliced.

    Parameters are those of :class:`PlaneView`; the channel of the plane is ignored.
    """

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
        index, axis = self.plane_index.index, self.plane_index.channel_axis
        if axis is None:
            read = super().__getitem__(part)
            return read[..., :3] if read.ndim == 3 and read.shape[2] >= 3 else read
        planes = [
            PlaneIndex((*index[:axis], channel, *index[axis + 1 :]), axis)
            for channel in range(self.pixels.shape[axis])
        ]
        # each channel stays whole in memory, as they are measured one after the other
        return np.moveaxis(
            np.stack([PlaneView(self.pixels, plane)[part] for plane in planes]), 0, -1
        )
