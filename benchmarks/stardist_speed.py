"""Time StarDist, to compare with ``nuclei-unet bench`` on the same machine.

    python -m venv other && other/bin/pip install stardist tensorflow
    other/bin/python benchmarks/stardist_speed.py [--size 4096] [--tiles 4] [--runs 3]
    other/bin/python benchmarks/stardist_speed.py --image IMAGE_OR_FOLDER --model MODEL_FOLDER

Run it with an interpreter that has TensorFlow, in the same minutes as ``nuclei-unet bench``.

With the folder of a model (one with ``config.json`` and weights, such as the public
2D_versatile_fluo) and an image, or a folder of PNG and TIFF images, that is normalised and
segmented end to end. Without, the network alone is timed: that of 2D_versatile_fluo (U-Net of depth
3 and width 32 on a grid of 2, 32 rays) with random weights, which take as long. Finding the nuclei
in what it predicts is left out, as random weights find none: the whole of StarDist takes longer.

The last line is ``seconds S``, without loading TensorFlow and the model: ``benchmarks/speed.py``
reads it.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from csbdeep.utils import normalize
from stardist.models import Config2D, StarDist2D

SUFFIXES = (".png", ".tif", ".tiff")
# So large parts of an image go through the network together.
TILE = 1024


def main() -> None:
    """Print the speed of the fastest run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--tiles", type=int, default=4, help="along each axis")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--image", type=Path, help="file, or folder of files")
    parser.add_argument("--model", type=Path, help="folder of a model of StarDist")
    args = parser.parse_args()
    images = [] if args.image is None else read_images(args.image)
    if args.model is None:
        model = StarDist2D(Config2D(n_rays=32, grid=(2, 2)), basedir=None)
        noise = np.random.default_rng(0).random((args.size, args.size), np.float32)
        images = [one.astype(np.float32) for one in images] or [noise]
        what = "network of StarDist 2D"
    else:
        model = StarDist2D(None, name=args.model.name, basedir=str(args.model.parent))
        what = "StarDist 2D end to end"
    print_speed(what, images, args.runs, lambda one: segment(model, one, args))


def read_images(path: Path) -> list[np.ndarray]:
    """Read an image, or those of a folder."""
    import imageio.v3 as imageio
    import tifffile

    paths = sorted(path.iterdir()) if path.is_dir() else [path]
    return [
        imageio.imread(one) if one.suffix == ".png" else tifffile.imread(one)
        for one in paths
        if one.suffix.lower() in SUFFIXES
    ]


def segment(model: StarDist2D, image: np.ndarray, args: argparse.Namespace) -> None:
    """Predict; with weights, find the nuclei, too."""
    given = args.tiles if args.image is None else None
    tiles = tuple(given or max(1, -(-edge // TILE)) for edge in image.shape[:2])
    if args.model is None:
        model.predict(image, n_tiles=tiles, show_tile_progress=False)
    else:
        seen = normalize(image, 1, 99.8)
        model.predict_instances(seen, n_tiles=tiles, show_tile_progress=False)


def print_speed(
    what: str, images: list[np.ndarray], runs: int, run: Callable[[np.ndarray], None]
) -> None:
    """Segment all images, several times after warming up."""
    run(images[0][:512, :512])
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        for image in images:
            run(image)
        seconds.append(time.perf_counter() - start)
    megapixels = sum(one.shape[0] * one.shape[1] for one in images) / 1e6
    print(f"{what}: {min(seconds):.2f} s, {megapixels / min(seconds):.2f} Mpx/s")
    print(f"seconds {min(seconds):.4f}")


if __name__ == "__main__":
    main()
