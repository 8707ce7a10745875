"""The user's own models: names are never taken twice, nothing is lost."""

import shutil

import pytest

from napari_nuclei_unet import UserError, available_models, load_model
from napari_nuclei_unet.models.library import (
    copy_from_library,
    copy_into_library,
    delete_model,
    find_free_model_path,
    rename_model,
)


@pytest.fixture
def mine(bright_file, tmp_path, monkeypatch):
    """A folder of models with "bright" in it, which is the user's."""
    monkeypatch.setenv("NUCLEI_UNET_HOME", str(tmp_path))
    folder = tmp_path / "models"
    copy_into_library(bright_file, folder)
    return folder


def test_own_models_go_by_name_after_the_shipped_ones(mine):
    assert list(available_models()) == ["nuclei", "bright"]
    assert load_model("bright").card.name == "bright"
    shutil.copyfile(mine / "bright.safetensors", mine / "nuclei.safetensors")
    assert load_model("nuclei").card.name == "nuclei"  # that of the package


def test_names_get_versions(mine):
    for wanted in ("bright 2", "bright 3"):
        assert copy_into_library(mine / "bright.safetensors", mine).stem == wanted
    assert find_free_model_path(mine, "Bright").stem == "Bright 4"  # some disks know no capitals
    assert find_free_model_path(mine, "bright 2").stem == "bright 4"
    assert find_free_model_path(mine, " new ").stem == "new"


@pytest.mark.parametrize("name", ["", " ", "a/b", "a\\b", "..", ".x", "con", "nuclei", "x" * 81])
def test_what_cannot_be_a_name_is_told(mine, name):
    with pytest.raises(UserError, match="name"):
        find_free_model_path(mine, name)
    with pytest.raises(UserError, match="name"):
        rename_model(mine / "bright.safetensors", name)
    assert [path.name for path in mine.iterdir()] == ["bright.safetensors"]


def test_a_renamed_model_knows_its_name_and_keeps_its_weights(mine):
    before = load_model("bright").card
    path = rename_model(mine / "bright.safetensors", "Bright")
    assert [one.name for one in mine.iterdir()] == ["Bright.safetensors"]
    card = load_model(path).card
    assert card.name == "Bright"
    assert card.sha256 == before.sha256
    copy_into_library(path, mine)
    with pytest.raises(UserError, match="already"):
        rename_model(path, "Bright 2")


def test_what_is_no_model_is_neither_taken_in_nor_given_away(mine, tmp_path):
    wrong = tmp_path / "wrong.safetensors"
    wrong.write_bytes(b"x" * 50)
    with pytest.raises(UserError, match="incomplete safetensors file"):
        copy_into_library(wrong, mine)
    with pytest.raises(UserError, match="incomplete safetensors file"):
        copy_from_library(wrong, tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()
    copy_from_library(mine / "bright.safetensors", tmp_path / "out.safetensors")
    assert (tmp_path / "out.safetensors").read_bytes() == (mine / "bright.safetensors").read_bytes()
    delete_model(mine / "bright.safetensors")
    delete_model(mine / "bright.safetensors")  # gone is gone
    assert list(available_models()) == ["nuclei"]


def test_a_model_of_a_newer_version_is_told(mine):
    import json

    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    path = mine / "bright.safetensors"
    with safe_open(path, framework="pt") as opened:
        header = opened.metadata()
    save_file(load_file(path), path, metadata=header | {"format": "nuclei-unet-2"})
    with pytest.raises(UserError, match="newer version"):
        load_model(path)
    assert json.loads(header["card"])["name"] == "bright"
