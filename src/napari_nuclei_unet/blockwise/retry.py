"""How far a run is, and what the next one tries again, as it could not be read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from itertools import takewhile
from typing import Any, NamedTuple

from ..provenance.left_out_counts import LeftOutCounts


class ReadFailure(NamedTuple):
    """What could not be read.

    Attributes
    ----------
    plane : int
        From 0.
    block : int or None
        From 0; None: the whole plane, of which nothing could be read.
    message : str
        Where it is, and why, for the user.
    """

    plane: int
    block: int | None
    message: str


class WrittenVolume(NamedTuple):
    """A volume that is written, and how far the run was before it.

    Attributes
    ----------
    nuclei, seconds, table_bytes, table_crc
        As of :class:`RunProgress`, before it.
    is_empty : bool
        Whether there was nothing to see, so that its ``z_step`` says nothing.
    z_step, diameter, zoom, gamma : float or None
        As of ``provenance.record.Provenance``.
    """

    nuclei: int
    seconds: float
    table_bytes: int
    table_crc: int
    is_empty: bool = True
    z_step: float | None = None
    diameter: float | None = None
    zoom: float | None = None
    gamma: float | None = None

    @property
    def is_unreadable(self) -> bool:
        """Whether nothing of it could be read."""
        return self.zoom is None


@dataclass(frozen=True)
class RunProgress:
    """How far a run is.

    Attributes
    ----------
    plane, block : int
        The first that was not tried, from 0.
    nuclei : int
        Found so far; their ids are 1 to this.
    failed : tuple of ReadFailure
        What could not be read since the run began, or was gone on with.
    again : tuple of ReadFailure
        What could not be read before, and is tried again once all planes are behind.
    seconds : float
        That it took so far.
    table_bytes, table_crc : int
        Length and checksum of the table so far.
    surveys : dict of str to dict
        Of planes of which blocks are missing, by their number, so that these see them as the
        others did; JSON.
    gammas : dict of str to float
        Of planes that were lightened without that being asked for, by their number.
    volumes : tuple of WrittenVolume
        Of a run over volumes, those that were tried. Its ``plane`` counts their slices.
    left_out : LeftOutCounts or None
        What was found beside the nuclei; None: the run was begun before that was counted.
    """

    plane: int = 0
    block: int = 0
    nuclei: int = 0
    failed: tuple[ReadFailure, ...] = ()
    again: tuple[ReadFailure, ...] = ()
    seconds: float = 0.0
    table_bytes: int = 0
    table_crc: int = 0
    surveys: dict[str, dict[str, Any]] = field(default_factory=dict)
    gammas: dict[str, float] = field(default_factory=dict)
    volumes: tuple[WrittenVolume, ...] = ()
    left_out: LeftOutCounts | None = field(default_factory=LeftOutCounts)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> RunProgress:
        """Make it again of what a journal holds; what has failed is tried again.

        Raises
        ------
        ValueError
            If a value is none that a run has written.
        """
        missing = [ReadFailure(*one) for one in (*data["again"], *data["failed"])]
        volumes = tuple(WrittenVolume(*one) for one in data.get("volumes", ()))
        counts = data.get("left_out")
        left_out = None if counts is None else LeftOutCounts(**counts)
        progress = cls(
            **data
            | {"failed": (), "again": tuple(missing), "volumes": volumes, "left_out": left_out}
        )
        progress._check_types()
        return progress

    def _check_types(self) -> None:
        counts = [self.plane, self.block, self.nuclei, self.table_bytes, self.table_crc]
        counts += [at for one in self.again for at in one[:2] if at is not None]
        numbers = [self.seconds, *self.gammas.values()]
        numbers += [value for one in self.volumes for value in one if value is not None]
        names = [*self.surveys, *self.gammas]
        if not (
            all(type(one) is int and one >= 0 for one in counts)
            and all(isinstance(one, (int, float)) and one >= 0 for one in numbers)
            and all(name.isdecimal() for name in names)
            and all(isinstance(one, dict) for one in self.surveys.values())
            and all(isinstance(one.message, str) for one in self.again)
        ):
            raise ValueError("no progress of a run")

    def to_snapshot(self) -> dict[str, Any]:
        """Return what :meth:`restore` needs to know, of the same length however far a run is."""
        plain = asdict(replace(self, surveys={}, gammas={}, volumes=()))
        return plain | {"volumes": len(self.volumes)}

    def restore(self, snapshot: dict[str, Any]) -> RunProgress | None:
        """Return how far this run was; None if what was seen of a plane then is not known now."""
        plane, missing = snapshot["plane"], (*snapshot["again"], *snapshot["failed"])
        begun = {number for number, block, _ in missing if block is not None}
        begun |= {plane} if snapshot["block"] else set()
        surveys = {name: one for name, one in self.surveys.items() if int(name) in begun}
        if len(surveys) < len(begun):
            return None
        gammas = {
            name: one for name, one in self.gammas.items() if int(name) < plane or name in surveys
        }
        volumes = self.volumes[: snapshot["volumes"]]
        return self.from_json(snapshot | {"surveys": surveys, "gammas": gammas, "volumes": volumes})

    def list_gammas(self) -> tuple[float, ...]:
        """Return by which gammas planes, or volumes, were lightened."""
        of_volumes = (one.gamma for one in self.volumes if one.gamma is not None)
        return (*self.gammas.values(), *of_volumes)

    def add_left_out(self, found: LeftOutCounts) -> LeftOutCounts | None:
        """Return what was left out so far, with that of another block."""
        return None if self.left_out is None else self.left_out + found

    @property
    def readable_volumes(self) -> list[WrittenVolume]:
        """Volumes of which something could be read."""
        return [one for one in self.volumes if not one.is_unreadable]

    @property
    def z_step(self) -> float | None:
        """Distance between slices in the first volume with something to see, if there is one."""
        return next((one.z_step for one in self.volumes if not one.is_empty), None)

    def before_volume(self, number: int, slices: int) -> RunProgress:
        """Return how far a run over volumes of so many slices was before one of them."""
        begun, plane = self.volumes[number], number * slices
        return replace(
            self,
            plane=plane,
            nuclei=begun.nuclei,
            failed=tuple(one for one in (*self.failed, *self.again) if one.plane < plane),
            again=(),
            seconds=begun.seconds,
            table_bytes=begun.table_bytes,
            table_crc=begun.table_crc,
            volumes=self.volumes[:number],
        )

    def next_plane(self, planes: int) -> int | None:
        """Return the next of so many planes, or None when all are done."""
        if self.plane < planes:
            return self.plane
        return self.again[0].plane if self.again else None

    def remaining_blocks(self, plane: int, blocks: int) -> list[int]:
        """List the blocks of the next plane that are left, in their order."""
        if plane == self.plane:
            return list(range(self.block, blocks))
        mine = takewhile(lambda one: one.plane == plane, self.again)
        return [one.block for one in mine if one.block is not None]

    def split_into_blocks(self, blocks: int) -> RunProgress:
        """Return progress in which a plane that is tried again as a whole stands as its blocks."""
        first, *others = self.again
        return replace(self, again=(*(first._replace(block=at) for at in range(blocks)), *others))

    def advance(self, plane: int, last: bool, failed: tuple[ReadFailure, ...]) -> RunProgress:
        """Return the progress after the next block of a plane, maybe its last."""
        if plane < self.plane:
            after = replace(self, again=self.again[1:], failed=self.failed + failed)
        else:
            block = 0 if last else self.block + 1
            after = replace(self, plane=plane + last, block=block, failed=self.failed + failed)
        wanted = {after.plane} | {one.plane for one in (*after.again, *after.failed)}
        kept = {name: one for name, one in after.surveys.items() if int(name) in wanted}
        return replace(after, surveys=kept)
