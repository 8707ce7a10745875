"""The command line, run as a user runs it: arguments in, files, text and exit code out."""

import csv
import json
import platform
import shlex
import sys
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree as ET

import imageio.v3 as imageio
import numpy as np
import pandas as pd
import PIL.Image
import pytest
import tifffile
from processes import run_limited
from skimage.measure import regionprops

from napari_nuclei_unet.cli import main
from napari_nuclei_unet.io.labels import read_record, write_labels_tiff
from napari_nuclei_unet.params import SegmentParams


@pytest.fixture
def images(tmp_path, three_discs):
    """A folder with the three discs in every format."""
    folder = tmp_path / "images"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", three_discs)
    tifffile.imwrite(folder / "b.ome.tif", three_discs.astype(np.uint16) * 100)
    imageio.imwrite(folder / "c.png", np.dstack([three_discs] * 3))
    imageio.imwrite(folder / "d.JPG", three_discs, quality=95)
    (folder / "notes.txt").write_text("no image")
    return folder


def segment(*args):
    return main(["segment", *map(str, args)])


def one_line_about(capsys, *words):
    """stderr is one sentence without a traceback, and stdout names no result."""
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line]
    assert len(lines) == 1, error
    assert lines[0].startswith("nuclei-unet")
    for word in words:
        assert word in lines[0], error


def test_a_folder_becomes_labels_and_tables(images, tmp_path, bright_file, three_discs, capsys):
    out = tmp_path / "results"
    assert segment(images, "--out", out, "--model", bright_file) == 0
    written = [f"{stem}_{end}" for stem in "abcd" for end in ("labels.ome.tif", "nuclei.csv")]
    assert sorted(p.name for p in out.iterdir()) == [*written, "nuclei_summary.csv"]
    printed = capsys.readouterr().out
    for name in ("a.tif", "b.ome.tif", "c.png", "d.JPG"):
        assert f"{name}: 3 nuclei" in printed
    with tifffile.TiffFile(out / "a_labels.ome.tif") as opened:
        page = opened.pages[0]
        labels = page.asarray()
        assert page.compression.name == "ADOBE_DEFLATE"
    record = read_record(out / "a_labels.ome.tif")
    assert labels.dtype == np.uint16
    assert labels.shape == three_discs.shape
    assert record["model"] == "bright"
    assert record["params"]["threshold"] == 0.5


def test_the_table_measures_the_labels(images, tmp_path, bright_file, three_discs):
    segment(images / "a.tif", "--out", tmp_path, "--model", bright_file)
    labels = tifffile.imread(tmp_path / "a_labels.ome.tif")
    with (tmp_path / "a_nuclei.csv").open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert list(rows[0]) == [
        "label", "centroid_y", "centroid_x", "area", "perimeter", "equivalent_diameter",
        "major_axis", "minor_axis", "eccentricity", "orientation", "aspect_ratio", "circularity",
        "feret_diameter", "solidity", "mean_intensity", "min_intensity", "max_intensity",
        "std_intensity", "median_intensity", "integrated_intensity", "confidence",
        "touches_border",
    ]  # fmt: skip
    for row, region in zip(rows, regionprops(labels, three_discs), strict=True):
        assert int(row["label"]) == region.label
        assert float(row["area"]) == region.area
        assert float(row["centroid_y"]) == pytest.approx(region.centroid[0], rel=1e-8)
        assert float(row["centroid_x"]) == pytest.approx(region.centroid[1], rel=1e-8)
        assert float(row["mean_intensity"]) == pytest.approx(region.intensity_mean, rel=1e-8)
        assert 0.5 < float(row["confidence"]) <= 1


def test_an_image_without_nuclei_has_a_table_without_rows(tmp_path, bright_file, capsys):
    tifffile.imwrite(tmp_path / "dark.tif", np.zeros((20, 30), np.uint16))
    assert segment(tmp_path / "dark.tif", "--out", tmp_path, "--model", bright_file) == 0
    assert (tmp_path / "dark_nuclei.csv").read_text().startswith("label,")
    assert len((tmp_path / "dark_nuclei.csv").read_text().splitlines()) == 1
    assert tifffile.imread(tmp_path / "dark_labels.ome.tif").max() == 0
    assert "same value" in capsys.readouterr().err


def test_every_parameter_has_a_flag(images, tmp_path, bright_file):
    flags = {"diameter": 9.0,
             "threshold": 0.3, "separation": 0.6, "confidence": 0.5,
             "minimum_area": 2, "leave_out_fragments": True, "tile": 32, "batch": 2,
             "precision": "fp32", "average_orientations": True,
             "black": -3.5, "white": 900.0, "gamma": 0.5}  # fmt: skip
    assert flags.keys() == vars(SegmentParams()).keys()
    args = [str(part) for name, value in flags.items()
            for part in ("--" + name.replace("_", "-"), value)]  # fmt: skip
    assert segment(images / "a.tif", "--out", tmp_path, "--model", bright_file, *args) == 0
    assert read_record(tmp_path / "a_labels.ome.tif")["params"] == flags


@pytest.mark.parametrize(("nuclei", "dtype"), [(65_535, np.uint16), (65_536, np.uint32)])
def test_labels_are_stored_as_wide_as_they_need(tmp_path, nuclei, dtype):
    labels = np.zeros((300, 300), np.int32)
    labels.flat[:nuclei] = np.arange(1, nuclei + 1)
    write_labels_tiff(tmp_path / "labels.tif", labels, {})
    stored = tifffile.imread(tmp_path / "labels.tif")
    assert stored.dtype == dtype
    np.testing.assert_array_equal(stored, labels)


MICRO = {"PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5,
         "PhysicalSizeYUnit": "µm"}  # fmt: skip


@pytest.mark.parametrize(("size", "metadata"), [
    ((0.5, 0.25), {"metadata": {"axes": "YX", **MICRO}}),
    ((0.25, 0.25), {"imagej": True, "resolution": (4, 4), "metadata": {"unit": "um"}}),
])  # fmt: skip
def test_results_have_the_pixel_size_of_the_image(
    tmp_path, three_discs, bright_file, size, metadata
):
    image = tmp_path / ("a.tif" if "imagej" in metadata else "a.ome.tif")
    tifffile.imwrite(image, three_discs.astype(np.uint16), **metadata)
    written = tmp_path / "a_labels.ome.tif"
    assert segment(image, "--out", written, "--model", bright_file) == 0
    with tifffile.TiffFile(written) as opened:
        labels, pixels = opened.asarray(), ET.fromstring(opened.ome_metadata).find(".//{*}Pixels")
    assert pixels.find("{*}Channel").get("Name") == "nuclei"
    for axis, one in zip("YX", size, strict=True):
        assert float(pixels.get(f"PhysicalSize{axis}")) == pytest.approx(one)
        assert pixels.get(f"PhysicalSize{axis}Unit") == "µm"
    table = pd.read_csv(tmp_path / "a_nuclei.csv")
    regions = regionprops(labels, spacing=size)
    for name, theirs in (("area_um2", "area"), ("major_axis_um", "axis_major_length"),
                         ("feret_diameter_um", "feret_diameter_max")):  # fmt: skip
        np.testing.assert_allclose(table[name], [getattr(one, theirs) for one in regions], 1e-6)
    centres = np.array([one.centroid for one in regions])
    np.testing.assert_allclose(table[["centroid_y_um", "centroid_x_um"]], centres, 1e-6)
    assert (table["area"] == np.bincount(labels.ravel())[1:]).all()  # in pixels as ever


def test_results_in_the_image_folder_are_not_taken_for_images(images, bright_file, capsys):
    for _ in range(2):
        assert segment(images, "--out", images, "--model", bright_file) == 0
    assert capsys.readouterr().out.count("4 of 4 files") == 2


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nowhere.tif"], "no file or folder"),
        (["{images}/notes.txt"], "no image"),
        (["{images}", "--tile", "1.5"], "invalid int value"),
        (["{images}", "--device", "tpu"], "invalid choice"),
        (["{images}", "--model", "nowhere.safetensors"], "no model"),
        (["{images}", "--minimum-area", "0"], "minimum_area"),
        (["{images}", "--black", "5", "--white", "3"], "--black must be lower than --white"),
        (["{images}", "--white=nan"], "white must be a number"),
        (["{images}/a.tif", "--black=1e9"], "give both, --black lower than --white"),
        (["{images}", "--device", "mps"], "MPS"),
        (["{images}/a.tif", "{images}/../more/a.tif"], "same result files"),
    ],
)
def test_mistakes_are_told_in_one_line(images, tmp_path, capsys, args, words):
    if "mps" in args and sys.platform == "darwin":
        pytest.skip("this computer may have an MPS")
    (tmp_path / "more").mkdir()
    tifffile.imwrite(tmp_path / "more" / "a.tif", np.zeros((3, 3)))
    args = [arg.format(images=images) for arg in args]
    if words == "MPS":
        args[0] += "/a.tif"
    try:
        code = segment(*args, "--out", tmp_path / "out")
    except SystemExit as stop:  # argparse ends by itself
        code = stop.code
    assert code == 2
    one_line_about(capsys, words)


@pytest.mark.parametrize("content", [b"", b"II*\x00\x08\x00\x00\x00\xff\xff", b"hello"])
def test_a_damaged_file_does_not_stop_the_others(images, tmp_path, bright_file, capsys, content):
    (images / "bad.tif").write_bytes(content)
    out = tmp_path / "out"
    assert segment(images, "--out", out, "--model", bright_file) == 2
    printed = capsys.readouterr()
    assert "4 of 5 files" in printed.out
    assert "bad.tif" in printed.err
    assert "Traceback" not in printed.err
    assert not list(out.glob("bad*"))


def test_planes_that_do_not_fit_a_stack_are_refused_with_advice(tmp_path, bright_file, capsys):
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((5, 20, 20), np.uint8))
    args = ["--out", tmp_path, "--model", bright_file, "--planes"]
    assert segment(tmp_path / "stack.tif", *args, "0,0") == 2
    one_line_about(capsys, "give 1 with --planes")
    assert segment(tmp_path / "stack.tif", *args, "5") == 2
    one_line_about(capsys, "no plane 5 on axis Z", "0 to 4")


def test_a_file_in_the_place_of_the_output_folder(images, tmp_path, bright_file, capsys):
    (tmp_path / "taken").write_text("precious")
    assert segment(images, "--out", tmp_path / "taken", "--model", bright_file) == 2
    one_line_about(capsys, "cannot be written")
    assert (tmp_path / "taken").read_text() == "precious"


@pytest.mark.skipif(sys.platform == "win32", reason="limits file size as Unix does")
def test_a_full_disk_leaves_nothing_half_written(tmp_path, bright_file):
    """Files may not grow past 2 kB: the labels of noise do not fit."""
    noise = np.random.default_rng(0).integers(0, 255, (200, 200), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "noise.tif", noise)
    out = tmp_path / "out"
    args = ["segment", tmp_path / "noise.tif", "--out", out, "--model", bright_file]
    done = run_limited(2000, *args, "--minimum-area", "1")
    assert done.returncode == 2, done.stderr
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in out.iterdir()] == ["nuclei_summary.csv"]


def test_what_stands_in_the_output_folder_stays(images, tmp_path, bright_file, capsys):
    (tmp_path / "probe").write_text("precious")
    tifffile.imwrite(tmp_path / "a_labels.ome.tif", np.full((60, 80), 9, np.uint16))
    assert segment(images, "--out", tmp_path, "--model", bright_file) == 2
    assert "not made by this program" in capsys.readouterr().err
    assert (tmp_path / "probe").read_text() == "precious"
    assert tifffile.imread(tmp_path / "a_labels.ome.tif").max() == 9
    assert not (tmp_path / "a_nuclei.csv").exists()
    assert (tmp_path / "b_labels.ome.tif").exists()


@pytest.mark.parametrize(
    "kind", ["lzw", "jpeg", "one plane", "planar", "palette", "cmyk", "grey and alpha"]
)
def test_real_files_of_many_kinds(tmp_path, three_discs, bright_file, capsys, kind):
    rgb = np.dstack([three_discs] * 3)
    path = tmp_path / "image.tif"
    if kind in ("lzw", "jpeg"):
        tifffile.imwrite(path, rgb, compression=kind, photometric="rgb")
    elif kind == "one plane":
        tifffile.imwrite(path, three_discs[None])
    elif kind == "planar":
        tifffile.imwrite(path, np.moveaxis(rgb, -1, 0), photometric="rgb", planarconfig="separate")
    else:
        path = path.with_suffix(".jpg" if kind == "cmyk" else ".png")
        mode = {"palette": "P", "cmyk": "CMYK", "grey and alpha": "LA"}[kind]
        PIL.Image.fromarray(rgb).convert(mode).save(path)
    assert segment(path, "--out", tmp_path, "--model", bright_file) == 0
    printed = capsys.readouterr()
    assert "3 nuclei" in printed.out
    assert printed.err == ""


def test_files_that_macos_leaves_are_no_images(images, tmp_path, bright_file, capsys):
    (images / "._a.tif").write_bytes(b"junk")
    (images / "folder.tif").mkdir()
    assert segment(images, "--out", tmp_path / "out", "--model", bright_file) == 0
    assert "4 of 4 files" in capsys.readouterr().out


def test_negative_labels_are_refused(tmp_path, capsys):
    tifffile.imwrite(tmp_path / "a.tif", np.full((4, 4), -1, np.int16))
    assert main(["evaluate", str(tmp_path), str(tmp_path)]) == 2
    one_line_about(capsys, "negative")


def test_evaluate_prints_a_table_and_json(images, tmp_path, bright_file, capsys):
    out, truth = tmp_path / "out", tmp_path / "truth"
    segment(images / "a.tif", "--out", out, "--model", bright_file)
    truth.mkdir()
    labels = tifffile.imread(out / "a_labels.ome.tif")
    labels[labels == 3] = 0
    imageio.imwrite(truth / "a.png", labels)
    capsys.readouterr()
    assert main(["evaluate", str(out), str(truth)]) == 0
    table = capsys.readouterr().out
    for name in ("AP@0.5", "AP@0.95", "mean AP", "F1", "PQ", "AJI", "Dice", "IoU"):
        assert name in table
    assert main(["evaluate", str(out), str(truth), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["pooled"]["AP@0.5"] == pytest.approx(2 / 3)
    assert scores["by image"]["F1"] == pytest.approx(4 / 5)
    assert scores["each"]["a"]["AP@0.5"] == pytest.approx(2 / 3)


def test_evaluate_tells_modalities_and_images_apart(tmp_path, capsys):
    labels = np.zeros((20, 20), np.uint16)
    labels[2:9, 2:9] = 1
    for folder in ("found", "truth"):
        (tmp_path / folder).mkdir()
        for name in "abc":
            tifffile.imwrite(tmp_path / folder / f"{name}.tif", labels)
    tifffile.imwrite(tmp_path / "found" / "c.tif", 0 * labels)
    (tmp_path / "kinds.csv").write_text("id,modality\na,bright\nb,dark\nc,dark\n")
    args = ["evaluate", *(str(tmp_path / f) for f in ("found", "truth"))]
    args += ["--groups", str(tmp_path / "kinds.csv")]
    assert main([*args, "--each"]) == 0
    printed = capsys.readouterr().out
    for row in ("bright (1 image), by image", "dark (2 images), pooled", "all (3 images)", "\nc "):
        assert row in printed
    assert main([*args, "--json"]) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["modalities"]["bright"]["by image"]["AP@0.5"] == 1
    assert table["modalities"]["dark"]["by image"]["AP@0.5"] == 0.5
    assert table["images"] == 3


def test_bench_says_how_fast_on_what(images, bright_file, capsys):
    args = ["bench", str(images / "a.tif"), "--model", str(bright_file), "--runs", "1"]
    assert main(args) == 0
    printed = capsys.readouterr().out
    for word in ("3 nuclei", "CPU", "network", "separate", "Mpx/s", "threads", "peak memory"):
        assert word in printed
    assert main([*args, "--json", "--precision", "fp32"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["plan"]["precision"] == "fp32"
    assert made["megapixels_per_second"] > 0
    assert 1e7 < made["peak_memory"] < 1e11
    assert made["read_per_pixel"] > 1
    assert made["gflops"] > 0
    assert made["peak_gflops"] > 0
    assert set(made["core_use"]) == set(made["cpu_seconds"]) == set(made["seconds"])
    assert made["read_seconds"] > 0


def test_a_report_names_versions_and_nobody(capsys):
    assert main(["bench", "--report"]) == 0
    printed = capsys.readouterr().out
    for word in ("Python: 3.", "GB", "runs on: ", f"numpy {np.__version__}", "napari-nuclei-unet "):
        assert word in printed
    for secret in (platform.node(), str(Path.home()), str(Path.cwd()), sys.prefix):
        assert secret not in printed


def test_bench_runs_another_program_in_turn(images, bright_file, capsys):
    args = ["bench", str(images / "a.tif"), "--model", str(bright_file), "--runs", "1"]
    args += ["--threshold", "0.4", "--json", "--against"]
    assert main([*args, f"{shlex.quote(sys.executable)} -c pass {{image}}"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert len(made["peer_seconds"]) == len(made["process_seconds"]) == 1
    assert made["process_ratio"] == made["peer_seconds"][0] / made["process_seconds"][0]
    assert made["process_seconds"][0] > made["end_to_end_seconds"][0]


def test_bench_says_why_another_program_cannot_be_compared(images, bright_file, capsys):
    args = ["bench", str(images / "a.tif"), "--model", str(bright_file), "--against"]
    for command, sentence in (
        ("no-such-program", "'no-such-program' cannot be run"),
        (f"{shlex.quote(sys.executable)} -c \"raise SystemExit('no weights')\"", "no weights"),
        (f"{shlex.quote(sys.executable)} -c 'exit(3)'", "failed with exit code 3"),
        ("'", "quotation mark"),
        (" ", "--against is empty"),
    ):
        assert main([*args, command]) == 2
        one_line_about(capsys, sentence)


def test_evaluate_tells_what_is_missing_or_does_not_fit(images, tmp_path, capsys):
    truth = tmp_path / "truth"
    truth.mkdir()
    tifffile.imwrite(truth / "z.tif", np.zeros((4, 4), np.uint16))
    assert main(["evaluate", str(images), str(truth)]) == 2
    one_line_about(capsys, "has no labels", "z")
    (truth / "z.tif").unlink()
    tifffile.imwrite(truth / "a.tif", np.zeros((4, 4), np.uint16))
    assert main(["evaluate", str(images), str(truth)]) == 2
    one_line_about(capsys, "a: predicted labels have the shape (60, 80)")


def test_demo_writes_labels_tables_and_overlays(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path)]) == 0
    names = {p.name for p in tmp_path.iterdir()}
    assert len(names) == 15
    overlay = imageio.imread(tmp_path / "histology_purple_overlay.png")
    assert overlay.shape == (256, 320, 3)
    assert "Histology (purple): " in capsys.readouterr().out


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == version("napari-nuclei-unet")


def test_the_axes_of_a_file_are_believed(tmp_path, bright_file, three_discs, capsys):
    """A TIFF that says where its channels are needs no --axes; colours have no mean."""
    last = np.stack([three_discs * 0, three_discs], axis=-1)
    tifffile.imwrite(tmp_path / "yxc.tif", last, metadata={"axes": "YXC"}, photometric="minisblack")
    model = ["--model", bright_file, "--out", tmp_path / "out"]
    assert segment(tmp_path / "yxc.tif", *model, "--channel", 1) == 0
    assert tifffile.imread(tmp_path / "out" / "yxc_labels.ome.tif").max() == 3
    tifffile.imwrite(tmp_path / "rgb.tif", np.dstack([three_discs] * 3), photometric="rgb")
    capsys.readouterr()
    assert segment(tmp_path / "rgb.tif", *model, "--channel", "mean") == 2
    one_line_about(capsys, "RGB", "--channel")


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [("--region", "1,2 3", "y,x of each corner"), ("--planes", "a", "whole numbers"),
     ("--channel", "pink", "mean, or of RGB"), ("--region", "0,0 1,1", "three vertices")],
)  # fmt: skip
def test_what_says_no_part_is_told(tmp_path, images, capsys, flag, value, words):
    try:
        code = segment(images, "--out", tmp_path / "out", flag, value)
    except SystemExit as end:
        code = end.code
    assert code == 2
    one_line_about(capsys, words)
