"""Limits: at which size work is done in another way, and for how long is waited."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .memory import available_memory, format_gigabytes, require_memory


@dataclass(frozen=True)
class Limits:
    """Limits of a run, or of a window; tests hand in small ones.

    Attributes
    ----------
    large_plane_pixels : int
        Planes of more pixels are segmented block by block.
    plane_bytes_per_pixel : int
        Memory that segmenting a plane in memory takes for each pixel, beyond the image.
    block_size : int
        Edge of the core of a block, in pixels: larger ones read less twice and take more memory.
        Where that is short, blocks are smaller.
    chunk : int
        Largest edge of a chunk of labels in OME-Zarr, in pixels.
    volume_block_voxels : int
        Volumes of more voxels are separated in columns of about so many.
    worker_pixels : int
        Images of more pixels, in all their planes, are segmented alone, not beside others.
    linking_bytes_per_pixel : int
        Memory that linking takes for each pixel of a plane: labels, numbers of the slices in
        memory, ids.
    linking_bytes_per_voxel : int
        The same for each voxel of a volume.
    scheduler_timeout : float
        Seconds in which a scheduler must answer.
    paintable_pixels : int
        Labels of larger planes are shown as a pyramid: napari would read the whole plane at each
        redraw.
    cached_bytes : int
        Predictions of more planes are moved to the disk.
    unsaved_bytes : int
        Labels of more bytes are not kept in case of a crash; of what crashes have left behind, the
        oldest is removed.
    """

    large_plane_pixels: int = 64_000_000
    plane_bytes_per_pixel: int = 40
    block_size: int = 4096
    chunk: int = 1024
    volume_block_voxels: int = 48_000_000
    worker_pixels: int = 8_000_000
    linking_bytes_per_pixel: int = 60
    linking_bytes_per_voxel: int = 24
    scheduler_timeout: float = 15
    paintable_pixels: int = 300_000_000
    cached_bytes: int = 1_500_000_000
    unsaved_bytes: int = 2_000_000_000

    def needs_blocks(self, pixels: int, bytes_read: int = 0) -> bool:
        """Return whether a plane has to be segmented block by block, not in memory.

        Parameters
        ----------
        pixels : int
            Of the plane.
        bytes_read : int, optional
            Of the plane in its file, if it is not in memory yet.
        """
        return bool(self.explain_blocks(pixels, bytes_read))

    def explain_blocks(self, pixels: int, bytes_read: int = 0) -> str:
        """Return why a plane has to be segmented block by block; empty if it has not.

        Parameters as in :meth:`needs_blocks`.
        """
        if pixels > self.large_plane_pixels:
            return f"The plane has more than {self.large_plane_pixels:,} pixels"
        need, free = self.plane_bytes_per_pixel * pixels + bytes_read, available_memory()
        if need <= free:
            return ""
        return (
            f"In memory, the plane would take {format_gigabytes(need)}, of which "
            f"{format_gigabytes(free)} are free"
        )

    def require_plane_memory(self, shape: tuple[int, int], bytes_read: int = 0) -> None:
        """Raise an error if even the smallest tiles need more memory than there is for a plane.

        Parameters
        ----------
        shape : (int, int)
            Height and width of the plane, or of the part that is segmented.
        bytes_read : int, optional
            As in :meth:`needs_blocks`.

        Raises
        ------
        UserError
            With the number.
        """
        require_memory(
            self.plane_bytes_per_pixel * math.prod(shape) + bytes_read,
            f"Segmenting {shape[0]} x {shape[1]} pixels in memory takes",
            "segment a part of the image, or block by block, with `format` zarr.",
        )


DEFAULT_LIMITS = Limits()
