"""The network in 8 bits: as good as in 32, on every processor, or not used."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.metrics.matching import count_matches
from napari_nuclei_unet.models.model import Model, load_model, read_model, save_model
from napari_nuclei_unet.network.fusion import fuse_conv_bn_relu
from napari_nuclei_unet.network.quantization import (
    QuantizedUNet,
    can_quantize,
    measure_activation_ranges,
    observed_layers,
)
from napari_nuclei_unet.network.quantized_conv import find_max_weight
from napari_nuclei_unet.network.unet import UNet, UNetConfig
from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.progress import run
from napari_nuclei_unet.samples.images import read_sample
from napari_nuclei_unet.segmentation.device import plan_inference
from napari_nuclei_unet.segmentation.network_form import calibrate, network_form
from napari_nuclei_unet.segmentation.segment import segment, segment_steps

needs_operators = pytest.mark.skipif(find_max_weight() == 0, reason="no 8-bit operators here")


def share_of_same(one, other, threshold):
    """AP of one result against another: 1 where every nucleus has its like."""
    return count_matches(one, other).scores()[f"AP@{threshold}"]


def random_network(**config) -> UNet:
    torch.manual_seed(3)
    network = UNet(UNetConfig(width=8, depth=2, **config))
    for _ in range(20):  # batch normalisation learns what is usual
        network(torch.rand(4, 3, 32, 32))
    return fuse_conv_bn_relu(network)


@needs_operators
@pytest.mark.parametrize(("stem", "detail"), [(1, 0), (2, 0), (2, 4)])
@torch.inference_mode()
def test_eight_bits_are_near_thirty_two(stem, detail):
    network, image = random_network(stem=stem, detail=detail), torch.rand(2, 3, 96, 64)
    quantized = QuantizedUNet(network, measure_activation_ranges(network, [image]))
    full, few = network(image), quantized(image)
    assert few.shape == full.shape
    assert few.dtype == torch.float32
    assert (full - few).abs().mean() < 0.1 * full.std()


@needs_operators
@pytest.mark.parametrize("name", ["fluorescence_small", "histology_purple"])
def test_the_shipped_model_finds_the_same_nuclei(name):
    image, annotation = read_sample(name)
    full, few = (segment(image, precision=one) for one in ("fp32", "int8"))
    assert share_of_same(full, few, 0.5) > 0.9
    scores = [share_of_same(annotation, labels, 0.5) for labels in (full, few)]
    assert scores[1] > scores[0] - 0.05


@needs_operators
def test_labels_do_not_depend_on_the_tiles():
    image, _ = read_sample("fluorescence_small")
    whole, tiled = (segment(image, precision="int8", tile=tile) for tile in (512, 128))
    assert share_of_same(whole, tiled, 0.9) >= 0.999


@needs_operators
@pytest.mark.parametrize("dim", [0.1, 0.06])
def test_faint_nuclei_of_16_bit_images_are_not_lost(dim):
    """They are far below white: as the image itself in 8 bits, they would have 15 steps."""
    image, _ = read_sample("fluorescence_small")
    faint = np.round(image / np.percentile(image, 99.8) * dim * 60_000).astype(np.uint16)
    full, few = (segment(faint, precision=one, black=0, white=60_000) for one in ("fp32", "int8"))
    assert full.max() > 50
    assert share_of_same(full, few, 0.5) > 0.9


def test_the_shipped_model_is_prepared():
    model = load_model("nuclei")
    assert model.card.activation_ranges.keys() == set(observed_layers(model.network.config))


@needs_operators
def test_models_from_before_give_what_they_gave(bright):
    assert plan_inference(SegmentParams(), "cpu", bright).precision != "int8"


@needs_operators
def test_a_model_without_ranges_gets_them_at_its_first_use(bright, three_discs):
    result = run(segment_steps(three_discs, bright, SegmentParams(precision="int8")))
    assert (result.count, result.provenance.ran_on.precision) == (3, "int8")


@needs_operators
def test_a_card_that_lacks_a_layer_is_measured_again(bright, three_discs):
    card = dataclasses.replace(bright.card, activation_ranges={"down.0.0": (0.0, 1.0)})
    labels = segment(three_discs, Model(card, bright.network), precision="int8")
    assert labels.max() == 3


@needs_operators
def test_black_images_to_calibrate_on_do_no_harm(bright, three_discs):
    black = calibrate(bright.network, [np.zeros((64, 64, 3), np.float32)])
    card = dataclasses.replace(bright.card, activation_ranges=black)
    assert (
        network_form(Model(card, bright.network), "int8")(torch.rand(1, 3, 16, 16)).isfinite().all()
    )


@pytest.mark.parametrize(
    "damaged", [[0, float("nan")], [0, 10**400], [1, 2], [3, -3], [0, 0], ["a", 1], [0, 1, 2], None]
)
def test_ranges_that_cannot_be_count_as_not_measured(bright, bright_file, tmp_path, damaged):
    _, network = read_model(bright_file)
    ranges = dict.fromkeys(observed_layers(network.config), damaged)
    card = dataclasses.replace(bright.card, activation_ranges=ranges)
    save_model(tmp_path / "m.safetensors", card, network.state_dict())
    model = load_model(tmp_path / "m.safetensors")
    assert model.card.activation_ranges == {}
    assert plan_inference(SegmentParams(), "cpu", model).precision != "int8"


def test_networks_without_a_form_in_8_bits_are_refused_and_run_as_before(bright):
    network = UNet(UNetConfig(stem=2, encoder="resnet34", depth=2)).eval()
    model = Model(bright.card, network)
    assert not can_quantize(network)
    assert plan_inference(SegmentParams(), "cpu", model).precision != "int8"
    with pytest.raises(UserError, match="int8 needs"):
        plan_inference(SegmentParams(precision="int8"), "cpu", model)


OTHER_PROCESSORS = """
from napari_nuclei_unet import read_sample
from napari_nuclei_unet.progress import run
from napari_nuclei_unet.segmentation.segment import segment_steps
{before}
result = run(segment_steps(read_sample("fluorescence_large")[0]))
print(result.provenance.ran_on.precision, result.count)
"""


@pytest.mark.parametrize(
    ("isa", "before", "allowed"),
    [
        ("SSE41", "", ("fp32", "int8")),
        ("AVX2", "", ("fp32", "int8")),
        # operators whose names are private may go
        ("DEFAULT", "import torch; torch.ops.onednn = None", ("fp32", "bf16")),
    ],
)
def test_other_processors_and_other_torches_find_the_same(isa, before, allowed):
    """Weights are halved where products would overflow, and 32 bits are the way out."""
    made = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESSORS.format(before=before)],
        env=os.environ | {"ONEDNN_MAX_CPU_ISA": isa},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    precision, count = made.stdout.split()
    full = segment(read_sample("fluorescence_large")[0], precision="fp32")
    assert precision in allowed
    assert abs(int(count) - full.max()) <= 1
