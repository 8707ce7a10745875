"""Time StarDist's network, to compare with ``nuclei-unet bench`` on the same machine.

    python -m venv other && other/bin/pip install stardist tensorflow
    other/bin/python benchmarks/stardist_speed.py [--size 4096] [--tiles 4]

Run it with an interpreter that has TensorFlow, in the same minutes as ``nuclei-unet bench``. The
network is that of the public model 2D_versatile_fluo (U-Net of depth 3 and width 32 on a grid of
2, 32 rays) with random weights, which take as long. Finding the nuclei in what it predicts is left
out, as random weights find none: the whole of StarDist takes longer than what is printed.
"""

import argparse
import time

import numpy as np
from stardist.models import Config2D, StarDist2D


def main() -> None:
    """Print the speed of the fastest of three runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--tiles", type=int, default=4, help="along each axis")
    args = parser.parse_args()
    model = StarDist2D(Config2D(n_rays=32, grid=(2, 2)), basedir=None)
    image = np.random.default_rng(0).random((args.size, args.size), np.float32)
    tiles = (args.tiles, args.tiles)
    model.predict(image[:512, :512])  # warm
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        model.predict(image, n_tiles=tiles, show_tile_progress=False)
        seconds.append(time.perf_counter() - start)
    megapixels = args.size**2 / 1e6
    print(f"network of StarDist 2D: {min(seconds):.2f} s, {megapixels / min(seconds):.2f} Mpx/s")


if __name__ == "__main__":
    main()
