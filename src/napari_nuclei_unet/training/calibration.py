"""Ranges of what the layers of a trained network give, with which it runs in 8 bits."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from ..network.quantization import ActivationRanges, has_quantized_form
from ..network.unet import UNet
from ..segmentation.network_form import calibrate, read_sample_inputs
from .example import Example

# So many examples, spread over all, are enough.
MAX_CALIBRATION_EXAMPLES = 20


def calibrate_on_examples(network: UNet, examples: Sequence[Example]) -> ActivationRanges:
    """Measure activation ranges on examples and on the sample images of the package.

    Parameters
    ----------
    network : UNet
        As from ``fuse_conv_bn_relu``.
    examples : sequence of Example
        Of the microscopes for which the network was trained.

    Returns
    -------
    dict of str to (float, float)
        As in ``network_form.calibrate``; empty for networks that have no form in 8 bits.
    """
    if not has_quantized_form(network.config):
        return {}
    step = -(-len(examples) // MAX_CALIBRATION_EXAMPLES) or 1
    images = (example.image.permute(1, 2, 0).numpy() for example in examples[::step])
    return calibrate(network, chain(read_sample_inputs(), images))
