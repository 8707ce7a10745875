import itertools

import pytest
import torch

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.network.aligned_halo import aligned_halo
from napari_nuclei_unet.network.fusion import fuse_conv_bn_relu
from napari_nuclei_unet.network.unet import MAX_STRIP_PIXELS, UNet, UNetConfig
from napari_nuclei_unet.progress import Interrupted, interruptible

SMALL = [
    UNetConfig(1, 2, width=4, depth=2, padding=padding, stem=stem, detail=detail)
    for (stem, detail), padding in itertools.product(
        [(1, 0), (2, 0), (3, 0), (2, 3)], ("zeros", "reflect")
    )
]


@pytest.mark.parametrize("config", SMALL, ids=str)
def test_output_has_the_size_of_the_input(config):
    edge = 3 * config.divisor
    assert UNet(config)(torch.zeros(2, 1, edge, 2 * edge)).shape == (2, 2, edge, 2 * edge)


def test_five_poolings_of_the_paper_need_a_multiple_of_32():
    network = UNet(UNetConfig(in_channels=3, out_channels=1, width=2, depth=5)).eval()
    assert network(torch.zeros(1, 3, 128, 128)).shape == (1, 1, 128, 128)
    with pytest.raises(UserError, match="divisible by 32"):
        network(torch.zeros(1, 3, 128, 120))


def test_wrong_number_of_channels_is_told():
    with pytest.raises(UserError, match="3 channel"):
        UNet(UNetConfig(width=2, depth=1))(torch.zeros(1, 1, 8, 8))


@pytest.mark.parametrize("config", [c for c in SMALL if c.padding == "zeros"], ids=str)
def test_receptive_field_bounds_what_an_output_pixel_sees(config):
    """Every input pixel that reaches an output pixel has a gradient; none lies beyond the bound."""
    torch.manual_seed(0)
    network = UNet(config).eval()
    edge = config.divisor * (2 * config.receptive_field // config.divisor + 4)
    reach = 0
    for place in range(edge // 2, edge // 2 + config.divisor):
        image = torch.rand(1, 1, edge, config.divisor, requires_grad=True)
        network(image)[0, :, place].abs().sum().backward()
        rows = image.grad.abs().sum((0, 1, 3)).nonzero().flatten()
        reach = max(reach, place - int(rows.min()), int(rows.max()) - place)
    assert reach <= config.receptive_field
    assert reach > 0.6 * config.receptive_field  # and the bound is not idle


@pytest.mark.parametrize("config", [c for c in SMALL if c.padding == "zeros"], ids=str)
def test_aligned_tiles_look_no_further_than_their_halo(config):
    torch.manual_seed(0)
    network = UNet(config).eval()
    halo = aligned_halo(config)
    assert halo <= config.halo
    core = slice(halo + config.divisor, halo + 2 * config.divisor)
    edge = core.stop + halo + config.divisor
    image = torch.rand(1, 1, edge, config.divisor, requires_grad=True)
    network(image)[:, :, core].abs().sum().backward()
    rows = image.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert core.start - int(rows.min()) <= halo
    assert int(rows.max()) - (core.stop - 1) <= halo


def test_the_shipped_network_reads_96_pixels_around_a_tile():
    config = UNetConfig(3, 4, width=48, depth=3, stem=2, detail=16)
    assert (config.receptive_field, config.halo, aligned_halo(config)) == (104, 112, 96)


def test_a_pass_ends_when_its_run_is_cancelled():
    config = UNetConfig(width=4, depth=2, stem=2, detail=4)
    network, image = fuse_conv_bn_relu(UNet(config)), torch.rand(1, 3, 32, 32)
    asked = []
    with torch.no_grad():
        with (
            interruptible(lambda: asked.append(True) or len(asked) > 3),
            pytest.raises(Interrupted),
        ):
            network(image)
        assert len(asked) == 4
        assert network(image).shape == (1, 3, 32, 32)  # others go on


@pytest.mark.parametrize("detail", [0, 4])
def test_folding_batch_normalisation_changes_no_prediction(detail):
    torch.manual_seed(0)
    network = UNet(UNetConfig(width=4, depth=2, stem=2, detail=detail))
    network(torch.rand(4, 3, 16, 16))  # gives the running statistics a value
    network.eval()
    image = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        before = network(image)
        torch.testing.assert_close(fuse_conv_bn_relu(network)(image), before, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "config",
    [
        UNetConfig(width=4, depth=2, stem=2, detail=4),
        UNetConfig(width=4, depth=1, stem=1, padding="reflect"),
        UNetConfig(width=4, depth=2, stem=2, encoder="resnet34"),
    ],
    ids=["detail", "reflect", "encoder"],
)
def test_strips_leave_no_trace(config):
    """Without gradients a CPU works in strips; this image has several, with them one."""
    torch.manual_seed(0)
    network = UNet(config).eval()
    image = torch.rand(1, 3, 512, 2048)
    assert image[0, 0].numel() >= 3 * MAX_STRIP_PIXELS
    whole = network(image).detach()
    with torch.no_grad():
        torch.testing.assert_close(network(image), whole, atol=1e-5, rtol=1e-5)
