import numpy as np
import pytest
import torch
from conftest import discs
from skimage.measure import label

from napari_nuclei_unet import (
    SegmentParams,
    UserError,
    load_model,
    run,
    segment,
    segment_steps,
)
from napari_nuclei_unet.core.learning import Example
from napari_nuclei_unet.params import TrainParams
from napari_nuclei_unet.training import split, train, train_steps
from napari_nuclei_unet.validation import predict

TINY = TrainParams(width=4, depth=1, epochs=2, steps=3, batch=2, patch=32, average=0.5)


def examples(n: int, kinds: int = 1, groups: int = 100) -> list[Example]:
    rng = np.random.default_rng(0)
    made = []
    for i in range(n):
        image = discs((64, 64), rng.integers(8, 56, (4, 2)).tolist(), radius=5)
        made.append(
            Example(
                name=str(i),
                image=torch.from_numpy(image / np.float32(255)).expand(3, -1, -1).contiguous(),
                labels=torch.from_numpy(label(image > 0).astype(np.float32))[None],
                group=f"{i % kinds}-{i % groups}",
                kind=str(i % kinds),
            )
        )
    return made


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_never_split_and_every_kind_is_validated(seed):
    training, validation = split(examples(60, kinds=3, groups=12), 0.1, seed)
    assert len(training) + len(validation) == 60
    assert not {e.group for e in training} & {e.group for e in validation}
    assert {e.kind for e in validation} == {"0", "1", "2"}


def test_a_single_group_still_holds_one_image_back():
    training, validation = split(examples(4, groups=1), 0.1, 0)
    assert (len(training), len(validation)) == (3, 1)


def test_one_image_is_too_few():
    with pytest.raises(UserError, match="at least two"):
        split(examples(1), 0.1, 0)


def test_same_seed_same_weights():
    runs = []
    for _ in range(2):
        *_, last = train_steps(*split(examples(6), 0.2, 0), TINY)
        runs.append(last)
    assert runs[0].training_loss == runs[1].training_loss
    assert runs[0].validation_loss == runs[1].validation_loss


def test_validation_sees_what_the_engine_predicts(bright):
    """Thresholds are tuned on the maps that users get, mirrored borders included."""
    image = examples(1)[0].image
    image = image / image.max()  # as read_examples would have normalised it
    with torch.inference_mode():
        logits = predict(bright.network, image)
    pixels = image.numpy().transpose(1, 2, 0)
    maps = run(segment_steps(pixels, bright, SegmentParams(precision="fp32"), "cpu")).maps
    np.testing.assert_allclose(torch.sigmoid(logits)[0].numpy(), maps, atol=1e-5)


def test_a_trained_model_can_be_used_like_any_other(tmp_path):
    lines = []
    out = tmp_path / "mine.safetensors"
    card = train(examples(8), TINY, out, lines.append)
    assert len(lines) == TINY.epochs
    assert card.trained_on["images"] == 7
    model = load_model(out)
    assert model.card.training["seed"] == TINY.seed
    assert segment(discs((40, 40), [(20, 20)]), model).shape == (40, 40)
