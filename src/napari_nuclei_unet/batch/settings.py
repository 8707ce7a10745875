"""Settings of a run, the same for every image."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from ..arrays.axes import COLOURS, Channel, Colour
from ..arrays.roi import Region
from ..arrays.selection import Positions, has_channels, number_colour
from ..export.geojson import NUCLEI_ONLY, OutlineOptions
from ..export.remeasure import MeasureOptions
from ..io.lazy_images import LazyImage
from ..io.ngff import DEFAULT_NGFF, NgffVersion
from ..limits import DEFAULT_LIMITS, Limits
from ..models.model import Model
from ..params import SegmentParams
from .slice_distance import SliceDistance


@dataclass(frozen=True)
class JobSettings:
    """Settings of a run, for every image.

    Attributes
    ----------
    model : Model
    model_name : str
        By which ``load_model`` finds it, here and on other machines.
    params : SegmentParams
    device : {"auto", "cpu", "cuda", "mps"}
    axes, planes, channel
        As in ``selection.select_planes``.
    level : int
        Of a pyramid.
    region : Region, optional
        In pixels of full resolution.
    join : str, optional
        Letter of the axis along which nuclei are joined.
    track : bool
        Whether nuclei are tracked over time.
    volume : bool
        Whether nuclei are objects along Z, too.
    z_step : SliceDistance, optional
        Of volumes; None: as the file says, or else estimated.
    is_mixed : bool
        Whether images without channels, slices or frames may be among them, for which ``channel``,
        ``volume`` or ``track`` are ignored; otherwise it is an error for them.
    has_multichannel : bool
        Whether images with channels of their own are among them: then a number is no colour of
        the RGB images.
    measure : MeasureOptions, optional
        What is measured; None: shapes, and the intensities of what is segmented.
    exclude_border : bool
        Whether nuclei at the edge of the image are left out.
    outlines : OutlineOptions
        Of GeoJSON that is written, too.
    limits : Limits
    ngff : {"0.4", "0.5"}
        Version of labels in OME-Zarr.
    verify : bool
        Whether results that are there are read as a whole before they count as done.
    """

    model: Model
    model_name: str
    params: SegmentParams = dataclasses.field(default_factory=SegmentParams)
    device: str = "auto"
    axes: str | None = None
    planes: Sequence[Positions] = ()
    channel: Channel | Colour | None = None
    level: int = 0
    region: Region | None = None
    join: str | None = None
    track: bool = False
    volume: bool = False
    z_step: SliceDistance | None = None
    is_mixed: bool = False
    has_multichannel: bool = False
    measure: MeasureOptions | None = None
    exclude_border: bool = False
    outlines: OutlineOptions = NUCLEI_ONLY
    limits: Limits = DEFAULT_LIMITS
    ngff: NgffVersion = DEFAULT_NGFF
    verify: bool = False

    def for_axes(self, lead: str) -> JobSettings:
        """Return the settings of an image with these axes before those of the plane.

        Of a mixed run, images without slices are segmented plane by plane, and those without
        frames are not tracked.
        """
        if not self.is_mixed:
            return self
        has_slices = "Z" in lead
        return dataclasses.replace(
            self,
            volume=self.volume and has_slices,
            join=self.join if has_slices or self.join not in ("z", "Z") else None,
            track=self.track and "T" in lead,
        )

    def choose_channel(self, opened: LazyImage) -> Channel | Colour | None:
        """Return the channel of an image; None where that of the run does not apply to it."""
        number = number_colour(self.channel) if opened.is_rgb else self.channel
        if not self.is_mixed or self.channel is None:
            return number
        if has_channels(opened.pixels.shape, self.axes, opened.axes, opened.is_rgb):
            return number
        is_colour = self.channel in COLOURS or not (self.channel == "mean" or self.has_multichannel)
        return number if opened.is_rgb and is_colour else None

    @property
    def in_micrometers(self) -> bool:
        """Whether a distance is in micrometers, for which the size of a pixel must be known."""
        return self.outlines.in_micrometers or (
            self.measure is not None and self.measure.in_micrometers
        )
