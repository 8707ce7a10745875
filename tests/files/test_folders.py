"""What of a folder is segmented, what is passed over, and names of any kind."""

import csv
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
from conftest import discs
from microscope_files import write_oif

from napari_nuclei_unet import UserError
from napari_nuclei_unet.batch.folders import select_images
from napari_nuclei_unet.batch.inputs import find_inputs
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.io.images import image_stem
from napari_nuclei_unet.io.paths import printable
from napari_nuclei_unet.training.dataset import find_labels_by_stem, read_examples


@pytest.fixture
def nuclei():
    return discs((60, 80), [(20, 20), (20, 50), (40, 35)])


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    return folder


@pytest.fixture
def run(images, bright_file, capfd):
    """Segment a folder, and return the exit code and what was printed."""

    def start(*given, out=images.parent / "out"):
        paths = [str(path) for path in given] or [str(images)]
        code = main(["segment", *paths, "--model", str(bright_file), "--out", str(out)])
        return code, *capfd.readouterr()

    return start


def stems(paths):
    return sorted(item.stem for item in find_inputs(paths))


@pytest.mark.parametrize("suffix", [".lsm", ".stk", ".btf", ".svs", ".qptiff", ".tf8", ".FLEX"])
def test_every_suffix_of_a_tiff_is_taken(suffix, images, nuclei, run):
    tifffile.imwrite(images / f"a{suffix}", nuclei)
    code, printed, _ = run()
    assert (code, printed.splitlines()[0]) == (0, f"a{suffix}: 3 nuclei")


MASKS = [
    "a_masks.tif", "a_cp_masks.png", "a_cp_masks.tif", "a_mask.png", "A_MASKS.TIF", "a-labels.png",
    "a_labels.tif", "a_labels.ome.tif", "a_seg.npy", "a_seg.tif", "a_cp_outlines.png",
    "a_flows.tif", "a_overlay.png", "a_segmentation.png", "a_gt.tif", "a_Object Identities.tif",
    "a_masks_1.png", "Count Masks of a.tif", "mask_a.png", "a.ome_cp_masks.png", "a.label.tif",
]  # fmt: skip


def test_masks_beside_their_image_are_passed_over(images):
    for name in ("a.ome.tif", "b.png", *MASKS):
        (images / name).touch()
    assert stems([images]) == ["a", "b"]
    assert sum(select_images(images.iterdir()).passed_over.values()) == len(MASKS)


def test_masks_without_their_image_or_named_ones_are_images(images, nuclei, run):
    for name in ("a_masks.tif", "b_seg.png", "c_mask.tif", "notmasks.tif", "x_ray.tif"):
        tifffile.imwrite(images / "a.tif", nuclei)
        shutil.copy(images / "a.tif", images / name)
    (images / "a.tif").unlink()
    assert len(find_inputs([images])) == 5
    shutil.copy(images / "a_masks.tif", images / "a.tif")
    assert len(find_inputs([images])) == 5
    assert stems([images / "a_masks.tif"]) == ["a_masks"]
    assert stems([f"{images}/*_masks.tif"]) == ["a_masks"]
    assert "a_masks" not in stems([f"{images}/*.tif"])
    code, printed, _ = run(images / "a_masks.tif")
    assert (code, printed.splitlines()[0]) == (0, "a_masks.tif: 3 nuclei")


def test_a_run_says_how_many_files_it_passed_over_and_why(images, nuclei, run):
    tifffile.imwrite(images / "a.tif", nuclei)
    tifffile.imwrite(images / "a_masks.tif", nuclei)
    for name in ("notes.txt", ".DS_Store", ".a.tif", "c.unknown"):
        (images / name).write_bytes(b"x")
    (images / "d.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    (images / "sub").mkdir()
    code, printed, told = run(out=images)
    assert (code, told) == (0, "")
    assert printed.splitlines()[:2] == [
        "7 files passed over: 2 hidden; 1 mask, labels or outlines beside its image; 1 no "
        "image; 1 an HDF5 file (d.h5); 1 a table or text (notes.txt); 1 folder, which is not "
        "searched.",
        "a.tif: 3 nuclei",
    ]
    again = run(out=images)[1].splitlines()
    assert "3 written by this program" in again[0]
    assert again[1] == "a.tif: 3 nuclei (done before)"
    (images / "clean").mkdir()
    tifffile.imwrite(images / "clean" / "b.tif", nuclei)
    assert "passed over" not in run(images / "clean")[1]


def test_a_folder_without_an_image_says_what_it_holds(images):
    (images / "d.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(UserError, match=r"contains no .*image: 1 file passed over: 1 an HDF5 file"):
        find_inputs([images])


def test_the_folder_of_a_file_is_not_counted(images):
    pytest.importorskip("openreadout", reason="the extra 'formats' is not installed")
    write_oif(images / "a.oif", np.zeros((1, 1, 8, 8), np.uint16))
    chosen = select_images(images.iterdir())
    assert (chosen.images, chosen.passed_over) == ((images / "a.oif",), Counter())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
@pytest.mark.parametrize(
    "name",
    [b"a\xe4.tif", b"a\nb.tif", b"-a.tif", b"--planes.tif", b"a\tb\x1b[0m.tif",
     "ä ß µ.tif".encode(), b"a'\"`$(x).tif", b"a{0}%s[1].tif", b"  a .tif", b"a,b;c.tif",
     b"A.OME.TIF", b"..a.tif"],
)  # fmt: skip
def test_an_odd_name_never_stops_a_batch(name, images, nuclei, run):
    tifffile.imwrite(images / "z.tif", nuclei)
    odd = Path(os.fsdecode(os.path.join(os.fsencode(images), name)))
    odd.write_bytes((images / "z.tif").read_bytes())
    hidden = name.startswith(b".")
    code, printed, told = run()
    assert (code, told) == (0, "")
    assert "z.tif: 3 nuclei" in printed
    with open(images.parent / "out" / "nuclei_summary.csv", newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert [row["status"] for row in rows] == ["done"] * (1 if hidden else 2)
    assert all("\n" not in row["image"] for row in rows)
    shutil.rmtree(images.parent / "out")
    code, printed, told = run(odd)  # named by itself
    assert (code, told) == (0, "")
    assert len(printed.splitlines()) == 2
    out = images.parent / "out"
    results = [os.fsencode(path.name) for path in out.glob("*_labels.ome.tif")]
    results += [
        os.fsencode(path.name) for path in (images.parent / "out").glob(".*_labels.ome.tif")
    ]
    stem = name[:2] if name == b"A.OME.TIF" else name[:-4]
    assert set(results) == {stem.removesuffix(b".") + b"_labels.ome.tif"}


def test_a_file_whose_name_begins_with_a_dash_is_no_flag(images, nuclei, run, monkeypatch):
    monkeypatch.chdir(images)
    tifffile.imwrite("-a.tif", nuclei)
    code, printed, told = run("-a.tif")
    assert (code, told) == (0, "")
    assert printed.splitlines()[0] == "-a.tif: 3 nuclei"


def test_a_name_too_long_for_its_results_is_one_sentence(images, nuclei, run):
    tifffile.imwrite(images / "z.tif", nuclei)
    shutil.copy(images / "z.tif", images / f"{'n' * 245}.tif")
    code, printed, told = run()
    assert (code, told.count("\n")) == (2, 1)
    assert "too long" in told or "shorter" in told
    assert "z.tif: 3 nuclei" in printed


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_to_nowhere_and_an_empty_file_are_one_sentence_each(images, nuclei, run):
    tifffile.imwrite(images / "z.tif", nuclei)
    (images / "gone.tif").symlink_to(images / "nothing.tif")
    (images / "empty.tif").touch()
    code, printed, told = run()
    assert code == 2
    assert sorted(line.split(":")[1].strip() for line in told.splitlines()) == [
        "empty.tif", "gone.tif",
    ]  # fmt: skip
    assert "z.tif: 3 nuclei" in printed


def test_suffixes_in_any_case_are_no_part_of_the_stem():
    for name in ("a.tif", "a.ome.tif", "a.OME.TIF", "a.Ome.Tiff", "a.LSM", "a.ome.png"):
        assert image_stem(Path(name)) == "a", name


def test_text_is_printable_in_one_line():
    assert printable(os.fsdecode(b"a\xe4\n\x1b\t.tif")) == "a\\xe4\\n\\x1b\\t.tif"
    assert printable("ä µ日本 'x'") == "ä µ日本 'x'"


def test_labels_of_other_programs_are_found_by_their_names(tmp_path, nuclei):
    for name in ("a_cp_masks.png", "b_labels.tif", "c.png", "d_outlines.png"):
        PIL.Image.fromarray(nuclei).save(tmp_path / name)
    assert sorted(find_labels_by_stem(tmp_path)) == ["a", "b", "c"]


def test_images_and_their_labels_may_lie_in_one_folder(tmp_path, nuclei):
    labels = np.zeros(nuclei.shape, np.uint8)
    labels[15:25, 15:25], labels[15:25, 45:55] = 1, 2
    for stem in "ab":
        PIL.Image.fromarray(nuclei).save(tmp_path / f"{stem}.png")
        PIL.Image.fromarray(labels).save(tmp_path / f"{stem}_cp_masks.png")
        PIL.Image.fromarray(nuclei).save(tmp_path / f"{stem}_overlay.png")
    examples = read_examples(tmp_path, tmp_path)
    assert [example.name for example in examples] == ["a", "b"]
    assert [np.unique(example.ids).tolist() for example in examples] == [[0, 1, 2]] * 2
