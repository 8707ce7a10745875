"""Fine-tuning from arrays: what is learnt, what is kept, and how it is told."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import bright_network, discs
from skimage.measure import label

from napari_nuclei_unet import UserError, fine_tune, load_model, run, segment
from napari_nuclei_unet.models.model import read_model, save_model
from napari_nuclei_unet.training.batches import _sampling_probabilities
from napari_nuclei_unet.training.checkpoint import checkpoint_path
from napari_nuclei_unet.training.evaluation import FineTuned
from napari_nuclei_unet.training.evidence import (
    Evidence,
    ValidationMatches,
    is_enough_to_judge,
    judge,
    sign_test,
)
from napari_nuclei_unet.training.finetune import fine_tune_steps
from napari_nuclei_unet.training.finetune_data import FineTuneData, Pair, make_finetune_data
from napari_nuclei_unet.training.loop import LOSS_NOT_FINITE, Epoch
from napari_nuclei_unet.training.recipes import RECIPES
from napari_nuclei_unet.training.trainer import contracting_path

# without reference images, of which the scores take three times as long as all the rest
QUICK = {"epochs": 2, "steps": 3, "batch": 2, "patch": 32, "reference": 0.0}
PARAMS = replace(RECIPES["finetune"], **QUICK)
WITH_REFERENCES = QUICK | {"reference": RECIPES["finetune"].reference}
GRID = [(y, x) for y in (16, 48, 80, 112) for x in (16, 48, 80, 112)]


def annotated_pair(seed=0, dark=False):
    """Sixteen discs on a noisy ground, with their labels; dark ones are no business of bright."""
    clean = discs((128, 128), GRID, 7)
    noise = np.random.default_rng(seed).normal(0, 10, clean.shape)
    image = (255 - clean if dark else clean) + noise
    return image.astype(np.float32), label(clean > 0)


def same_weights(first, second):
    first, second = first.state_dict(), second.state_dict()
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_model_learns_what_it_did_not_know(tmp_path):
    """A network that has seen bright nuclei only learns dark ones, and forgets."""
    how = {
        "epochs": 4, "steps": 15, "batch": 4, "patch": 48, "learning_rate": 0.01, "augment": 0.0,
        "augment_end": 0.0, "reference": 0.0, "patience": 0,
    }  # fmt: skip
    small = {"width": 8, "depth": 2, "stem": 1, "detail": 0}
    bright = tmp_path / "first.safetensors"
    first = fine_tune([annotated_pair(seed) for seed in range(2)], None, **how, **small)
    first.save(bright)
    assert first.after["held back"]["AP@0.5"] > 0.8
    tuned = fine_tune([annotated_pair(seed, dark=True) for seed in range(2)], bright, **how)
    assert tuned.before["held back"]["AP@0.5"] < 0.2
    assert tuned.after["held back"]["AP@0.5"] > 0.8
    assert not tuned.worse
    assert segment(annotated_pair(9, dark=True)[0], tuned.model).max() > 12


def test_same_data_seed_and_parameters_same_weights(bright_file):
    made = [fine_tune([annotated_pair()], bright_file, **QUICK) for _ in range(2)]
    assert same_weights(made[0].network, made[1].network)
    other = fine_tune([annotated_pair()], bright_file, **QUICK, seed=1)
    assert not same_weights(made[0].network, other.network)


def test_labels_outside_of_what_is_finished_change_nothing(bright_file):
    image, truth = annotated_pair()
    finished = [[(0, 0), (0, 127), (70, 127), (70, 0)]]
    nonsense = truth.copy()
    nonsense[75:] = np.arange(128) // 4 + 100
    made = [fine_tune([(image, one, finished)], bright_file, **QUICK) for one in (truth, nonsense)]
    assert same_weights(made[0].network, made[1].network)
    everywhere = fine_tune([(image, nonsense)], bright_file, **QUICK)
    assert not same_weights(made[0].network, everywhere.network)


def test_resumed_equals_uninterrupted_though_the_images_are_gone(bright_file, tmp_path):
    params = replace(PARAMS, **WITH_REFERENCES)
    whole = fine_tune([annotated_pair()], bright_file, **WITH_REFERENCES)
    lesson = make_finetune_data([Pair.of(annotated_pair(), 1)], params)
    lesson.save(tmp_path / "lesson")
    out = tmp_path / "half.safetensors"
    for step in fine_tune_steps(lesson, bright_file, params, out=out):
        if isinstance(step, Epoch) and step.history[-1]["epoch"] == 1:
            break  # as when the window is closed
    again = FineTuneData.load(tmp_path / "lesson")
    resumed = run(fine_tune_steps(again, None, params, out=out, resume=True))
    assert same_weights(whole.network, resumed.network)
    assert resumed.before == whole.before
    assert resumed.after == whole.after
    assert resumed.card.parent == whole.card.parent
    epochs = [row["epoch"] for row in resumed.card.history]
    assert epochs == [0, 1, 2]


def test_training_does_not_load_the_compiler(bright_file):
    """With it torch took 2.5 s longer to begin, in which the window stood still."""
    program = (
        "import sys, numpy as np; from napari_nuclei_unet import fine_tune\n"
        "labels = np.kron(np.arange(1, 17).reshape(4, 4), np.ones((16, 16), int))\n"
        "labels[::16] = 0; labels[:, ::16] = 0\n"
        f"fine_tune([(labels > 0, labels)], {str(bright_file)!r}, epochs=1, steps=1, patch=32, "
        "reference=0)\n"
        "print('torch' in sys.modules, "
        "'_dynamo' in {name.partition('.')[2] for name in sys.modules})"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == ["True", "False"]


def test_resume_refuses_another_lesson(bright_file, tmp_path):
    lesson = make_finetune_data([Pair.of(annotated_pair(), 1)], PARAMS)
    out = tmp_path / "half.safetensors"
    run(fine_tune_steps(lesson, bright_file, PARAMS, out=out))
    other = make_finetune_data([Pair.of(annotated_pair(3), 1)], PARAMS)
    with pytest.raises(UserError, match="other images"):
        run(fine_tune_steps(other, None, PARAMS, out=out, resume=True))
    checkpoint_path(out).unlink()
    with pytest.raises(UserError, match="no checkpoint"):
        run(fine_tune_steps(lesson, None, PARAMS, out=out, resume=True))


def test_stop_keeps_the_best_so_far(bright_file):
    def stop(step):
        return isinstance(step, Epoch) and step.history[-1]["epoch"] == 1

    tuned = fine_tune([annotated_pair()], bright_file, on_step=stop, **(QUICK | {"epochs": 50}))
    assert tuned.card.training["best_epoch"] == 1
    with pytest.raises(UserError, match="before its first epoch"):
        fine_tune([annotated_pair()], bright_file, on_step=lambda _: True, **QUICK)


def test_training_ends_when_validation_improves_no_more(bright_file):
    tuned = fine_tune(
        [annotated_pair()], bright_file,
        **(QUICK | {"epochs": 60, "patience": 2, "learning_rate": 0.3}),
    )  # fmt: skip
    last, best = tuned.card.history[-1]["epoch"], tuned.card.training["best_epoch"]
    assert last == best + 2 < 60


def test_the_card_says_where_it_comes_from(bright_file, tmp_path):
    tuned = fine_tune([annotated_pair()], bright_file, **WITH_REFERENCES)
    path = tmp_path / "mine.safetensors"
    tuned.save(path)
    card, parent = load_model(path).card, load_model(bright_file).card
    assert card.name == "mine"
    assert card.parent == {"name": "bright", "sha256": parent.sha256}
    (image,) = card.trained_on["annotated"]
    assert image["name"] == "image 1"
    assert image["nuclei"] == 16
    assert len(image["sha256"]) == 64
    assert card.training["epochs"] == 2
    assert len(card.history) == 3
    assert card.created
    assert card.version
    for on in ("held back", "reference images"):
        assert set(card.scores["after"][on]) == {"AP@0.5", "mean AP", "count error"}


def test_a_frozen_encoder_stays_bit_for_bit(bright_file):
    how = QUICK | {"learning_rate": 0.05, "average": 0.0}
    _, parent = read_model(bright_file)
    for frozen, same in (("encoder", True), ("nothing", False)):
        tuned = fine_tune([annotated_pair()], bright_file, **how, frozen=frozen)
        pairs = zip(contracting_path(parent), contracting_path(tuned.network), strict=True)
        assert all(same_weights(a, b) for a, b in pairs) == same
        assert not same_weights(parent.merge, tuned.network.merge)


def test_a_model_can_be_trained_from_the_beginning():
    tuned = fine_tune([annotated_pair()], None, **QUICK, width=4, depth=1)
    assert tuned.before == {}
    assert not tuned.card.parent
    assert not tuned.worse
    assert tuned.card.network["width"] == 4


def test_reference_images_get_their_share_of_patches():
    lesson = make_finetune_data([Pair.of(annotated_pair(), 1)], replace(PARAMS, reference=0.25))
    chances = _sampling_probabilities(lesson.training)
    mixed = [one.name.startswith("reference") for one in lesson.training]
    assert chances[mixed].sum() == pytest.approx(0.25)
    alone = make_finetune_data([Pair.of(annotated_pair(), 1)], replace(PARAMS, reference=0.0))
    assert not any(one.name.startswith("reference") for one in alone.training)


def test_of_a_stack_the_annotated_planes_count_and_channels_are_chosen():
    image, truth = annotated_pair()
    stack = np.zeros((2, 3, 128, 128), np.float32)  # channels first
    stack[1, 2] = image
    labels = np.zeros((3, 128, 128), int)
    labels[2] = truth
    planes = Pair(stack, labels, "stack", 0, 1).planes()
    assert [place for place, _ in planes] == [(2,)]
    np.testing.assert_array_equal(planes[0][1].plane.pixels[0:128, 0:128], image)
    mean = Pair(stack, labels, "stack", 0, "mean").planes()[0][1].plane.pixels[0:128, 0:128]
    np.testing.assert_allclose(mean, image / 2)
    kept = Pair(np.moveaxis(stack, 0, 1), labels[:, None], "stack", 1, 1).planes()
    assert [place for place, _ in kept] == [(2, 0)]


def broken_file(tmp_path):
    """A model whose weights are numbers, and its gradients none."""
    network = bright_network()
    with torch.no_grad():
        network.head.weight *= 1e37
        network.head.bias *= 1e37
    card, _ = read_model("nuclei")
    path = tmp_path / "broken.safetensors"
    save_model(path, replace(card, network=vars(network.config), sizes=()), network.state_dict())
    return path


def test_a_loss_that_is_no_number_ends_the_training(tmp_path):
    notices = []
    with pytest.raises(UserError, match="loss never became a number"):
        fine_tune(
            [annotated_pair()],
            broken_file(tmp_path),
            on_step=lambda step: notices.append(step.notice),
            **QUICK,
        )
    assert LOSS_NOT_FINITE in notices


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([], "nothing to train on"),
        ([annotated_pair()[0]], "pairs"),
        ([(annotated_pair()[0], annotated_pair()[1][:-1])], "do not match"),
        ([(annotated_pair()[0], np.zeros((128, 128), int))], "Nothing is annotated"),
        ([(np.zeros((0, 5)), np.zeros((0, 5), int))], "Nothing is annotated"),
        ([(np.full((128, 128), 7), annotated_pair()[1])], "wrong plane"),
        ([(discs((6, 24), [(3, 3), (3, 20)], 2),) * 2], "its own labels"),
    ],
)
def test_what_cannot_be_learnt_from_is_told(bright_file, pairs, words):
    with pytest.raises(UserError, match=words) as caught:
        fine_tune(pairs, bright_file, **QUICK)
    assert "\n" not in str(caught.value)


def test_nan_is_left_out_and_that_is_said(bright_file):
    image, truth = annotated_pair()
    image[:4] = np.nan
    notices = []
    fine_tune([(image, truth)], bright_file, **QUICK, on_step=lambda s: notices.append(s.notice))
    assert "Some pixels are NaN or infinite: they were left out of training." in notices


def test_a_tiny_image_and_a_parameter_that_does_not_exist_are_told():
    image = discs((14, 90), [(7, 7), (7, 80)], 4)
    tiny = image[:, :28], label(image > 0)[:, :28]
    with pytest.raises(UserError, match=r"Only one nucleus|smaller than"):
        fine_tune([tiny], "nuclei", **QUICK)
    with pytest.raises(UserError, match="There is no parameter 'epoch'"):
        fine_tune([tiny], "nuclei", epoch=3)


def test_all_held_back_or_none_of_it_with_nuclei_is_told(bright_file):
    image, truth = annotated_pair()
    whole, nothing = (slice(0, 128), slice(0, 128)), (slice(28, 34), slice(28, 34))
    for box, words in ((whole, "No nucleus is left"), (nothing, "has its centre in")):
        with pytest.raises(UserError, match=words):
            fine_tune(
                [Pair(image, truth, "one", validation_areas={(): [box]})], bright_file, **QUICK
            )


def test_a_worse_model_says_so():
    scores = {"AP@0.5": 0.8, "mean AP": 0.5, "count error": 0.1}
    before = {"held back": scores, "reference images": scores}
    after = {"held back": scores | {"AP@0.5": 0.7}, "reference images": scores | {"AP@0.5": 0.74}}
    worse = FineTuned(None, None, before, after)
    assert worse.worse
    assert worse.forgets
    assert "not made the default" in worse.verdict
    assert "0.80 → 0.70" in worse.verdict
    assert "(7 nuclei)" in FineTuned(None, None, before, after, 7).verdict
    mean = {"held back": scores | {"mean AP": 0.45}, "reference images": scores}
    assert FineTuned(None, None, before, mean).worse
    fine = FineTuned(None, None, before, before)
    assert not fine.worse
    assert not fine.better  # nothing shows that it is
    assert not FineTuned(None, None, {}, before).better  # from random weights
    assert not fine.forgets


def test_what_chance_gives_is_no_difference():
    """Six heads of six are rarer than one in twenty, five of five are not."""
    assert sign_test(6, 0) == pytest.approx(2 / 2**6)
    assert sign_test(0, 5) == pytest.approx(2 / 2**5)
    assert sign_test(3, 3) == sign_test(0, 0) == 1
    missed = ValidationMatches(("000000", "111111"), (0, 0))
    found = ValidationMatches(("111111", "111111"), (0, 0))
    assert judge(missed, found, True).evidence is Evidence.BETTER
    assert judge(found, missed, True).evidence is Evidence.WORSE
    assert judge(missed, found, False).evidence is Evidence.TOO_FEW
    one_less = ValidationMatches(("011111", "111111"), (0, 0))
    assert judge(missed, one_less, True).evidence is Evidence.CHANCE
    invented = ValidationMatches(("111111", "111111"), (0, 1))  # and finds what is not there
    assert judge(missed, invented, True).evidence is Evidence.CHANCE
    assert judge(None, found, True).evidence is Evidence.NONE
    assert judge(ValidationMatches(("0",), (0,)), found, True).evidence is Evidence.NONE


def test_a_model_says_how_much_it_is_judged_by(bright_file, tmp_path):
    tuned = fine_tune([annotated_pair()], bright_file, **QUICK)
    assert "of 4 nuclei that were not used for training" in tuned.verdict
    assert "too few to judge" in tuned.verdict
    assert not tuned.better
    assert not tuned.worse
    tuned.save(tmp_path / "mine.safetensors")
    card = load_model(tmp_path / "mine.safetensors").card
    assert card.validated_on["evidence"] == "too few to judge"
    assert ValidationMatches.from_json(card.validated_on["after"]) == tuned.matches[1]
    assert ValidationMatches.from_json({"found": 3}) is None


def test_whole_images_of_three_and_enough_nuclei_are_validated_on(bright_file):
    pairs = [annotated_pair(seed) for seed in range(3)]
    data = make_finetune_data([Pair.of(pair, i) for i, pair in enumerate(pairs, 1)], PARAMS)
    (validation,) = data.validation
    assert len(validation.centres) == 16
    assert validation.ids.shape == (128, 128)
    assert len(data.training) == 2
    assert is_enough_to_judge(data.validation, data.training)
    without = replace(PARAMS, validation_nuclei=0)
    data = make_finetune_data([Pair.of(pair, i) for i, pair in enumerate(pairs, 1)], without)
    assert len(data.training) == 3
    assert not is_enough_to_judge(data.validation, data.training)
