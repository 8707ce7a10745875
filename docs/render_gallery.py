"""Render the pictures of docs/gallery.md from results on the bundled samples.

python docs/render_gallery.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
import PIL.ImageDraw
import tifffile
from numpy.typing import NDArray
from render_failures import to_rgb
from skimage.segmentation import expand_labels, find_boundaries

from napari_nuclei_unet import (
    TrackScale,
    measure,
    measure_tracks,
    read_result,
    read_sample,
    segment,
    segment_volume,
)
from napari_nuclei_unet.cli import main as run_command
from napari_nuclei_unet.samples.images import SAMPLES
from napari_nuclei_unet.samples.synthetic import STACK_STEP
from napari_nuclei_unet.training.plots import FOUND_COLOR, draw_outlines

OUT = Path(__file__).parent / "gallery"
# of each of the two parts of a picture, in pixels of the sample, which are enlarged
SHAPE, ENLARGED = (200, 230), 2
GAP = 8
POSITIVE, NEGATIVE, CELL = (1.0, 0.55, 0.0), (0.35, 0.75, 1.0), (1.0, 0.2, 0.9)
# intensity of the marker above which a nucleus is positive
LIMIT = 1000
RING = 5
# where a sample has most nuclei
CORNERS = {
    "fluorescence_small": (220, 260),
    "fluorescence_large": (60, 20),
    "histology_purple": (0, 60),
    "grayscale_tissue": (720, 220),
}
FRAMES = 3, 11
FAMILIES = np.array([(1, 0.75, 0), (0, 0.85, 1), (1, 0.4, 0.8), (0.6, 1, 0.4), (0.7, 0.6, 1)])


def main() -> None:
    """Render all of them."""
    OUT.mkdir(exist_ok=True)
    for name in SAMPLES:
        image, _ = read_sample(name)
        corner = CORNERS.get(name, (20, 20))
        write(name, cut(to_rgb(image), corner), cut(outline(image, segment(image)), corner))
    positive()
    rings()
    volume()
    film()


def outline(
    image: NDArray[np.generic],
    labels: NDArray[np.integer],
    colour: tuple[float, ...] = FOUND_COLOR,
) -> NDArray[np.floating]:
    """Return an image, which may be RGB from 0 to 1 already, with outlines."""
    return draw_outlines(image if image.dtype.kind == "f" else to_rgb(image), labels, colour)


def cut(pixels: NDArray[np.floating], corner: tuple[int, int] = (20, 20)) -> NDArray[np.floating]:
    """Cut out what the picture shows, and repeat its pixels."""
    rows, columns = (slice(at, at + size) for at, size in zip(corner, SHAPE, strict=True))
    return pixels[rows, columns].repeat(ENLARGED, 0).repeat(ENLARGED, 1)


def write(name: str, *parts: NDArray[np.floating]) -> None:
    """Write pictures side by side."""
    gap = np.ones((SHAPE[0] * ENLARGED, GAP, 3))
    row = np.hstack([one for part in parts for one in (part, gap)][:-1])
    picture = PIL.Image.fromarray((255 * row).round().astype(np.uint8))
    picture.save(OUT / f"{name}.jpg", quality=80, optimize=True)


def positive() -> None:
    """Draw nuclei with and without a marker in two colours."""
    (nuclei, marker), _ = read_sample("two_channels")
    labels = segment(nuclei)
    table = measure(labels, marker).set_index("label")
    bright = np.isin(labels, table.index[table["mean_intensity"] > LIMIT])
    blue, magenta = to_rgb(nuclei)[..., 2], to_rgb(marker)[..., 0]
    merged = np.stack([magenta, blue / 2, blue], axis=-1)
    shown = outline(nuclei, np.where(bright, 0, labels), NEGATIVE)
    shown = outline(shown, np.where(bright, labels, 0), POSITIVE)
    corner = CORNERS["fluorescence_small"]
    write("positive", cut(merged, corner), cut(shown, corner))


def rings() -> None:
    """Draw the rings in which the cytoplasm is measured."""
    (nuclei, marker), _ = read_sample("two_channels")
    labels = segment(nuclei)
    shown = outline(outline(marker, expand_labels(labels, RING), CELL), labels)
    corner = CORNERS["fluorescence_small"]
    write("rings", cut(to_rgb(marker), corner), cut(shown, corner))


def volume() -> None:
    """Draw a slice of a z-stack, and a section along z with slices of their true thickness."""
    stack, _ = read_sample("z_stack")
    labels = segment_volume(stack, "ZYX", z_step=STACK_STEP)
    colours = np.random.default_rng(3).uniform(0.25, 1, (labels.max() + 1, 3))
    row = stack.shape[1] // 2
    slices = (np.arange(round(len(stack) * STACK_STEP)) / STACK_STEP).astype(int)
    around = (SHAPE[0] - len(slices)) // 2
    section, found = (
        np.pad(one[slices, row], ((20 + around, SHAPE[0]), (0, 0))) for one in (stack, labels)
    )
    middle = len(stack) // 2
    write("volume", tint(stack[middle], labels[middle], colours), tint(section, found, colours))


def tint(
    image: NDArray[np.generic], labels: NDArray[np.integer], colours: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Return an image with nuclei in colours."""
    grey = to_rgb(image)
    return cut(np.where(labels[..., None] > 0, 0.45 * grey + 0.55 * colours[labels], grey))


def film() -> None:
    """Draw two frames of a film, each family in a colour, with the ways of its nuclei."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.tif"
        pixels, _ = read_sample("film")
        tifffile.imwrite(path, pixels, metadata={"axes": "TYX"}, imagej=True)
        run_command(["segment", str(path), "--track", "--out", folder])
        result = read_result(Path(folder) / "film_labels.ome.tif")
        labels, tracks = np.asarray(result.labels), result.tracks
    lineage = measure_tracks(tracks, TrackScale()).groupby("track")["lineage"].first()
    colours = np.zeros((labels.max() + 1, 3))
    colours[lineage.index] = FAMILIES[lineage % len(FAMILIES)]
    write("film", *(draw_frame(pixels, labels, tracks, colours, frame) for frame in FRAMES))


def draw_frame(
    pixels: NDArray[np.generic],
    labels: NDArray[np.integer],
    tracks: pd.DataFrame,
    colours: NDArray[np.floating],
    frame: int,
) -> NDArray[np.floating]:
    """Return a frame with outlines and ways in the colours of labels."""
    edges = find_boundaries(labels[frame], mode="inner")[..., None]
    shown = np.where(edges, colours[labels[frame]], to_rgb(pixels[frame]))
    picture = PIL.Image.fromarray((255 * cut(shown)).astype(np.uint8))
    pen = PIL.ImageDraw.Draw(picture)
    for track, way in tracks[tracks["time"] <= frame].groupby("track"):
        colour = tuple((255 * colours[track]).astype(int))
        points = (way[["x", "y"]].to_numpy() + 0.5 - 20) * ENLARGED
        pen.line([tuple(point) for point in points], fill=colour, width=3)
    return np.asarray(picture) / 255


if __name__ == "__main__":
    main()
