"""The job of an image file: its settings, where results go, and whether they exist already."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..arrays.roi import Region
from ..arrays.selection import PlaneSelection, select_planes
from ..blockwise.journal import explain_differences
from ..errors import UserError
from ..export.channels import channel_names, check_channels
from ..export.read import has_own_table, read_labels_of_result
from ..export.remeasure import MeasureOptions
from ..export.track_tables import lineage_path
from ..io.atomic import file_crc32
from ..io.labels import read_record
from ..io.lazy_images import LazyImage
from ..io.multifile_tiff import require_tiff_files
from ..io.ngff import LabelsGrid, order_ngff_axes
from ..io.open import open_image
from ..io.openable import check_openable
from ..io.readers.ome_zarr import is_zarr
from ..io.store_files import JOURNAL_FILE_NAME
from ..io.units import voxel_micrometers
from ..provenance.record import FINGERPRINT_KEY, Provenance
from ..segmentation.volume import check_step
from ..tracking.linking import check_linking
from .fingerprint import describe_job
from .inputs import FileStamp, InputImage, stamp_files
from .labels_format import choose_result_paths
from .outputs import OutputOptions, ResultPaths
from .settings import JobSettings
from .volume_settings import check_level_slices, resolve_volume


@dataclass(frozen=True, eq=False)
class ImageJob:
    """One image, opened, and its settings.

    Attributes
    ----------
    files : tuple of Path
        Absolute; more than one of an OME-TIFF in several files, which is opened by the first.
    scene : int or None
        Number of the image in a file of several.
    opened : LazyImage
        At the level of the settings.
    full : LazyImage
        At full resolution.
    selection : PlaneSelection
        At the level.
    settings : JobSettings
    results : ResultPaths
    stamp : FileStamp
        Of the image, before anything of it was read.
    """

    files: tuple[Path, ...]
    scene: int | None
    opened: LazyImage
    full: LazyImage
    selection: PlaneSelection
    settings: JobSettings
    results: ResultPaths
    stamp: FileStamp

    @property
    def path(self) -> Path:
        """Path by which the image is opened."""
        return self.files[0]

    @property
    def region(self) -> Region | None:
        """Region of every plane that is segmented, in pixels of the level."""
        region = self.settings.region
        return None if region is None else region.scaled(self.full_size, self.selection.size)

    @property
    def tables(self) -> list[Path]:
        """Tables beside the labels of a finished result, of any version."""
        return [self.results.table, *([self.results.tracks] if self.settings.track else [])]

    @property
    def written_tables(self) -> list[Path]:
        """Tables that are written beside the labels."""
        lineages = [lineage_path(self.results.tracks)] if self.settings.track else []
        return [*self.tables, *lineages]

    @property
    def grid(self) -> LabelsGrid:
        """The pixel grid of the labels: of OME-Zarr at the level, of TIFF at full resolution."""
        selection, measured = self.selection, self.measured
        axes = [selection.axes.index(name) for name in selection.label_axes]
        grid = LabelsGrid(
            (*selection.lengths, *self.labels_size),
            selection.label_axes,
            tuple(measured.scale[axis] for axis in axes),
            tuple(measured.units[axis] for axis in axes),
        )
        step = self.settings.z_step
        return grid if step is None or "Z" not in grid.axes else step.apply_to(grid)

    @property
    def voxel_micrometers(self) -> tuple[float, float, float] | None:
        """Size of a voxel of the labels along Z, Y and X in micrometers, if known."""
        return voxel_micrometers(self.grid.axes, self.grid.scale, self.grid.units)

    @property
    def z_step(self) -> float | None:
        """Distance between slices in pixels of the level, if it is given or known."""
        grid = self.grid
        if self.settings.z_step is None and self.voxel_micrometers is None:
            return None
        size = dict(zip(grid.axes, grid.scale, strict=True))
        step = size["Z"] / (size["Y"] * size["X"]) ** 0.5
        return step * self.selection.size[0] / grid.shape[grid.axes.index("Y")]

    @property
    def measured(self) -> LazyImage:
        """The image at the resolution of the labels."""
        return self.opened if self.results.is_store else self.full

    @property
    def labels_size(self) -> tuple[int, int]:
        """Height and width of a plane of the labels."""
        return self.selection.size if self.results.is_store else self.full_size

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
        """All that a result depends on, as of :func:`.fingerprint.describe_job`."""
        return describe_job(self)

    @property
    def planes_text(self) -> list[int | str]:
        """Planes as on the command line, for each axis beside plane and channel."""
        texts: list[int | str] = []
        for axis, name in enumerate(self.selection.axes):
            if name in self.selection.lead:
                positions = self.selection.positions[self.selection.lead.index(name)]
                whole = len(positions) == self.opened.pixels.shape[axis]
                texts.append("all" if whole else f"{positions[0]}-{positions[-1]}")
            elif name not in "CYX":
                at = self.selection.first_plane.index[axis]
                assert at is not None
                texts.append(at)
        return texts

    def check_unchanged(self) -> None:
        """Raise an error if the image has changed since it was opened.

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
        """Raise an error if the image is gone, or has changed.

        A zarr folder that is gone would be read as black, as chunks may be missing.

        Parameters
        ----------
        failed : bool
            Whether reading has failed, so that it is worthwhile to reopen it.

        Raises
        ------
        UserError
        """
        if self.path.is_dir():
            if not is_zarr(self.path):
                raise self._gone
        elif failed or len(self.files) == 1:  # many files take a while
            self.check_unchanged()
        if failed and not self.opened.is_read_whole:
            try:
                open_image(self.path, self.settings.level, self.scene)
            except UserError as error:
                raise self._gone from error

    @property
    def _gone(self) -> UserError:
        return UserError(
            f"{self.path} can no longer be opened: check that its disk or server is connected, "
            "then run it again to resume."
        )

    def find_done(self) -> Provenance | None:
        """Find the provenance of the same result in a TIFF, if that and its tables exist.

        Raises
        ------
        UserError
            If the TIFF is of another image, or was made with other flags.
        """
        labels = self.results.find_labels()
        record = None if labels is None else read_record(labels)
        if labels is None or record is None:
            return None
        if not isinstance(previous := record.get(FINGERPRINT_KEY), dict):
            raise UserError(
                f"{labels} contains labels of another run: choose another name, or `overwrite` "
                "them."
            )
        what = f"{labels} was made"
        if reason := explain_differences(what, self.fingerprint, previous, "folder"):
            raise UserError(reason)
        done = Provenance.from_json(record)
        if done.failed or not all(table.is_file() for table in self.tables):
            return None
        if self.settings.verify:
            _check_readable(labels)
        # labels in OME-Zarr have a table of the same name
        if file_crc32(self.results.table) == done.table_crc or has_own_table(labels):
            return done
        raise UserError(
            f"{self.results.table} was edited, or belongs to other labels than {labels}: move it "
            "away, or `overwrite` it."
        )


def open_job(item: InputImage, settings: JobSettings, output: OutputOptions) -> ImageJob:
    """Open an image, and create its job.

    Raises
    ------
    UserError
        If it cannot be read, or the settings do not fit it.
    """
    check_openable(item.path)
    path = item.path.resolve()
    if not path.exists():
        raise UserError(f"{item.path} cannot be read: there is no file {path}.")
    files = require_tiff_files(path)
    try:
        stamp = stamp_files(*files)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error
    opened = open_image(path, settings.level, item.scene)
    full = open_image(path, scene=item.scene) if settings.level else opened
    check_level_slices(opened, full)
    settings = dataclasses.replace(settings, channel=settings.choose_channel(opened))
    selection = select_planes(
        opened.pixels.shape,
        settings.axes,
        settings.planes,
        settings.channel,
        opened.axes,
        opened.is_rgb,
    )
    results = choose_result_paths(output, item.stem, opened, full, selection, settings.limits)
    for written in (
        results.labels,
        results.labels / JOURNAL_FILE_NAME,
        results.table,
        results.tracks,
    ):
        check_openable(written)
    settings = settings.for_axes(selection.lead)
    settings = resolve_volume(settings, selection, output.on_cluster)
    check_linking(selection.lead, settings.join, settings.track, settings.volume)
    if results.is_store:
        selection = _in_ngff_order(selection)
    job = ImageJob(files, item.scene, opened, full, selection, settings, results, stamp)
    if settings.volume:
        check_step(job.z_step)
    if output.on_cluster and opened.is_read_whole:
        raise UserError(
            f"{path} can only be read whole, which a cluster cannot: save it as TIFF or OME-Zarr, "
            "or leave `scheduler` out."
        )
    if settings.measure is not None:
        _check_measure(job, settings.measure)
    if settings.in_micrometers and job.grid.micrometers is None:
        raise UserError(f"{path} does not say how large its pixels are: give distances in pixels.")
    return job


def _check_readable(labels: Path) -> None:
    """Raise an error if labels in TIFF cannot be read to their end."""
    try:
        read_labels_of_result(labels)
    except UserError as error:
        raise UserError(f"{labels} is damaged: make it anew with `overwrite`.") from error


def _check_measure(job: ImageJob, options: MeasureOptions) -> None:
    """Raise an error if an image has no such channels, or is not measured as a whole."""
    if job.results.is_store and not job.settings.volume:
        raise UserError(
            "Labels in OME-Zarr are measured block by block, in the segmented channel: leave out "
            "`measure`, `ring` and `neighbours`, and measure them afterwards with the command "
            "measure."
        )
    if job.settings.volume and (options.ring or options.neighbours):
        raise UserError(
            "Rings and neighbours are measured in planes: leave out `ring` and `neighbours`; the "
            "command measure counts neighbours of volumes."
        )
    check_channels(options.channels, channel_names(job.full, job.selection.first_plane))


def _in_ngff_order(picked: PlaneSelection) -> PlaneSelection:
    """Reorder the axes of labels as NGFF requires."""
    try:
        return picked.reordered(order_ngff_axes(picked.label_axes)[:-2])
    except UserError as error:
        raise UserError(f"{error} Use `format` tiff, or choose with `planes`.") from error
