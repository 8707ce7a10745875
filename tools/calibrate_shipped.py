"""Measure the activation ranges of the shipped models, with which they run in 8 bits.

    python tools/calibrate_shipped.py

New models have them on their card; a model whose card is older gets them beside its weights, as
these are not written again.
"""

import json

from napari_nuclei_unet.models.model import SHIPPED_RANGES_FILE, load_model, shipped_models
from napari_nuclei_unet.segmentation.network_form import calibrate, read_sample_inputs
from napari_nuclei_unet.training.reference_images import read_reference_images


def main() -> None:
    """Write the file beside the weights."""
    ranges = {}
    for name in shipped_models():
        model = load_model(name)
        examples = [one for part in ("learn", "score") for one in read_reference_images(part)]
        images = [one.image.permute(1, 2, 0).numpy() for one in examples]
        measured = calibrate(model.network, [*read_sample_inputs(), *images])
        ranges[model.card.sha256] = {
            layer: [round(low, 4), round(high, 4)] for layer, (low, high) in measured.items()
        }
    SHIPPED_RANGES_FILE.write_text(json.dumps(ranges, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
