"""The images of a project, opened again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image, Layer

from ...errors import UserError
from ...export.project_files import read_copy
from ...io.openable import check_openable
from ...io.paths import unsaved_folder
from ...io.record_paths import is_far
from ...provenance.project import ImagePart, SavedImage
from ...provenance.project_paths import is_address
from ..common.preferences import get_preference
from ..layers.checksum import PixelChecksum, compute_pixel_checksum
from ..layers.geometry import full_resolution_data
from ..layers.image_file import OpenedFile, get_layer_path
from ..layers.linked_image import is_same_path
from ..layers.metadata_keys import IMAGE_FILE_KEY, list_image_layers

if TYPE_CHECKING:
    from napari.components import ViewerModel


class ImageOpener:
    """Opens the images of a project; those that are open already are taken as they are.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    folder : Path
        Of the project file.
    notify : callable
        Called with a sentence about what is not as it was.
    """

    def __init__(self, viewer: ViewerModel, folder: Path, notify: Callable[[str], object]) -> None:
        self._viewer, self._folder, self._notify = viewer, folder, notify
        self._unclaimed: dict[str, list[Image]] = {}  # layers of a file, by its path
        self._already_open = list_image_layers(viewer)
        self.reused: set[str] = set()  # names of layers that were open before

    def open(self, saved: SavedImage) -> Image | None:
        """Open an image; None, with a sentence, if that is impossible."""
        path = None if saved.file is None else saved.file.find(self._folder)
        if (image := self._find_open(saved, path)) is not None:
            self._already_open.remove(image)
            self.reused.add(saved.name)
            return image
        try:
            candidates = self._read(saved, path)
        except (UserError, OSError, MemoryError, ValueError) as error:
            self._notify(f"The image '{saved.name}' cannot be opened: {error}")
            return None
        if path is not None and not is_address(path) and self._is_far(path):
            self._notify(f"The image '{saved.name}' was opened from {path}.")
        return self._choose(saved, path, candidates)

    def _is_far(self, path: str) -> bool:
        """Return whether a file is not near the project; edits of a crash are near none."""
        is_own = unsaved_folder() in self._folder.parents
        return is_far(path, self._folder) and not is_own

    def finish(self) -> None:
        """Remove layers of files that are not in the project."""
        for layers in self._unclaimed.values():
            for layer in layers:
                self._viewer.layers.remove(layer)

    def _find_open(self, saved: SavedImage, path: str | None) -> Image | None:
        """Find an image that is open already and has the same pixels."""
        same_shape = [image for image in self._already_open if _shape(image) == saved.shape]
        if path is not None:
            same_shape = [one for one in same_shape if is_same_path(get_layer_path(one), path)]
        return next((image for image in same_shape if _has_checksum(image, saved)), None)

    def _read(self, saved: SavedImage, path: str | None) -> list[Image]:
        """Return the layers that may be the image."""
        if saved.sample is not None:
            return _images(self._viewer.open_sample(*saved.sample))
        if saved.file is None:
            raise UserError("it was in no file when the project was saved: open it yourself.")
        if path is None:
            raise UserError(
                f"{saved.file.path} is not there any more: put it back, or beside the project."
            )
        if is_address(path) and get_preference("offline"):
            raise UserError(f"{path} is in the network, which is switched off in Preferences.")
        if not is_address(path):
            check_openable(path)
        if path not in self._unclaimed:
            self._unclaimed[path] = self._read_file(saved, path)
        return self._unclaimed[path]

    def _read_file(self, saved: SavedImage, path: str) -> list[Image]:
        if saved.part is None and saved.reader is None:
            pixels = read_copy(path, saved.shape)
            return [self._viewer.add_image(pixels, rgb=saved.rgb, name=saved.name)]
        if saved.part is None:
            layers = self._read_with_plugin(saved, path)
            if any(_shape(layer) == saved.shape for layer in layers):
                return layers
            for layer in layers:
                self._viewer.layers.remove(layer)
        part = saved.part or ImagePart()
        file = OpenedFile(path, part.scene, part.level, part.positions)
        opened = file.open()
        if not file.positions:
            count = len(opened.pixels.shape) - opened.is_rgb
            file = replace(file, positions=(None,) * count)
        metadata = {IMAGE_FILE_KEY: file}
        return [
            self._viewer.add_image(
                file.read(opened), rgb=opened.is_rgb, name=saved.name, metadata=metadata
            )
        ]

    def _read_with_plugin(self, saved: SavedImage, path: str) -> list[Image]:
        """Read a file as it was read; nothing, if its plugin is gone or refuses it."""
        try:
            return _images(self._viewer.open(path, plugin=saved.reader))
        except Exception:  # of any plugin; our own reader is tried next
            return []

    def _choose(self, saved: SavedImage, path: str | None, candidates: list[Image]) -> Image | None:
        """Choose the layer with the shape and the pixels of the image; another shape is refused."""
        same_shape = [image for image in candidates if _shape(image) == saved.shape]
        if not same_shape:
            shapes = " and ".join(sorted({str(_shape(image)) for image in candidates})) or "none"
            self._notify(
                f"The image '{saved.name}' is not opened, as its file {path} has changed: its "
                f"shape was {saved.shape}, and is {shapes}."
            )
            for image in candidates if path is None else ():
                self._viewer.layers.remove(image)
            return None
        same = [image for image in same_shape if _has_checksum(image, saved)]
        named = [image for image in same_shape if image.name == saved.name]
        image = [*same, *named, *same_shape][0]
        candidates.remove(image)
        if not same or (saved.is_sampled and path and not _is_same_size(saved, path)):
            self._notify(
                f"The image '{saved.name}' has changed since the project was saved: check that its "
                "nuclei still fit."
            )
        return image


def _is_same_size(saved: SavedImage, path: str) -> bool:
    return saved.file is None or is_address(path) or saved.file.is_same_size(path)


def _images(layers: list[Layer]) -> list[Image]:
    return [layer for layer in layers if isinstance(layer, Image)]


def _shape(image: Image) -> tuple[int, ...]:
    return tuple(full_resolution_data(image).shape)


def _has_checksum(image: Image, saved: SavedImage) -> bool:
    """Return whether an image has the pixels that it had, as far as that is known."""
    if saved.checksum is None:
        return True
    axes = (image.ndim - 2, image.ndim - 1)
    checksum = compute_pixel_checksum(full_resolution_data(image), axes, saved.is_sampled)
    return checksum == PixelChecksum(saved.checksum, saved.is_sampled)
