"""The tracks of a layer as the table that projects and the command line write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Tracks

from ...arrays.axes import axis_letters
from ...io.tables import TIME_COLUMN

if TYPE_CHECKING:
    import pandas as pd


def tracks_table(layer: Tracks) -> pd.DataFrame:
    """Return the tracks of a layer: ``track``, ``parent``, ``time``, other axes, ``y`` and ``x``.

    Of a track with several parents the first one is kept.
    """
    import pandas as pd  # takes longer to load than a dock

    vertices = np.asarray(layer.data)
    names = ("t", *layer.axis_labels[1:])
    letters = axis_letters(names, (layer.ndim - 2, layer.ndim - 1)).lower()
    table = pd.DataFrame(vertices[:, 1:], columns=[TIME_COLUMN, *letters[1:]])
    tracks = vertices[:, 0].astype(np.int64)
    parents = {int(child): int(np.ravel(mothers)[0]) for child, mothers in layer.graph.items()}
    table.insert(0, "track", tracks)
    table.insert(1, "parent", [parents.get(track, 0) for track in tracks.tolist()])
    return table
