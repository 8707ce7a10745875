"""How far around itself a tile must be read that begins and ends where pooled squares do."""

from __future__ import annotations

from .unet import UNetConfig


def aligned_halo(config: UNetConfig) -> int:
    """Compute how far tiles look that begin and end at multiples of the divisor.

    The squares that are pooled end where such a tile ends, so its outermost pixels look less far
    than others (docs/decisions/0019-pixels-read.md).

    Parameters
    ----------
    config : UNetConfig

    Returns
    -------
    int
        In pixels, a multiple of the divisor; with a pretrained encoder the receptive field.
    """
    if config.encoder != "plain":
        return config.halo
    reach = 1 if config.detail else 0
    for level in range(config.depth + 1):  # up the expanding path, against the data
        square = config.stem * 2**level
        reach = _round_up(reach, square) + 2 * square
    reach += sum(2 * config.stem * 2**level for level in range(config.depth))
    return _round_up(reach, config.divisor)


def _round_up(value: int, divisor: int) -> int:
    return -(-value // divisor) * divisor
