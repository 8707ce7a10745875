"""Labels of other programs: numbers of any type, palettes, and masks, which are no labels."""

import numpy as np
import PIL.Image
import pytest
import tifffile
from conftest import discs
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import label

from napari_nuclei_unet import TrainParams, UserError
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.io.labels import read_labels
from napari_nuclei_unet.labels.masks import (
    MASK_HINT,
    check_all_instances,
    check_instances,
    count_pieces,
)
from napari_nuclei_unet.training.finetune_data import Pair, make_finetune_data

SPOTS = [(20, 20), (20, 50), (40, 35), (40, 65)]


@pytest.fixture
def image():
    return discs((60, 80), SPOTS)


@pytest.fixture
def labels(image):
    return label(image > 0).astype(np.uint8)


def save_palette(path, labels, mode="P"):
    picture = PIL.Image.fromarray(labels).convert(mode)
    picture.putpalette(np.random.default_rng(0).integers(0, 255, 768).tolist())
    picture.save(path)


@pytest.mark.parametrize(
    "dtype",
    ["uint8", "uint16", "int16", "int32", "uint32", "int64", "uint64", "float32", "float64", ">u2",
     "float16"],
)  # fmt: skip
def test_whole_numbers_of_any_type_are_labels(dtype, labels, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", labels.astype(dtype))
    read = read_labels(tmp_path / "a.tif")
    assert read.dtype.kind in "ui"
    np.testing.assert_array_equal(read, labels)


def test_imagej_palettes_and_pictures_are_labels(labels, tmp_path):
    tifffile.imwrite(tmp_path / "fiji.tif", labels.astype("float32"), imagej=True)
    save_palette(tmp_path / "palette.png", labels)
    save_palette(tmp_path / "palette.tif", labels)
    PIL.Image.fromarray(labels.astype(np.uint16)).save(tmp_path / "deep.png")
    tifffile.imwrite(tmp_path / "thin.tif", labels[None, :, :], metadata={"axes": "ZYX"})
    colormap = np.random.default_rng(0).integers(0, 65535, (3, 256), np.uint16)
    tifffile.imwrite(tmp_path / "map.tif", labels, photometric="palette", colormap=colormap)
    for path in tmp_path.iterdir():
        np.testing.assert_array_equal(read_labels(path), labels, err_msg=path.name)


def test_a_picture_of_two_colours_is_a_mask_of_0_and_1(image, tmp_path):
    PIL.Image.fromarray(image > 0).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), image > 0)


def test_a_tiff_in_which_0_is_white_has_the_numbers_of_its_file(image, tmp_path):
    """So tifffile writes masks; as the picture that is shown they are the background."""
    nucleus = image > 0
    tifffile.imwrite(tmp_path / "a.tif", nucleus)
    with tifffile.TiffFile(tmp_path / "a.tif") as written:
        assert written.pages.first.photometric == tifffile.PHOTOMETRIC.MINISWHITE
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), nucleus)


@given(st.lists(st.integers(1, 2**53), min_size=4, max_size=4, unique=True))
def test_ids_of_any_size_stay_apart(tmp_path_factory, ids):
    labels = label(discs((60, 80), SPOTS) > 0)
    large = np.asarray([0, *ids])[labels]
    path = tmp_path_factory.mktemp("large") / "a.tif"
    tifffile.imwrite(path, large.astype(np.float64))
    read = read_labels(path)
    assert read.max() < 2**31
    pairs = {(int(a), int(b)) for a, b in zip(labels.ravel(), read.ravel(), strict=True)}
    assert len(pairs) == 5
    assert (0, 0) in pairs


WRONG = {
    "fractions": (lambda a: a + np.float32(0.5), "fractions"),
    "nan": (lambda a: np.where(a == 1, np.nan, a), "NaN"),
    "infinite": (lambda a: np.where(a == 1, np.inf, a), "infinite"),
    "huge": (lambda a: a * 1e30, "too large"),
    "negative": (lambda a: a.astype(np.int16) - 1, "negative"),
    "negative float": (lambda a: a.astype(np.float32) - 1, "negative"),
    "complex": (lambda a: a.astype(np.complex64), "complex64"),
    "stack": (lambda a: np.stack([a] * 5), r"a single plane.*\(5, 60, 80\)"),
    "one-hot": (lambda a: np.stack([a == n for n in range(7)]).astype(np.uint8), "a single plane"),
    "colours": (lambda a: np.stack([a, a * 2, a * 3], -1), "colours"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_labels_is_one_sentence(case, labels, tmp_path):
    change, reason = WRONG[case]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, change(labels), photometric="rgb" if case == "colours" else "minisblack")
    with pytest.raises(UserError, match=reason) as error:
        read_labels(path)
    assert str(path) in str(error.value)


def test_labels_in_a_jpeg_are_refused(labels, tmp_path):
    PIL.Image.fromarray(labels).save(tmp_path / "a.jpg")
    with pytest.raises(UserError, match="JPEG"):
        read_labels(tmp_path / "a.jpg")


@pytest.mark.parametrize("part", [0, 0.05, 0.3, 0.6])
@pytest.mark.parametrize("name", ["a.tif", "a.png", "p.png", "p.tif"])
def test_labels_that_broke_off_are_one_sentence(name, part, labels, tmp_path):
    path = tmp_path / name
    if name.startswith("p"):
        save_palette(path, labels)
    else:
        PIL.Image.fromarray(labels).save(path)
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(UserError, match=name) as error:
        read_labels(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [1, 255, 7])
def test_a_mask_is_told_from_labels(value, image, labels):
    mask = np.where(image > 0, value, 0).astype(np.int32)
    assert count_pieces(mask) == 4
    assert count_pieces(labels) == count_pieces(np.zeros_like(labels)) == 0
    with pytest.raises(UserError, match="These is a mask"):
        check_instances("These", [mask])
    with pytest.raises(UserError, match="b is a mask"):
        check_all_instances({"a": labels, "b": mask})


def test_one_nucleus_is_no_mask_even_with_specks_or_in_two_parts(labels):
    one = np.where(labels == 2, 2, 0)
    speck = one.copy()
    speck[0, 0] = speck[59, 0] = 2
    check_instances("x", [one, speck])
    halves = one.copy()
    halves[:, 50] = 0
    check_all_instances({"a": labels, "b": halves})
    check_instances("x", [one, np.where(labels == 1, 1, 0)])
    check_instances("x", [])


def test_evaluate_refuses_a_mask_on_either_side(image, labels, tmp_path, capsys):
    for folder, pixels in (("labels", labels), ("mask", (image > 0).astype(np.uint8) * 255)):
        (tmp_path / folder).mkdir()
        tifffile.imwrite(tmp_path / folder / "a.tif", pixels)
    for pair in (("labels", "mask"), ("mask", "labels")):
        assert main(["evaluate", *(str(tmp_path / folder) for folder in pair)]) == 2
        assert MASK_HINT in capsys.readouterr().err
    assert main(["evaluate", *[str(tmp_path / "labels")] * 2]) == 0


def test_fine_tuning_refuses_a_mask_among_labels(image, labels):
    pairs = [Pair(image, labels, "a"), Pair(image, (image > 0).astype(np.uint8), "b")]
    with pytest.raises(UserError, match="annotation of b is a mask"):
        make_finetune_data(pairs, TrainParams())
