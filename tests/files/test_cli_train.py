"""``nuclei-unet train``, run as a user runs it."""

import csv
import os
import signal
import sys

import numpy as np
import PIL.Image
import pytest
import tifffile
from processes import process, run_limited
from skimage.measure import label

from napari_nuclei_unet.cli import main
from napari_nuclei_unet.models.model import read_card
from napari_nuclei_unet.training.dataset import read_examples

SMALL = ["--epochs=2", "--steps=2", "--batch=2", "--patch=32", "--width=4", "--depth=1"]


@pytest.fixture
def data(tmp_path, three_discs):
    """Four annotated images; gives the two folders."""
    images, labels = tmp_path / "images", tmp_path / "labels"
    for folder in (images, labels):
        folder.mkdir()
    for i in range(4):
        image = np.roll(three_discs, 5 * i, axis=1)
        tifffile.imwrite(images / f"{i}.tif", image)
        tifffile.imwrite(labels / f"{i}.tif", label(image > 0).astype(np.uint16))
    return images, labels


def train(data, out, *flags):
    return main(["train", *map(str, data), "--out", str(out), *flags])


def refused(capsys, *words):
    """stderr is one sentence with these words; returns nothing, as nothing was written."""
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1, error
    for word in words:
        assert word in error, error


def test_train_writes_a_model_that_segments_and_what_to_look_at(data, tmp_path, capsys):
    out = tmp_path / "made" / "mine.safetensors"
    assert train(data, out, *SMALL) == 0
    assert {path.name for path in out.parent.iterdir()} == {
        "mine.safetensors", "mine.checkpoint", "history.csv", "curves.png", "predictions.png",
    }  # fmt: skip
    with (out.parent / "history.csv").open() as table:
        rows = list(csv.DictReader(table))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    for name in ("training_loss", "validation_loss", "training_iou", "validation_iou",
                 "validation_ap", "learning_rate", "seconds"):  # fmt: skip
        assert all(np.isfinite(float(row[name])) for row in rows)
    for name in ("curves.png", "predictions.png"):
        picture = np.asarray(PIL.Image.open(out.parent / name).convert("L"))
        assert picture.shape[1] >= 1000
        assert picture.std() > 5  # something is drawn
    segmenting = ["segment", str(data[0]), "--out", str(tmp_path / "o"), "--model", str(out)]
    assert main(segmenting) == 0
    assert "epoch 2/2" in capsys.readouterr().out


def test_the_recipe_of_the_paper_makes_a_model_like_any_other(data, tmp_path):
    out = tmp_path / "seed.safetensors"
    flags = ["--recipe=seed", "--epochs=1", "--width=2", "--resize=64"]
    assert train(data, out, *flags) == 0
    card = read_card(out)
    assert card.network["out_channels"] == 1
    assert card.network["depth"] == 5
    assert (card.training["batch"], card.training["learning_rate"]) == (10, 3e-4)
    segmenting = ["segment", str(data[0]), "--out", str(tmp_path / "o"), "--model", str(out)]
    assert main(segmenting) == 0


def test_resume_takes_the_parameters_of_the_checkpoint(data, tmp_path, capsys):
    out = tmp_path / "mine.safetensors"
    assert train(data, out, *SMALL) == 0
    assert train(data, out, "--resume") == 0  # nothing left to do but the last step
    capsys.readouterr()
    assert train(data, out, "--resume", "--epochs=5") == 2
    refused(capsys, "epochs 2", "same parameters")
    assert train(data, tmp_path / "other.safetensors", "--resume") == 2
    refused(capsys, "no checkpoint")


def break_one(data, how):
    labels = data[1]
    truth = tifffile.imread(labels / "1.tif")
    broken = {
        "rgb": np.dstack([truth] * 3),
        "float": truth.astype(np.float32) + 0.5,
        "negative": truth.astype(np.int16) - 5,
        "shape": truth[:-1],
    }
    tifffile.imwrite(labels / "1.tif", broken[how])


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("rgb", ("1.tif", "not labels")),
        ("float", ("1.tif", "no labels")),
        ("negative", ("1.tif", "negative")),
        ("shape", ("1:", "size")),
    ],
)
def test_labels_that_are_none_are_told(data, tmp_path, capsys, how, words):
    break_one(data, how)
    assert train(data, tmp_path / "out" / "m.safetensors", *SMALL) == 2
    refused(capsys, *words)
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("value", [7, np.nan])
@pytest.mark.parametrize("start", [[], ["--from", "nuclei"]], ids=["from nothing", "from a model"])
def test_an_image_without_a_picture_is_told(data, tmp_path, capsys, value, start):
    shape = tifffile.imread(data[0] / "1.tif").shape
    tifffile.imwrite(data[0] / "1.tif", np.full(shape, value, np.float32))
    assert train(data, tmp_path / "m.safetensors", *SMALL[:4], *start) == 2
    refused(capsys, "1: all pixels of the image have the same value where nuclei are labelled")


@pytest.mark.parametrize("missing", [0, 1], ids=["image", "labels"])
def test_a_missing_partner_is_told(data, tmp_path, capsys, missing):
    (data[missing] / "3.tif").unlink()
    assert train(data, tmp_path / "m.safetensors", *SMALL) == 2
    refused(capsys, "no partner", "3")


def test_an_empty_folder_a_single_image_and_none_annotated_are_told(data, tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert train((empty, data[1]), tmp_path / "m.safetensors", *SMALL) == 2
    refused(capsys, "contains no TIFF")
    for path in [*data[0].iterdir(), *data[1].iterdir()]:
        if path.stem != "0":
            path.unlink()
    assert train(data, tmp_path / "m.safetensors", *SMALL) == 2
    refused(capsys, "at least two")
    for i in (0, 1):
        tifffile.imwrite(data[0] / f"{i}.tif", tifffile.imread(data[0] / "0.tif"))
        tifffile.imwrite(data[1] / f"{i}.tif", np.zeros((60, 80), np.uint16))
    assert train(data, tmp_path / "m.safetensors", *SMALL) == 2
    refused(capsys, "nucleus")


def test_an_image_without_a_nucleus_is_kept_as_background(data, tmp_path):
    tifffile.imwrite(data[1] / "1.tif", np.zeros((60, 80), np.uint16))
    out = tmp_path / "m.safetensors"
    assert train(data, out, *SMALL) == 0
    assert read_card(out).trained_on["images"] == 3


def test_images_with_fewer_pixels_than_a_patch_are_told(data, tmp_path, capsys):
    assert train(data, tmp_path / "m.safetensors", *SMALL, "--patch=96") == 2
    refused(capsys, "fewer pixels than a patch of 96 x 96", "64 at most")


def test_a_bad_name_or_value_is_told(data, tmp_path, capsys):
    for name in ("model", "."):
        assert train(data, tmp_path / name, *SMALL) == 2
        refused(capsys, "the file of the model", ".safetensors")
    folder = tmp_path / "folder.safetensors"
    folder.mkdir()
    assert train(data, folder, *SMALL) == 2
    refused(capsys, "the file of the model")
    assert train(data, tmp_path / "m.safetensors", "--epochs=0") == 2
    refused(capsys, "epochs")
    assert (
        train(
            data, tmp_path / "m.safetensors", *SMALL, "--encoder=resnet34", "--stem=2", "--depth=5"
        )
        == 2
    )
    refused(capsys, "depth of 1 to 4")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("id,field_group\n0,a\n", ("columns id, field_group, modality",)),
        ("id,field_group,modality\n0.tif,a,b\n", ("no row for 4", "first is 0")),
    ],
)
def test_a_table_of_groups_that_says_nothing_of_the_images_is_told(
    data, tmp_path, capsys, table, words
):
    groups = tmp_path / "groups.csv"
    groups.write_text(table)
    flags = [*SMALL, "--groups", str(groups)]
    assert train(data, tmp_path / "m.safetensors", *flags) == 2
    refused(capsys, "groups.csv", *words)


def test_a_table_of_groups_as_a_spreadsheet_writes_it_is_read(data, tmp_path):
    groups = tmp_path / "groups.csv"
    rows = ["id,field_group,modality", "0,left,dark", "1,left,dark", "2,right,dark", "3,right"]
    groups.write_text("\n".join(rows), encoding="utf-8-sig")  # with a byte order mark
    out = tmp_path / "m.safetensors"
    assert train(data, out, *SMALL, "--groups", str(groups)) == 0
    assert read_card(out).trained_on["images"] == 2  # a whole group is held back


def test_flags_that_would_be_without_effect_are_told(data, tmp_path, capsys):
    out = tmp_path / "m.safetensors"
    assert train(data, out, *SMALL) == 0
    capsys.readouterr()
    for flags, words in (
        (["--resume", "--from", "nuclei"], ["--resume", "leave --from"]),
        (["--from", str(out), "--width=9", "--goal=mask"], ["leave --width and --goal out"]),
        (["--from=nuclei", "--encoder-weights=x", "--overwrite"], ["leave --encoder-weights out"]),
        (["--margin=3", "--overwrite"], ["--margin", "add --from"]),
        (["--from=nuclei", "--resize=64", "--overwrite"], ["leave --resize at 0"]),
        (
            [*SMALL, "--overwrite", "--encoder-weights=no.pth"],
            ["--encoder resnet34 --encoder-weights FILE"],
        ),
    ):
        assert train(data, out, *flags) == 2
        refused(capsys, *words)


def test_a_long_training_from_a_model_is_resumed_as_one(data, tmp_path, capsys):
    first, out = tmp_path / "first" / "m.safetensors", tmp_path / "m.safetensors"
    assert train(data, first, *SMALL) == 0
    short = ["--epochs=2", "--steps=2", "--batch=2", "--patch=32"]
    assert train(data, out, "--recipe=long", f"--from={first}", *short) == 0
    card = read_card(out)
    assert card.parent["name"] == "m"
    assert [row["epoch"] for row in card.history] == [0, 1, 2]
    assert card.network == read_card(first).network
    assert train(data, out, "--resume") == 0  # a fine-tuning would refuse its checkpoint
    assert read_card(out).parent == card.parent
    capsys.readouterr()
    assert train(data, tmp_path / "n.safetensors", "--recipe=long") == 2
    refused(capsys, "--recipe long", "add --from")
    flags = ["--recipe=long", f"--from={first}", "--margin=3"]
    assert train(data, tmp_path / "n.safetensors", *flags) == 2
    refused(capsys, "--margin", "fine-tuning")


def test_resume_needs_the_same_validation_images_and_the_best_model(data, tmp_path, capsys):
    out = tmp_path / "m.safetensors"
    assert train(data, out, *SMALL) == 0
    for path in data[1].iterdir():
        truth = tifffile.imread(path)
        tifffile.imwrite(path, np.where(truth == 1, 0, truth))
        capsys.readouterr()
        assert train(data, out, "--resume") == 2
        refused(capsys, "other images")
        tifffile.imwrite(path, truth)
    out.unlink()
    assert train(data, out, "--resume") == 2
    refused(capsys, str(out), "is gone")


def test_a_model_is_replaced_on_wish_only(data, tmp_path, capsys):
    out = tmp_path / "m.safetensors"
    assert train(data, out, *SMALL) == 0
    before = out.read_bytes()
    capsys.readouterr()
    assert train(data, out, *SMALL, "--seed=1") == 2
    refused(capsys, str(out), "--resume", "--overwrite")
    assert out.read_bytes() == before
    assert train(data, out, *SMALL, "--seed=1", "--overwrite") == 0
    assert out.read_bytes() != before


def test_masks_are_no_labels(data, tmp_path, capsys):
    for path in data[1].iterdir():
        tifffile.imwrite(path, np.where(tifffile.imread(path) > 0, 255, 0).astype(np.uint8))
    assert train(data, tmp_path / "m.safetensors", *SMALL) == 2
    refused(capsys, "masks", "label(mask)")
    assert main(["evaluate", str(data[1]), str(data[1])]) == 2
    refused(capsys, "masks")


def test_labels_that_segment_wrote_are_found_by_their_image(data):
    for path in list(data[1].iterdir()):
        path.rename(path.with_name(f"{path.stem}_labels.tif"))
    assert [one.name for one in read_examples(*data)] == ["0", "1", "2", "3"]


def test_patches_that_do_not_fit_the_network_are_told(data, tmp_path, capsys):
    out = tmp_path / "m.safetensors"
    assert train(data, out, *SMALL, "--depth=6") == 2
    refused(capsys, "--patch 32", "multiple of 128")
    assert train(data, out, *SMALL, "--depth=4", "--batch=1") == 2
    refused(capsys, "larger --patch or another --batch")


def test_ids_of_any_size_are_nuclei_of_their_own(data, tmp_path):
    path = data[1] / "1.tif"
    truth = tifffile.imread(path).astype(np.uint32)
    tifffile.imwrite(path, np.where(truth > 0, truth + 4_000_000_000, 0).astype(np.uint32))
    (changed,) = [one for one in read_examples(*data) if one.name == "1"]
    np.testing.assert_array_equal(changed.ids, truth)


def test_whole_images_with_tiny_nuclei_make_a_model_that_can_be_read(data, tmp_path):
    """Squeezed into a small square, nuclei are less than a pixel wide."""
    for i in range(4):
        image = np.zeros((600, 600), np.uint8)
        image[10 * i + 40 :: 50, 40::50] = 200
        tifffile.imwrite(data[0] / f"{i}.tif", image)
        tifffile.imwrite(data[1] / f"{i}.tif", label(image > 0).astype(np.uint16))
    out = tmp_path / "m.safetensors"
    assert train(data, out, "--recipe=seed", "--epochs=1", "--width=2", "--resize=64") == 0
    assert read_card(out).sizes == [1, 1]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits and signals")
def test_a_full_disk_leaves_the_last_good_checkpoint(data, tmp_path):
    """The limit on the size of a file is a real one: the second, larger training cannot write."""
    out = tmp_path / "m.safetensors"
    assert train(data, out, *SMALL) == 0
    before = {path: path.read_bytes() for path in out.parent.glob("m.*")}
    limit = len(before[out.with_suffix(".checkpoint")]) // 2

    run = run_limited(limit, "train", *data, "--out", out, *SMALL, "--overwrite")
    assert run.returncode == 2, run.stderr
    assert "cannot be written" in run.stderr
    assert "Traceback" not in run.stderr
    checkpoint = out.with_suffix(".checkpoint")
    assert checkpoint.read_bytes() == before[checkpoint]
    assert not list(out.parent.glob(".*"))


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits and signals")
def test_ctrl_c_keeps_the_best_model_and_says_where(data, tmp_path):
    out = tmp_path / "m.safetensors"
    command = ["train", *map(str, data), "--out", str(out), *SMALL, "--epochs=10000"]
    (lines, end), (errors, errors_end) = os.pipe(), os.pipe()
    with (
        process(main, command, out=end, err=errors_end) as other,
        open(lines) as printed,
        open(errors) as said,
    ):
        assert "epoch 1/10000" in printed.readline()
        printed.readline()
        os.kill(other.pid, signal.SIGINT)
        printed.read()
        error = said.read()
    assert other.exitcode == 2
    assert f"the best model so far is {out}" in error
    assert "Traceback" not in error
    assert read_card(out).training["epochs"] == 10_000
