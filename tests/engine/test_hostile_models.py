"""Model files that are made to do harm: refused before they take time or memory."""

import json
import os
import shutil
import sys

import pytest
import torch
from conftest import THRESHOLDS, bright_network

from napari_nuclei_unet import UserError
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.models.model import ModelCard, load_model, read_card, save_model


def save(path, network=None, weights=None):
    card = ModelCard("odd", "", network or {"width": 2, "depth": 1}, THRESHOLDS)
    weights = bright_network().state_dict() if weights is None else weights
    save_model(path, card, weights)
    return path


def change_card(path, fields):
    """Change fields of a card; its weights stay."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    card = json.loads(header["__metadata__"]["card"])
    header["__metadata__"]["card"] = json.dumps(card | fields)
    write(path, json.dumps(header), data[8 + length :])


def write(path, header, weights=b""):
    text = header.encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + weights)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 1e39])
@pytest.mark.parametrize("name", ["head.bias", "down.0.1.running_mean"])
def test_weights_that_are_no_numbers(tmp_path, name, number):
    weights = {
        k: v.double() if v.is_floating_point() else v
        for k, v in bright_network().state_dict().items()
    }
    weights[name][0] = number  # 1e39 is infinite in the network's precision
    with pytest.raises(UserError, match="infinite or no numbers"):
        load_model(save(tmp_path / "odd.safetensors", weights=weights))


def test_a_variance_below_zero(tmp_path):
    weights = bright_network().state_dict()
    weights["down.0.1.running_var"][:] = -1
    with pytest.raises(UserError, match="infinite or no numbers"):
        load_model(save(tmp_path / "odd.safetensors", weights=weights))


@pytest.mark.parametrize(
    "network",
    [
        {"width": 1024, "depth": 8},
        {"width": 10**9, "depth": 1},
        {"width": 2, "depth": 10**6},
        {"width": 2, "depth": 1, "stem": 10**6},
        {"width": 64, "depth": 4, "stem": 2, "encoder": "resnet34"},
        {"width": 2, "depth": 1, "mean": [0.5] * 10**5},
        {"width": 2, "depth": 1, "std": [0, 0, 0]},
    ],
)
def test_a_card_of_a_huge_network_takes_no_memory(tmp_path, network):
    path = save(tmp_path / "odd.safetensors", network)
    before = torch.get_rng_state()
    with pytest.raises(UserError, match="network architecture"):
        load_model(path)
    assert torch.equal(before, torch.get_rng_state())  # nothing was made at random


@pytest.mark.parametrize(
    "fields",
    [
        {"name": 1}, {"description": ["x"]}, {"created": None}, {"scores": [1]}, {"history": [1]},
        {"parent": "x"}, {"trained_on": 3}, {"sizes": [1, 2, 3]}, {"sizes": 0}, {"ideal": "x"},
        {"sizes": [1e400, 2]}, {"sizes": [], "ideal": -1}, {"sizes": [], "ideal": 1e30},
        {"sha256": {}}, {"network": []}, {"sizes": [40, 12]},
        *({"thresholds": THRESHOLDS | {name: None}} for name in THRESHOLDS),
    ],
)  # fmt: skip
def test_a_card_with_fields_of_other_types(tmp_path, fields):
    path = save(tmp_path / "odd.safetensors")
    change_card(path, fields)
    with pytest.raises(UserError, match=r"card of odd\.safetensors is damaged"):
        read_card(path)


def test_deep_and_long_headers(tmp_path):
    path = tmp_path / "odd.safetensors"
    deep = "[" * 100_000 + "]" * 100_000
    write(path, json.dumps({"__metadata__": {"format": "nuclei-unet-1", "card": deep}}))
    with pytest.raises(UserError, match=r"card of odd\.safetensors is damaged"):
        read_card(path)
    write(path, f'{{"a": {deep}}}')
    with pytest.raises(UserError, match="incomplete safetensors file"):
        read_card(path)
    with path.open("wb") as file:
        file.write((2**26).to_bytes(8, "little"))
        file.truncate(2**27)
    with pytest.raises(UserError, match="its header has 67,108,864 bytes"):
        read_card(path)


def test_a_header_of_very_many_weights(tmp_path):
    """To parse it would take seconds, and hundreds of megabytes."""
    none = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    path = tmp_path / "odd.safetensors"
    write(path, json.dumps({f"weight {number}": none for number in range(100_000)}))
    with pytest.raises(UserError, match=r"its header has 7,\d+,\d+ bytes"):
        read_card(path)


def test_a_header_after_very_many_epochs(bright_file, tmp_path):
    path = tmp_path / "long.safetensors"
    shutil.copy(bright_file, path)
    change_card(
        path, {"history": [{"epoch": float(n), "loss": 0.123456789} for n in range(10_000)]}
    )
    assert len(load_model(path).card.history) == 10_000


@pytest.mark.skipif(sys.platform != "linux", reason="other systems lack these entries")
def test_a_bad_file_of_each_kind_does_not_hide_the_others(
    bright_file, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("NUCLEI_UNET_HOME", str(tmp_path))
    shutil.copy(bright_file, folder / "good.safetensors")
    os.mkfifo(folder / "pipe.safetensors")
    (folder / "folder.safetensors").mkdir()
    (folder / "loop.safetensors").symlink_to("loop.safetensors")
    (folder / "\x1b[31mred.safetensors").write_bytes(b"x")
    shown = ModelCard(
        "x", "\x1b]0;owned\x07 \r\nfor\tall", vars(bright_network().config), THRESHOLDS
    )
    save_model(folder / "shown.safetensors", shown, bright_network().state_dict())
    assert main(["models"]) == 2
    out, err = capsys.readouterr()
    assert all(character == "\n" or character.isprintable() for character in out + err)
    assert {"good", "shown"} <= {line.split()[0] for line in out.splitlines()}
    for name in ("pipe", "folder", "loop", "red"):
        assert f"{name}.safetensors" in err, name
    assert "is a named pipe" in err
    assert "leads back to itself" in err
