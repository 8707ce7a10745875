"""The part of the form that says which model segments, and where it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QFormLayout, QWidget

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.models.library import RANDOM
from napari_nuclei_unet.models.model import ModelCard, models_in, read_card, shipped_models
from napari_nuclei_unet.params import DEVICES
from napari_nuclei_unet.widgets.common.controls import button, combo, row
from napari_nuclei_unet.widgets.common.preferences import preference
from napari_nuclei_unet.widgets.session.model_registry import SHELF, folder


class ModelChoice(QObject):
    """Chooses a model, shipped, from the user's folder, or any file; and a device.

    Parameters
    ----------
    at_random : bool
        Whether random weights may be chosen, to train from.

    Signals
    -------
    changed
        Another model is chosen.
    """

    changed = Signal()

    def __init__(self, at_random: bool = False) -> None:
        super().__init__()
        self._files: list[str] = []
        self._at_random = at_random
        self.model = combo("model", "The network that finds the nuclei.", self._models)
        self.device = combo(
            "device",
            "Where the network runs. auto takes a graphics card if there is one.",
            lambda _: DEVICES,
        )
        self.device.value = preference("device")
        self._browse = button("model_file", "…", "Choose a model file (.safetensors).")
        self._browse.setMaximumWidth(32)
        self._browse.clicked.connect(self._choose_file)
        self.model.changed.connect(self._say)
        self._take(preference("model"))
        SHELF.changed.connect(self._refresh)
        SHELF.chosen.connect(self._take)
        self.model.native.destroyed.connect(self._leave)  # the shelf lives longer

    def fill(self, form: QFormLayout) -> None:
        """Put the controls into a form."""
        form.addRow(
            "Start from" if self._at_random else "Model", row(self.model.native, self._browse)
        )
        form.addRow("Device", self.device.native)

    def card(self) -> ModelCard | None:
        """Read the card of the chosen model; None, with a message, if its file is gone."""
        if self.model.value == RANDOM:
            return None
        try:
            return read_card(self.model.value)
        except UserError as error:
            show_error(str(error))
            return None

    def use_file(self, path: str | Path) -> None:
        """Offer a model file and choose it; a file that is no model is refused."""
        try:
            read_card(path)
        except UserError as error:
            show_error(str(error))
            return
        if str(path) not in self.model.choices:
            self._files.append(str(path))
            self.model.reset_choices()
        self.model.value = str(path)

    def use_record(self, record: dict[str, Any]) -> bool:
        """Choose what made a result; False where its model is not here any more."""
        if record.get("device") in DEVICES:
            self.device.value = record["device"]
        model = record.get("model_file") or record.get("model") or ""
        if model in self.model.choices:
            self.model.value = model
        elif Path(model).is_file():
            self.use_file(model)
        return bool(self.model.value == model)

    def _models(self, _: Any) -> list[tuple[str, str]]:
        mine = [str(path) for path in models_in(folder())]
        files = [*mine, *(one for one in self._files if one not in mine)]
        shipped = [(name, name) for name in shipped_models()]
        random = [(RANDOM, RANDOM)] if self._at_random else []
        return [*shipped, *((self._title(path), path) for path in files), *random]

    def _leave(self) -> None:
        SHELF.changed.disconnect(self._refresh)
        SHELF.chosen.disconnect(self._take)

    def _title(self, path: str) -> str:
        """Name of a file; with its folder, where that is not the user's own."""
        return Path(path).stem if Path(path).parent == folder() else path

    def _refresh(self) -> None:
        """Offer what there is now, and keep the choice where it still is."""
        before = self.model.value
        with self.model.changed.blocked():
            self.model.reset_choices()
            if before in self.model.choices:
                self.model.value = before
        if self.model.value != before:
            self._say()

    def _take(self, model: str) -> None:
        """Choose a model, if it is offered."""
        if model in self.model.choices:
            self.model.value = model

    def _choose_file(self) -> None:
        parent = self.model.native
        assert isinstance(parent, QWidget)
        path, _ = QFileDialog.getOpenFileName(parent, "Model file", "", "Models (*.safetensors)")
        if path:
            self.use_file(path)

    def _say(self, _: Any = None) -> None:
        self.changed.emit()
