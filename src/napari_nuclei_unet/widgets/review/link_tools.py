"""Tools that cut and make links between the nuclei of frames, by two clicks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from ...errors import UserError
from ..common.notify import report_user_errors
from ..layers.geometry import viewer_unit_lengths
from ..layers.labels_state import LabelsState
from ..layers.link_corrections import get_link_corrections, has_linked_frames
from ..layers.link_history import LinkHistory
from ..layers.tracks_layer import find_tracks_layer
from .edits import editable_plane_index
from .free_ids import find_free_id
from .strokes import Stroke
from .target_form import LABELS_NEEDED, TargetForm
from .toolbar import Tool, Toolbar

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ...tracking.link_edits import TrackNode

CUT_LINK, MAKE_LINK = "Cut link", "Make link"
NOT_LINKED = "These labels have no tracks: click Link over time in Segment nuclei first."
NO_NUCLEUS = "There is no nucleus here: click on one."
TIME_ON_VIEW = "Links are corrected frame by frame: let the view show y and x."


@dataclass(frozen=True)
class LinkTool(Tool):
    """A tool for links; its hint says what to click on first.

    Attributes
    ----------
    second_hint : str
        What to click on then.
    """

    second_hint: str


LINK_TOOLS = (
    LinkTool(
        CUT_LINK,
        "K",
        "Click on a nucleus, and in the next frame on the one that it is wrongly linked to.",
        "Now click on the one that it is wrongly linked to.",
    ),
    LinkTool(
        MAKE_LINK,
        "G",
        "Click on a nucleus, and in a later frame on the one that it becomes, or on its daughter.",
        "Now click on what it becomes. If it goes on already, it divides.",
    ),
)


class LinkToolbar(Toolbar[LinkTool]):
    """A button for each tool that corrects links; there for labels whose frames are linked.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    target : TargetForm
        Holds the labels.
    """

    def __init__(self, viewer: ViewerModel, target: TargetForm) -> None:
        super().__init__(viewer, target, LINK_TOOLS)
        self._first: TrackNode | None = None
        target.changed.connect(self._show_if_linked)
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
            event.connect(self._show_if_linked)
        self._show_if_linked()

    def deactivate(self, *_: object) -> None:
        """Deactivate the tool, and forget the nucleus that was clicked."""
        self._first = None
        super().deactivate()

    def _check(self, _: LinkTool, layer: Labels) -> None:
        self._find_history(layer).read_tracks()  # as the labels are now

    def apply_click(self, name: str, position: NDArray[Any]) -> None:
        """Apply a tool, by its name, to a click: the first chooses, the second edits."""
        tool = self._tools[name]
        with report_user_errors(self.message.emit):
            self._click(tool, self._target.value().labels, np.asarray(position, float))

    def _apply(self, tool: LinkTool, stroke: Stroke) -> None:
        self.apply_click(tool.name, stroke.positions[-1])

    def _on_escape(self) -> None:
        """Forget the nucleus that was clicked, or else deactivate the tool."""
        if self._first is None or self._tool is None:
            self.deactivate()
        else:
            self._first = None
            self.message.emit(self._tool.hint)

    def _show_if_linked(self, *_: object) -> None:
        labels = self._target.value().labels
        self.setVisible(labels is not None and find_tracks_layer(self._viewer, labels) is not None)

    def _find_history(self, layer: Labels | None) -> LinkHistory:
        if layer is None:
            raise UserError(LABELS_NEEDED)
        index = editable_plane_index(self._viewer, LabelsState.of(layer))
        if not has_linked_frames(layer) or find_tracks_layer(self._viewer, layer) is None:
            raise UserError(NOT_LINKED)
        if isinstance(index[0], slice):
            raise UserError(TIME_ON_VIEW)
        return LinkHistory.of(self._viewer, layer)

    def _click(self, tool: LinkTool, layer: Labels | None, position: NDArray[np.floating]) -> None:
        # imports pandas, which would delay the start of napari
        from ...tracking.link_edits import cut_link, make_link

        history = self._find_history(layer)
        node, first = self._find_node(history.layer, position), self._first
        if first is None or first.time == node.time:
            self._first = node
            self._show_next_frame(history.layer, node.time)
            self.message.emit(f"Nucleus {node.track} of frame {node.time}. {tool.second_hint}")
            return
        tracks = history.read_tracks()
        assert tracks is not None  # there is a layer of them
        change = cut_link if tool.name == CUT_LINK else make_link
        corrections = get_link_corrections(history.layer)
        self._first = None
        free_id = find_free_id(LabelsState.of(history.layer))
        history.apply(change(tracks, first, node, corrections, free_id))
        early, late = sorted((first, node), key=lambda one: one.time)
        done = "is no longer linked to" if tool.name == CUT_LINK else "becomes"
        self.message.emit(
            f"Nucleus {early.track} of frame {early.time} {done} {late.track} of frame "
            f"{late.time}. Ctrl+Z undoes."
        )

    def _find_node(self, layer: Labels, position: NDArray[np.floating]) -> TrackNode:
        """Find the nucleus at a position on view."""
        from ...tracking.link_edits import TrackNode

        index = editable_plane_index(self._viewer, LabelsState.of(layer))
        world = position[-layer.ndim :] * viewer_unit_lengths(self._viewer, layer)
        point = np.round(layer.world_to_data(world)).astype(int).tolist()
        pixel = tuple(
            here if isinstance(at, slice) else at for at, here in zip(index, point, strict=True)
        )
        inside = all(0 <= at < n for at, n in zip(pixel, layer.data.shape, strict=True))
        label = int(layer.data[pixel]) if inside else 0
        if not label:
            raise UserError(NO_NUCLEUS)
        return TrackNode(label, pixel[0])

    def _show_next_frame(self, layer: Labels, frame: int) -> None:
        """Move the slider to the next frame, where the second click most often is."""
        if frame + 1 < layer.data.shape[0]:
            corner = np.zeros(layer.ndim)
            corner[0] = frame + 1
            world = layer.data_to_world(corner)[0] / viewer_unit_lengths(self._viewer, layer)[0]
            self._viewer.dims.set_point(self._viewer.dims.ndim - layer.ndim, world)
