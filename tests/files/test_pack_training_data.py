"""``tools/pack_training_data.py``."""

import runpy
import sys
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from napari_nuclei_unet.training.dataset import read_examples
from napari_nuclei_unet.training.split import split_by_group

TOOL = Path(__file__).parents[2] / "tools" / "pack_training_data.py"
EDGE = 320  # of the images, in pixels


@pytest.fixture
def data(tmp_path):
    """Folder of eight noisy images of two modalities, their labels, and the table of groups."""
    rng = np.random.default_rng(0)
    rows = ["id,field_group,modality"]
    for folder in ("images", "labels"):
        (tmp_path / "whole" / folder).mkdir(parents=True)
    for i in range(8):
        image = rng.integers(0, 256, (EDGE, EDGE, 3)[: 2 + i % 2], dtype=np.uint8)
        truth = np.zeros((EDGE, EDGE), np.uint16)
        truth[280:300, 290:310] = 300 + i
        for folder, pixels in (("images", image), ("labels", truth)):
            PIL.Image.fromarray(pixels).save(tmp_path / "whole" / folder / f"{i}.png")
        rows.append(f"{i},{i},{('grey', 'colour')[i % 2]}")
    (tmp_path / "whole" / "images.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "whole"


def folders(data):
    return data / "images", data / "labels", data / "images.csv"


def split(data):
    return split_by_group(read_examples(*folders(data)), 0.1, 0)


@pytest.mark.parametrize(("most", "window"), [(40, np.s_[:, :]), (1.4, np.s_[12:300, 22:310])])
def test_what_is_packed_is_trained_on_as_the_whole_would_be(
    data, tmp_path, monkeypatch, most, window
):
    packed = tmp_path / "packed.zip"
    arguments = [TOOL, *folders(data), packed, "--most", most]
    monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
    runpy.run_path(str(TOOL), run_name="__main__")
    assert packed.stat().st_size <= most * 2**20
    with zipfile.ZipFile(packed) as file:
        file.extractall(tmp_path / "packed")
    parts = zip(split(data), split(tmp_path / "packed"), (window, np.s_[:, :]), strict=True)
    for whole, left, shown in parts:  # training, then validation, which is never cut
        for one, other in zip(whole, left, strict=True):
            assert (one.name, one.group, one.kind) == (other.name, other.group, other.kind)
            for folder in ("images", "labels"):
                name = Path(folder, f"{one.name}.png")
                assert np.array_equal(read(data / name)[shown], read(tmp_path / "packed" / name))


def read(path):
    return np.asarray(PIL.Image.open(path))
