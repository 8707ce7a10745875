"""What is wanted of an image file, where its results go, and whether they are there already."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from napari_nuclei_unet.batch.inputs import Input, Opened, Stamp, open_image, stamp_of
from napari_nuclei_unet.batch.linking import (
    Linked,
    Read,
    check_link,
    follow_steps,
    join_steps,
    numbered,
)
from napari_nuclei_unet.batch.picking import Picked, Positions, pick
from napari_nuclei_unet.batch.results import Results, Wanted, results_as, results_in
from napari_nuclei_unet.core.axes import Channel
from napari_nuclei_unet.core.blocks import LARGE
from napari_nuclei_unet.core.regions import Region
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.files import read_record, write_table
from napari_nuclei_unet.models import Model, shipped_models
from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.prediction import Step, Wish
from napari_nuclei_unet.repeating import source_of
from napari_nuclei_unet.writing import written

# What the letters of labels in OME-Zarr may be, in their order: NGFF has one more axis than these.
NGFF_ORDER = "TZYX"


@dataclass(frozen=True)
class Settings:
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
    follow : bool
        Whether nuclei are followed over time.
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
    follow: bool = False


@dataclass(frozen=True, eq=False)
class Job:
    """One image, opened, and what is wanted of it.

    Attributes
    ----------
    path : Path
        Absolute.
    opened : Opened
        At the level that is wanted.
    full : Opened
        At full resolution.
    picked : Picked
        At the level.
    settings : Settings
    results : Results
    stamp : Stamp
        Of the image, before anything of it was read.
    """

    path: Path
    opened: Opened
    full: Opened
    picked: Picked
    settings: Settings
    results: Results
    stamp: Stamp

    @property
    def region(self) -> Region | None:
        """What is wanted of every plane, in pixels of the level."""
        region = self.settings.region
        return None if region is None else region.scaled(self.full_size, self.picked.size)

    @property
    def full_size(self) -> tuple[int, int]:
        """Height and width of a plane at full resolution."""
        height, width = (
            self.full.pixels.shape[axis]
            for axis, name in enumerate(self.picked.axes)
            if name in "YX"
        )
        return height, width

    @property
    def wish(self) -> dict[str, Any]:
        """All that makes another result, by the names that a message may use; JSON.

        Not "shape", by which tifffile would know its own metadata in a description.
        """
        settings = self.settings
        params = dataclasses.asdict(settings.params)
        del params["batch"]  # how many tiles are seen at once changes nothing
        wish = {
            "version": version("napari-nuclei-unet"),
            "model": settings.model.card.sha256,
            "parameters": params,
            "image": [str(self.path), self.stamp],
            "size": self.opened.pixels.shape,
            "type": str(self.opened.pixels.dtype),
            "axes": self.picked.axes,
            "planes": [self.picked.lead, self.picked.positions, self.picked.like.index],
            "channel": settings.channel,
            "level": settings.level,
            "region": None if settings.region is None else settings.region.polygons,
            "join": settings.join and settings.join.upper(),
            "track": settings.follow,
        }
        return dict(json.loads(json.dumps(wish)))

    @property
    def planes_text(self) -> list[int | str]:
        """Planes as on the command line, for each axis beside plane and channel."""
        texts: list[int | str] = []
        for axis, name in enumerate(self.picked.axes):
            if name in self.picked.lead:
                places = self.picked.positions[self.picked.lead.index(name)]
                whole = len(places) == self.opened.pixels.shape[axis]
                texts.append("all" if whole else f"{places[0]}-{places[-1]}")
            elif name not in "CYX":
                at = self.picked.like.index[axis]
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
            same = stamp_of(self.path) == self.stamp
        except OSError:
            same = False
        if not same:
            raise UserError(
                f"{self.path} changed while it was read, so its result is not kept: wait until it "
                "is complete, then run it again with --overwrite."
            )

    def done_before(self) -> dict[str, Any] | None:
        """Record of the same result in a TIFF, if that and its tables are there."""
        if not self.results.labels.is_file() or not self.results.table.is_file():
            return None
        if self.settings.follow and not self.results.tracks.is_file():
            return None
        record = read_record(self.results.labels)
        if record is None or record.get("wish") != self.wish:
            return None
        # labels in OME-Zarr have a table of the same name
        same = self.results.table.stat().st_size == record["table_bytes"]
        return record if same else None


def open_job(item: Input, settings: Settings, wanted: Wanted) -> Job:
    """Open an image, and find out what is to be done.

    Raises
    ------
    UserError
        If it cannot be read, or what is wanted does not fit it.
    """
    path = item.path.resolve()
    try:
        stamp = stamp_of(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error
    opened = open_image(path, settings.level)
    full = open_image(path) if settings.level else opened
    shape = opened.pixels.shape
    picked = pick(shape, settings.axes, settings.planes, settings.channel, opened.axes)
    check_link(picked.lead, settings.join, settings.follow)
    if wanted.is_file:
        results = results_as(wanted.out)
    else:
        # of a lower level, too: labels in TIFF have full resolution
        large = max(math.prod(picked.size), _plane_pixels(full, picked)) > LARGE
        store = wanted.format == "zarr" or (wanted.format is None and (large or wanted.elsewhere))
        results = results_in(wanted.out, item.stem, store)
    if results.is_store:
        picked = _for_store(picked)
    if wanted.elsewhere and not opened.in_parts:
        raise UserError(
            f"{path} can only be read whole, which a cluster cannot: save it as TIFF or OME-Zarr, "
            "or leave --scheduler out."
        )
    return Job(path, opened, full, picked, settings, results, stamp)


def _plane_pixels(opened: Opened, picked: Picked) -> int:
    """Pixels of a plane."""
    lengths = zip(picked.axes, opened.pixels.shape, strict=False)
    return math.prod(length for name, length in lengths if name in "YX")


def _for_store(picked: Picked) -> Picked:
    """Put the axes of labels into the order that NGFF wants."""
    others = [name for name in picked.lead if name not in NGFF_ORDER]
    if len(others) > 1 or not picked.label_axes.endswith("YX"):
        raise UserError(
            f"OME-Zarr has no place for labels of the axes {picked.label_axes}: it takes T, one "
            "other, Z, Y and X, in this order; use --format tiff, or choose with --planes."
        )
    order = "T" * ("T" in picked.lead) + "".join(others) + "Z" * ("Z" in picked.lead)
    return picked.ordered(order)


def about(job: Job, nuclei: int) -> dict[str, Any]:
    """Say what the record of a result says of its image, beside the run."""
    settings, picked = job.settings, job.picked
    own = settings.model_name in shipped_models()
    shapes = job.full_size, picked.size
    dtype = np.dtype(job.opened.pixels.dtype)
    source = source_of(picked.like, picked.axes, str(job.path), settings.level, dtype, shapes)
    return {
        "source": source | {"planes": job.planes_text},
        "region": None if settings.region is None else settings.region.polygons,
        "model_file": None if own else str(Path(settings.model_name).resolve()),
        "join": settings.join and settings.join.upper(),
        "track": settings.follow,
        "format": "zarr" if job.results.is_store else "tiff",
        "nuclei": nuclei,
    }


def linked_steps(job: Job, read: Read, counts: Sequence[int]) -> Generator[Step, Wish, Linked]:
    """Give ids that hold over all planes.

    Parameters
    ----------
    job : Job
    read : callable
        Gives labels of a plane, 1..n.
    counts : sequence of int
        How many nuclei each plane has; looked at if they are not linked.
    """
    picked, settings = job.picked, job.settings
    if settings.join:
        steps = join_steps(read, picked.lengths, picked.lead.index(settings.join.upper()))
    elif settings.follow:
        steps = follow_steps(read, picked.columns, picked.lengths, picked.lead.index("T"))
    else:
        return numbered(counts)
    while True:
        try:
            yield Step(next(steps), len(counts))
        except StopIteration as end:
            linked: Linked = end.value
            return linked


def write_tracks(job: Job, linked: Linked) -> None:
    """Write the table of tracks, if nuclei were followed."""
    if job.settings.follow:
        with written(job.results.tracks) as aside:
            write_table(aside, linked.tracks)
