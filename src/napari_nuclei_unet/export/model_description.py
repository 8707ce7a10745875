"""Texts of a bioimage.io package: the description of a model, and its README."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import torch

from ..models.model import ModelCard
from ..network.unet import TARGETS, UNetConfig
from ..segmentation.intensity_range import HIGH_PERCENTILE, LOW_PERCENTILE

MAP_DESCRIPTIONS = {
    "nucleus": "probability that the pixel lies in a nucleus",
    "border": "probability that two nuclei are less than 5 pixels apart here",
    "distance": "distance to the edge of the nucleus, 1 at its deepest pixel",
    "size": "diameter d of the nucleus in pixels, as log2(d / 4) / 6; counts inside nuclei only",
}
# Filled in with JSON, which is YAML. Percentiles are of each image by itself, so not over "batch".
RDF_TEMPLATE = """\
type: model
format_version: 0.5.12
name: %(name)s
description: %(description)s
authors: [{name: The napari-nuclei-unet developers}]
timestamp: %(now)s
license: %(license)s
tags: [nuclei, 2d, pytorch, unet, semantic-segmentation]
documentation: {source: README.md}
covers: [{source: cover.png}]
attachments: [{source: %(own)s}]
cite:
  - {text: "Ronneberger, Fischer, Brox 2015: U-Net", doi: 10.1007/978-3-319-24574-4_28}
  - {text: "Caicedo et al. 2019: BBBC038", doi: 10.1038/s41592-019-0612-7}
inputs:
  - id: image
    description: A grey image is given three times, as red, green and blue.
    axes:
      - {type: batch}
      - {type: channel, channel_names: [r, g, b]}
      - {type: space, id: y, size: %(size)s}
      - {type: space, id: x, size: %(size)s}
    data: {type: float32}
    test_tensor: {source: test_input.npy}
    sample_tensor: {source: sample_input.tif}
    preprocessing:
      - id: scale_range
        kwargs: {axes: [channel, y, x], min_percentile: %(low)s, max_percentile: %(high)s}
      - {id: clip, kwargs: {min: 0.0, max: 1.0}}
outputs:
  - id: maps
    description: Maps of nuclei, which are not separated yet.
    axes:
      - {type: batch}
      - {type: channel, channel_names: %(maps)s}
      - {type: space, id: y, size: {tensor_id: image, axis_id: y}, halo: %(halo)s}
      - {type: space, id: x, size: {tensor_id: image, axis_id: x}, halo: %(halo)s}
    data: {type: float32, range: [0.0, 1.0]}
    test_tensor: {source: test_output.npy}
    sample_tensor: {source: sample_output.tif}
weights:
  torchscript: {source: weights.pt, pytorch_version: %(torch)s}
config:
  napari_nuclei_unet: {thresholds: %(thresholds)s, sizes: %(sizes)s}
"""


def min_input_edge(config: UNetConfig) -> int:
    """Return the smallest edge of an input, in pixels, that is larger than its halo."""
    return 2 * config.halo + config.divisor


def describe_model(card: ModelCard, config: UNetConfig, model_file: str, spec: Any) -> str:
    """Return the description of a model: ``RDF_TEMPLATE``, filled in."""
    try:
        licence = str(spec.generic.v0_3.LicenseId(card.licence))
    except ValueError:  # not an SPDX identifier; the page names any licence
        licence = None
    values = {
        "name": f"Nuclei U-Net {re.sub('[^a-zA-Z0-9_+() -]', '-', card.name)}"[:64],
        "description": re.sub(r"[^ -~\u00a0-\U0010ffff]+", " ", card.description)[:512],
        "now": datetime.now(UTC).isoformat(timespec="seconds"),
        "own": model_file,
        "low": LOW_PERCENTILE,
        "high": HIGH_PERCENTILE,
        "size": {"min": min_input_edge(config), "step": config.divisor},
        "halo": config.halo,
        "maps": TARGETS[: config.out_channels],
        "torch": torch.__version__.split("+")[0],  # without "+cpu" or "+cu126"
        "thresholds": card.thresholds,
        "sizes": card.sizes,
        "license": licence,
    }
    return RDF_TEMPLATE % {
        key: json.dumps(value, ensure_ascii=False) for key, value in values.items()
    }


def format_readme(card: ModelCard, config: UNetConfig) -> str:
    """Return the README: the card, and what other programs have to do themselves."""
    maps = "\n".join(
        f"- {name}: {MAP_DESCRIPTIONS[name]}" for name in TARGETS[: config.out_channels]
    )
    scores = "\n".join(f"- {part}: {_format(values)}" for part, values in card.scores.items())
    sizes = (
        "Nuclei should be {:g} to {:g} pixels wide: resize images with others, as the plugin does."
    )
    return f"""# {card.name}

{card.description}

Exported by the napari plugin napari-nuclei-unet {version("napari-nuclei-unet")}. For every pixel
the network gives, from 0 to 1:

{maps}

Neither it nor this package separates nuclei. The plugin does, by a watershed: there is a nucleus
where the nucleus map is above the threshold; each summit of the distance (measured, where there is
no map of it) is one; neighbours are joined where the lower of their summits rises above the saddle
by less than 1 - separation; those that are small, or where the nucleus map is low, are removed.
Tuned for this model: {_format(card.thresholds)}.

{sizes.format(*card.sizes) if card.sizes else "Images go in as they are."}
Tiles should overlap by {config.halo} pixels on each side.

## Validation

{scores or "The card of this model holds no scores."}

Trained on: {_format(card.trained_on) or "not known"}. Licence: {card.licence or "not known"}.
"""


def _format(values: Any) -> str:
    return re.sub(r'[{}"]', "", json.dumps(values, ensure_ascii=False))
