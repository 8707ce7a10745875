"""The runs of the dock: which task a click starts, how it ends, and what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from ...arrays.axes import PlaneIndex
from ..common.controller import Controller, Task
from ..common.job import describe_start
from ..common.preferences import get_preference
from ..layers.image_source import check_offline
from ..layers.labels_layer import check_labels_memory
from ..layers.labels_state import LabelsState
from ..session.model_registry import MODEL_REGISTRY
from .blockwise_task import BlockwiseTask, is_large
from .plane_task import PlaneTask, SegmentRequest
from .stack_task import StackState, StackTask
from .volume_task import VolumeRequest, VolumesState, VolumeTask

if TYPE_CHECKING:
    from ..session.session import Session
    from .plane_form import SliceAxis
    from .plane_writer import PlaneWriter


class SegmentController(Controller):
    """Runs one task at a time: a plane, a stack, planes block by block, retuning, linking.

    A click becomes a task (:meth:`segment`). Its steps run in a thread; each arrives here, and
    the task writes what is finished. What the last step returns is written, too, unless the run
    was stopped in the middle of a plane: then the state is ASKING, until :meth:`answer` says
    whether the part is kept. ``rest`` is what Continue does after a stack was stopped.

    Parameters
    ----------
    parent : QObject
    writer : PlaneWriter
        Writes planes into labels.
    session : Session
    """

    def __init__(self, parent: QObject, writer: PlaneWriter, session: Session) -> None:
        super().__init__(parent)
        self._writer, self._session = writer, session
        self._is_time_series = False  # the last run, whose rest Continue does
        self._links_afterwards = False  # the task at work

    def segment(
        self,
        request: SegmentRequest,
        planes: list[PlaneIndex] | None,
        in_memory: bool = False,
        slices: SliceAxis | None = None,
        is_time_series: bool = False,
    ) -> None:
        """Segment one plane, or planes of its stack.

        Parameters
        ----------
        request : SegmentRequest
        planes : list of PlaneIndex or None
            None: the plane of the request.
        in_memory : bool, optional
            Whether a small part of a plane of any size is segmented.
        slices : SliceAxis, optional
            The planes are slices of volumes along this axis.
        is_time_series : bool, optional
            Whether what is segmented is linked afterwards, if it is more than one plane.

        Raises
        ------
        UserError
            If that is impossible.
        """
        task = self._create_task(request, planes, in_memory, slices)
        task.begins = describe_start(task.begins)
        self.start(task)
        self._links_afterwards = self._is_time_series = is_time_series and planes is not None

    def _create_task(
        self,
        request: SegmentRequest,
        planes: list[PlaneIndex] | None,
        in_memory: bool,
        slices: SliceAxis | None,
    ) -> Task:
        source, writer = request.source, self._writer
        check_offline(source.image)
        MODEL_REGISTRY.renew_stamp(request.model)
        if planes is not None and slices is not None:
            check_labels_memory(source.image, source.placement, None)
            wanted = VolumeRequest(request, tuple(planes), slices.number, slices.step)
            return VolumeTask(VolumesState(wanted), writer, self._session)
        if is_large(source, writer.limits) and not in_memory:
            return BlockwiseTask(request, planes or [source.plane_index], writer)
        place = source.placement
        layer = writer.find_layer(source, place)
        if layer is not None:
            LabelsState.of(layer).check_writable()
        check_labels_memory(source.image, place, layer)
        if planes is None:
            return PlaneTask(request, writer)
        return StackTask(StackState(request, planes), writer)

    def resume(self) -> None:
        """Go on where the last run was stopped.

        Raises
        ------
        UserError
            If its labels cannot be changed any more.
        """
        if self.rest is not None:
            self.start(self.rest)
            self._links_afterwards = self._is_time_series

    def take_linking(self) -> bool:
        """Return, once after a run, whether its frames are to be linked now."""
        links, self._links_afterwards = self._links_afterwards, False
        return links and self.ended_well

    def end(self) -> None:
        """Stop, as Cancel does: with what is finished, or as Preferences say."""
        if self.task is None:
            return
        if get_preference("on_cancel") == "discard" and not self.task.is_whole:
            self.cancel()
        else:
            self.stop()
