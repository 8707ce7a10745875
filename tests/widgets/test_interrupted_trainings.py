"""Folders of interrupted trainings in which something else stands than was written."""

import json
import os
import shutil
import sys

import pytest
from conftest import bright_network

from napari_nuclei_unet.params import TrainParams
from napari_nuclei_unet.training.checkpoint import Checkpoint, save_checkpoint
from napari_nuclei_unet.widgets.train.resume import (
    ABOUT_FILE,
    LOCK_FILE,
    ResumeState,
    find_interrupted,
)

NETWORK = {"width": 2, "depth": 1}


@pytest.fixture
def good(home, bright_file):
    """The folder of a training that can be resumed."""
    state = ResumeState.new("good")
    state.folder.mkdir(parents=True)
    (state.folder / ABOUT_FILE).write_text(json.dumps({"name": "good"}))
    shutil.copy(bright_file, state.model)
    write_checkpoint(state, [{"epoch": 1}])
    return state


def write_checkpoint(state, history):
    weights = bright_network().state_dict()
    content = Checkpoint(TrainParams(), NETWORK, "", tuple(history), weights, "fp32")
    save_checkpoint(state.checkpoint, content)


def damage(make):
    def put(path):
        path.unlink(missing_ok=True)
        make(path)

    return put


DAMAGES = {
    "loop": damage(lambda path: path.symlink_to(path.name)),
    "folder": damage(lambda path: path.mkdir()),
    "empty": damage(lambda path: path.touch()),
    "deep": damage(lambda path: path.write_text("[" * 10**6)),
    "list": damage(lambda path: path.write_text("[1]")),
    "bytes": damage(lambda path: path.write_bytes(bytes(range(256)))),
}
if hasattr(os, "mkfifo"):
    DAMAGES["pipe"] = damage(os.mkfifo)


@pytest.mark.usefixtures("alarm")
@pytest.mark.skipif(sys.platform != "linux", reason="other systems lack these entries")
@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("file", [ABOUT_FILE, "training.checkpoint", "training.safetensors"])
def test_a_damaged_folder_does_not_hide_the_others(good, file, name):
    odd = good.folder.with_name("odd")
    shutil.copytree(good.folder, odd)
    DAMAGES[name](odd / file)
    assert find_interrupted().resume_state == good
    shutil.rmtree(good.folder)
    assert find_interrupted() is None


@pytest.mark.usefixtures("alarm")
@pytest.mark.skipif(sys.platform != "linux", reason="other systems lack these entries")
@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_lock_keeps_no_training_from_being_resumed(good, name):
    DAMAGES[name](good.folder / LOCK_FILE)
    assert find_interrupted().resume_state == good


def test_a_checkpoint_without_an_epoch_is_no_training(good):
    write_checkpoint(good, [])
    assert find_interrupted() is None
