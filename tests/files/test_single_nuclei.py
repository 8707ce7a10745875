"""Annotations nucleus by nucleus: the layout of the Data Science Bowl, and run lengths in CSV."""

import json
import zipfile

import numpy as np
import PIL.Image
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from napari_nuclei_unet.batch.inputs import find_inputs
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.io.nucleus_masks import merge_overlapping
from napari_nuclei_unet.io.run_length_table import NucleusRuns
from napari_nuclei_unet.models.model import read_card
from napari_nuclei_unet.training.dataset import read_examples

SEED = ["--recipe=seed", "--epochs=1", "--width=2", "--resize=32"]
SHAPE = (20, 30)


def write_mask(path, inside):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(inside.astype(np.uint8) * 255).save(path)


def encode(inside):
    """Encode a mask as Kaggle does: down the columns, from 1."""
    edges = np.flatnonzero(np.diff(np.r_[0, inside.ravel(order="F"), 0]))
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return " ".join(f"{start + 1} {stop - start}" for start, stop in pairs)


@pytest.fixture
def bowl(tmp_path):
    """Three images as Kaggle has them, RGBA, of two nuclei; returns their folder."""
    folder = tmp_path / "stage1_train"
    rows = ["ImageId,EncodedPixels"]
    for shift, name in enumerate("abc"):
        pixels = np.zeros((*SHAPE, 4), np.uint8)
        pixels[..., 3] = 255
        for number, corner in enumerate(((2, 3), (10, 12 + shift))):
            inside = np.zeros(SHAPE, bool)
            inside[corner[0] : corner[0] + 7, corner[1] : corner[1] + 6] = True
            pixels[inside, :3] = 200
            write_mask(folder / name / "masks" / f"{number}.png", inside)
            rows.append(f"{name},{encode(inside)}")
        (folder / name / "images").mkdir()
        PIL.Image.fromarray(pixels).save(folder / name / "images" / f"{name}.png")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    (folder / ".DS_Store").touch()
    return folder


def test_masks_run_lengths_and_labels_are_the_same_annotation(bowl, tmp_path):
    from_masks = read_examples(bowl)
    for example in from_masks:
        (tmp_path / "truth").mkdir(exist_ok=True)
        tifffile.imwrite(tmp_path / "truth" / f"{example.name}.tif", example.ids.astype(np.uint16))
    for labels in (tmp_path / "labels.csv", tmp_path / "truth"):
        for one, other in zip(from_masks, read_examples(bowl, labels), strict=True):
            assert one.name == other.name
            np.testing.assert_array_equal(one.ids, other.ids)
            np.testing.assert_array_equal(one.image, other.image)
    assert [example.ids.max() for example in from_masks] == [2, 2, 2]


@pytest.mark.parametrize("labels", [[], ["labels.csv"]], ids=["masks", "csv"])
def test_the_recipe_of_the_paper_takes_a_download_as_it_is(bowl, tmp_path, labels):
    out = tmp_path / "seed.safetensors"
    where = [str(bowl), *(str(tmp_path / name) for name in labels)]
    assert main(["train", *where, "--out", str(out), *SEED]) == 0
    assert read_card(out).network["out_channels"] == 1


def test_evaluate_takes_either_on_both_sides(bowl, tmp_path, capsys):
    for sides in ((bowl, tmp_path / "labels.csv"), (tmp_path / "labels.csv", bowl), (bowl, bowl)):
        assert main(["evaluate", *map(str, sides), "--json"]) == 0
        table = json.loads(capsys.readouterr().out)
        assert (table["annotated"], table["found"]) == (6, 6)
        assert table["pooled"]["AP@0.5"] == 1
    csv = str(tmp_path / "labels.csv")
    assert main(["evaluate", csv, csv]) == 2
    assert "size" in capsys.readouterr().err


def test_of_overlapping_nuclei_the_smaller_keeps_the_pixel():
    line = np.arange(12)
    labels = merge_overlapping([line[4:6], line[:9], line[8:], line[8:]], (1, 12))
    assert labels.tolist() == [[2, 2, 2, 2, 1, 1, 2, 2, 4, 4, 4, 4]]


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_run_lengths_are_decoded_as_kaggle_encodes_them(inside):
    rows = (encode(inside),)
    np.testing.assert_array_equal(NucleusRuns("a", rows).read(inside.shape) > 0, inside)


@given(st.text("0123456789 -.", max_size=12))
def test_any_text_is_runs_inside_the_image_or_refused(text):
    try:
        labels = NucleusRuns("a", (text.strip(), "1 1")).read((3, 4))
    except UserError:
        return
    assert 0 < (labels > 0).sum() <= 12


def refused(capsys, *where):
    """Train, and return the one sentence by which it is refused."""
    model = ["--out", str(where[0].parent / "m.safetensors")]
    assert main(["train", *map(str, where), *model, *SEED]) == 2
    error = capsys.readouterr().err.strip()
    assert len(error.splitlines()) == 1, error
    return error


def test_masks_that_are_none_of_a_nucleus_are_told(bowl, capsys):
    path = bowl / "b" / "masks" / "1.png"
    good = np.asarray(PIL.Image.open(path))
    bad = {
        "size": good[:-1],
        "empty": np.zeros_like(good),
        "0 and one other": good // 2 + np.eye(*SHAPE, dtype=np.uint8),
        "grey": np.dstack([good, good // 2, good]),
    }
    for words, mask in bad.items():
        PIL.Image.fromarray(mask).save(path)
        error = refused(capsys, bowl)
        assert words in error
        assert "1.png" in error
    PIL.Image.fromarray(np.dstack([good] * 3)).save(path)
    assert len(read_examples(bowl)) == 3  # some programs save masks so


def test_folders_without_masks_or_with_two_images_are_told(bowl, capsys):
    for path in (bowl / "c" / "masks").iterdir():
        path.unlink()
    assert "no masks for 1 of its 3 images" in refused(capsys, bowl)
    (bowl / "c" / "masks").rmdir()
    assert "first without masks is c" in refused(capsys, bowl)
    write_mask(bowl / "a" / "images" / "other.png", np.eye(20) > 0)
    assert "contains 2 images" in refused(capsys, bowl)


def test_images_without_labels_are_told(bowl, tmp_path, capsys):
    assert "labels are needed" in refused(capsys, bowl / "a" / "images")
    csv = tmp_path / "labels.csv"
    rows = csv.read_text()
    csv.write_text(rows.replace("c,", "d,"))
    assert "first is c, which needs labels" in refused(capsys, bowl, csv)
    csv.write_text(rows + "\nd,1 1")
    assert "first is d, which needs an image" in refused(capsys, bowl, csv)
    csv.write_text(rows + "\nc,")
    assert "there are none" in refused(capsys, bowl, csv)


def test_a_download_that_is_still_zipped_is_told(bowl, tmp_path, capsys):
    for name in ("stage1_train.zip", "labels.csv.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.write(tmp_path / "labels.csv", "labels.csv")
    assert "a zipped folder: extract it" in refused(capsys, tmp_path / "stage1_train.zip")
    assert "labels.csv.zip" in refused(capsys, bowl, tmp_path / "labels.csv.zip")


def test_segment_names_the_pattern_of_images_that_have_folders(bowl):
    with pytest.raises(UserError, match="Those of its folders have the pattern") as error:
        find_inputs([bowl])
    pattern = str(error.value).split("'")[1]
    assert [image.path.stem for image in find_inputs([pattern])] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ("1 3 3 2", "overlap"),
        ("599 3", "outside the image of 20 x 30"),
        (f"1 {2**63 - 1}", "outside the image"),
        (f"1 {2**70}", "whole numbers"),
        ("0 4", "must be 1 or more"),
        ("1 2 3", "pairs"),
        ("1.5 2", "pairs"),
    ],
)
def test_bad_runs_are_told(bowl, tmp_path, capsys, runs, words):
    csv = tmp_path / "labels.csv"
    csv.write_text(csv.read_text() + f"\nb,{runs}")
    error = refused(capsys, bowl, csv)
    assert words in error
    assert f"b in {csv}" in error


def test_an_image_whose_only_row_is_empty_is_background(bowl, tmp_path):
    csv = tmp_path / "labels.csv"
    rows = [row for row in csv.read_text().splitlines() if not row.startswith("c")]
    csv.write_text("\n".join([*rows, "c,"]))
    assert not read_examples(bowl, csv)[2].ids.any()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,field_group,modality\na,1,x", "no column ImageId and no EncodedPixels, but id"),
        ("ImageId,EncodedPixels\n", "no row"),
        ("", "cannot be read"),
    ],
)
def test_another_table_is_told(bowl, tmp_path, capsys, text, words):
    (tmp_path / "labels.csv").write_text(text)
    assert words in refused(capsys, bowl, tmp_path / "labels.csv")
