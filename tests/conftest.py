"""What the tests share: a network that is a brightness threshold, and images with known nuclei."""

import os
import signal
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from skimage.draw import disk

from napari_nuclei_unet.blockwise.block import BlockParams
from napari_nuclei_unet.models.model import Model, ModelCard, load_model, save_model
from napari_nuclei_unet.network.unet import UNet, UNetConfig

# the user's own settings of napari, and models, are neither read nor written
os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")
os.environ["NUCLEI_UNET_HOME"] = tempfile.mkdtemp()

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

THRESHOLDS = {"threshold": 0.5, "separation": 0.9, "confidence": 0.0, "minimum_area": 5}


def bright_network() -> UNet:
    """A real U-Net whose weights are set so that it calls bright pixels nucleus."""
    config = UNetConfig(in_channels=3, out_channels=3, width=2, depth=1)
    network = UNet(config)
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.weight.fill_(1)
        network.down[0][0].weight[0, :, 1, 1] = 1 / 3  # channel 0: mean of the colours
        network.down[0][3].weight[0, 0, 1, 1] = 1
        network.merge[0][0].weight[0, 0, 1, 1] = 1
        network.merge[0][3].weight[0, 0, 1, 1] = 1
        network.head.weight[0, :, 0, 0] = torch.tensor([20.0, 0.0, 20.0])
        network.head.bias[:] = torch.tensor([-10.0, -10.0, -10.0])
    return network.eval()


def save_bright_model(path: Path) -> Path:
    """Save the brightness network as a model file."""
    network = bright_network()
    card = ModelCard(
        name="bright",
        description="calls bright pixels nucleus",
        network=vars(network.config),
        thresholds=THRESHOLDS,
    )
    save_model(path, card, network.state_dict())
    return path


@pytest.fixture(scope="session")
def bright_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The brightness network as a model file."""
    return save_bright_model(tmp_path_factory.mktemp("models") / "bright.safetensors")


@pytest.fixture(scope="session")
def bright(bright_file: Path) -> Model:
    """The brightness network, loaded."""
    return load_model(bright_file)


@pytest.fixture(scope="session")
def bright_blocks(bright_file: Path) -> BlockParams:
    """Small blocks of the brightness network: for whatever is no matter of the model."""
    return BlockParams(str(bright_file), size=256)


@pytest.fixture
def choosy(bright):
    """Takes nuclei from 8 to 18 pixels as they are; others are made 12 pixels wide."""
    return Model(replace(bright.card, sizes=(8.0, 18.0)), bright.network)


def discs(shape: tuple[int, int], centres: list[tuple[int, int]], radius: int = 6) -> np.ndarray:
    """Bright discs on a dark ground, 8 bit."""
    image = np.zeros(shape, np.uint8)
    for centre in centres:
        image[disk(centre, radius, shape=shape)] = 200
    return image


def region_median(region: np.ndarray, pixels: np.ndarray) -> float:
    """Return what scikit-image before 0.26 does not measure by itself."""
    return float(np.median(pixels[region]))


@pytest.fixture
def three_discs() -> np.ndarray:
    return discs((60, 80), [(15, 15), (40, 30), (30, 60)])


@pytest.fixture
def preferences():
    """The plugin's page in Preferences, as it is in a fresh napari; put back in the end."""
    from napari_nuclei_unet.widgets.common.preferences import DEFAULT_PREFERENCES, preferences_page

    page = preferences_page()
    before = {name: getattr(page, name) for name in DEFAULT_PREFERENCES}
    yield page
    for name, value in before.items():
        setattr(page, name, value)


@pytest.fixture
def alarm():
    """End a test that waits for ever, as opening a pipe does."""

    def ring(*_):
        raise TimeoutError("it waits for ever")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
