"""The folder of models under any sequence of what users, disks and other programs do to it."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from conftest import THRESHOLDS, bright_network
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from napari_nuclei_unet import UserError
from napari_nuclei_unet.models.library import (
    copy_into_library,
    delete_model,
    import_model,
    rename_model,
)
from napari_nuclei_unet.models.model import (
    ModelCard,
    available_models,
    list_models,
    load_model,
    read_card,
    read_model,
    save_model,
)
from napari_nuclei_unet.models.stored_network import hash_weights

NAMES = ("a", "b", "B", "a 2", "é x", "n" * 80)
VARIANTS = (0, 1, 2)


def write_source(path, variant):
    """Write a model whose weights tell which one it is."""
    weights = bright_network().state_dict()
    weights["head.bias"] += variant
    save_model(path, ModelCard("m", "", {"width": 2, "depth": 1}, THRESHOLDS), weights)
    return hash_weights(weights)


def cut(path):
    path.write_bytes(path.read_bytes()[:-5])


def flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def claim(path):
    """Let the header be longer than the file."""
    data = path.read_bytes()
    path.write_bytes((2**40).to_bytes(8, "little") + data[8:])


def replace_by(make):
    def put(path):
        path.unlink()
        make(path)

    return put


DAMAGES = [
    cut,
    flip,
    claim,
    replace_by(lambda path: path.write_text("[" * 10_000)),
    replace_by(lambda path: path.touch()),
    replace_by(lambda path: path.mkdir()),
    replace_by(lambda path: path.symlink_to(path.name)),
    replace_by(lambda path: path.symlink_to("nowhere")),
    *([replace_by(os.mkfifo)] if hasattr(os, "mkfifo") else []),
]


class ModelFolder(RuleBasedStateMachine):
    """Knows which models are good, by their paths and the checksum of their weights."""

    models = Bundle("models")

    def __init__(self):
        super().__init__()
        self.home = Path(tempfile.mkdtemp())
        self.before = os.environ["NUCLEI_UNET_HOME"]
        os.environ["NUCLEI_UNET_HOME"] = str(self.home)
        self.folder = self.home / "models"
        self.folder.mkdir()
        self.good, self.bad = {}, set()
        self.sources = self.home / "sources"
        self.sha = {n: write_source(self.sources / f"{n}.safetensors", n) for n in VARIANTS}

    def teardown(self):
        os.environ["NUCLEI_UNET_HOME"] = self.before
        shutil.rmtree(self.home)

    def find_same_name(self, name):
        """Return whether a name is taken, as file systems may compare them."""
        return name.lower() in {path.stem.lower() for path in (*self.good, *self.bad)}

    @rule(target=models, name=st.sampled_from(NAMES), variant=st.sampled_from(VARIANTS))
    def install(self, name, variant):
        given = self.home / f"{name}.safetensors"
        shutil.copy(self.sources / f"{variant}.safetensors", given)
        if self.find_same_name(name):
            with pytest.raises(UserError, match="There already is"):
                import_model(given, self.folder)
            path = copy_into_library(given, self.folder)  # under a free name
            assert path not in (*self.good, *self.bad)
        else:
            path = import_model(given, self.folder)
        given.unlink()
        self.good[path] = self.sha[variant]
        return path

    @rule(path=models, variant=st.sampled_from(VARIANTS))
    def replace_while_it_is_listed(self, path, variant):
        """As another program does that puts a new version into its place."""
        if path not in self.good:
            return
        aside = self.home / "aside"
        shutil.copy(self.sources / f"{variant}.safetensors", aside)
        listed, before = available_models(), path.stat()
        os.replace(aside, path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as in the same moment
        self.good[path] = self.sha[variant]
        assert load_model(listed[path.stem]).card.sha256 == self.sha[variant]

    @rule(target=models, path=consumes(models), name=st.sampled_from(NAMES))
    def rename(self, path, name):
        if self.find_same_name(name) and name.lower() != path.stem.lower():
            with pytest.raises(UserError, match="There already is"):
                rename_model(path, name)
            return path
        if path in self.bad:
            try:
                new = rename_model(path, name)
            except UserError:
                return path
            self.bad.remove(path)  # only its weights are damaged, which are copied as they are
            self.bad.add(new)
            return new
        sha = self.good.pop(path)
        new = rename_model(path, name)
        assert read_card(new).name == name
        self.good[new] = sha
        return new

    @rule(path=consumes(models))
    def delete(self, path):
        if path.is_dir() and not path.is_symlink():
            with pytest.raises(UserError, match="cannot be removed"):
                delete_model(path)
            path.rmdir()
        else:
            delete_model(path)
        self.good.pop(path, None)
        self.bad.discard(path)

    @rule(path=models, damage=st.sampled_from(DAMAGES))
    def damage(self, path, damage):
        if path in self.good:
            damage(path)
            del self.good[path]
            self.bad.add(path)

    @invariant()
    def what_is_good_is_listed_and_loads_to_its_weights(self):
        assert set(list_models(self.folder)) == {*self.good, *self.bad}
        known = available_models()
        for path, sha in self.good.items():
            assert known[path.stem] == path
            assert load_model(path.stem).card.sha256 == sha
            card, network = read_model(path)
            assert hash_weights(network.state_dict()) == card.sha256 == sha

    @invariant()
    def what_is_bad_has_its_sentence(self):
        for path in self.bad:
            with pytest.raises(UserError):
                load_model(path)


def test_no_sequence_hides_or_changes_a_good_model():
    run_state_machine_as_test(
        ModelFolder, settings=settings(max_examples=10, stateful_step_count=12, deadline=None)
    )
