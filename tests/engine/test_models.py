import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from conftest import THRESHOLDS, bright_network

from napari_nuclei_unet import UserError, load_model
from napari_nuclei_unet.models.model import ModelCard, save_model


def test_saving_and_loading_give_the_same_predictions(bright, bright_file):
    network = bright_network()
    image = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(bright.network(image), network(image), atol=1e-3, rtol=1e-3)
    assert load_model(bright_file) is load_model(bright_file)


def refused(path, words):
    with pytest.raises(UserError, match=words) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


def test_missing(tmp_path):
    refused(tmp_path / "nothing.safetensors", "There is no model")


def test_truncated(bright_file, tmp_path):
    path = tmp_path / "short.safetensors"
    path.write_bytes(bright_file.read_bytes()[:-100])
    refused(path, "incomplete safetensors file")


def test_pickle_is_not_unpickled(tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(pickle.dumps({"a": np.zeros(3)}))
    refused(path, "incomplete safetensors file")


def test_empty_file_and_folder(tmp_path):
    path = tmp_path / "empty.safetensors"
    path.touch()
    refused(path, "incomplete safetensors file")
    refused(tmp_path, "There is no model")


def test_safetensors_of_another_program(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(3)}, path)
    refused(path, "no model card")


def test_changed_weights(bright_file, tmp_path):
    path = tmp_path / "changed.safetensors"
    data = bytearray(bright_file.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    refused(path, "checksum")


@pytest.mark.parametrize(
    "network",
    [
        {"width": 3, "depth": 1},
        {"layers": 50},
        {"width": 2, "depth": 1, "padding": "wrap"},
        {"width": 2, "depth": 1, "stem": 0},
        {"width": 0, "depth": 1},
        {"width": "2", "depth": 1},
        {"width": 2, "depth": 1, "out_channels": 1},
    ],
)
def test_another_architecture(network, tmp_path):
    path = tmp_path / "other.safetensors"
    card = ModelCard("other", "", network, THRESHOLDS)
    save_model(path, card, bright_network().state_dict())
    refused(path, "network architecture")


def test_damaged_card(bright_file, tmp_path):
    from safetensors.torch import load_file, save_file

    path = tmp_path / "card.safetensors"
    metadata = {"format": "nuclei-unet-1", "card": json.dumps({"name": "x"})[:-2]}
    save_file(load_file(bright_file), path, metadata=metadata)
    refused(path, "card of card.safetensors is damaged")


@pytest.mark.parametrize(
    "thresholds", [{}, {"threshold": 0.5}, [0.5], THRESHOLDS | {"threshold": "high"}]
)
def test_a_card_without_good_thresholds(thresholds, tmp_path):
    path = tmp_path / "card.safetensors"
    card = ModelCard("other", "", {"width": 2, "depth": 1}, thresholds)
    save_model(path, card, bright_network().state_dict())
    refused(path, "card of card.safetensors is damaged")


def test_weights_of_16_bits_can_be_loaded(tmp_path):
    path = tmp_path / "half.safetensors"
    weights = {
        k: v.bfloat16() if v.is_floating_point() else v
        for k, v in bright_network().state_dict().items()
    }
    save_model(path, ModelCard("half", "", {"width": 2, "depth": 1}, THRESHOLDS), weights)
    assert load_model(path).card.name == "half"


def test_a_file_that_was_replaced_is_loaded_again(bright_file, tmp_path):
    path = tmp_path / "model.safetensors"
    shutil.copy(bright_file, path)
    first = load_model(path)
    network = bright_network()
    with torch.no_grad():
        network.head.bias += 1
    save_model(path, first.card, network.state_dict())
    assert load_model(path).card.sha256 != first.card.sha256
