"""An offer to use the size of a pixel that is in the file of an image."""

from __future__ import annotations

import weakref
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QWidget

from ...errors import UserError
from ..common.controls import create_button, create_label, fill_layout
from ..common.job import ThreadJob
from ..layers.axis_names import set_axis_names
from ..layers.channel_names import set_channel_names
from ..layers.file_scale import find_local_file, is_sizeless, set_pixel_size

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ...io.file_pixel_size import PixelSize

TOOLTIP = "Set the scale of the image, and of what lies on it, so that lengths are in micrometers."


class PixelSizeOffer(QWidget):
    """Offers the size of a pixel of an image's file; hidden where the layer has one.

    napari's own reader of TIFF leaves it out, and the names of axes and channels, which are taken
    over.

    Parameters
    ----------
    viewer : napari.components.ViewerModel

    Signals
    -------
    channels_named
        The layers of a file have names of channels now.
    offered
        Another :attr:`offered_size`, or none, is offered.
    """

    channels_named = Signal()
    offered = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._image_ref: weakref.ref[Image] | None = None
        self._facts: FileFacts | None = None  # of the file that was read last
        # images whose file was read: one that is opened again has no names, and may be another
        self._read: weakref.WeakSet[Image] = weakref.WeakSet()
        self._text = create_label("pixel_size")
        self._use = create_button("use_pixel_size", "Use", TOOLTIP, self.use)
        fill_layout(layout := QHBoxLayout(self), self._text, self._use)
        layout.setStretch(0, 1)
        self._job = ThreadJob(self)
        self._job.returned.connect(self._on_read)
        self._job.finished.connect(self._refresh)
        self.hide()

    def set_image(self, image: Image | None) -> None:
        """Set the image whose size is offered; its file is read in a thread."""
        previous = self._image
        if previous is not None and previous != image:
            for event in (previous.events.scale, previous.events.units):
                event.disconnect(self._refresh)
        if image is not None and previous != image:
            for event in (image.events.scale, image.events.units):
                event.connect(self._refresh)
        self._image_ref = None if image is None else weakref.ref(image)
        self._refresh()

    @property
    def _image(self) -> Image | None:
        return None if self._image_ref is None else self._image_ref()

    @property
    def offered_size(self) -> PixelSize | None:
        """The size in the file, while the image has none; None: nothing is offered."""
        image, facts = self._image, self._facts
        is_known = facts is not None and find_local_file(image) == facts.path
        is_needed = is_known and image is not None and is_sizeless(image)
        return facts.size if facts is not None and is_needed else None

    def use(self, *_: object) -> None:
        """Set the scale of the image."""
        if (image := self._image) is not None and (size := self.offered_size) is not None:
            set_pixel_size(self._viewer, image, size)

    def _refresh(self, *_: object) -> None:
        """Show what is known of the file, or read it."""
        image, facts = self._image, self._facts
        file = find_local_file(image)
        is_known = facts is not None and file == facts.path and image in self._read
        if image is not None and file is not None and not is_known and not self._job.is_running:
            self._read.add(image)
            self._job.start("", read_facts_steps, file)
        if (size := self.offered_size) is not None:
            self._text.setText(f"{describe_size(size)} in the file")
        self.setVisible(size is not None)
        self.offered.emit()

    def _on_read(self, facts: FileFacts) -> None:
        self._facts = facts
        if facts.channel_names:
            set_channel_names(self._viewer, str(facts.path), facts.channel_names)
            self.channels_named.emit()
        if facts.axes:
            set_axis_names(self._viewer, str(facts.path), facts.axes, facts.shape)


@dataclass(frozen=True)
class FileFacts:
    """What an image file says of its pixels.

    Attributes
    ----------
    path : Path
    size : PixelSize or None
        None: unknown.
    channel_names : tuple of str
        Empty: unknown.
    axes : str
        A letter for each axis but that of colours; empty: unknown.
    shape : tuple of int
    """

    path: Path
    size: PixelSize | None
    channel_names: tuple[str, ...] = ()
    axes: str = ""
    shape: tuple[int, ...] = ()


def read_facts_steps(path: Path) -> Generator[Any, None, FileFacts]:
    """Read what a file says of its pixels; runs in the thread."""
    # readers of files are imported when they are needed: the dock opens faster
    from ...io.file_pixel_size import read_pixel_size
    from ...io.open import open_lazily

    yield from ()
    try:
        image = open_lazily(path)
    except UserError:  # napari could read it all the same
        return FileFacts(path, read_pixel_size(path))
    shape = tuple(image.pixels.shape)
    return FileFacts(path, read_pixel_size(path), image.channel_names, image.axes or "", shape)


def describe_size(size: PixelSize) -> str:
    """Return the size of a pixel as text."""
    if size.y == size.x:
        return f"{size.x:.4g} µm per pixel"
    return f"{size.x:.4g} x {size.y:.4g} µm per pixel"
