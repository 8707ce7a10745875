"""What users, and files of others, name to be opened: it is a file, or one sentence at once."""

import json
import os
import sys
import zlib
from dataclasses import asdict

import pytest

from napari_nuclei_unet import UserError
from napari_nuclei_unet.batch.ownership import read_header
from napari_nuclei_unet.batch.summary import read_summary
from napari_nuclei_unet.blockwise.cluster import connect_to_cluster
from napari_nuclei_unet.blockwise.journal import read_fingerprint, read_journal
from napari_nuclei_unet.blockwise.retry import RunProgress
from napari_nuclei_unet.export.bioimageio import import_bioimage
from napari_nuclei_unet.export.project_files import read_copy
from napari_nuclei_unet.export.read import read_result
from napari_nuclei_unet.export.unsaved import find_unsaved_edits
from napari_nuclei_unet.io.atomic import file_crc32
from napari_nuclei_unet.io.file_pixel_size import read_pixel_size
from napari_nuclei_unet.io.labels import read_labels, read_record
from napari_nuclei_unet.io.ome_zarr import LabelsStore
from napari_nuclei_unet.io.open import list_images, open_image
from napari_nuclei_unet.io.openable import MAX_READ_BYTES
from napari_nuclei_unet.io.run_length_table import read_run_length_table
from napari_nuclei_unet.io.store_files import check_usable
from napari_nuclei_unet.io.tables import read_saved_table
from napari_nuclei_unet.memory import available_memory
from napari_nuclei_unet.models.library import copy_into_library
from napari_nuclei_unet.models.model import read_card
from napari_nuclei_unet.provenance.project import read_project
from napari_nuclei_unet.training.checkpoint import load_checkpoint
from napari_nuclei_unet.training.dataset import read_groups
from napari_nuclei_unet.training.pretrained_encoder import load_encoder_weights

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="other systems lack these entries"),
    pytest.mark.usefixtures("alarm"),
]


def connect(path):
    with connect_to_cluster(str(path), "nuclei"):
        pass


READERS = {
    "copy.tif": lambda path: read_copy(path, (1, 1)),
    "groups.csv": lambda path: read_groups(path, ["a"], ("field_group",)),
    "scheduler.json": connect,
    "package.zip": lambda path: import_bioimage(path, path.parent / "models"),
    "checkpoint": load_checkpoint,
    "checked.csv": file_crc32,
    "image.tif": open_image,
    "image.png": open_image,
    "image.ome.tif": list_images,
    "journal.json": read_journal,
    "labels.png": read_labels,
    "model.safetensors": read_card,
    "new.safetensors": lambda path: copy_into_library(path, path.parent / "models"),
    "project.nuclei.json": read_project,
    "result.tif": read_result,
    "runs.csv": read_run_length_table,
    "store.zarr": LabelsStore.open_existing,
    "table.csv": read_saved_table,
    "weights.pth": lambda path: load_encoder_weights("resnet34", path),
    "weights.safetensors": lambda path: load_encoder_weights("resnet34", path),
}


def make_loop(path):
    path.symlink_to(path.name)


def make_device(path):
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("make", [os.mkfifo, make_loop, make_device])
def test_what_is_no_file_is_never_waited_for(tmp_path, name, make):
    make(tmp_path / name)
    with pytest.raises(UserError):
        READERS[name](tmp_path / name)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("odd", ["a\0", "a\ud800", "a" * 300, "a/" * 3000])
def test_a_name_that_no_file_can_have(tmp_path, name, odd):
    """A project, a record or a list of images may hold one."""
    with pytest.raises((UserError, OSError)) as raised:
        READERS[name](tmp_path / f"{odd}{name}")
    assert not isinstance(raised.value, ValueError)


@pytest.mark.parametrize(
    "name", ["journal.json", "scheduler.json", "project.nuclei.json", "table.csv", "runs.csv"]
)
def test_a_file_larger_than_memory_is_not_read(tmp_path, name):
    with (tmp_path / name).open("wb") as file:
        file.truncate(2 * max(available_memory(), MAX_READ_BYTES))
    with pytest.raises(UserError, match=r"bytes, more than|fit into memory"):
        READERS[name](tmp_path / name)


@pytest.mark.parametrize("name", ["scheduler.json", "project.nuclei.json"])
def test_json_that_is_nested_too_deeply(tmp_path, name):
    (tmp_path / name).write_text("[" * 10**6)
    with pytest.raises(UserError):
        READERS[name](tmp_path / name)


def test_a_damaged_journal_is_none(tmp_path):
    path = tmp_path / "journal.json"
    for text in ("[" * 10**6, '{"wish": [', "", "null", '{"wish": 1, "progress": {}}'):
        path.write_text(text)
        assert read_journal(path) is None
        assert read_fingerprint(path) is None


@pytest.mark.parametrize(
    "changed",
    [
        *({"chunks": {key: [1, 1]}} for key in ("../../a.tif", "/etc/passwd", "0", "0/../1", "")),
        *({"chunks": {"0/0": known}} for known in ([1], ["1", 1], [1, None])),
        *({"progress": {"plane": plane}} for plane in (-1, "1", 1.5, True, None)),
        {"progress": {"gammas": {"0": "1"}}},
        {"progress": {"surveys": {"a": {}}}},
        {"progress": {"again": [[0, "1", ""]]}},
        {"progress": {"again": [[0, 1, 2]]}},
        {"progress": {"volumes": [["a", 1, 1, 1]]}},
    ],
)
def test_a_journal_of_somebody_else_leads_nowhere(tmp_path, changed):
    """Its checksum is right, but no run has written it: no file outside the labels is read."""
    path = tmp_path / "journal.json"
    for progress, is_good in ((asdict(RunProgress()), True), (changed.get("progress", {}), False)):
        content = {"wish": {}, "chunks": {"0/0": [1, 1]}} | ({} if is_good else changed)
        content["progress"] = asdict(RunProgress()) | progress
        text = json.dumps(content, sort_keys=True).encode()
        path.write_text(json.dumps(content | {"crc": zlib.crc32(text)}))
        assert (read_journal(path) is not None) == is_good


def test_what_is_only_looked_at_raises_nothing(tmp_path):
    """Whether a file is ours is asked of any file."""
    for number, make in enumerate((os.mkfifo, make_loop, make_device)):
        path = tmp_path / str(number)
        make(path)
        folder = tmp_path / f"store{number}"
        folder.mkdir()
        make(folder / ".zattrs")
        assert read_record(path) is None
        assert read_pixel_size(path) == read_pixel_size(tmp_path / "none")
        assert read_fingerprint(path) is None
        assert read_summary(path) == []
        with pytest.raises(UserError, match="something else"):
            check_usable(folder, overwrite=True)
        assert find_unsaved_edits(path, 10) == []


def test_a_header_of_two_hundred_gigabytes(tmp_path):
    with (tmp_path / "a.csv").open("wb") as file:
        file.truncate(200 * 2**30)
    assert len(read_header(tmp_path / "a.csv")) <= 1
