"""The part of a form that selects the model and its device."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog, QFormLayout, QWidget

from ...models.library import RANDOM_WEIGHTS_NAME
from ...models.model import ModelCard, list_models, read_card, shipped_models
from ...params import DEVICES
from ...provenance.record import Provenance
from ..common.controls import create_button, create_combo_box, create_row
from ..common.layer_combo import reload_choices
from ..common.notify import report_user_errors
from ..common.preferences import get_preference
from .model_registry import MODEL_REGISTRY, initial_model, user_model_folder
from .model_titles import title_files, title_model


@dataclass(frozen=True)
class ModelChoice:
    """A model, and where it runs.

    Attributes
    ----------
    model : str
        Name of a shipped model, a file, or ``RANDOM_WEIGHTS_NAME``.
    device : str
        One of ``DEVICES``.
    """

    model: str
    device: str


class ModelForm(QObject):
    """Selects a model, shipped, of the user's folder or any file; and a device.

    Parameters
    ----------
    allow_random : bool
        Whether random weights may be selected, to train from.

    Signals
    -------
    changed
        Another model is selected; a device changes no result, so it has no signal.
    """

    changed = Signal()

    def __init__(self, allow_random: bool = False) -> None:
        super().__init__()
        self._files: list[str] = []
        self._allow_random = allow_random
        self.model = create_combo_box("model", "The network that finds the nuclei.", self._models)
        self.device = create_combo_box(
            "device",
            "Where the network runs. auto takes a graphics card if there is one.",
            lambda _: DEVICES,
        )
        self.device.value = get_preference("device")
        self._browse = create_button(
            "model_file", "…", "Choose a model file (.safetensors).", self._choose_file
        )
        self._browse.setMaximumWidth(32)
        self.model.changed.connect(self._emit_changed)
        self._select_model(initial_model())
        MODEL_REGISTRY.changed.connect(self._refresh)
        MODEL_REGISTRY.default_changed.connect(self._select_model)
        self.model.native.destroyed.connect(self._disconnect_registry)  # the registry lives longer

    def fill(self, form: QFormLayout) -> None:
        """Add the controls to a form."""
        form.addRow(
            "Start from" if self._allow_random else "Model",
            create_row(self.model.native, self._browse),
        )
        form.addRow("Device", self.device.native)

    def value(self) -> ModelChoice:
        """Return what is selected."""
        return ModelChoice(self.model.value, self.device.value)

    def set_value(self, value: ModelChoice) -> None:
        """Select a model and a device; a file that is not offered yet is added."""
        if value.model in self.model.choices:
            self.model.value = value.model
        else:
            self.use_file(value.model)
        self.device.value = value.device

    def card(self) -> ModelCard | None:
        """Read the card of the selected model; None, with a message, if its file is gone."""
        if self.model.value == RANDOM_WEIGHTS_NAME:
            return None
        with report_user_errors():
            return read_card(self.model.value)
        return None

    def use_file(self, path: str | Path) -> None:
        """Offer a model file and select it; show a message if it is not a model."""
        with report_user_errors():
            read_card(path)
            if str(path) not in self.model.choices:
                self._files.append(str(path))
                self.model.reset_choices()
            self.model.value = str(path)

    def use_provenance(self, provenance: Provenance) -> bool:
        """Select the model and device of a result; return False if the model is gone."""
        if provenance.device in DEVICES:
            self.device.value = provenance.device
        model = provenance.model_file or provenance.model
        if model in self.model.choices:
            self.model.value = model
        elif Path(model).is_file():
            self.use_file(model)
        return bool(self.model.value == model)

    def _models(self, _: Any) -> list[tuple[str, str]]:
        own = list_models(user_model_folder())
        files = [path for path in self._files if Path(path) not in own]
        shipped = [(title_model(name), name) for name in shipped_models()]
        random = [(RANDOM_WEIGHTS_NAME, RANDOM_WEIGHTS_NAME)] if self._allow_random else []
        titles = zip(title_files(own), map(str, own), strict=True)
        return [*shipped, *titles, *((path, path) for path in files), *random]

    def _disconnect_registry(self) -> None:
        with suppress(RuntimeError):  # at the exit of Python the registry may be gone before
            MODEL_REGISTRY.changed.disconnect(self._refresh)
            MODEL_REGISTRY.default_changed.disconnect(self._select_model)

    def _refresh(self) -> None:
        """Offer the present models, and keep the selected one if it is still there."""
        if reload_choices(self.model):
            self._emit_changed()

    def _select_model(self, model: str) -> None:
        """Select a model, if it is offered."""
        if model in self.model.choices:
            self.model.value = model

    def _choose_file(self) -> None:
        parent = self.model.native
        assert isinstance(parent, QWidget)
        path, _ = QFileDialog.getOpenFileName(parent, "Model file", "", "Models (*.safetensors)")
        if path:
            self.use_file(path)

    def _emit_changed(self, _: Any = None) -> None:
        self.changed.emit()
