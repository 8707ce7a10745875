"""Measure in five minutes what must not become worse, and append a row to the tracked table.

    python benchmarks/tracked.py [--table docs/reference/benchmarks.md] [--edge 4096]
                                 [--stream-edge 8192] [--runs 2]

``make bench`` runs it. Scores are those of the bundled samples, which the model was trained on:
they show that results have changed, not how good they are. Speed and peak memory are those of
``larger_than_memory.py``: a plane in memory, and one block by block. ``segment`` is the whole
command on an image of 512 x 512, with warm caches, and ``import`` the whole of ``python -c "import
napari_nuclei_unet"``: medians. Nothing else should run: the load before the first measurement is
in the row.
"""

import argparse
import datetime as dt
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import larger_than_memory
import PIL.Image
import psutil
import speed
import torch

from napari_nuclei_unet import load_model, read_sample, run, segment_steps
from napari_nuclei_unet.cli._system_report import iter_report_lines
from napari_nuclei_unet.metrics.matching import average_scores, count_matches
from napari_nuclei_unet.samples.images import SAMPLES

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "reference" / "benchmarks.md"
# what decides in which precision the network runs, and how fast, best first
INSTRUCTIONS = ("amx_tile", "avx512_bf16", "avx512_vnni", "avx_vnni")


def main() -> None:
    """Append a row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--edge", type=int, default=4096)
    parser.add_argument("--stream-edge", type=int, default=8192)
    parser.add_argument("--runs", type=int, default=2)
    args = parser.parse_args()
    before = f"{psutil.getloadavg()[0]:.1f}"
    state = name_state()
    precision, *scores = score_samples()
    cells = [*state[:2], f"{state[2]}, {precision}", before, *scores]
    cells += [*time_planes(args), *time_start()]
    row = f"| {' | '.join(cells)} |"
    print(row)
    with args.table.open("a", encoding="utf-8") as table:
        table.write(f"{row}\n")


def name_state() -> list[str]:
    """Return commit, date, and processor with its instructions and torch."""
    git = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    commit = subprocess.run(git, cwd=ROOT, capture_output=True, text=True).stdout.strip()
    report = dict(line.split(": ", 1) for line in iter_report_lines())
    able = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    extra = next((name for name in INSTRUCTIONS if able.get(name)), "")
    instructions = " ".join([torch.backends.cpu.get_cpu_capability(), extra]).strip()
    used = f"{torch.get_num_threads()} used, {instructions}, torch {torch.__version__}"
    return [commit or "?", f"{dt.date.today()}", f"{report['processor']}, {used}"]


def score_samples() -> list[str]:
    """Return precision, AP at 0.5 and mean AP of the bundled samples, by image."""
    model, counts = load_model(), []
    for name in SAMPLES:
        image, annotation = read_sample(name)
        found = run(segment_steps(image, model))
        counts.append(count_matches(annotation, found.labels))
    scores = average_scores(counts)
    precision = found.record["ran_on"]["precision"]
    return [precision, *(f"{scores[name]:.3f}" for name in ("AP@0.5", "mean AP"))]


def time_planes(args: argparse.Namespace) -> list[str]:
    """Return Mpx/s and peak memory in memory, and block by block."""
    whole = larger_than_memory.measured(larger_than_memory.WHOLE, args.edge, args.runs)
    stream = larger_than_memory.measured(larger_than_memory.STREAM, args.stream_edge, 1)
    return [
        f"{larger_than_memory.megapixels(edge) / made['seconds']:.2f} Mpx/s, "
        f"{made['peak'] / 1e9:.2f} GB"
        for edge, made in ((args.edge, whole), (args.stream_edge, stream))
    ]


def time_start() -> list[str]:
    """Return seconds of ``segment`` on a small image, and of the import of the package."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "small.png"
        PIL.Image.fromarray(speed.crop(speed.SMALL_EDGE)).save(image)
        segment = [*speed.OURS, "segment", str(image), "--overwrite", "--out", f"{folder}/out"]
        commands = segment, [sys.executable, "-c", "import napari_nuclei_unet"]
        return [f"{median_seconds(command):.2f} s" for command in commands]


def median_seconds(command: list[str]) -> float:
    """Return the median of three runs, after one that fills the caches."""
    return statistics.median([speed.clock(command) for _ in range(4)][1:])


if __name__ == "__main__":
    main()
