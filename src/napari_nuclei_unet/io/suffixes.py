"""Suffixes of image files."""

from __future__ import annotations

# All that tifffile reads, and .flex of Opera: a test holds them against tifffile's own list.
TIFF_SUFFIXES = (
    ".tif", ".tiff", ".btf", ".tf2", ".tf8", ".zif", ".ptif", ".ptiff", ".lsm", ".stk", ".flex",
    ".svs", ".avs", ".scn", ".ndpi", ".bif", ".qptiff", ".qpi", ".gel", ".pcoraw", ".seq", ".eer",
)  # fmt: skip
# Read with the extra ``formats``.
MICROSCOPE_KINDS = {
    ".nd2": "Nikon ND2", ".czi": "Zeiss CZI", ".zvi": "Zeiss ZVI", ".lif": "Leica LIF",
    ".lof": "Leica LOF", ".xlif": "Leica XLIF", ".oib": "Olympus OIB", ".oif": "Olympus OIF",
    ".oir": "Olympus OIR", ".vsi": "Olympus VSI", ".ims": "Imaris",
}  # fmt: skip
