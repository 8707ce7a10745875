"""The command ``models``: a table for a terminal, cards as JSON, models in and out."""

import json
import os
import shutil
import sys
from dataclasses import asdict, replace

import pytest

from napari_nuclei_unet import load_model
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.cli._models import cut, shorten
from napari_nuclei_unet.models.model import read_card, read_model, save_model


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """The folder of the user's models, with none in it."""
    monkeypatch.setenv("NUCLEI_UNET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path / "home" / "models"


def run(capsys, *args):
    capsys.readouterr()
    code = main(["models", *map(str, args)])
    out, err = capsys.readouterr()
    assert err.count("\n") <= 1
    return code, out, err


def test_a_table_fits_a_terminal(mine, bright_file, capsys):
    card, network = read_model(bright_file)
    names = ["small", "nuclei of my first long project, version 7 a",
             "nuclei of my first long project, version 7 b", "y" * 80]  # fmt: skip
    for number, name in enumerate(names):
        about = {"sizes": (8.25, 104.5) if number else (), "created": "2026-11-24T10:00:00",
                 "description": "Made for all slides of a year, and for some more."}  # fmt: skip
        save_model(mine / f"{name}.safetensors", replace(card, **about), network.state_dict())
    code, out, err = run(capsys)
    lines = out.splitlines()
    assert (code, err, len(lines)) == (0, "", 6)
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].split() == ["NAME", "DIAMETER", "SIZE", "MADE", "ORIGIN", "FOR"]
    assert lines[1].startswith("nuclei ")
    assert "12-40 px" in lines[1]
    assert "12.1 MB" in lines[1]
    assert "shipped  fluorescence" in lines[1]
    assert len({line.split("  ")[0] for line in lines}) == 6  # they can be told apart
    small = next(line for line in lines if line.startswith("small "))
    assert "any" in small
    assert "2026-11-24  own      Made for" in small
    column = lines[0].index("FOR")
    assert all(line[column - 1] == " " for line in lines)


def test_a_wide_terminal_shows_more(mine, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    assert "fluorescence, histology, grayscale" in run(capsys)[1]
    monkeypatch.setenv("COLUMNS", "10")
    assert "nuclei" in run(capsys)[1]


def test_texts_are_shortened_where_that_hurts_least():
    assert shorten("abcdefgh", 8) == "abcdefgh"
    assert shorten("abcdefghi", 8) == "abc...hi"
    assert cut("one, two, three", 9) == "one, t..."
    assert cut("one", 9) == "one"


def test_json_has_the_whole_cards(mine, bright_file, capsys):
    assert run(capsys, "--import", bright_file)[0] == 0
    cards = json.loads(run(capsys, "--json")[1])
    assert [card["name"] for card in cards] == ["nuclei", "bright"]
    assert [card["shipped"] for card in cards] == [True, False]
    assert cards[1]["path"] == str(mine / "bright.safetensors")
    assert cards[1]["bytes"] == bright_file.stat().st_size
    for card in cards:
        for key, value in asdict(read_card(card["path"])).items():
            assert json.loads(json.dumps(value)) == card[key]


def test_a_model_goes_out_and_comes_in(mine, bright_file, tmp_path, capsys):
    code, out, _ = run(capsys, "--export", "nuclei", tmp_path / "new" / "copy.safetensors")
    assert (code, out.strip()) == (0, str(tmp_path / "new" / "copy.safetensors"))
    assert run(capsys, "--export", "nuclei", tmp_path)[1].strip().endswith("nuclei.safetensors")
    code, out, _ = run(capsys, "--import", tmp_path / "new" / "copy.safetensors")
    assert (code, out) == (0, f"copy: {mine / 'copy.safetensors'}\n")
    assert load_model("copy").card.sha256 == load_model("nuclei").card.sha256
    shutil.copy(bright_file, tmp_path / "copy.safetensors")
    code, _, err = run(capsys, "--import", tmp_path / "copy.safetensors")
    assert code == 2
    assert "There already is a model 'copy': give the file another name, or --overwrite it" in err
    assert load_model("copy").card.sha256 == load_model("nuclei").card.sha256
    assert run(capsys, "--import", tmp_path / "copy.safetensors", "--overwrite")[0] == 0
    assert load_model("copy").card.name == "bright"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--import", "{0}/none.safetensors"], "There is no file"),
        (["--import", "{0}"], "is a folder: give a file that ends in .safetensors"),
        (["--import", "{0}/text.safetensors"], "incomplete safetensors file"),
        (["--import", "{0}/changed.safetensors"], "checksum"),
        (["--import", "{0}/foreign.safetensors"], "not a model of this plugin"),
        (
            ["--import", "{0}/nuclei.safetensors", "--overwrite"],
            "cannot be the name of a model of your own",
        ),
        (["--export", "nothing", "{0}/a.safetensors"], "There is no model 'nothing'"),
        (["--export", "nuclei", "{0}/a.zip"], "must end in .safetensors"),
        (["--export", "nuclei", "{0}/text.safetensors"], "exists: choose another name, or --overw"),
    ],
)
def test_what_cannot_be_done_is_told(mine, bright_file, tmp_path, capsys, args, words):
    from safetensors.numpy import save_file

    (tmp_path / "text.safetensors").write_text("no model")
    data = bytearray(bright_file.read_bytes())
    data[-1] ^= 1
    (tmp_path / "changed.safetensors").write_bytes(data)
    save_file({}, tmp_path / "foreign.safetensors")
    shutil.copy(bright_file, tmp_path / "nuclei.safetensors")
    code, out, err = run(capsys, *(arg.format(tmp_path) for arg in args))
    assert (code, out) == (2, "")
    assert words in err
    assert not mine.exists() or not list(mine.iterdir())
    assert (tmp_path / "text.safetensors").read_text() == "no model"


@pytest.mark.skipif(sys.platform == "win32", reason="it has no named pipes in folders")
@pytest.mark.parametrize("args", [["--import"], ["--overwrite", "--export", "nuclei"]])
def test_a_pipe_is_neither_read_nor_replaced(mine, tmp_path, capsys, args):
    os.mkfifo(tmp_path / "pipe.safetensors")
    code, out, err = run(capsys, *args, tmp_path / "pipe.safetensors")
    assert (code, out) == (2, "")
    assert "pipe.safetensors is a named pipe, not a file" in err
    assert (tmp_path / "pipe.safetensors").is_fifo()


def test_a_damaged_model_does_not_hide_the_others(mine, bright_file, capsys):
    mine.mkdir(parents=True)
    (mine / "bad.safetensors").write_text("no model")
    shutil.copy(bright_file, mine / "good.safetensors")
    code, out, err = run(capsys)
    assert code == 2
    assert [line.split()[0] for line in out.splitlines()] == ["NAME", "nuclei", "good"]
    assert "bad.safetensors" in err
    assert len(json.loads(run(capsys, "--json")[1])) == 2
