"""Tables for spreadsheets that write decimal commas, and such that were saved there."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import discs

from napari_nuclei_unet import Result, UserError, read_result, save
from napari_nuclei_unet.batch.summary import read_summary
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.io.tables import (
    escape_formulas,
    read_saved_table,
    read_table,
    rewrite_with_decimal_comma,
    write_table,
)

CENTRES = [(20, 20), (40, 60)]
SPREADSHEET = {"sep": ";", "decimal": ",", "encoding": "utf-8-sig"}


@pytest.fixture
def folder(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for name in "ab":
        tifffile.imwrite(images / f"{name}.tif", discs((60, 80), CENTRES))
    return images


@pytest.fixture
def segment(folder, bright_file, tmp_path):
    def run(*args):
        command = ["segment", str(folder), "--out", str(tmp_path / "out")]
        return main([*command, "--model", str(bright_file), "--diameter", "12", *args])

    return run


def test_a_table_is_written_as_spreadsheets_read_it(tmp_path):
    table = pd.DataFrame({"label": [1, 2], "area": [3.5, np.nan], "kind": ["a;b", "c,d"],
                          "small": [1.25e-7, 2.0], "is": [True, False]})  # fmt: skip
    result = Result(np.eye(3, dtype=int), table)
    save(tmp_path / "a.csv", result, decimal_comma=True)
    text = (tmp_path / "a.csv").read_bytes().decode("utf-8-sig")
    assert text.splitlines() == [
        "label;area;kind;small;is", '1;3,5;"a;b";1,25e-07;True', "2;nan;c,d;2;False"
    ]  # fmt: skip
    save(tmp_path / "b.csv", result)
    pd.testing.assert_frame_equal(
        read_saved_table(tmp_path / "a.csv"), read_saved_table(tmp_path / "b.csv")
    )
    save(tmp_path / "a.geojson", result, decimal_comma=True)
    assert '"area":3.5' in (tmp_path / "a.geojson").read_text()


def test_a_folder_that_is_called_as_the_home_folder_is_short_for(tmp_path, monkeypatch):
    """A script may name it so, and no shell has replaced it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for folder in ("~", "home"):
        (tmp_path / folder).mkdir()
    write_table(Path("~/a.csv"), pd.DataFrame({"label": [1]}))
    assert [path.name for path in (tmp_path / "~").iterdir()] == ["a.csv"]
    assert read_table(Path("~/a.csv"))["label"].tolist() == [1]
    assert not list((tmp_path / "home").iterdir())


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_a_table_is_written_anew_once(tmp_path, rows):
    table = pd.DataFrame({"label": np.arange(rows), "area": np.arange(rows) / 4 + 0.25})
    path = tmp_path / "a.csv"
    table.to_csv(path, index=False)
    rewrite_with_decimal_comma(path)
    pd.testing.assert_frame_equal(read_saved_table(path), table, check_dtype=bool(rows))
    before = path.stat().st_mtime_ns
    rewrite_with_decimal_comma(path)
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
def test_a_run_writes_them_and_goes_on(segment, tmp_path, capsys, kind):
    assert segment("--format", kind, "--decimal-comma", "--save", "csv,geojson") == 0
    out = tmp_path / "out"
    tables = [out / "a_nuclei.csv", out / "nuclei_summary.csv"]
    nuclei, summary = (pd.read_csv(table, **SPREADSHEET) for table in tables)
    assert nuclei["centroid_y"].tolist() == [20, 40]
    assert nuclei["confidence"].between(0.5, 1).all()
    assert summary["seconds"].dtype == float
    labels = next(out.glob("a_labels*"))
    assert len(read_result(labels).table) == 2
    before = tables[0].read_bytes(), tables[0].stat().st_mtime_ns
    for flag in (["--decimal-comma"], []):
        capsys.readouterr()
        assert segment("--format", kind, *flag) == 0
        assert "2 of 2 files written to" in (text := capsys.readouterr().out)
        assert text.count("(done before)") == 2
    assert (tables[0].read_bytes(), tables[0].stat().st_mtime_ns) == before
    assert ";" not in tables[1].read_text().splitlines()[0]  # made anew by each run


def test_tables_of_an_earlier_run_become_such(segment, tmp_path):
    assert segment() == 0
    assert segment("--decimal-comma") == 0
    assert pd.read_csv(tmp_path / "out" / "b_nuclei.csv", **SPREADSHEET)["area"].gt(9).all()


def resave(path, quoting=0):
    table = read_saved_table(path)
    table.to_csv(path, index=False, sep=";", decimal=",", encoding="utf-8-sig", quoting=quoting)


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
@pytest.mark.parametrize("quoting", [0, 2])
def test_what_a_spreadsheet_has_saved_stays_and_is_skipped(
    segment, tmp_path, capsys, kind, quoting
):
    assert segment("--format", kind) == 0
    out = tmp_path / "out"
    for name in ("a_nuclei.csv", "b_nuclei.csv", "nuclei_summary.csv"):
        resave(out / name, quoting)
    before = (out / "a_nuclei.csv").read_bytes()
    capsys.readouterr()
    assert segment("--format", kind) == 0
    assert capsys.readouterr().out.count("(done before)") == 2
    assert (out / "a_nuclei.csv").read_bytes() == before
    assert pd.read_csv(out / "nuclei_summary.csv")["status"].tolist() == ["skipped"] * 2


def test_a_table_of_other_nuclei_is_none_of_these(segment, tmp_path, capsys):
    assert segment() == 0
    table = tmp_path / "out" / "a_nuclei.csv"
    good = table.read_bytes()
    for column in ("area", "label"):
        spoilt = read_saved_table(table)
        spoilt[column] += 1
        spoilt.to_csv(table, index=False)
        before = table.read_bytes()
        assert segment() == 2
        assert "was edited, or belongs to other labels" in capsys.readouterr().err
        assert table.read_bytes() == before
        assert segment("--overwrite") == 0
        assert table.read_bytes() == good
    assert segment("--format", "zarr", "--overwrite") == 0
    table.write_text(table.read_text().replace("\n2,", "\n1,"))
    capsys.readouterr()
    assert segment("--format", "zarr") == 2
    assert "is missing or was changed" in capsys.readouterr().err


def test_measure_and_convert_write_them_too(segment, folder, tmp_path):
    assert segment() == 0
    labels = next((tmp_path / "out").glob("a_labels*"))
    more, made = ["--decimal-comma", "--out"], str(tmp_path / "m.csv")
    assert main(["measure", str(labels), str(folder / "a.tif"), *more, made]) == 0
    assert main(["convert", str(labels), "--to", "csv", *more, str(tmp_path)]) == 0
    for name in ("m.csv", "a_nuclei.csv"):
        table = pd.read_csv(tmp_path / name, **SPREADSHEET)
        assert table["perimeter"].dtype == float
        assert table["mean_intensity"].tolist() == [200, 200]


def test_a_table_that_excel_has_saved_in_its_own_encoding_is_read(tmp_path):
    table = pd.DataFrame({"label": [1], "Größe": [0.5], "Art": ["µ"]})
    table.to_csv(tmp_path / "a.csv", sep=";", decimal=",", index=False, encoding="cp1252")
    pd.testing.assert_frame_equal(read_saved_table(tmp_path / "a.csv"), table)


def test_what_is_no_table_is_told(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"label;\x81\n1;2\n")
    with pytest.raises(UserError, match="cannot be read"):
        read_saved_table(tmp_path / "a.csv")


FORMULAS = [
    "=1+1",
    "+1+1",
    "-2+3",
    "@sum(a1)",
    "\t=1",
    "\r=1",
    "'=1+1",
    "''@x",
    "=cmd|' /C calc'!A0",
]
HARMLESS = ["-1.5", "+3", "-1,5e-07", "-inf", "a=b", "'quoted'", "Ki67: positive"]


def test_text_is_no_formula_of_a_spreadsheet_and_comes_back(tmp_path):
    texts = FORMULAS + HARMLESS
    written = escape_formulas(pd.DataFrame({"text": texts}))["text"]
    assert [new == f"'{old}" for new, old in zip(written, texts, strict=True)] == [
        *[True] * len(FORMULAS), *[False] * len(HARMLESS),
    ]  # fmt: skip
    table = pd.DataFrame({"label": range(len(texts)), "size": -1.5, "=a_class": texts})
    table["kind"] = pd.Categorical(texts)
    for decimal_comma in (False, True):
        path = tmp_path / f"{decimal_comma}.csv"
        write_table(path, table, decimal_comma=decimal_comma)
        read = read_saved_table(path, dtype=str, keep_default_na=False)
        assert read["=a_class"].tolist() == read["kind"].tolist() == texts
        assert "'=a_class" in path.read_text("utf-8-sig").splitlines()[0]
    rewrite_with_decimal_comma(tmp_path / "False.csv")
    written = read_saved_table(tmp_path / "False.csv", keep_default_na=False)
    assert written["kind"].tolist() == texts
    assert written["size"].eq(-1.5).all()


def test_the_summary_of_an_image_with_such_a_name(bright_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("=1+1.tif", discs((60, 80), CENTRES))
    assert main(["segment", "=1+1.tif", "--out", "out", "--model", str(bright_file)]) == 0
    (row,) = read_summary(tmp_path / "out" / "nuclei_summary.csv")
    assert row.image == "=1+1.tif"
    assert "\n'=1+1.tif" in (tmp_path / "out" / "nuclei_summary.csv").read_text()
