"""The overlap-tile strategy leaves no trace, on any image size."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from napari_nuclei_unet.models.model import load_model
from napari_nuclei_unet.network.fusion import fuse_conv_bn_relu
from napari_nuclei_unet.network.unet import UNet, UNetConfig
from napari_nuclei_unet.progress import run
from napari_nuclei_unet.segmentation.device import InferencePlan
from napari_nuclei_unet.segmentation.normalization import check_plane
from napari_nuclei_unet.segmentation.predict import predict_maps_steps

WHOLE = InferencePlan("cpu", "fp32", tile=4096, batch=1)


def random_network(stem: int, detail: int) -> UNet:
    torch.manual_seed(1)
    network = UNet(UNetConfig(width=4, depth=2, stem=stem, detail=detail))
    network(torch.rand(4, 3, 16 * stem, 16 * stem))
    return fuse_conv_bn_relu(network)


NETWORKS = {kind: random_network(*kind) for kind in ((1, 0), (2, 0), (2, 4))}


def maps(image, network, plan):
    return (
        run(predict_maps_steps(check_plane(image), network, plan, [])).quantized.astype(np.float32)
        / 65535
    )


@given(
    st.tuples(st.integers(1, 130), st.integers(1, 130)),
    st.sampled_from([16, 32, 48, 100]),
    st.integers(1, 4),
    st.sampled_from(list(NETWORKS)),
)
@example((1, 1), 16, 1, (2, 4))
@example((1, 130), 16, 2, (2, 0))
@settings(max_examples=60)
def test_tiling_does_not_change_the_maps(shape, tile, batch, kind):
    image = np.random.default_rng(0).random((*shape, 3))
    image[0, 0, 0] = 2  # never blank, not even one pixel
    whole = maps(image, NETWORKS[kind], WHOLE)
    tiled = maps(image, NETWORKS[kind], InferencePlan("cpu", "fp32", tile, batch))
    assert whole.shape == (2, *shape)
    assert np.abs(whole - tiled).max() <= 1e-3


@pytest.mark.parametrize("shape", [(300, 520), (257, 64)])
def test_the_shipped_model_too(shape):
    network = load_model("nuclei").network
    image = np.random.default_rng(0).random(shape)
    whole = maps(image, network, WHOLE)
    tiled = maps(image, network, InferencePlan("cpu", "fp32", 128, 2))
    assert np.abs(whole - tiled).max() <= 1e-3
