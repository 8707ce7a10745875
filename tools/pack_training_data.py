"""Pack annotated images into one file that is small enough to be sent to a machine with a GPU.

    python tools/pack_training_data.py IMAGES LABELS GROUPS.csv PACKED.zip --most 40

PACKED.zip holds the folders images and labels, and the table images.csv: unpacked, it is what
`nuclei-unet train` reads. Pixels are not changed, and no image is left out. Where the files have
more than MOST MiB together, the largest images to train on are cut to a square window, the one
with the most pixels of nuclei; its edge is the largest that fits. Each stays one image, of its
name, group and modality, so that training, validation and the share of each modality are those of
the whole data; images that are validated are whole.
"""

import argparse
import io
import sys
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from napari_nuclei_unet.io.images import find_images, read_plane
from napari_nuclei_unet.io.labels import read_labels
from napari_nuclei_unet.io.lazy_images import image_stem
from napari_nuclei_unet.params import TrainParams
from napari_nuclei_unet.training.dataset import find_labels_by_stem, read_groups
from napari_nuclei_unet.training.split import split_by_group

MIB = 2**20
# Edges of windows are multiples of STEP pixels, and none is smaller than SMALLEST.
STEP, SMALLEST = 16, 256
# What an entry of a zip file takes besides its content and twice its name, in bytes.
ENTRY = 30 + 46


@dataclass(frozen=True)
class Row:
    """An image: files of it and its labels, and its row of the table of groups."""

    name: str
    image: Path
    labels: Path
    group: str
    kind: str


@dataclass(frozen=True, eq=False)
class Window:
    """What is packed of an image: its share of the pixels, and names and contents of its files."""

    row: Row
    share: float
    files: dict[str, bytes]

    @property
    def size(self) -> int:
        """Bytes in the zip file."""
        return sum(len(data) + 2 * len(name) + ENTRY for name, data in self.files.items())


def main() -> None:
    """Pack, and print what is held and what is left out."""
    args = parse_args()
    rows = find_rows(args.images, args.labels, args.groups)
    training, validation = split_by_group(rows, args.validation, args.seed)
    whole = {row.name: pack_whole(row) for row in rows}
    edge, windows = pack(whole, training, args.most * MIB - len(table_of(rows)) - 1000)
    with zipfile.ZipFile(args.out, "w") as packed:  # stored: images are compressed already
        packed.writestr(zipfile.ZipInfo("images.csv"), table_of(rows))  # no time: same bytes
        for window in windows.values():
            for name, data in window.files.items():
                packed.writestr(zipfile.ZipInfo(name), data)
    print(report(list(windows.values()), edge, {row.name for row in validation}))
    print(f"{args.out}: {args.out.stat().st_size / MIB:.1f} MiB")


def parse_args() -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    for name in ("images", "labels", "groups", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--most", type=float, default=40.0, help="largest size of OUT in MiB")
    parser.add_argument("--validation", type=float, default=TrainParams().validation)
    parser.add_argument("--seed", type=int, default=TrainParams().seed)
    return parser.parse_args()


def find_rows(images: Path, labels: Path, groups: Path) -> list[Row]:
    """Find images, in order of their names, with labels and row of the table."""
    files = {image_stem(path): path for path in find_images([images])}
    truths = find_labels_by_stem(labels, files)
    table = read_groups(groups, files, ("field_group", "modality"))
    return [
        Row(name, path, truths[name], table[name]["field_group"] or name, table[name]["modality"])
        for name, path in files.items()
    ]


def table_of(rows: list[Row]) -> str:
    """Return the table of groups as CSV."""
    return "\n".join(
        ["id,field_group,modality", *(f"{row.name},{row.group},{row.kind}" for row in rows), ""]
    )


def pack_whole(row: Row) -> Window:
    """Pack an image with its files as they are."""
    files = {
        f"images/{row.image.name}": row.image.read_bytes(),
        f"labels/{row.labels.name}": row.labels.read_bytes(),
    }
    return Window(row, 1.0, files)


def pack(
    whole: dict[str, Window], training: list[Row], most: float
) -> tuple[int, dict[str, Window]]:
    """Pack all images into ``most`` bytes, and return the edge of the windows; 0: all are whole."""
    if sum(window.size for window in whole.values()) <= most:
        return 0, whole
    shapes = {row.name: read_plane(row.image).shape[:2] for row in training}
    for edge in range(max(map(max, shapes.values())) // STEP * STEP, SMALLEST - 1, -STEP):
        shares = {
            name: min(edge, height) * min(edge, width) / (height * width)
            for name, (height, width) in shapes.items()
        }
        # about: so that few edges are tried
        if sum(window.size * shares.get(name, 1) for name, window in whole.items()) > most:
            continue
        cut = {name: pack_window(whole[name], edge) for name, share in shares.items() if share < 1}
        windows = whole | cut
        if sum(window.size for window in windows.values()) <= most:
            return edge, windows
    sys.exit(f"Even windows of {SMALLEST} x {SMALLEST} do not fit: raise --most.")


def pack_window(whole: Window, edge: int) -> Window:
    """Pack the window of an image with the most pixels of nuclei; whole where that is no more."""
    row = whole.row
    image, truth = read_plane(row.image), read_labels(row.labels)
    if max(truth.shape) <= edge or not (is_png(image) and is_png(truth)):
        return whole
    window = find_window(truth > 0, edge)
    files = {
        f"images/{row.name}.png": png(image[window]),
        f"labels/{row.name}.png": png(truth[window]),
    }
    cut = Window(row, truth[window].size / truth.size, files)
    return cut if cut.size < whole.size else whole


def find_window(nuclei: NDArray[np.bool_], edge: int) -> tuple[slice, slice]:
    """Find the window with the most True, the first of several; shorter where the image is."""
    height, width = (min(edge, extent) for extent in nuclei.shape)
    sums = np.pad(nuclei.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width]
    inside += sums[:-height, :-width]
    top, left = np.unravel_index(inside.argmax(), inside.shape)
    return slice(top, top + height), slice(left, left + width)


def is_png(pixels: NDArray[np.generic]) -> bool:
    """Return whether PNG holds pixels of this kind: 8 bits, or grey of up to 16."""
    small = pixels.ndim == 2 and pixels.dtype.kind in "iu" and pixels.min() >= 0
    return pixels.dtype == np.uint8 or (small and bool(pixels.max() < 2**16))


def png(pixels: NDArray[np.generic]) -> bytes:
    """Return an image as a PNG file."""
    kept = pixels if pixels.dtype == np.uint8 else pixels.astype(np.uint16)
    file = io.BytesIO()
    PIL.Image.fromarray(np.ascontiguousarray(kept)).save(file, "PNG")
    return file.getvalue()


def report(windows: list[Window], edge: int, validation: set[str]) -> str:
    """Return, for each modality, how much is packed."""
    lines = [f"images are cut to {edge} x {edge} at most" if edge else "no image is cut"]
    columns = "modality", "images", "validated", "cut", "pixels left", "MiB"
    lines.append("  ".join([f"{columns[0]:24}", *columns[1:]]))
    counts = Counter(window.row.kind for window in windows)
    for kind, n in sorted(counts.items()):
        these = [window for window in windows if window.row.kind == kind]
        validated = sum(window.row.name in validation for window in these)
        cut = [window.share for window in these if window.share < 1]
        left = sum(cut) / len(cut) if cut else 1.0  # of those that are cut
        size = sum(window.size for window in these) / MIB
        lines.append(f"{kind:24}  {n:6}  {validated:9}  {len(cut):3}  {left:11.0%}  {size:.1f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
