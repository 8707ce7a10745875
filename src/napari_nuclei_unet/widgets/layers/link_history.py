"""Corrected links of a labels layer: labels and tracks change at once, and undo restores both.

An edit of links gives nuclei other ids, which is one step of napari's undo. napari has no event for
undo, so a pixel of each of these nuclei shows, whenever the labels are drawn, whether the step
holds; tracks and corrections follow.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels, Tracks
from numpy.typing import NDArray

from ..common.key_bindings import unwrap_proxy
from .array_reference import ArrayReference
from .geometry import full_resolution_data
from .label_edits import write_pixels
from .label_ids import LabelsIndex
from .labels_state import LabelsState, WrittenPart
from .link_corrections import get_link_corrections, set_link_corrections
from .tracks_layer import find_tracks_layer, update_tracks_layer
from .tracks_table import tracks_table

if TYPE_CHECKING:
    import pandas as pd
    from napari.components import ViewerModel

    from ...tracking.corrections import LinkCorrections
    from ...tracking.link_edits import LinkEdit, NewTrackId


@dataclass(frozen=True, eq=False)
class _Links:
    """The links of a film at a moment.

    Attributes
    ----------
    tracks : pandas.DataFrame
    corrections : LinkCorrections
    rows : dict of tuple to pandas.DataFrame
        Of the features, by plane: of nuclei that have other ids before and after.
    """

    tracks: pd.DataFrame
    corrections: LinkCorrections
    rows: dict[tuple[int | None, ...], pd.DataFrame]


@dataclass(frozen=True, eq=False)
class _Step:
    """An edit of links: before and after, and what the labels show of it.

    Attributes
    ----------
    before, after : _Links
    pixels : tuple of ndarray, shape (n,), int
        One of each nucleus that has another id.
    old, new : ndarray, shape (n,)
        Their ids.
    unedited : tuple of tuple
        Planes that were as a run has written them.
    """

    before: _Links
    after: _Links
    pixels: tuple[NDArray[np.intp], ...]
    old: NDArray[Any]
    new: NDArray[Any]
    unedited: tuple[tuple[int | None, ...], ...]


class LinkHistory:
    """The edits of the links of a labels layer; one for each, as from :meth:`of`.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layer : napari.layers.Labels
        Neither is kept alive.
    """

    def __init__(self, viewer: ViewerModel, layer: Labels) -> None:
        self._viewer, self._layer = weakref.ref(viewer), weakref.ref(layer)
        self._done: list[_Step] = []
        self._undone: list[_Step] = []
        self._known_revision = -1  # of labels that the tracks are of
        self._array = ArrayReference(full_resolution_data(layer))
        layer.events.set_data.connect(self._on_drawn)

    @property
    def layer(self) -> Labels:
        """The labels layer."""
        layer = self._layer()
        assert layer is not None
        return layer

    @staticmethod
    def of(viewer: ViewerModel, layer: Labels) -> LinkHistory:
        """Return the history of a layer; a new one, if it has none."""
        layer = unwrap_proxy(layer)
        if layer not in _histories:
            _histories[layer] = LinkHistory(unwrap_proxy(viewer), layer)
        return _histories[layer]

    def read_tracks(self) -> pd.DataFrame | None:
        """Return the tracks as the labels are now, if these were linked; the layer shows them."""
        # imports pandas, which would delay the start of napari
        from ...tracking.label_tracks import read_label_tracks

        layer, shown = self._layers()
        if layer is None or shown is None:
            return None
        tracks, revision = tracks_table(shown), LabelsState.of(layer).revision
        if revision != self._known_revision and isinstance(layer.data, np.ndarray):
            current = read_label_tracks(layer.data, tracks)
            if len(current) and not current.equals(tracks):
                update_tracks_layer(shown, current)
            tracks, self._known_revision = current, revision
        return tracks

    def apply(self, edit: LinkEdit) -> None:
        """Write an edit of the tracks that were read, as one step of undo.

        Raises
        ------
        UserError
            If the labels cannot be written.
        """
        layer, _ = self._layers()
        tracks = self.read_tracks()
        if layer is None or tracks is None:
            return
        state = LabelsState.of(layer)
        parts = [_find_pixels(layer.data, one) for one in edit.new_ids]
        counts = [len(part[0]) for part in parts]
        pixels = tuple(np.concatenate(axis) for axis in zip(*parts, strict=True))
        values = np.repeat([one.new for one in edit.new_ids], counts).astype(layer.data.dtype)
        first = np.cumsum([0, *counts[:-1]])
        rows = _read_rows(state, edit)
        step = _Step(
            before=_Links(tracks, get_link_corrections(layer), rows),
            after=_Links(edit.tracks, edit.corrections, _relabel_rows(rows, edit)),
            pixels=tuple(axis[first] for axis in pixels),
            old=layer.data[pixels][first],
            new=values[first],
            unedited=tuple(state.unedited_planes),
        )
        self._done, self._undone = [*self._done, step], []
        write_pixels(layer, pixels, values)
        self._show(step, step.after)

    def clear(self) -> None:
        """Forget all edits, as frames were linked again; the tracks are those of the labels."""
        self._done, self._undone = [], []
        layer = self._layer()
        self._known_revision = -1 if layer is None else LabelsState.of(layer).revision

    def _layers(self) -> tuple[Labels | None, Tracks | None]:
        viewer, layer = self._viewer(), self._layer()
        if viewer is None or layer is None:
            return None, None
        return layer, find_tracks_layer(viewer, layer)

    def _on_drawn(self, _: Any) -> None:
        """Follow an undo or redo of napari."""
        layer = self._layer()
        if layer is None:
            return
        if not self._array.is_to(data := full_resolution_data(layer)):  # nothing of it is left
            self._array, self._done, self._undone = ArrayReference(data), [], []
        if self._done and _shows(layer, self._done[-1].pixels, self._done[-1].old):
            self._undone.append(self._done.pop())
            self._show(self._undone[-1], self._undone[-1].before)
        elif self._undone and _shows(layer, self._undone[-1].pixels, self._undone[-1].new):
            self._done.append(self._undone.pop())
            self._show(self._done[-1], self._done[-1].after)

    def _show(self, step: _Step, links: _Links) -> None:
        layer, shown = self._layers()
        if layer is None:
            return
        state = LabelsState.of(layer)
        for key in step.unedited:  # other ids are no other nuclei
            index: LabelsIndex = tuple(slice(None) if at is None else at for at in key)
            state.mark_written(WrittenPart(index, None))
        _write_rows(state, links.rows)
        set_link_corrections(layer, links.corrections)
        if shown is not None:
            update_tracks_layer(shown, links.tracks)
            self._known_revision = state.revision


def _find_pixels(data: NDArray[np.integer], one: NewTrackId) -> tuple[NDArray[np.intp], ...]:
    found = np.nonzero(data[one.time] == one.old)
    return (np.full(len(found[0]), one.time), *found)


def _shows(layer: Labels, pixels: tuple[NDArray[np.intp], ...], ids: NDArray[Any]) -> bool:
    """Return whether pixels have these ids."""
    return bool(np.array_equal(layer.data[pixels], ids))


def _read_rows(state: LabelsState, edit: LinkEdit) -> dict[tuple[int | None, ...], pd.DataFrame]:
    """Return the rows of nuclei that get other ids, by plane."""
    state.features.measure_now()
    found = {}
    for key, plane in state.features.planes.items():
        old = [one.old for one in edit.new_ids if one.time == key[0]]
        found[key] = plane.rows[plane.rows["label"].isin(old)]
    return {key: rows for key, rows in found.items() if len(rows)}


def _relabel_rows(
    rows: dict[tuple[int | None, ...], pd.DataFrame], edit: LinkEdit
) -> dict[tuple[int | None, ...], pd.DataFrame]:
    new = {(one.time, one.old): one.new for one in edit.new_ids}
    return {
        key: old.assign(label=[new[at, label] for at, label in _nuclei(key, old)])
        for key, old in rows.items()
    }


def _nuclei(key: tuple[int | None, ...], rows: pd.DataFrame) -> list[tuple[int, int]]:
    return [(key[0] or 0, label) for label in rows["label"].tolist()]


def _write_rows(state: LabelsState, rows: dict[tuple[int | None, ...], pd.DataFrame]) -> None:
    """Put rows in the place of those that were measured anew, as a new id is no new nucleus."""
    import pandas as pd  # takes longer to load than a dock

    for key, known in rows.items():
        plane = state.features.planes.get(key)
        if plane is not None and list(plane.rows) == list(known):
            others = plane.rows[~plane.rows["label"].isin(known["label"])]
            plane.rows = pd.concat([others, known]).sort_values("label", ignore_index=True)
    if rows:
        state.features.publish()


_histories: weakref.WeakKeyDictionary[Labels, LinkHistory] = weakref.WeakKeyDictionary()
