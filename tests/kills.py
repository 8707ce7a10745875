"""Kills programs at random moments, runs them again, and compares the results; by hand: make kills.

    PYTHONPATH=tests python -c "import kills; kills.run_command()" [--kills 100] [--seed 0]

Each kind of work is killed again and again, then run to its end: labels and tables must be those
of a run that was left alone, no temporary file may be left, and after each kill every file is a
whole one, old or new. Nothing is printed but a line for each kind; the exit code is 1 if
something differs.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
import zarr
from conftest import THRESHOLDS, bright_network, discs
from processes import process, use_fork_server
from safetensors.numpy import load_file
from skimage.measure import label

from napari_nuclei_unet import read_result
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.models.model import ModelCard, save_model

# Files of which each run writes others: time and duration are in them.
RECORDS = ("nuclei_summary.csv", "history.csv", "curves.png", "predictions.png", ".checkpoint")
TRAINING = ["--epochs=3", "--steps=2", "--batch=2", "--patch=32", "--width=4", "--depth=1"]


@dataclass(frozen=True)
class Work:
    """A command that is killed, and run again."""

    name: str
    args: Callable[[Path], list[str]]
    prepare: Callable[[Path], None] = lambda _: None
    again: tuple[str, ...] = ()


def works(data: Path) -> list[Work]:
    """Return all kinds of work, on files that are in a folder."""
    model = ["--model", str(data / "bright.safetensors"), "--diameter", "12"]
    stack, images = str(data / "stack.tif"), str(data / "images")

    def segment(*flags: str) -> Callable[[Path], list[str]]:
        return lambda out: ["segment", *flags, "--out", str(out / "results"), *model]

    def done_before(*flags: str) -> Callable[[Path], None]:
        return lambda out: _run([*segment(*flags)(out), "--minimum-area", "30"])

    def convert(out: Path) -> list[str]:
        formats = "geojson,rois,ome-zarr,csv,ome-tiff"
        labels = str(out / "results" / "stack_labels.ome.tif")
        return ["convert", labels, "--to", formats, "--out", str(out / "converted"), "--overwrite"]

    def segment_and_convert(out: Path) -> None:
        _run(segment(stack)(out))
        _run(convert(out))

    def train(out: Path) -> list[str]:
        return ["train", images, str(data / "labels"), "--out", str(out / "m.safetensors"),
                *TRAINING]  # fmt: skip

    return [
        Work("blocks", segment(stack, "--format", "zarr")),
        Work("blocks, joined", segment(stack, "--format", "zarr", "--join", "t")),
        Work("batch", segment(images)),
        Work("batch over results", segment(images, "--overwrite"), done_before(images)),
        Work("blocks over results", segment(stack, "--format", "zarr", "--overwrite"),
             done_before(stack, "--format", "zarr")),
        Work("export over files", convert, segment_and_convert),
        Work("training", train, again=("--resume",)),
    ]  # fmt: skip


def make_data(data: Path) -> None:
    """Write a model, a stack, and annotated images."""
    network = bright_network()
    card = ModelCard("bright", "bright pixels", network=vars(network.config), thresholds=THRESHOLDS)
    save_model(data / "bright.safetensors", card, network.state_dict())
    centres = [(15, 15), (40, 30), (30, 60)]
    planes = [discs((60, 80), [(y, (x + t) % 80) for y, x in centres]) for t in range(25)]
    tifffile.imwrite(
        data / "stack.tif", np.stack(planes), metadata={"axes": "TYX"}, photometric="minisblack"
    )
    for folder in ("images", "labels"):
        (data / folder).mkdir()
    for number, plane in enumerate(planes[:12]):
        tifffile.imwrite(data / "images" / f"{number}.tif", plane)
        annotated = label(plane > 0).astype(np.uint16)
        tifffile.imwrite(data / "labels" / f"{number}.tif", annotated)


def _run(args: list[str]) -> None:
    if _start(args, None) != 0:
        raise SystemExit(f"{args} failed")


def _start(args: list[str], seconds: float | None) -> int:
    """Run a command in a process of its own, killed after so long; returns its exit code."""
    null = [os.open(os.devnull, os.O_WRONLY) for _ in range(2)]
    with process(main, args, out=null[0], err=null[1]) as made:
        made.join(seconds)
        if made.exitcode is None:
            made.kill()
    return int(made.exitcode or 0)


def check_whole(folder: Path) -> list[str]:
    """Return the files that can be read by nobody."""
    bad = []
    for path in folder.rglob("*"):
        if any(part.endswith(".zarr") or part.startswith(".") for part in path.parts):
            continue
        try:
            if path.suffix == ".csv":
                pd.read_csv(path)
            elif path.suffix == ".tif":
                tifffile.imread(path)
            elif path.suffix == ".safetensors":
                load_file(path)
        except Exception as error:
            bad.append(f"{path.name}: {error}")
    return bad


def differences(one: Path, other: Path) -> list[str]:
    """Return what differs in two folders of results."""
    names = [sorted(_list_files(folder)) for folder in (one, other)]
    if names[0] != names[1]:
        return [f"files {set(names[0]) ^ set(names[1])}"]
    return [name for name in names[0] if not _is_same(one / name, other / name)]


def _list_files(folder: Path) -> set[str]:
    stores = [path for path in folder.rglob("*.zarr") if path.is_dir()]
    files = [path for path in folder.rglob("*") if path.is_file()]
    outside = [path for path in files if not any(store in path.parents for store in stores)]
    return {str(path.relative_to(folder)) for path in (*stores, *outside)}


def _is_same(one: Path, other: Path) -> bool:
    if one.name.endswith(RECORDS):
        return True
    if one.is_dir():
        arrays = [zarr.open_array(path / "0", mode="r")[:] for path in (one, other)]
        return bool(np.array_equal(*arrays)) and read_result(one).labels.shape == arrays[0].shape
    if one.suffix == ".tif":
        return bool(np.array_equal(tifffile.imread(one), tifffile.imread(other)))
    if one.suffix == ".safetensors":
        weights = [load_file(path) for path in (one, other)]
        return all(np.array_equal(weights[0][key], weights[1][key]) for key in weights[0])
    return one.suffix == ".zip" or one.read_bytes() == other.read_bytes()


def kill_and_compare(work: Work, folder: Path, kills: int, chance: random.Random) -> list[str]:
    """Kill a command so often, and return what differs in the end."""
    whole, out = folder / "whole", folder / "out"
    found: list[str] = []
    work.prepare(whole)
    since = time.monotonic()
    _run(work.args(whole))
    duration = time.monotonic() - since
    work.prepare(out)
    for _ in range(kills):
        is_begun = bool(work.again) and any(out.rglob("*.checkpoint"))
        _start([*work.args(out), *(work.again if is_begun else ())], chance.uniform(0, duration))
        found += check_whole(out)
    is_begun = bool(work.again) and any(out.rglob("*.checkpoint"))
    _run([*work.args(out), *(work.again if is_begun else ())])
    return found + differences(whole, out)


def run_all(kills: int, seed: int) -> int:
    """Kill all kinds of work; returns the exit code."""
    chance, failed = random.Random(seed), False
    use_fork_server()
    with tempfile.TemporaryDirectory() as made:
        data = Path(made)
        make_data(data)
        kinds = works(data)
        for number, work in enumerate(kinds):
            folder = data / f"work{number}"
            folder.mkdir()
            count = kills // len(kinds) + (number < kills % len(kinds))
            found = kill_and_compare(work, folder, count, chance)
            failed = failed or bool(found)
            told = "; ".join(found) or "no difference"
            sys.stdout.write(f"{work.name}: {count} kills, {told}\n")
            sys.stdout.flush()
            shutil.rmtree(folder)
    return int(failed)


def run_command() -> None:
    """Run as a program. (Run as a file, it would be imported by each of the processes.)"""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    sys.exit(run_all(given.kills, given.seed))
