"""The row that says which settings are used, and takes those of a project."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QFormLayout, QVBoxLayout, QWidget

from ...arrays.axes import COLOURS
from ...provenance.project import SegmentSettings
from ...provenance.project_paths import PROJECT_SUFFIX
from ..common.controls import (
    create_button,
    create_check_box,
    create_combo_box,
    create_label,
    create_row,
    fill_layout,
)
from .run_settings import ManySettings, describe_settings, read_project_settings, session_settings

if TYPE_CHECKING:
    from ..session.session import Session


AS_IN_SEGMENT = "as in these settings"
# What the list offers, without opening an image; a number that an image does not have is reported.
MOST_CHANNELS = 8
CHANNELS = (AS_IN_SEGMENT, *range(MOST_CHANNELS), "mean", *COLOURS)


class SettingsForm(QWidget):
    """Shows the settings of "Segment nuclei", or of a project.

    Signals
    -------
    project_chosen : Path
    """

    project_chosen = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._project: SegmentSettings | None = None
        self._name = ""
        self._text = create_label("settings_used")
        self._choose = create_button(
            "use_project", "From a project …",
            "Take the settings that are saved in a project (*.nuclei.json).", self._ask,
        )  # fmt: skip
        self._reset = create_button(
            "use_segment", "From Segment nuclei",
            "Take the settings of the dock 'Segment nuclei' again.", lambda *_: self.reset(),
        )  # fmt: skip
        self.volume = create_check_box(
            "volume", "z-stacks as volumes",
            "Nuclei of z-stacks are objects in 3-D, with one row each. Otherwise each slice is "
            "segmented by itself. Images without slices are segmented as they are.",
        )  # fmt: skip
        self.channel = create_combo_box(
            "many_channel",
            "The channel that shows nuclei, of images with several; others are segmented as they "
            "are.",
            CHANNELS,
        )
        buttons = create_row(self._choose, self._reset)
        channel = QFormLayout()
        channel.addRow("Channel", self.channel.native)
        layout = QVBoxLayout(self)
        fill_layout(layout, self._text, buttons)
        layout.addLayout(channel)
        layout.addWidget(self.volume)
        self.refresh()

    def value(self) -> ManySettings:
        """Return the settings as they are now."""
        return ManySettings(
            self._project or session_settings(self._session),
            self.volume.isChecked(),
            None if self.channel.value == AS_IN_SEGMENT else self.channel.value,
        )

    def use_project(self, path: Path) -> None:
        """Take the settings of a project.

        Raises
        ------
        UserError
            If it cannot be read, or has none.
        """
        self._project, self._name = read_project_settings(path), path.name
        self.refresh()

    def reset(self) -> None:
        """Take the settings of "Segment nuclei"."""
        self._project = None
        self.refresh()

    def refresh(self) -> None:
        """Show the settings as they are now."""
        whose = f"of {self._name}" if self._project else "as in Segment nuclei"
        settings = self.value().segment
        self._text.setText(f"{whose}: {describe_settings(settings)}")
        self._reset.setVisible(self._project is not None)

    def _ask(self, *_: object) -> None:
        kind = f"Nuclei project (*{PROJECT_SUFFIX})"
        path, _kind = QFileDialog.getOpenFileName(self, "Settings of a project", "", kind)
        if path:
            self.project_chosen.emit(Path(path))
