"""What is wanted of an image file, where its results go, and whether they are there already."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from napari_nuclei_unet.arrays.axes import Channel
from napari_nuclei_unet.arrays.blocks import LARGE
from napari_nuclei_unet.arrays.boxes import Region
from napari_nuclei_unet.arrays.selection import (
    PlaneSelection,
    Positions,
    has_channels,
    select_planes,
)
from napari_nuclei_unet.batch.inputs import (
    FileStamp,
    InputImage,
    OpenedImage,
    open_image,
    stamp_files,
)
from napari_nuclei_unet.batch.outputs import (
    OutputOptions,
    ResultPaths,
    result_paths_beside,
    result_paths_in,
)
from napari_nuclei_unet.blockwise.journal import describe_differences
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.io.atomic import file_crc32
from napari_nuclei_unet.io.labels import read_record
from napari_nuclei_unet.io.lazy_images import is_zarr
from napari_nuclei_unet.io.multifile_tiff import require_tiff_files
from napari_nuclei_unet.models.model import Model
from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.tracking.linking import check_linking

# What the letters of labels in OME-Zarr may be, in their order: NGFF has one more axis than these.
NGFF_ORDER = "TZYX"


@dataclass(frozen=True)
class JobSettings:
    """What is wanted of every image.

    Attributes
    ----------
    model : Model
    model_name : str
        By which ``load_model`` finds it, here and on other machines.
    params : SegmentParams
    device : {"auto", "cpu", "cuda", "mps"}
    axes, planes, channel
        As in ``picking.pick``.
    level : int
        Of a pyramid.
    region : Region, optional
        In pixels of full resolution.
    join : str, optional
        Letter of the axis along which nuclei are joined.
    track : bool
        Whether nuclei are followed over time.
    is_mixed : bool
        Whether images without channels may be among them: for these, ``channel`` plays no part.
        Otherwise they are refused if it is given.
    """

    model: Model
    model_name: str
    params: SegmentParams = dataclasses.field(default_factory=SegmentParams)
    device: str = "auto"
    axes: str | None = None
    planes: Sequence[Positions] = ()
    channel: Channel | None = None
    level: int = 0
    region: Region | None = None
    join: str | None = None
    track: bool = False
    is_mixed: bool = False


@dataclass(frozen=True, eq=False)
class ImageJob:
    """One image, opened, and what is wanted of it.

    Attributes
    ----------
    files : tuple of Path
        Absolute; more than one of an OME-TIFF in several files, which is opened by the first.
    opened : Opened
        At the level that is wanted.
    full : Opened
        At full resolution.
    selection : Picked
        At the level.
    settings : Settings
    results : Results
    stamp : Stamp
        Of the image, before anything of it was read.
    """

    files: tuple[Path, ...]
    opened: OpenedImage
    full: OpenedImage
    selection: PlaneSelection
    settings: JobSettings
    results: ResultPaths
    stamp: FileStamp

    @property
    def path(self) -> Path:
        """By which the image is opened."""
        return self.files[0]

    @property
    def region(self) -> Region | None:
        """What is wanted of every plane, in pixels of the level."""
        region = self.settings.region
        return None if region is None else region.scaled(self.full_size, self.selection.size)

    @property
    def tables(self) -> list[Path]:
        """Tables that are written beside the labels."""
        return [self.results.table, *([self.results.tracks] if self.settings.track else [])]

    @property
    def full_size(self) -> tuple[int, int]:
        """Height and width of a plane at full resolution."""
        height, width = (
            self.full.pixels.shape[axis]
            for axis, name in enumerate(self.selection.axes)
            if name in "YX"
        )
        return height, width

    @property
    def fingerprint(self) -> dict[str, Any]:
        """All that makes another result; JSON.

        Parameters have the form of flags, as in the files that are there already. Not "shape", by
        which tifffile would know its own metadata in a description.
        """
        settings = self.settings
        params = dataclasses.asdict(settings.params)
        del params["batch"]  # how many tiles are seen at once changes nothing
        params |= {
            "model": settings.model.card.sha256,
            "axes": self.selection.axes,
            "planes": [
                self.selection.lead,
                self.selection.positions,
                self.selection.first_plane.index,
            ],
            "channel": settings.channel,
            "level": settings.level,
            "region": None if settings.region is None else settings.region.polygons,
            "join": settings.join and settings.join.upper(),
            "track": settings.track,
        }
        wish = {f"--{name.replace('_', '-')}": value for name, value in params.items()} | {
            "version": version("napari-nuclei-unet"),
            "image": [str(self.path), self.stamp],
            "image size": self.opened.pixels.shape,
            "image type": str(self.opened.pixels.dtype),
        }
        return dict(json.loads(json.dumps(wish)))

    @property
    def planes_text(self) -> list[int | str]:
        """Planes as on the command line, for each axis beside plane and channel."""
        texts: list[int | str] = []
        for axis, name in enumerate(self.selection.axes):
            if name in self.selection.lead:
                places = self.selection.positions[self.selection.lead.index(name)]
                whole = len(places) == self.opened.pixels.shape[axis]
                texts.append("all" if whole else f"{places[0]}-{places[-1]}")
            elif name not in "CYX":
                at = self.selection.first_plane.index[axis]
                assert at is not None
                texts.append(at)
        return texts

    def check_unchanged(self) -> None:
        """Refuse an image that has changed since it was opened.

        Raises
        ------
        UserError
        """
        try:
            same = stamp_files(*self.files) == self.stamp
        except OSError as error:
            raise self._gone from error
        if not same:
            raise UserError(
                f"{self.path} changed while it was read, so its result is not kept: wait until it "
                "is complete, then run it again with `overwrite`."
            )

    def check_available(self, failed: bool) -> None:
        """Refuse to go on with an image that is gone, or has changed.

        A folder of zarr that is gone would be read as black, for chunks may be missing.

        Parameters
        ----------
        failed : bool
            Whether reading has failed, so that it is worth while to open it anew.

        Raises
        ------
        UserError
        """
        if self.path.is_dir():
            if not is_zarr(self.path):
                raise self._gone
        elif failed or len(self.files) == 1:  # it takes a while to look at many
            self.check_unchanged()
        if failed and self.opened.is_lazy:
            try:
                open_image(self.path, self.settings.level)
            except UserError as error:
                raise self._gone from error

    @property
    def _gone(self) -> UserError:
        return UserError(
            f"{self.path} cannot be opened any more: see that its disk or server is there, then "
            "run it again to go on."
        )

    def find_done_record(self) -> dict[str, Any] | None:
        """Record of the same result in a TIFF, if that and its tables are there.

        Raises
        ------
        UserError
            If the TIFF is of another image, or was made with other flags.
        """
        labels = self.results.labels
        record = read_record(labels) if labels.is_file() else None
        if record is None:
            return None
        if not isinstance(wish := record.get("wish"), dict):
            raise UserError(
                f"{labels} holds labels of another run: choose another name, or `overwrite` them."
            )
        if changed := describe_differences(self.fingerprint, wish):
            raise UserError(
                f"{labels} was made with another {changed}: choose another folder, or `overwrite` "
                "it."
            )
        if record.get("failed") or not all(one.is_file() for one in self.tables):
            return None
        # labels in OME-Zarr have a table of the same name
        same = file_crc32(self.results.table) == record["table_crc"]
        return record if same else None


def open_job(item: InputImage, settings: JobSettings, output: OutputOptions) -> ImageJob:
    """Open an image, and find out what is to be done.

    Raises
    ------
    UserError
        If it cannot be read, or what is wanted does not fit it.
    """
    path = item.path.resolve()
    files = require_tiff_files(path)
    try:
        stamp = stamp_files(*files)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error
    opened = open_image(path, settings.level)
    full = open_image(path) if settings.level else opened
    shape = opened.pixels.shape
    if settings.is_mixed and not has_channels(shape, settings.axes, opened.axes):
        settings = dataclasses.replace(settings, channel=None)
    picked = select_planes(shape, settings.axes, settings.planes, settings.channel, opened.axes)
    check_linking(picked.lead, settings.join, settings.track)
    if output.is_file:
        results = result_paths_beside(output.out)
    else:
        # of a lower level, too: labels in TIFF have full resolution
        large = max(math.prod(picked.size), _plane_pixels(full, picked)) > LARGE
        store = output.format == "zarr" or (output.format is None and (large or output.on_cluster))
        results = result_paths_in(output.out, item.stem, store)
    if results.is_store:
        picked = _in_ngff_order(picked)
    if output.on_cluster and not opened.is_lazy:
        raise UserError(
            f"{path} can only be read whole, which a cluster cannot: save it as TIFF or OME-Zarr, "
            "or leave `scheduler` out."
        )
    return ImageJob(files, opened, full, picked, settings, results, stamp)


def _plane_pixels(opened: OpenedImage, picked: PlaneSelection) -> int:
    """Pixels of a plane."""
    lengths = zip(picked.axes, opened.pixels.shape, strict=False)
    return math.prod(length for name, length in lengths if name in "YX")


def _in_ngff_order(picked: PlaneSelection) -> PlaneSelection:
    """Put the axes of labels into the order that NGFF wants."""
    others = [name for name in picked.lead if name not in NGFF_ORDER]
    if len(others) > 1 or not picked.label_axes.endswith("YX"):
        raise UserError(
            f"OME-Zarr has no place for labels of the axes {picked.label_axes}: it takes T, one "
            "other, Z, Y and X, in this order; use `format` tiff, or choose with `planes`."
        )
    order = "T" * ("T" in picked.lead) + "".join(others) + "Z" * ("Z" in picked.lead)
    return picked.reordered(order)
