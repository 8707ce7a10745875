"""Folders that vanish, damaged and edited files, programs that are killed: nothing is lost."""

import contextlib
import json
import os
import shutil
import signal
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import discs
from processes import process

from napari_nuclei_unet import SegmentParams, UserError, read_result, run
from napari_nuclei_unet.batch.inputs import find_inputs
from napari_nuclei_unet.batch.job import open_job
from napari_nuclei_unet.batch.outputs import OutputOptions
from napari_nuclei_unet.batch.run import segment_job_steps
from napari_nuclei_unet.batch.settings import JobSettings
from napari_nuclei_unet.batch.summary import Summary, SummaryRow
from napari_nuclei_unet.blockwise.journal import read_journal
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.cli._extras import write_extras
from napari_nuclei_unet.export.save import save
from napari_nuclei_unet.io.atomic import atomic_write, atomic_write_folder
from napari_nuclei_unet.io.ngff import LabelsGrid
from napari_nuclei_unet.io.ome_zarr import LabelsStore
from napari_nuclei_unet.io.store_files import JOURNAL_FILE_NAME, LOG_FILE_NAME
from napari_nuclei_unet.io.store_repair import check_levels
from napari_nuclei_unet.models.model import load_model

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
PLANE = LabelsGrid((60, 80), "YX", (1, 1), (None, None))
GONE = r"was removed or replaced while it was in use: .*run it again\.$"
STORE, TABLE = "a_labels.ome.zarr", "a_nuclei.csv"


@pytest.fixture
def image(tmp_path):
    """Three discs that move to the right, in four planes."""
    centres = [(15, 15), (40, 30), (30, 60)]
    planes = [discs((60, 80), [(y, x + 2 * t) for y, x in centres]) for t in range(4)]
    about = {"metadata": {"axes": "TYX"}, "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", np.stack(planes), **about)
    return tmp_path / "a.tif"


@pytest.fixture
def open_image_job(image, bright_file):
    def open_it(out, kind="zarr", **settings):
        made = JobSettings(
            load_model(bright_file), str(bright_file), SegmentParams(diameter=12.0), **settings
        )
        return open_job(find_inputs([image])[0], made, OutputOptions(out, format=kind))

    return open_it


@pytest.fixture
def segment(image, bright_file, tmp_path, capsys):
    """Run the command; returns its exit code, and what it says on stderr."""

    def run_command(*flags):
        args = ["segment", image, "--out", tmp_path / "out", "--model", bright_file, *flags]
        code = main([*map(str, args), "--diameter", "12"])
        error = capsys.readouterr().err
        assert "Traceback" not in error
        return code, error

    return run_command


def stop_at(plane):
    return lambda step: getattr(step, "plane", 0) >= plane


# folders that vanish


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_store_that_was_removed_is_not_written_or_read_from_nothing(tmp_path, version):
    store = LabelsStore.create(tmp_path / STORE, PLANE, "i4", chunk=32, version=version)
    store.write((slice(0, 60), slice(0, 80)), 3)
    shutil.rmtree(store.path)
    for use in (
        lambda: store.write((slice(0, 9), slice(0, 9)), 7),
        lambda: store.read((slice(0, 9), slice(0, 9))),
        lambda: store.write_record({}),
        lambda: list(store.build_pyramid()),
        store.finish,
    ):
        with pytest.raises(UserError, match=GONE):
            use()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("settings", [{}, {"join": "t"}], ids=["plain", "joined"])
@pytest.mark.parametrize("how", ["removed", "replaced", "its store removed", "its table removed"])
def test_a_folder_that_vanishes_ends_the_run(tmp_path, open_image_job, settings, how):
    out = tmp_path / "out"
    gone = {"its store removed": STORE, "its table removed": TABLE}.get(how, "")
    if settings and gone:
        gone = f".a_nuclei_unlinked{'.csv' if gone == TABLE else '.ome.zarr'}"

    def vanish(step):
        if getattr(step, "plane", 0) == 2 and not (tmp_path / "away").exists():
            (out / gone).rename(tmp_path / "away")
            if how == "replaced":
                out.mkdir()

    with pytest.raises(UserError, match=GONE):
        run(segment_job_steps(open_image_job(out, **settings)), vanish)
    assert (tmp_path / "away").exists()
    assert not (out / gone).exists() or how == "replaced"
    assert how != "replaced" or not list(out.iterdir())
    run(segment_job_steps(open_image_job(out, **settings), overwrite=True))
    assert LabelsStore.open_existing(out / STORE).finished


@pytest.mark.parametrize("plane", [0, 2], ids=["before it begins", "in its midst"])
def test_tiff_of_an_image_do_not_make_the_folder_of_a_run_again(tmp_path, open_image_job, plane):
    out = tmp_path / "out"
    job = open_image_job(out, kind="tiff")

    def vanish(step):
        if getattr(step, "plane", 0) == plane and out.exists():
            out.rmdir()

    if plane:  # else it is gone already
        out.mkdir()
    with pytest.raises(UserError, match=GONE):
        run(segment_job_steps(job), vanish)
    assert not out.exists()


def test_what_is_saved_beside_a_result_does_not_make_the_folder_again(tmp_path, open_image_job):
    out = tmp_path / "out"
    out.mkdir()
    job = open_image_job(out, kind="tiff")
    ended = run(segment_job_steps(job))
    out.rename(tmp_path / "away")
    with pytest.raises(UserError, match=GONE):
        write_extras(job, OutputOptions(out, save=("geojson",)), ended, False)
    assert not out.exists()


def move_away(folder):
    folder.rename(folder.with_name("elsewhere"))


def replace_by_a_file(folder):
    move_away(folder)
    folder.write_text("of somebody")


def replace_by_a_folder(folder):
    move_away(folder)
    folder.mkdir()
    (folder / "mine").write_text("of somebody")


def write_file(path, happen, **options):
    with atomic_write(path, **options) as aside:
        aside.write_text("whole")
        happen()


def write_folder(path, happen):
    with atomic_write_folder(path) as aside:
        aside.mkdir()
        happen()


def write_late(path, happen):
    with atomic_write_folder(path) as aside:
        happen()
        aside.mkdir()


@pytest.mark.parametrize("happen", [move_away, replace_by_a_file, replace_by_a_folder])
@pytest.mark.parametrize("above", [0, 1], ids=["folder", "folder above"])
@pytest.mark.parametrize(
    "write", [write_file, partial(write_file, create_folder=False), write_folder, write_late]
)
def test_a_folder_that_vanishes_while_a_file_is_written_is_told(tmp_path, write, above, happen):
    folder = tmp_path / "out" / "sub"
    folder.mkdir(parents=True)
    gone = [folder, folder.parent][above]
    with pytest.raises(UserError, match=GONE):
        write(folder / "a", lambda: happen(gone))
    assert happen is move_away or b"of somebody" in list_files(tmp_path).values()
    assert not (folder / "a").exists()


def test_a_summary_does_not_come_up_again(tmp_path):
    summary = Summary(tmp_path / "out" / "nuclei_summary.csv")
    with pytest.raises(UserError, match=GONE):
        summary.add(SummaryRow("a.tif"))
    summary.path.parent.mkdir()
    summary = Summary(summary.path)
    summary.add(SummaryRow("b.tif"))
    summary.path.unlink()
    with pytest.raises(UserError, match=GONE):
        summary.add(SummaryRow("c.tif"))
    assert not list(summary.path.parent.iterdir())


# tables that somebody has edited


def add_column(table):
    """As a script does it."""
    edited = pd.read_csv(table).assign(mine="007")
    edited.to_csv(table, index=False)
    return table.read_bytes()


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
def test_an_edited_table_is_not_converted(tmp_path, segment, kind):
    assert segment("--format", kind)[0] == 0
    edited = add_column(tmp_path / "out" / TABLE)
    assert segment("--format", kind, "--decimal-comma")[0] == 0
    assert (tmp_path / "out" / TABLE).read_bytes() == edited
    assert segment("--format", kind, "--decimal-comma", "--overwrite")[0] == 0
    assert (tmp_path / "out" / TABLE).read_text("utf-8-sig").startswith("t;label;")


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
def test_a_table_without_its_labels_is_not_replaced(tmp_path, segment, kind):
    assert segment("--format", "tiff")[0] == 0
    out = tmp_path / "out"
    if kind == "tiff":  # else they are there, in the other format
        (out / "a_labels.ome.tif").unlink()
    edited = add_column(out / TABLE)
    code, error = segment("--format", kind)
    assert code == 2
    assert f"{TABLE} belongs to other labels, or has none any more" in error
    assert "--overwrite" in error
    assert (out / TABLE).read_bytes() == edited
    assert segment("--format", kind, "--overwrite")[0] == 0
    assert "mine" not in (out / TABLE).read_text()


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
def test_edited_tables_of_a_result_that_lacks_another_are_not_replaced(tmp_path, segment, kind):
    pytest.importorskip("laptrack")
    flags = ("--format", kind, "--track")
    assert segment(*flags)[0] == 0
    out = tmp_path / "out"
    edited = add_column(out / TABLE)
    if kind == "tiff":
        (out / "a_tracks.csv").unlink()
        code, error = segment(*flags)
        assert code == 2
        assert f"{TABLE} was edited, or belongs to other labels" in error
    else:  # as if parts of the image could not be read
        store = LabelsStore.open_existing(out / STORE)
        record = store.record
        assert record["tracks_crc"]
        shutil.rmtree(store.path)
        code, error = segment(*flags)
        assert code == 2
        assert f"{TABLE} belongs to other labels, or has none any more" in error
    assert (out / TABLE).read_bytes() == edited


def test_corrected_labels_are_not_replaced_as_their_table_is_missing(tmp_path, segment):
    assert segment()[0] == 0
    labels = tmp_path / "out" / "a_labels.ome.tif"
    result = read_result(labels)
    result.record["corrected"] = True
    save(labels, result)
    (tmp_path / "out" / TABLE).unlink()
    before = labels.read_bytes()
    code, error = segment()
    assert code == 2
    assert "was corrected by hand" in error
    assert labels.read_bytes() == before


# damaged files


def damage_progress(journal):
    edit_json(journal, lambda about: about["progress"].update(plane=99))


def edit_journal(journal):
    """As a script does it that knows of no checksum."""
    edit_json(journal, lambda about: (about["progress"].update(plane=-1), about.pop("crc")))


def edit_json(path, change):
    about = json.loads(path.read_text())
    change(about)
    path.write_text(json.dumps(about))


JOURNALS = {
    "empty": lambda path: path.write_text(""),
    "null": lambda path: path.write_text("null"),
    "list": lambda path: path.write_text("[]"),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "another run": lambda path: path.write_text('{"wish": {}, "progress": null}'),
    "unknown keys": lambda path: path.write_text('{"progress": {"hours": 3}}'),
    "too deep": lambda path: path.write_text("[" * 100_000),
    "other numbers": damage_progress,
    "no checksum": edit_journal,
    "removed": lambda path: path.unlink(),
}


@pytest.fixture
def whole(tmp_path, open_image_job):
    """Labels and table of a run that was left alone."""
    run(segment_job_steps(open_image_job(tmp_path / "whole")))
    store = LabelsStore.open_existing(tmp_path / "whole" / STORE)
    return store.labels[:], (tmp_path / "whole" / TABLE).read_bytes()


@pytest.mark.parametrize("damage", JOURNALS.values(), ids=JOURNALS)
def test_a_damaged_journal_costs_the_run_but_nothing_else(tmp_path, open_image_job, whole, damage):
    """Labels that were written are not taken for those of earlier blocks."""
    out = tmp_path / "out"
    with pytest.raises(UserError, match="was stopped"):
        run(segment_job_steps(open_image_job(out)), stop_at(2))
    store = LabelsStore.open_existing(out / STORE)
    store.labels[3, 30:40] = 99
    damage(out / STORE / JOURNAL_FILE_NAME)
    with contextlib.suppress(UserError):  # of the one that says to be of another run
        run(segment_job_steps(open_image_job(out)))
    store = LabelsStore.open_existing(out / STORE)
    assert store.finished == (damage is not JOURNALS["another run"])
    run(segment_job_steps(open_image_job(out), overwrite=not store.finished))
    assert_same(out, whole)


def assert_same(out, whole):
    store = LabelsStore.open_existing(out / STORE)
    assert store.finished
    np.testing.assert_array_equal(store.labels[:], whole[0])
    assert (out / TABLE).read_bytes() == whole[1]


@pytest.mark.parametrize("plane", [1, 3], ids=["finished", "next"])
@pytest.mark.parametrize("content", [b"", b"\x02\x01!", None], ids=["empty", "cut", "missing"])
def test_a_damaged_chunk_is_written_again(tmp_path, open_image_job, whole, plane, content):
    out = tmp_path / "out"
    with pytest.raises(UserError, match="was stopped"):
        run(segment_job_steps(open_image_job(out)), stop_at(3))
    chunk = out / STORE / "0" / str(plane) / "0" / "0"
    chunk.parent.mkdir(parents=True, exist_ok=True)
    chunk.unlink(missing_ok=True) if content is None else chunk.write_bytes(content)
    (chunk.parent / f"0.{'0' * 32}.partial").write_bytes(b"of a program that was killed")
    run(segment_job_steps(open_image_job(out)))
    assert_same(out, whole)
    assert sorted(os.listdir(out / STORE)) == [".zattrs", ".zgroup", "0", JOURNAL_FILE_NAME]
    assert not list((out / STORE).rglob("*.partial"))


@pytest.mark.parametrize("damage", JOURNALS.values(), ids=JOURNALS)
def test_a_damaged_log_of_blocks_costs_the_run_but_nothing_else(
    tmp_path, open_image_job, whole, damage
):
    out = tmp_path / "out"
    with pytest.raises(UserError, match="was stopped"):
        run(segment_job_steps(open_image_job(out)), stop_at(3))
    log = out / STORE / LOG_FILE_NAME
    if damage in (damage_progress, edit_journal):
        log.write_bytes(log.read_bytes().replace(b'"nuclei": 3', b'"nuclei": 4'))
    else:
        damage(log)
    (out / STORE / "0" / "1" / "0" / "0").unlink()
    run(segment_job_steps(open_image_job(out)))
    assert_same(out, whole)


def test_a_chunk_that_vanishes_while_others_are_written_ends_the_run(
    tmp_path, open_image_job, whole
):
    out = tmp_path / "out"
    chunk = out / STORE / "0" / "1" / "0" / "0"

    def vanish(step):
        if getattr(step, "plane", 0) == 2:
            chunk.unlink(missing_ok=True)

    with pytest.raises(UserError, match=r"0/1/0/0 is gone or damaged: run it again .*anew\.$"):
        run(segment_job_steps(open_image_job(out)), vanish)
    run(segment_job_steps(open_image_job(out)))
    assert_same(out, whole)


@pytest.mark.parametrize("damage", JOURNALS.values(), ids=JOURNALS)
def test_the_journal_of_finished_labels_is_written_again(tmp_path, open_image_job, whole, damage):
    out, job = tmp_path / "whole", open_image_job(tmp_path / "whole", verify=True)
    journal = out / STORE / JOURNAL_FILE_NAME
    before = read_journal(journal)
    damage(journal)
    if damage is JOURNALS["another run"]:
        with pytest.raises(UserError, match=r"was begun with another image: .*`overwrite` it\.$"):
            run(segment_job_steps(job))
        return
    assert run(segment_job_steps(job)).skipped
    assert_same(out, whole)
    after = read_journal(journal)
    assert after.chunks == before.chunks
    assert after.progress == replace(before.progress, seconds=after.progress.seconds)
    assert run(segment_job_steps(job)).skipped


def cut_table(out, size=30):
    (out / TABLE).write_bytes((out / TABLE).read_bytes()[:-size])


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda out: next((out / STORE / "0").rglob("1/0/0")).unlink(),
        lambda out: next((out / STORE / "0").rglob("1/0/0")).write_bytes(b"\x02\x01!"),
        cut_table,
        lambda out: (out / TABLE).unlink(),
        lambda out: LabelsStore.open_existing(out / STORE).write((3,), 0),
        lambda out: LabelsStore.open_existing(out / STORE).write((3,), 2),
    ],
    ids=["no chunk", "damaged chunk", "cut table", "no table", "empty plane", "other ids"],
)
def test_without_its_journal_only_a_whole_result_is_believed(
    tmp_path, open_image_job, damage, version
):
    out = tmp_path / "out"
    run(segment_job_steps(open_image_job(out, ngff=version)))
    (out / STORE / JOURNAL_FILE_NAME).unlink()
    damage(out)
    for _ in range(2):
        with pytest.raises(UserError, match=r"`overwrite`( both)?(, or under another name)?\.$"):
            run(segment_job_steps(open_image_job(out, ngff=version)))
    assert not (out / STORE / JOURNAL_FILE_NAME).exists()


def test_a_finished_result_whose_table_was_cut_is_not_believed(tmp_path, open_image_job):
    run(segment_job_steps(open_image_job(tmp_path)))
    for cut in (1, 30):  # of the last cell, and of a row
        cut_table(tmp_path, cut + 2)
        with pytest.raises(UserError, match=r"is missing or was changed: .*`overwrite` both\.$"):
            run(segment_job_steps(open_image_job(tmp_path)))


def test_levels_show_what_a_result_without_its_journal_lacks(tmp_path):
    grid = LabelsGrid((2100, 2100), "YX", (1, 1), (None, None))
    store = LabelsStore.create(tmp_path / "a.zarr", grid, "i4")
    store.write((slice(1000, 1050), slice(1000, 1050)), 1)  # in four chunks
    list(store.build_pyramid())
    check_levels(store, 1)
    for chunk in ("0/1/1", "0/0/0", "1/0/0"):
        shutil.move(tmp_path / "a.zarr" / chunk, tmp_path / "away")
        with pytest.raises(UserError, match=r"is damaged, or was changed, .*`overwrite`\.$"):
            check_levels(store, 1)
        shutil.move(tmp_path / "away", tmp_path / "a.zarr" / chunk)
    check_levels(store, 1)


METADATA = {
    "empty": ("{}", ".zattrs"),
    "no array": (None, "0/.zarray"),
    "null": ('{"napari_nuclei_unet": null}', ".zattrs"),
    "axes": ('{"napari_nuclei_unet": {}, "multiscales": null}', ".zattrs"),
}


@pytest.mark.parametrize(("content", "name"), METADATA.values(), ids=METADATA)
def test_a_store_with_damaged_metadata_may_be_replaced(
    tmp_path, open_image_job, whole, content, name
):
    out = tmp_path / "out"
    run(segment_job_steps(open_image_job(out)))
    if content is None:
        (out / STORE / name).unlink()
    else:
        (out / STORE / name).write_text(content)
    with pytest.raises(UserError, match=r"is damaged, as its metadata .* `overwrite` it\.$"):
        run(segment_job_steps(open_image_job(out)))
    run(segment_job_steps(open_image_job(out), overwrite=True))
    assert_same(out, whole)


@pytest.mark.parametrize("key", ["chunks", "fill_value", "shape", "dtype"])
def test_an_array_that_cannot_be_of_labels_is_damaged(tmp_path, open_image_job, whole, key):
    out = tmp_path / "out"
    with pytest.raises(UserError, match="was stopped"):
        run(segment_job_steps(open_image_job(out)), stop_at(2))
    wrong = {"chunks": [0, 60, 80], "fill_value": 7, "shape": [2, 60, 80], "dtype": "<f4"}[key]
    edit_json(out / STORE / "0" / ".zarray", lambda about: about.update({key: wrong}))
    with pytest.raises(UserError, match=r"(`overwrite` it|or `overwrite` them)\.$"):
        run(segment_job_steps(open_image_job(out)))
    run(segment_job_steps(open_image_job(out), overwrite=True))
    assert_same(out, whole)


@pytest.mark.parametrize("word", [True, "no"])
def test_an_unfinished_store_is_not_finished_as_somebody_says_so(
    tmp_path, open_image_job, whole, word
):
    out = tmp_path / "out"
    with pytest.raises(UserError, match="was stopped"):
        run(segment_job_steps(open_image_job(out)), stop_at(2))
    edit_json(
        out / STORE / ".zattrs", lambda about: about["napari_nuclei_unet"].update(finished=word)
    )
    assert not run(segment_job_steps(open_image_job(out))).skipped
    assert_same(out, whole)


def test_a_chunk_that_was_replaced_by_another_is_found_by_verify(tmp_path, open_image_job, whole):
    out = tmp_path / "out"
    with pytest.raises(UserError, match="was stopped"):
        run(segment_job_steps(open_image_job(out)), stop_at(3))
    chunks = [out / STORE / "0" / str(plane) / "0" / "0" for plane in range(2)]
    chunks[1].write_bytes(chunks[0].read_bytes())
    run(segment_job_steps(open_image_job(out, verify=True)))
    assert_same(out, whole)


def test_a_table_with_a_row_twice_is_not_believed(tmp_path, open_image_job):
    run(segment_job_steps(open_image_job(tmp_path)))
    rows = (tmp_path / TABLE).read_bytes()
    (tmp_path / TABLE).write_bytes(rows + rows.splitlines(True)[-1])
    with pytest.raises(UserError, match=r"is missing or was changed: .*`overwrite` both\.$"):
        run(segment_job_steps(open_image_job(tmp_path)))


def test_a_finished_store_is_checked(tmp_path, open_image_job):
    out = tmp_path / "out"
    run(segment_job_steps(open_image_job(out)))
    store = LabelsStore.open_existing(out / STORE)
    chunk = out / STORE / "0" / "1" / "0" / "0"
    good = chunk.read_bytes()
    changed = r"is damaged, or was changed .* 0/1/0/0 is not what it was: .*`overwrite`\.$"

    def look(**settings):
        return run(segment_job_steps(open_image_job(out, **settings))).skipped

    assert look()
    assert look(verify=True)
    chunk.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert look()  # as long as before
    with pytest.raises(UserError, match=changed):
        look(verify=True)
    for content in (good[:-9], b"", None):
        chunk.unlink() if content is None else chunk.write_bytes(content)
        with pytest.raises(UserError, match=changed):
            look()
    chunk.write_bytes(good)
    store.labels[1, 20:50, 20:50] = np.arange(900).reshape(30, 30)  # painted in napari
    assert look()


def test_a_tiff_is_verified(tmp_path, segment):
    assert segment()[0] == 0
    assert segment("--verify")[0] == 0
    labels = tmp_path / "out" / "a_labels.ome.tif"
    with tifffile.TiffFile(labels) as opened:
        start = opened.pages[2].dataoffsets[0]
    with labels.open("r+b") as file:
        file.seek(start)
        file.write(bytes(20))
    assert segment()[0] == 0
    code, error = segment("--verify")
    assert code == 2
    assert "is damaged: make it anew with --overwrite" in error


@pytest.mark.parametrize("kind", ["tiff", "zarr"])
def test_a_table_that_was_cut_in_its_header_is_made_anew_with_overwrite(tmp_path, segment, kind):
    assert segment("--format", kind)[0] == 0
    table = tmp_path / "out" / TABLE
    whole = table.read_bytes()
    for size in (1, 2, 5, 8, 30):
        table.write_bytes(whole[:size])
        code, error = segment("--format", kind)
        assert code == 2
        assert "--overwrite" in error
        assert segment("--format", kind, "--overwrite")[0] == 0
        assert table.read_bytes() == whole


@pytest.mark.parametrize("text", ["notes", "t,notes", "labels,mine", "t,label,mine\n1,2,3\n", "\n"])
def test_a_short_file_of_others_is_not_taken_for_a_cut_table(tmp_path, segment, text):
    table = tmp_path / "out" / TABLE
    table.parent.mkdir()
    table.write_text(text)
    assert segment("--overwrite")[0] == 2
    assert table.read_text() == text


# what others have put into a store


def test_what_others_have_put_into_a_store_is_not_overwritten(tmp_path, open_image_job):
    out = tmp_path / "out"
    run(segment_job_steps(open_image_job(out)))
    mine = out / STORE / "corrected" / "0.0"
    mine.parent.mkdir()
    mine.write_text("mine")
    match = r"also contains corrected, which was not made by this program .* another name\.$"
    with pytest.raises(UserError, match=match):
        run(segment_job_steps(open_image_job(out), overwrite=True))
    with pytest.raises(UserError, match=match):
        save(out / STORE, read_result(out / STORE))
    assert mine.read_text() == "mine"
    assert LabelsStore.open_existing(out / STORE).finished
    shutil.rmtree(mine.parent)
    (out / STORE / ".DS_Store").write_text("of the system")
    run(segment_job_steps(open_image_job(out), overwrite=True))


@pytest.mark.parametrize("linked", ["0", "0/3"])
def test_what_links_lead_to_is_not_written(tmp_path, open_image_job, whole, linked):
    out, away = tmp_path / "out", tmp_path / "away"
    with pytest.raises(UserError, match="was stopped"):
        run(segment_job_steps(open_image_job(out)), stop_at(2))
    folder = out / STORE / linked
    folder.mkdir(exist_ok=True)
    folder.rename(away)
    folder.symlink_to(away, target_is_directory=True)
    (tmp_path / "mine.csv").write_bytes((out / TABLE).read_bytes())
    before = list_files(away)
    match = r"is a link to another folder, .* or make .* anew with `overwrite`\.$"
    with pytest.raises(UserError, match=match):
        run(segment_job_steps(open_image_job(out)))
    assert list_files(away) == before
    mine = (tmp_path / "mine.csv").read_bytes()
    (out / TABLE).unlink()
    (out / TABLE).symlink_to(tmp_path / "mine.csv")
    run(segment_job_steps(open_image_job(out), overwrite=True))
    assert list_files(away) == before
    assert (tmp_path / "mine.csv").read_bytes() == mine
    assert_same(out, whole)


def list_files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# programs that are killed


def write_and_wait(folder):
    with atomic_write(folder / "a.csv") as file, atomic_write_folder(folder / "b.zarr") as made:
        made.mkdir()
        file.write_text("half")
        (folder / "old.zarr").mkdir()
        old = made.parents[1] / "old"
        old.mkdir()
        (folder / "old.zarr").rename(old / "old.zarr")  # where it could be killed, too
        sys.stdout.write("written\n")
        signal.pause()


@POSIX
def test_temporary_files_of_killed_programs_are_removed_and_others_stay(tmp_path):
    folder, mine = tmp_path / "a", ".nuclei-unet-notes.txt"
    folder.mkdir()
    (folder / mine).write_text("mine")
    told, end = os.pipe()
    with process(write_and_wait, folder, out=end, err=os.dup(end)) as other, open(told) as lines:
        assert lines.readline() == "written\n"
        shutil.copytree(folder, tmp_path / "alive")
        with atomic_write(tmp_path / "alive" / "c.csv") as file:
            file.write_text("whole")
        assert len(list((tmp_path / "alive").glob(".nuclei-unet-*"))) == 3
        other.kill()
    with atomic_write(folder / "c.csv") as file:
        file.write_text("whole")
    assert sorted(os.listdir(folder)) == [mine, "c.csv", "old.zarr"]
    assert (folder / mine).read_text() == "mine"
