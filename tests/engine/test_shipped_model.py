"""What the model in the package has to reach."""

import pytest

from napari_nuclei_unet import available_models, segment
from napari_nuclei_unet.metrics.matching import average_scores, count_matches
from napari_nuclei_unet.models.model import SHIPPED_MODELS_FOLDER, read_card
from napari_nuclei_unet.samples.images import SAMPLES, read_sample


def test_the_shipped_model_says_what_it_is():
    card = read_card("nuclei")
    assert "nuclei" in available_models()
    assert card.trained_on["images"] > 500
    assert card.scores["all"]["AP@0.5"] >= 0.84
    assert card.licence
    assert len(card.sha256) == 64
    assert sum(path.stat().st_size for path in SHIPPED_MODELS_FOLDER.iterdir()) < 20e6


@pytest.mark.parametrize("name", SAMPLES)
def test_the_shipped_model_finds_the_nuclei_of_the_samples(name):
    image, annotation = read_sample(name)
    scores = average_scores([count_matches(annotation, segment(image, precision="fp32"))])
    # Much of what lies in the grey tissue is debris; that it is hard is known (docs/reference).
    # Of the large fluorescent nuclei a third of the annotation are specks of one dying cell.
    # Purple histology: 0.58 with the fourth model, 0.61 with the third, which the others gain.
    hard = {
        "histology_pink_purple": 0.4,
        "grayscale_tissue": 0.25,
        "fluorescence_large": 0.55,
        "histology_purple": 0.55,
    }
    assert scores["AP@0.5"] > hard.get(name, 0.6)
