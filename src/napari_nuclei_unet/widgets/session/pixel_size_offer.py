"""An offer to use the size of a pixel that is in the file of an image."""

from __future__ import annotations

import weakref
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtWidgets import QHBoxLayout, QWidget

from ..common.controls import create_button, create_label, fill_layout
from ..common.job import ThreadJob
from ..layers.file_scale import find_sizeless_file, set_pixel_size

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ...io.file_pixel_size import PixelSize

TOOLTIP = "Set the scale of the image, and of what lies on it, so that lengths are in micrometers."


class PixelSizeOffer(QWidget):
    """Offers the size of a pixel of an image's file; hidden where the layer has one.

    napari's own reader of TIFF leaves it out.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._viewer = viewer
        self._image_ref: weakref.ref[Image] | None = None
        self._file: Path | None = None
        self._read: Path | None = None  # whose size is known
        self._size: PixelSize | None = None
        self._text = create_label("pixel_size")
        self._use = create_button("use_pixel_size", "Use", TOOLTIP, self.use)
        fill_layout(layout := QHBoxLayout(self), self._text, self._use)
        layout.setStretch(0, 1)
        self._job = ThreadJob()
        self._job.returned.connect(self._on_read)
        self._job.finished.connect(self._refresh)
        self.destroyed.connect(self._job.cancel)
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

    def use(self, *_: object) -> None:
        """Set the scale of the image."""
        image = self._image
        if image is not None and self._size is not None:
            set_pixel_size(self._viewer, image, self._size)

    def _refresh(self, *_: object) -> None:
        """Show what is known of the file, or read it."""
        self._file = find_sizeless_file(self._image)
        is_known = self._file is not None and self._file == self._read
        if self._file is not None and not is_known and not self._job.is_running:
            self._job.start("", read_size_steps, self._file)
        size = self._size if is_known else None
        if size is not None:
            self._text.setText(f"{describe_size(size)} in the file")
        self.setVisible(size is not None)

    def _on_read(self, read: tuple[Path, PixelSize | None]) -> None:
        self._read, self._size = read


def read_size_steps(path: Path) -> Generator[Any, None, tuple[Path, PixelSize | None]]:
    """Read the size of a pixel; runs in the thread."""
    # readers of files are imported when they are needed: the dock opens faster
    from ...io.file_pixel_size import read_pixel_size

    yield from ()
    return path, read_pixel_size(path)


def describe_size(size: PixelSize) -> str:
    """Return the size of a pixel as text."""
    if size.y == size.x:
        return f"{size.x:.4g} µm per pixel"
    return f"{size.x:.4g} x {size.y:.4g} µm per pixel"
