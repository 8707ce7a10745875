"""The panel that joins the slices, and links the frames, of the labels of a stack."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout

from ...errors import UserError
from ..common.controls import Panel, create_button, create_combo_box, fill_layout
from ..common.layer_combo import reload_choices
from ..layers.axis_names import DEPTH_AXIS_NAMES, TIME_AXIS_NAMES
from ..layers.volumes import find_volume_axes, is_volume
from .linking_task import LinkingTask
from .plane_form import axis_name

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from .source_form import SourceForm

LABELS_NOT_A_STACK = "Joining and linking need labels of a stack: segment all planes of one first."


class LinkingPanel(Panel):
    """Buttons to join the slices and link the frames of the labels of a stack.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    source_form : SourceForm
        Holds the chosen image.

    Signals
    -------
    requested : bool
        Slices are to be joined; True: frames are to be linked.
    """

    requested = Signal(bool)

    def __init__(self, viewer: ViewerModel, source_form: SourceForm) -> None:
        super().__init__()
        self._viewer, self._source_form = viewer, source_form
        self._axis = create_combo_box(
            "follow_axis", "The axis along which slices are joined.", self._axes
        )
        self._join = create_button(
            "join_slices",
            "Join slices",
            "Sections of one nucleus in neighbouring slices get one id; the network is not asked.",
            partial(self._request, False),
        )
        self._link = create_button(
            "link_frames",
            "Link over time",
            "A nucleus keeps its id from frame to frame along the axis of time, and a layer shows "
            "its track. Needs LapTrack.",
            partial(self._request, True),
        )
        fill_layout(QHBoxLayout(self), self._axis.native, self._join, self._link)
        source_form.image_changed.connect(self.refresh_choices)
        viewer.layers.events.inserted.connect(self.refresh_choices)
        viewer.layers.events.removed.connect(self.refresh_choices)
        viewer.layers.selection.events.active.connect(self.refresh_choices)
        self.refresh_choices()

    def refresh_choices(self, *_: object) -> None:
        """Update the axes of the chosen labels; the panel is hidden where they are no stack."""
        reload_choices(self._axis)
        layer = self._labels()
        self._join.setVisible(layer is None or not is_volume(layer))
        self.setVisible(bool(self._axis.choices))

    def set_idle(self, idle: bool) -> None:
        """Enable the buttons, or disable them during a run."""
        for button in (self._join, self._link):
            button.setEnabled(idle)

    def create_task(self, over_time: bool) -> LinkingTask:
        """Create the task that links the chosen labels.

        Raises
        ------
        UserError
            If they cannot be linked.
        """
        layer = self._labels()
        if layer is None or self._axis.value is None:
            raise UserError(LABELS_NOT_A_STACK)
        axis = self._time_axis(layer) if over_time else self._axis.value
        return LinkingTask(self._viewer, layer, axis, over_time)

    def _request(self, over_time: bool, *_: object) -> None:
        self.requested.emit(over_time)

    def _labels(self) -> Labels | None:
        active = self._viewer.layers.selection.active
        if isinstance(active, Labels):
            return active
        return self._source_form.find_result()

    def _axes(self, _: Any) -> list[tuple[str, int]]:
        layer = self._labels()
        if layer is None or layer.multiscale:
            return []
        shape = layer.data.shape
        axes = [axis for axis in range(layer.ndim - 2) if shape[axis] > 1]
        if is_volume(layer):
            axes = [axis for axis in axes if axis not in find_volume_axes(layer)]
        titles = {axis: axis_name(layer, axis) for axis in axes}
        # depth comes first in the list; of the others the last is the likeliest for it
        axes.sort(key=lambda axis: (titles[axis].lower() not in DEPTH_AXIS_NAMES, -axis))
        return [(f"{titles[axis]} ({shape[axis]})", axis) for axis in axes]

    def _time_axis(self, layer: Labels) -> int:
        """Return the axis that is named time, or else the first."""
        axes = sorted(axis for _, axis in self._axes(None))
        named = [axis for axis in axes if axis_name(layer, axis).lower() in TIME_AXIS_NAMES]
        return (named or axes)[0]
