"""Labels that are written into the OME-Zarr of their image, and read by others and by us."""

import json
import os
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from conftest import discs
from ome_zarr_models.v04.image_label import ImageLabel as ImageLabel04
from ome_zarr_models.v04.labels import Labels as Labels04
from ome_zarr_models.v05.image_label import ImageLabel as ImageLabel05
from ome_zarr_models.v05.labels import Labels as Labels05

from napari_nuclei_unet import Result, UserError, read_result, save_into_image
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.export.into_image import save_into_image_steps
from napari_nuclei_unet.io.readers.ome_zarr import is_zarr

UM = "micrometer"
KINDS = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
SCALES = {"t": 30.0, "c": 1.0, "z": 2.0, "y": 0.5, "x": 0.25}
MODELS = {"0.4": (Labels04, ImageLabel04), "0.5": (Labels05, ImageLabel05)}
CENTRES = [(20, 20), (40, 60)]


def write_image(path, pixels, axes, version="0.4", levels=2, shift=None, **more):
    """Write an image as other programs do, with a pyramid."""
    named = [{"name": a, "type": KINDS[a], **({"unit": UM} if a in "zyx" else {})} for a in axes]
    datasets = []
    for level in range(levels):
        scale = [SCALES[a] * (2**level if a in "yx" else 1) for a in axes]
        steps = [{"type": "scale", "scale": scale}]
        if shift:
            steps.append({"type": "translation", "translation": [shift.get(a, 0.0) for a in axes]})
        datasets.append({"path": f"s{level}", "coordinateTransformations": steps})
    about = {"multiscales": [{"axes": named, "datasets": datasets, "version": "0.4"}], **more}
    if version == "0.5":
        del about["multiscales"][0]["version"]
        about = {"ome": {"version": "0.5", **about}}
    group = zarr.create_group(path, zarr_format=2 if version == "0.4" else 3, attributes=about)
    for level in range(levels):
        named = {} if version == "0.4" else {"dimension_names": list(axes)}
        group.create_array(f"s{level}", data=pixels[..., :: 2**level, :: 2**level], **named)
    return path


@pytest.fixture
def stack():
    """Labels of two frames of three slices."""
    return np.arange(2 * 3 * 60 * 80, dtype=np.int64).reshape(2, 3, 60, 80) % 700


def ngff(path):
    attributes = zarr.open_group(path, mode="r", use_consolidated=False).attrs.asdict()
    return attributes.get("ome", attributes)


def check_valid(image, version):
    """Check all labels of an image with ome-zarr-models, and that they are as their list says."""
    labels, label = MODELS[version]
    names = ngff(image / "labels")["labels"]
    labels.from_zarr(zarr.open_group(image / "labels", mode="r", use_consolidated=False))
    for name in names:
        label.from_zarr(zarr.open_group(image / "labels" / name, mode="r", use_consolidated=False))
    folders = {path.name for path in (image / "labels").iterdir() if is_zarr(path)}
    assert folders == set(names)
    assert not [path for path in image.iterdir() if path.name.startswith(".nuclei_unet")]
    return names


def consolidate(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zarr 3 has no standard for it
        zarr.consolidate_metadata(str(path))


def told(words):
    return pytest.raises(UserError, match=rf"^[^\n]*{words}[^\n]*\.$")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_labels_become_part_of_their_image(tmp_path, stack, version):
    pixels = np.zeros((2, 2, *stack.shape[1:]), np.uint16)
    shift = {"z": 1.0, "x": 7.0}
    image = write_image(tmp_path / "a.ome.zarr", pixels, "tczyx", version, 3, shift)
    before = json.dumps(ngff(image))
    table = pd.DataFrame({"label": [1, 2], "t": 0, "z": [0, 1], "kind": ["a", "b"]})
    made = Result(stack, table, "TZYX", record={"model": "m", "odd": np.float32(1)})
    at = save_into_image(image, made)
    assert at == image / "labels" / "nuclei"
    assert check_valid(image, version) == ["nuclei"]
    about = ngff(at)
    assert about["image-label"]["source"] == {"image": "../../"}
    assert json.dumps(ngff(image)) == before
    (scales,) = about["multiscales"]
    assert [axis["name"] for axis in scales["axes"]] == ["t", "z", "y", "x"]
    assert [axis.get("unit") for axis in scales["axes"]] == [None, UM, UM, UM]
    steps = [dataset["coordinateTransformations"] for dataset in scales["datasets"]]
    assert [step[0]["scale"] for step in steps] == [
        [30, 2, 0.5, 0.25], [30, 2, 1, 0.5], [30, 2, 2, 1]
    ]  # fmt: skip
    assert {tuple(step[1]["translation"]) for step in steps} == {(0, 1, 0, 7)}
    result = read_result(at)
    assert (result.axes, result.spacing, result.name) == ("TZYX", (30, 2, 0.5, 0.25), "a")
    assert result.record == {"model": "m", "odd": "1.0"}
    np.testing.assert_array_equal(result.labels, stack)
    assert result.labels.dtype == np.int32
    pd.testing.assert_frame_equal(result.table, table)


def test_other_labels_stay(tmp_path, stack):
    plane = stack[0, 0]
    image = write_image(tmp_path / "a.ome.zarr", plane, "yx")
    group = zarr.create_group(image / "labels", zarr_format=2, attributes={"labels": ["theirs"]})
    group.attrs["mine"] = 1
    write_image(image / "labels" / "theirs", plane, "yx", **{"image-label": {"version": "0.4"}})
    for name in ("nuclei", "more cells"):
        save_into_image(image, Result(plane, {}), name)
    assert check_valid(image, "0.4") == ["theirs", "nuclei", "more cells"]
    assert ngff(image / "labels")["mine"] == 1
    for name in ("nuclei", "theirs"):
        with told("choose another name, or `overwrite`"):
            save_into_image(image, Result(plane * 0, {}), name)
    np.testing.assert_array_equal(read_result(image / "labels" / "nuclei").labels, plane)
    save_into_image(image, Result(plane * 0, {}), "theirs", overwrite=True)
    assert check_valid(image, "0.4") == ["theirs", "nuclei", "more cells"]
    assert not np.any(read_result(image / "labels" / "theirs").labels)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_those_who_read_consolidated_metadata_find_them(tmp_path, stack, version):
    image = write_image(tmp_path / "a.ome.zarr", stack[0, 0], "yx", version)
    consolidate(image)
    save_into_image(image, Result(stack[0, 0], {}))
    group = zarr.open_group(image, mode="r", use_consolidated=True)
    np.testing.assert_array_equal(group["labels/nuclei/0"], stack[0, 0])


@pytest.mark.parametrize(
    ("axes", "shape", "own", "order"),
    [
        ("tczyx", (1, 2, 1, 60, 80), "YX", ""),  # as bioformats2raw writes planes
        ("tczyx", (2, 1, 1, 60, 80), "TYX", "T"),
        ("tyx", (3, 60, 80), "ZYX", "T"),  # a guess: TIFF without metadata
        ("tzyx", (2, 3, 60, 80), "ZTYX", "ZT"),
        ("cyx", (3, 60, 80), "TZYX", ""),
    ],
)
def test_labels_get_the_axes_of_their_image(tmp_path, axes, shape, own, order):
    image = write_image(tmp_path / "a.ome.zarr", np.zeros(shape, np.uint8), axes)
    sizes = {a.upper(): n for a, n in zip(axes, shape, strict=True) if a != "c"}
    expected = np.random.default_rng(0).integers(0, 9, tuple(sizes.values()), np.uint16)
    given = expected.transpose(1, 0, 2, 3) if order == "ZT" else expected
    squeezed = {"TYX": (2, 60, 80), "YX": (60, 80), "TZYX": (1, 1, 60, 80)}.get(own, given.shape)
    at = save_into_image(image, Result(given.reshape(squeezed), {}, own))
    result = read_result(at)
    assert result.axes == "".join(sizes)
    np.testing.assert_array_equal(result.labels, expected)
    check_valid(image, "0.4")


@pytest.mark.parametrize(
    ("labels", "axes"),
    [((60, 81), "YX"), ((30, 40), "YX"), ((2, 60, 80), "ZYX"), ((3, 3, 60, 80), "TZYX")],
)
def test_labels_of_another_image_are_refused(tmp_path, stack, labels, axes):
    image = write_image(tmp_path / "a.ome.zarr", stack[0].astype("u2"), "zyx")
    with told("do not match the image"):
        save_into_image(image, Result(np.zeros(labels, int), {}, axes))
    assert not (image / "labels").exists()


@pytest.mark.parametrize("name", ["", " a", "../a", "a/b", ".a", "__a", "b.ome.zarr", "nul", "a:b"])
def test_a_name_must_be_one(tmp_path, stack, name):
    image = write_image(tmp_path / "a.ome.zarr", stack[0, 0], "yx")
    with told("cannot have the name"):
        save_into_image(image, Result(stack[0, 0], {}), name)


def test_what_cannot_hold_labels_is_refused(tmp_path, stack):
    plane = stack[0, 0]
    result = Result(plane, {})
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    (tmp_path / "folder").mkdir()
    zarr.create_array(tmp_path / "array.zarr", data=plane)
    label = {"image-label": {"version": "0.4"}}
    write_image(tmp_path / "labels.zarr", plane, "yx", **label)
    newer = write_image(tmp_path / "newer.zarr", plane, "yx", "0.5")
    group = zarr.open_group(newer)
    group.attrs["ome"] = {**group.attrs["ome"], "version": "0.6"}
    taken = write_image(tmp_path / "taken.zarr", plane, "yx")
    zarr.create_array(taken / "labels", data=plane, zarr_format=2)
    damaged = write_image(tmp_path / "damaged.zarr", plane, "yx")
    zarr.create_group(damaged / "labels", zarr_format=2, attributes={"labels": ["theirs"]})
    (damaged / "labels" / ".zgroup").unlink()
    empty = write_image(tmp_path / "empty.zarr", plane, "yx")
    zarr.open_group(empty).attrs["multiscales"] = [{"version": "0.4"}]
    (tmp_path / "text.zarr").mkdir()
    (tmp_path / "text.zarr" / "zarr.json").write_text("{")
    for path, words in {
        "none.zarr": "There is no file",
        "a.tif": "not an OME-Zarr image",
        "folder": "not an OME-Zarr image",
        "array.zarr": "is an array",
        "labels.zarr": "contains labels",
        "newer.zarr": "neither NGFF 0.4 nor 0.5",
        "taken.zarr": "not a labels group",
        "damaged.zarr": "labels cannot be read",
        "empty.zarr": "cannot be read",
        "text.zarr": "cannot be read",
    }.items():
        with told(words):
            save_into_image(tmp_path / path, result)
    assert json.loads((damaged / "labels" / ".zattrs").read_text()) == {"labels": ["theirs"]}
    for address in ("https://example.org/a.zarr", "s3://bucket/a.zarr"):
        with told("on the network"):
            save_into_image(address, result)
    with told("not be negative"):
        save_into_image(write_image(tmp_path / "b.zarr", plane, "yx"), Result(-plane, {}))
    assert not (tmp_path / "b.zarr" / "labels").exists()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_store_that_is_read_only_is_told(tmp_path, stack):
    image = write_image(tmp_path / "a.ome.zarr", stack[0, 0], "yx")
    image.chmod(0o555)
    with told("a.ome.zarr cannot be written .*ermission"):
        save_into_image(image, Result(stack[0, 0], {}))
    image.chmod(0o755)


def test_a_name_that_a_file_has_is_told(tmp_path, stack):
    image = write_image(tmp_path / "a.ome.zarr", stack[0, 0], "yx")
    (image / "labels").write_text("")
    with told("cannot be written"):
        save_into_image(image, Result(stack[0, 0], {}))
    assert (image / "labels").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("name", ["labels", ".nuclei_unet_new", ".nuclei_unet_old"])
def test_nothing_is_written_through_a_link_inside_the_image(tmp_path, stack, name):
    image = write_image(tmp_path / "a.ome.zarr", stack[0, 0], "yx")
    others = tmp_path / "others"
    (others / "kept").mkdir(parents=True)
    (image / name).symlink_to(others)
    with told("is a link to another folder, in which nothing is written"):
        save_into_image(image, Result(stack[0, 0], {}))
    assert [path.name for path in others.rglob("*")] == ["kept"]
    assert not (image / "labels" / "nuclei").exists()


def test_an_interrupted_writing_leaves_nothing(tmp_path, stack):
    image = write_image(tmp_path / "a.ome.zarr", stack[0].astype("u2"), "zyx")
    save_into_image(image, Result(stack[0], {}, "ZYX"))
    before = sorted(path.relative_to(image) for path in image.rglob("*"))
    steps = save_into_image_steps(image, Result(stack[1], {}, "ZYX"), overwrite=True)
    next(steps)
    with told("written by another program"):
        save_into_image(image, Result(stack[1], {}, "ZYX"), "others")
    steps.close()
    assert sorted(path.relative_to(image) for path in image.rglob("*")) == before
    np.testing.assert_array_equal(read_result(image / "labels" / "nuclei").labels, stack[0])


def test_what_a_killed_program_has_left_is_put_right(tmp_path, stack):
    image = write_image(tmp_path / "a.ome.zarr", stack[0, 0], "yx")
    save_into_image(image, Result(stack[0, 0], {}))
    (image / ".nuclei_unet_old").mkdir()
    (image / "labels" / "nuclei").rename(image / ".nuclei_unet_old" / "nuclei")
    (image / ".nuclei_unet_new" / "nuclei").mkdir(parents=True)
    save_into_image(image, Result(stack[0, 0], {}), "cells")
    assert check_valid(image, "0.4") == ["nuclei", "cells"]


def write_plate(path):
    """Write a plate of two wells with one field each."""
    names = ["A/1", "B/1"]
    wells = [{"path": n, "rowIndex": i, "columnIndex": 0} for i, n in enumerate(names)]
    about = {"plate": {"wells": wells, "rows": [{"name": "A"}, {"name": "B"}],
                       "columns": [{"name": "1"}], "version": "0.4"}}  # fmt: skip
    zarr.create_group(path, zarr_format=2, attributes=about)
    for name in names:
        zarr.create_group(path / name[0], zarr_format=2)
        well = {"well": {"images": [{"path": "0"}], "version": "0.4"}}
        zarr.create_group(path / name, zarr_format=2, attributes=well)
        write_image(path / name / "0", discs((60, 80), CENTRES), "yx")
    return path


def test_of_a_plate_one_image_is_chosen(tmp_path):
    plate = write_plate(tmp_path / "p.zarr")
    labels = np.ones((60, 80), int)
    with told(r"contains several images.*p.zarr/A/1/0"):
        save_into_image(plate, Result(labels, {}))
    at = save_into_image(plate / "A" / "1" / "0", Result(labels, {}))
    assert check_valid(plate / "A" / "1" / "0", "0.4") == ["nuclei"]
    assert read_result(at).name == "p_A_1_0"
    with told("`overwrite`"):  # a well of one field is that field
        save_into_image(plate / "A" / "1", Result(labels, {}))


# on the command line


def test_a_run_writes_labels_into_their_image(tmp_path, bright_file, capsys):
    pixels = np.stack([discs((60, 80), CENTRES)] * 2)
    image = write_image(tmp_path / "a.ome.zarr", pixels, "cyx", "0.5")
    consolidate(image)  # what labels change there is no change of the image
    command = ["segment", str(image), "--model", str(bright_file), "--channel", "1"]
    assert main([*command, "--into-image"]) == 0
    assert check_valid(image, "0.5") == ["nuclei"]
    result = read_result(image / "labels" / "nuclei")
    assert (len(result.table), result.micrometers) == (2, (0.5, 0.25))
    assert result.record["model"] == "bright"
    assert (tmp_path / "a_nuclei.csv").is_file()  # beside the image, without --out
    changed = (image / "labels" / "nuclei" / "zarr.json").stat().st_mtime_ns
    capsys.readouterr()
    assert main([*command, "--into-image"]) == 0
    assert "a.ome.zarr: 2 nuclei (done before)" in capsys.readouterr().out
    assert (image / "labels" / "nuclei" / "zarr.json").stat().st_mtime_ns == changed
    assert main([*command, "--into-image", "cells", "--out", str(tmp_path / "out")]) == 0
    assert check_valid(image, "0.5") == ["nuclei", "cells"]
    other = [*command, "--threshold", "0.4", "--out", str(tmp_path / "other"), "--into-image"]
    assert main(other) == 2
    assert "choose another name, or --overwrite them" in capsys.readouterr().err
    assert not list((tmp_path / "other").glob("*.tif"))  # it is told before any work
    assert main([*other, "--overwrite"]) == 0
    assert read_result(image / "labels" / "nuclei").record["params"]["threshold"] == 0.4


def test_so_does_one_over_a_plate_and_with_stores(tmp_path, bright_file, capsys):
    plate = write_plate(tmp_path / "p.zarr")
    command = ["segment", str(plate), "--model", str(bright_file), "--into-image"]
    for _ in range(2):
        assert main([*command, "--format", "zarr", "--ngff", "0.5"]) == 0
    for well in "AB":
        assert check_valid(plate / well / "1" / "0", "0.4") == ["nuclei"]
        store = zarr.open_group(tmp_path / f"p_{well}_1_0_labels.ome.zarr", mode="r")
        ImageLabel05.from_zarr(store)
        assert len(read_result(store.store.root).table) == 2
    capsys.readouterr()
    assert main([*command, "--format", "zarr"]) == 2
    assert "is of NGFF 0.5, not 0.4: choose another name or --overwrite" in capsys.readouterr().err


def test_a_run_that_cannot_end_in_the_image_does_not_begin(tmp_path, bright_file, capsys):
    image = write_image(tmp_path / "a.ome.zarr", np.stack([discs((60, 80), CENTRES)] * 3), "zyx")
    tifffile.imwrite(tmp_path / "b.tif", discs((60, 80), CENTRES))
    model = ["--model", str(bright_file), "--into-image", "--out", str(tmp_path / "out")]
    for path, more, words in [
        (image, ["--planes", "0-1"], "do not match the image"),
        (image, ["--level", "1", "--format", "zarr"], "do not match the image"),
        (tmp_path / "b.tif", [], "not an OME-Zarr image"),
    ]:
        capsys.readouterr()
        assert main(["segment", str(path), *more, *model]) == 2
        assert words in capsys.readouterr().err
        assert {p.name for p in (tmp_path / "out").iterdir()} == {"nuclei_summary.csv"}
    assert main(["segment", str(image)]) == 2
    assert "--out" in capsys.readouterr().err


def test_labels_are_converted_into_their_image_and_from_there(tmp_path, bright_file, capsys):
    image = write_image(tmp_path / "a.ome.zarr", discs((60, 80), CENTRES), "yx")
    out = tmp_path / "out"
    assert main(["segment", str(image), "--model", str(bright_file), "--out", str(out)]) == 0
    labels = next(out.glob("a_labels*"))
    capsys.readouterr()
    assert main(["convert", str(labels), "--into-image", str(image), "--name", "cells"]) == 0
    at = image / "labels" / "cells"
    assert capsys.readouterr().out.splitlines() == [str(at)]
    assert len(read_result(at).table) == 2
    assert main(["convert", str(labels), "--into-image", str(image), "--name", "cells"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["convert", str(labels), "--into-image", str(image), "--to", "rois"]) == 0
    assert main(["convert", str(image / "labels" / "nuclei"), "--to", "csv,ome-tiff"]) == 0
    assert main(["convert", str(at), "--to", "csv"]) == 0
    files = {path.name for path in tmp_path.iterdir()}
    assert {"a_nuclei.csv", "a_labels.ome.tif", "a_cells_nuclei.csv"} <= files
    again = pd.read_csv(tmp_path / "a_nuclei.csv")
    pd.testing.assert_frame_equal(again, pd.read_csv(out / "a_nuclei.csv"))
    assert main(["measure", str(at), str(image), "--overwrite"]) == 0
    assert "confidence" in read_result(at).table
    for args in ([str(labels)], [str(labels), str(at), "--into-image", str(image)]):
        capsys.readouterr()
        assert main(["convert", *args]) == 2
        assert capsys.readouterr().err.count("\n") == 1
