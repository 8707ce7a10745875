"""``nuclei-unet train --from``: the fine-tuning of Python and the window, from folders."""

import csv
import sys

import numpy as np
import pytest
import tifffile
import torch
from conftest import discs
from processes import run_limited, run_process
from skimage.measure import label

from napari_nuclei_unet import fine_tune
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.models.model import read_card, read_model

QUICK = {"epochs": 2, "steps": 3, "batch": 2, "patch": 32}
ALL_FLAGS = [f"--{name}={value}" for name, value in QUICK.items()]
# without reference images, of which the scores take three times as long as all the rest
FLAGS = [*ALL_FLAGS, "--reference=0"]


@pytest.fixture
def data(tmp_path):
    """Three annotated images; gives the two folders."""
    folders = tmp_path / "images", tmp_path / "labels"
    for i in range(3):
        image = discs((96, 96), [(y, x) for y in (20, 50, 80) for x in (15 + i, 45, 75)], 7)
        for folder, what in zip(folders, (image, label(image > 0).astype(np.uint16)), strict=True):
            folder.mkdir(exist_ok=True)
            tifffile.imwrite(folder / f"{i}.tif", what)
    return folders


def train(data, out, *flags):
    return main(["train", *map(str, data), "--out", str(out), *flags])


def weights(path):
    return read_model(path)[1].state_dict()


def test_it_gives_what_python_gives_and_says_what_it_brought(data, tmp_path, bright_file, capsys):
    out = tmp_path / "made" / "mine.safetensors"
    assert train(data, out, "--from", str(bright_file), *ALL_FLAGS) == 0
    told = capsys.readouterr().out
    for words in ("epoch 0/2", "epoch 2/2", "validation: AP@0.5", "reference images: count error"):
        assert words in told
    names = {path.name for path in out.parent.iterdir()}
    assert names == {
        "mine.safetensors", "mine.checkpoint", "history.csv", "curves.png", "predictions.png",
    }  # fmt: skip
    with (out.parent / "history.csv").open() as table:
        assert [row["epoch"] for row in csv.DictReader(table)] == ["0", "1", "2"]
    pairs = [tuple(tifffile.imread(folder / f"{i}.tif") for folder in data) for i in range(3)]
    tuned = fine_tune(pairs, bright_file, **QUICK)
    for name, value in tuned.network.state_dict().items():
        assert torch.equal(value, weights(out)[name]), name
    card = read_card(out)
    assert card.parent["name"] == "bright"
    assert [one["name"] for one in card.trained_on["annotated"]] == ["0", "1", "2"]


def test_it_resumes_without_being_told_where_it_began(data, tmp_path, bright_file, capsys):
    out = tmp_path / "mine.safetensors"
    assert train(data, out, "--from", str(bright_file), *FLAGS) == 0
    capsys.readouterr()
    assert train(data, out, "--resume") == 0
    assert "validation: AP@0.5" in capsys.readouterr().out
    assert read_card(out).parent["name"] == "bright"
    assert train(data, out, "--resume", "--epochs=9") == 2
    assert "epochs 2" in capsys.readouterr().err


def test_with_a_table_whole_field_groups_are_held_back(data, tmp_path, bright_file):
    groups = tmp_path / "groups.csv"
    rows = ["id,field_group,modality", "0,left,dark", "1,left,dark", "2,right,dark"]
    groups.write_text("\n".join(rows))
    out = tmp_path / "mine.safetensors"
    flags = ["--from", str(bright_file), "--groups", str(groups), *FLAGS]
    assert train(data, out, *flags) == 0
    assert read_card(out).trained_on["images"] in (1, 2)
    assert read_card(out).trained_on["nuclei"] in (9, 18)


def test_too_few_nuclei_are_told(data, tmp_path, bright_file, capsys):
    for path in data[1].iterdir():
        tifffile.imwrite(path, np.zeros((96, 96), np.uint16))
    out = tmp_path / "mine.safetensors"
    assert train(data, out, "--from", str(bright_file), *FLAGS) == 2
    assert "Nothing is annotated" in capsys.readouterr().err
    assert not out.exists()


def train_within(memory, *args):
    """Train with so many bytes of memory beyond what is in use."""
    import resource  # not on Windows

    with open("/proc/self/statm") as pages:
        used = int(pages.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + memory,) * 2)
    return train(*args)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits and signals")
def test_without_memory_batches_are_halved_and_that_is_said(data, tmp_path):
    """The limit on memory is a real one: 128 patches need more than there is."""
    out = tmp_path / "mine.safetensors"
    flags = ["--from=nuclei", "--epochs=1", "--steps=1", "--batch=128", "--precision=fp32"]
    run = run_process(train_within, 1_300_000_000, data, out, *flags, "--reference=0")
    assert run.returncode == 0, run.stderr
    assert "not enough memory: it goes on with 64 patches at a time" in run.stdout
    assert read_card(out).history[-1]["epoch"] == 1


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits and signals")
def test_a_full_disk_is_told(data, tmp_path, bright_file):
    out = tmp_path / "out" / "mine.safetensors"
    flags = ["--out", out, "--from", bright_file, *FLAGS]
    run = run_limited(200, "train", *data, *flags)
    assert run.returncode == 2, run.stderr
    assert "cannot be written" in run.stderr
    assert "Traceback" not in run.stderr
    assert not list(out.parent.glob("*mine*"))
    assert not list(out.parent.glob(".*"))
