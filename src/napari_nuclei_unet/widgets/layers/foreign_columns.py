"""Columns of a features table that other plugins, scripts or the user have added."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


class ForeignColumns:
    """Keeps the columns of others when a table is built anew; also for nuclei that come back.

    A table without a column ``index`` has a row for each label, from 0 on, as napari reads it.
    """

    def __init__(self) -> None:
        self._own: set[str] = set()
        self._known: pd.DataFrame | None = None  # by label
        self._outdated: set[int] = set()
        self._new_labels: dict[int, int] = {}

    def are_in(self, features: pd.DataFrame, rows: pd.DataFrame) -> bool:
        """Return whether features have columns of others, where ``rows`` are those of a plane."""
        return self._known is not None or not set(features) - {"index"} <= self._own | set(rows)

    def forget(self, labels: Iterable[int]) -> None:
        """Drop what is known of labels that stand for other nuclei from now on."""
        self._outdated.update(labels)

    def relabel(self, labels: Mapping[int, int]) -> None:
        """Keep what is known of nuclei under their new labels."""
        moved = {old: labels.get(new, new) for old, new in self._new_labels.items()}
        self._new_labels = dict(labels) | moved

    def join(self, table: pd.DataFrame, features: pd.DataFrame) -> pd.DataFrame:
        """Return a table with the columns that others have added to the features of its layer.

        Parameters
        ----------
        table : pandas.DataFrame
            Has the column ``index``; its own columns replace others of their name.
        features : pandas.DataFrame
            As the layer has them.
        """
        self._learn(features, self._own | set(table))
        self._own = set(table)
        return table if self._known is None else table.join(self._known, on="index")

    def _learn(self, features: pd.DataFrame, own: set[str]) -> None:
        """Read the columns of others; what is known of nuclei that are not there now stays."""
        import pandas as pd  # takes longer to load than a dock

        names = [name for name in features if name not in own and name != "index"]
        labels = features["index"] if "index" in features else np.arange(len(features))
        found = features[names].set_axis(pd.Index(labels))
        if self._known is not None:
            gone = self._known.reindex(columns=names)
            found = pd.concat([found, gone[~gone.index.isin(found.index)]])
        found = found[~found.index.isin(list(self._outdated))].rename(index=self._new_labels)
        self._outdated, self._new_labels = set(), {}
        self._known = found[~found.index.duplicated()] if names else None
