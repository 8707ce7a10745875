"""Saving of labels into the OME-Zarr of their image: its button, and the work."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from napari.layers import Labels
from qtpy.QtWidgets import QInputDialog, QMessageBox, QPushButton, QWidget

from ...errors import UserError
from ...progress import Step, Stop
from ..common.controls import with_properties
from ..common.notify import name_controls, report_user_errors
from .save_task import SaveTask, measure_shapes
from .target_form import LABELS_NEEDED, ReviewTarget, TargetForm

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from ...io.image_group import ImageGroup
    from .exporter import LabelsExporter

DIALOG_TITLE = "Save nuclei into their image"
HINT = "Write the labels into {image}, beside its pixels, where other programs find them."
STORED_IMAGE_NEEDED = "Choose the image of the labels: they are written into its OME-Zarr."


def find_image_group(target: ReviewTarget) -> ImageGroup:
    """Find the OME-Zarr from which the image of labels was opened, or in which they are.

    Raises
    ------
    UserError
        If there is none.
    """
    # what reads files is imported when it is needed: the dock opens faster
    from ...io.image_group import open_image_group
    from ...io.image_labels import find_labels_place

    if target.labels is None:
        raise UserError(LABELS_NEEDED)
    if target.image is None:
        place = find_labels_place(target.labels.source.path or "")
        if place is None:
            raise UserError(STORED_IMAGE_NEEDED)
        return open_image_group(place.image)
    if not target.image.source.path:
        raise UserError(f"'{target.image.name}' was not opened from an OME-Zarr.")
    return open_image_group(target.image.source.path)


class SaveIntoImageTask(SaveTask):
    """Saves labels into the OME-Zarr of their image, with their table, as they were measured.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layer : napari.layers.Labels
    image : ImageGroup
    name : str
        Of the labels in it.
    overwrite : bool
        Replace labels of this name.
    """

    def __init__(
        self, viewer: ViewerModel, layer: Labels, image: ImageGroup, name: str, overwrite: bool
    ) -> None:
        super().__init__(viewer, layer, str(image.labels / name))
        image.match_axes(self._result.axes, self._result.labels.shape)
        self._image, self._label_name, self._overwrite = image, name, overwrite
        self._name = f"{name} in {image.path.name}"

    def write_steps(self) -> Generator[Step, Stop, Any]:
        """Write the labels."""
        from ...export.into_image import save_into_image_steps

        result = measure_shapes(self._result)
        yield from save_into_image_steps(
            self._image.path, result, self._label_name, self._overwrite
        )

    def note_saved(self) -> None:
        """Note that labels and table need not be kept in case of a crash any more."""
        self.mark_saved(has_labels=True, has_table=True)


class IntoImageButton(QPushButton):
    """Saves labels into the OME-Zarr of their image; enabled where there is one.

    Parameters
    ----------
    target : TargetForm
    exporter : LabelsExporter
        Saves what is asked for.
    parent : QWidget
        Parent of dialogs.
    """

    def __init__(self, target: TargetForm, exporter: LabelsExporter, parent: QWidget) -> None:
        super().__init__("Into image …")
        with_properties(self, objectName="save_into_image")
        self._target, self._exporter, self._parent = target, exporter, parent
        self._shown: object = None
        target.changed.connect(self._update)
        self.clicked.connect(self._ask)
        self._update()

    def _update(self) -> None:
        """Enable the button, or say why it is not."""
        target = self._target.value()
        shown = [
            layer and (layer.name, layer.source.path) for layer in (target.labels, target.image)
        ]
        if shown == self._shown:
            return  # a plate takes a while to be looked through
        self._shown = shown
        try:
            image = find_image_group(target)
        except UserError as error:
            self.setEnabled(False)
            self.setToolTip(name_controls(error))
        else:
            self.setEnabled(True)
            self.setToolTip(HINT.format(image=image.path.name))

    def _ask(self) -> None:
        """Ask for a name, and whether labels of that name are replaced."""
        with report_user_errors(self._exporter.message.emit):  # it may be gone meanwhile
            self._ask_name(find_image_group(self._target.value()))

    def _ask_name(self, image: ImageGroup) -> None:
        from ...io.image_labels import DEFAULT_NAME

        name, is_given = QInputDialog.getText(
            self._parent, DIALOG_TITLE, "Name of the labels in the image", text=DEFAULT_NAME
        )
        exists = bool(name) and (image.labels / name).exists()
        if is_given and (not exists or self._confirm_replace(image, name)):
            self._exporter.save_into_image(name, overwrite=exists)

    def _confirm_replace(self, image: ImageGroup, name: str) -> bool:
        button = QMessageBox.question(
            self._parent, DIALOG_TITLE, f"{image.path.name} has labels {name}. Replace them?"
        )
        return button == QMessageBox.StandardButton.Yes
