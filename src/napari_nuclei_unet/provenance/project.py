"""The project file: which images, labels, settings and view belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import UserError
from ..io.json_text import read_json
from ..params import SegmentParams, complete_params
from .project_paths import ProjectFile, project_folder

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT, VERSION = "napari-nuclei-unet project", 1

PlaneKey = tuple[int | None, ...]


@dataclass(frozen=True)
class ImagePart:
    """Which part of a file this plugin has opened as a layer.

    Attributes
    ----------
    scene : int or None
        Number of the image in a file of several.
    level : int
        Of a pyramid.
    positions : tuple of (int or None or (int, int))
        For each axis but that of colours: one position, all, or the first and the one after the
        last. Empty: all of it.
    """

    scene: int | None = None
    level: int = 0
    positions: tuple[int | tuple[int, int] | None, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SavedGeometry:
    """Where a layer lies in the world: attributes of napari's layers, by axis."""

    scale: tuple[float, ...]
    translate: tuple[float, ...]
    rotate: tuple[tuple[float, ...], ...]
    shear: tuple[float, ...] | tuple[tuple[float, ...], ...]
    affine: tuple[tuple[float, ...], ...]
    units: tuple[str, ...]
    axis_labels: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SavedDisplay:
    """How a layer is shown; None: it has no such attribute."""

    visible: bool = True
    opacity: float = 1.0
    blending: str | None = None
    contrast_limits: tuple[float, float] | None = None
    gamma: float | None = None
    colormap: str | None = None
    contour: int | None = None


@dataclass(frozen=True, kw_only=True)
class SavedLayer:
    """What all layers of a project have.

    Attributes
    ----------
    name : str
        No two layers have the same: layers refer to each other by it.
    order : int
        Position in the list of layers, from below.
    """

    name: str
    order: int
    geometry: SavedGeometry
    display: SavedDisplay


@dataclass(frozen=True, kw_only=True)
class SavedImage(SavedLayer):
    """An image layer.

    Attributes
    ----------
    file : ProjectFile or None
        None: it is a sample, or was in no file and could not be written.
    part : ImagePart or None
        Of an image that this plugin has opened with its labels.
    reader : str or None
        Plugin that has read it.
    sample : (str, str) or None
        Plugin and name of a sample.
    shape : tuple of int
        With colours.
    checksum : int or None
        CRC-32 of its pixels, all of them or some squares; None: unknown.
    is_sampled : bool
        Whether the checksum is that of some squares.
    rgb : bool
    """

    file: ProjectFile | None
    part: ImagePart | None = None
    reader: str | None = None
    sample: tuple[str, str] | None = None
    shape: tuple[int, ...]
    checksum: int | None = None
    is_sampled: bool = False
    rgb: bool = False


@dataclass(frozen=True, kw_only=True)
class SavedLabels(SavedLayer):
    """A labels layer.

    Attributes
    ----------
    file : ProjectFile or None
        None: it is not written yet.
    image : str or None
        Name of the image layer that they are of.
    shape : tuple of int
    axes : str
        A letter for each axis, as columns of the table are named.
    dtype : str
    has_table : bool
        Whether a table was saved beside the file.
    linked_ids : str or None
        How ids were matched across planes: "join" or "link".
    unedited : tuple of tuple of (int or None)
        Planes that are as a run has written them, with None for the axes of the plane.
    """

    file: ProjectFile | None
    image: str | None
    shape: tuple[int, ...]
    axes: str
    dtype: str
    has_table: bool
    linked_ids: str | None = None
    unedited: tuple[PlaneKey, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SavedTracks(SavedLayer):
    """A tracks layer, whose table lies beside the labels that it is of."""

    file: ProjectFile | None
    labels: str | None


@dataclass(frozen=True, kw_only=True)
class SavedShapes(SavedLayer):
    """A shapes layer, such as regions."""

    types: tuple[str, ...]
    vertices: tuple[tuple[tuple[float, ...], ...], ...]


@dataclass(frozen=True, kw_only=True)
class SegmentSettings:
    """The form of the dock "Segment nuclei".

    Attributes
    ----------
    params : SegmentParams
        With a black and white point, if the form has those of a record.
    as_displayed : bool
        Whether these are those of the image layer at the click.
    model, device : str
    image : str or None
        Name of the layer.
    channel_axis : int or None
    channel : int, "mean" or None
    level : int
    region : str
        "whole image", "what the view shows", or the name of a shapes layer.
    region_is_layer : bool
        Whether it is the name of a layer.
    planes : str
        "this one", "all", or a range.
    """

    params: SegmentParams
    as_displayed: bool
    model: str
    device: str
    image: str | None
    channel_axis: int | None
    channel: int | Literal["mean"] | None
    level: int
    region: str
    region_is_layer: bool
    planes: str


@dataclass(frozen=True)
class SkippedNuclei:
    """Nuclei of a plane that were shown in the review and skipped."""

    plane: PlaneKey
    labels: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class ReviewPosition:
    """How far the review is.

    Attributes
    ----------
    labels : str
        Name of the layer.
    plane : tuple of (int or None), or None
        Of the nucleus on view; None: there is none.
    label : int
    skipped : tuple of SkippedNuclei
    """

    labels: str
    plane: PlaneKey | None = None
    label: int = 0
    skipped: tuple[SkippedNuclei, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SavedView:
    """What the canvas shows: sliders, camera and the selected layer."""

    ndisplay: Literal[2, 3]
    order: tuple[int, ...]
    point: tuple[float, ...]
    center: tuple[float, ...]
    zoom: float
    angles: tuple[float, ...]
    active: str | None = None


@dataclass(frozen=True, kw_only=True)
class Project:
    """A project; layers refer to each other by name.

    Attributes
    ----------
    plugin_version : str
    time : str
        When it was saved, in ISO 8601 with its time zone.
    """

    plugin_version: str
    time: str
    images: tuple[SavedImage, ...] = ()
    labels: tuple[SavedLabels, ...] = ()
    tracks: tuple[SavedTracks, ...] = ()
    shapes: tuple[SavedShapes, ...] = ()
    view: SavedView | None = None
    settings: SegmentSettings | None = None
    review: ReviewPosition | None = None

    def to_json(self) -> dict[str, Any]:
        """Convert to what JSON can hold."""
        return {"format": FORMAT, "version": VERSION} | _adapter().dump_python(self, mode="json")


def read_project(path: str | Path) -> Project:
    """Read a project file.

    Raises
    ------
    UserError
        If it cannot be read, is none or damaged, or of a newer version.
    """
    path = Path(path)
    try:
        content = read_json(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise UserError(_damaged(path)) from error
    if not isinstance(content, Mapping) or content.get("format") != FORMAT:
        raise UserError(f"{path} is not a project of this plugin: choose one that was.")
    version = content.get("version")
    if isinstance(version, int) and version > VERSION:
        raise UserError(
            f"{path} was saved by a newer version of this plugin (format {version}, this one reads "
            f"up to {VERSION}): update the plugin, or open the labels in {project_folder(path)}."
        )
    try:
        return _adapter().validate_python({**content} | _complete_settings(content))
    except (TypeError, ValueError, UserError) as error:
        raise UserError(_damaged(path)) from error


def _complete_settings(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a file, if it has any, with parameters that are newer than it."""
    settings = content.get("settings")
    if not isinstance(settings, Mapping) or not isinstance(settings.get("params"), Mapping):
        return {}
    return {"settings": {**settings, "params": complete_params(settings["params"])}}


def _damaged(path: Path) -> str:
    return f"{path} is damaged: open the labels in {project_folder(path)} instead."


@cache
def _adapter() -> TypeAdapter[Project]:
    """Return the converter between objects and JSON."""
    # takes 0.1 s, which would delay the start of napari
    from pydantic import TypeAdapter

    return TypeAdapter(Project)
