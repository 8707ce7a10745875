"""Time networks of several shapes: one training step, and predicting.

    python benchmarks/networks.py [--threads 2] [--train]

Training: 8 patches of 256 x 256, bf16, forward, backward and optimizer. Predicting: one plane of
1024 x 1024 in bf16 and fp32; ``ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2`` before it shows
the fp32 of processors without 16-bit arithmetic (their bf16 takes very long). The shortest of four
runs each.
"""

import argparse
import time
from collections.abc import Callable

import torch

from napari_nuclei_unet.network.fusion import fuse_conv_bn_relu, to_channels_last
from napari_nuclei_unet.network.unet import UNet, UNetConfig

# width, depth, stem, detail
SHAPES = [
    (24, 3, 2, 0), (32, 3, 2, 0), (40, 3, 2, 0), (48, 3, 2, 0), (32, 4, 2, 0), (16, 4, 1, 0),
    (24, 4, 1, 0), (32, 3, 2, 16), (40, 3, 2, 16), (48, 3, 2, 16),
]  # fmt: skip


def shortest(run: Callable[[], object]) -> float:
    """Seconds of the fastest of four runs."""
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def step_time(network: UNet) -> float:
    """Seconds of one step of training."""
    network = to_channels_last(network)
    optimizer = torch.optim.AdamW(network.parameters())
    images = torch.rand(8, 3, 256, 256).to(memory_format=torch.channels_last)

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(images)
        optimizer.zero_grad()
        logits.float().square().mean().backward()
        optimizer.step()

    return shortest(step)


def speed(network: UNet, dtype: torch.dtype | None) -> float:
    """Megapixels a second."""
    image = torch.rand(1, 3, 1024, 1024).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def predict() -> None:
        with torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            network(image)

    return image[0, 0].numel() / 1e6 / shortest(predict)


def main() -> None:
    """Print one row a network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--train", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print("| width | depth | stem | detail | parameters | ", end="")
    print("step |" if args.train else "bf16 | fp32 |")
    for width, depth, stem, detail in SHAPES:
        config = UNetConfig(out_channels=4, width=width, depth=depth, stem=stem, detail=detail)
        network = UNet(config)
        size = sum(one.numel() for one in network.parameters()) / 1e6
        print(f"| {width} | {depth} | {stem} | {detail} | {size:.2f} M | ", end="")
        if args.train:
            print(f"{step_time(network):.2f} s |", flush=True)
        else:
            network = fuse_conv_bn_relu(network)
            half, full = speed(network, torch.bfloat16), speed(network, None)
            print(f"{half:.1f} Mpx/s | {full:.1f} Mpx/s |", flush=True)


if __name__ == "__main__":
    main()
