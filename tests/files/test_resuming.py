"""Whatever stops a run and damages its files: going on, or beginning anew, ends in one result."""

import shutil
from itertools import islice

import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import discs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from napari_nuclei_unet import SegmentParams, UserError, run
from napari_nuclei_unet.batch.inputs import find_inputs
from napari_nuclei_unet.batch.job import open_job
from napari_nuclei_unet.batch.outputs import OutputOptions
from napari_nuclei_unet.batch.run import segment_job_steps
from napari_nuclei_unet.batch.settings import JobSettings
from napari_nuclei_unet.batch.summary import Summary, SummaryRow, read_summary
from napari_nuclei_unet.io.ome_zarr import LabelsStore
from napari_nuclei_unet.io.store_files import JOURNAL_FILE_NAME
from napari_nuclei_unet.io.tables import read_saved_table
from napari_nuclei_unet.models.model import load_model

FOLDER, TABLE = "a_labels.ome.zarr", "a_nuclei.csv"
DAMAGED = st.sampled_from([b"", b"null", b"{}", b"\x02\x01 half"])


class ResumedRun(RuleBasedStateMachine):
    """A run into OME-Zarr; in the end its result is that of a run that was left alone."""

    def __init__(self, folder, open_it):
        super().__init__()
        self.out, self.whole, self.open_it = folder / "out", folder / "whole", open_it
        shutil.rmtree(self.out, ignore_errors=True)

    @rule(steps=st.integers(1, 25))
    def break_off(self, steps):
        try:
            started = segment_job_steps(self.open_it(self.out))
            for _ in islice(started, steps):
                pass
            started.close()
        except UserError as error:
            self.check_sentence(error)

    @rule(content=DAMAGED)
    def damage_journal(self, content):
        journal = self.out / FOLDER / JOURNAL_FILE_NAME
        if journal.exists():
            journal.write_bytes(content)

    @rule(content=DAMAGED, plane=st.integers(0, 2))
    def damage_chunk(self, content, plane):
        chunk = self.out / FOLDER / "0" / str(plane) / "0" / "0"
        if chunk.exists():
            chunk.write_bytes(content)

    @rule(size=st.integers(0, 900))
    def damage_table(self, size):
        table = self.out / TABLE
        if table.exists():
            rows = table.read_bytes()
            table.write_bytes(rows[: max(rows.find(b"\n") + 1, size)])  # without a header: not ours

    @rule()
    def edit_table(self):
        table = self.out / TABLE
        if table.exists() and table.stat().st_size > 900:
            pd.read_csv(table).assign(mine=1).to_csv(table, index=False)

    @rule(levels=st.sampled_from([".zattrs", "0/.zarray"]))
    def damage_metadata(self, levels):
        if (self.out / FOLDER / levels).exists():
            (self.out / FOLDER / levels).write_text("{}")

    def go_on(self):
        """Run to the end; returns why that is refused, if it is."""
        try:
            run(segment_job_steps(self.open_it(self.out)))
        except UserError as error:
            return error
        return None

    def check_sentence(self, error, word=""):
        text = str(error)
        assert text.endswith("."), error
        assert "\n" not in text
        assert word in text

    def teardown(self):
        refused = self.go_on()
        if refused is not None:
            self.check_sentence(refused, "`overwrite`")
            run(segment_job_steps(self.open_it(self.out), overwrite=True))
        stores = [LabelsStore.open_existing(one / FOLDER) for one in (self.out, self.whole)]
        assert all(store.finished for store in stores)
        assert np.array_equal(stores[0].labels[:], stores[1].labels[:])
        tables = [read_saved_table(one / TABLE) for one in (self.out, self.whole)]
        assert tables[0].drop(columns="mine", errors="ignore").equals(tables[1])
        assert sorted(path.name for path in self.out.iterdir()) == [FOLDER, TABLE]


def test_any_run_that_is_resumed_or_made_anew_is_whole(tmp_path, bright_file):
    planes = [discs((30, 40), [(10, 10 + t), (20, 30 - t)], 5) for t in range(3)]
    tifffile.imwrite(
        tmp_path / "a.tif", np.stack(planes), metadata={"axes": "TYX"}, photometric="minisblack"
    )
    made = JobSettings(load_model(bright_file), str(bright_file), SegmentParams(diameter=10.0))

    def open_it(out):
        image, = find_inputs([tmp_path / "a.tif"])  # fmt: skip
        return open_job(image, made, OutputOptions(out, format="zarr"))

    run(segment_job_steps(open_it(tmp_path / "whole")))
    run_state_machine_as_test(
        lambda: ResumedRun(tmp_path, open_it),
        settings=settings(max_examples=6, stateful_step_count=5, derandomize=True),
    )


class KeptSummary(RuleBasedStateMachine):
    """The file of a summary has the rows that were added, at any moment."""

    def __init__(self, path):
        super().__init__()
        self.path, self.names = path, []
        path.unlink(missing_ok=True)
        self.begin(False)

    @rule(decimal_comma=st.booleans())
    def begin(self, decimal_comma):
        self.names = []
        self.summary = Summary(self.path, decimal_comma)
        self.summary.check()

    @rule(name=st.text(min_size=1, max_size=5), nuclei=st.integers(0, 10**9))
    def add(self, name, nuclei):
        self.names.append(f"{name}.tif")
        self.summary.add(SummaryRow(f"{name}.tif", nuclei=nuclei, error=name))
        self.check_file()

    @rule(order=st.permutations(range(4)))
    def sort(self, order):
        listed = [name for _, name in sorted(zip(order, self.names, strict=False))]
        self.summary.sort(listed)
        if self.names:
            self.check_file()

    @rule()
    def vanish(self):
        if len(self.names) > 0:
            self.path.unlink()
            with pytest.raises(UserError, match="was removed or replaced"):
                self.summary.add(SummaryRow("late.tif"))
            assert not self.path.exists()
            self.begin(False)

    def check_file(self):
        assert len(read_summary(self.path)) == len(self.names)
        assert [row.nuclei for row in read_summary(self.path)] == [
            row.nuclei for row in self.summary.rows
        ]


def test_a_summary_is_whole_at_any_moment(tmp_path):
    run_state_machine_as_test(
        lambda: KeptSummary(tmp_path / "nuclei_summary.csv"),
        settings=settings(max_examples=10, stateful_step_count=6, derandomize=True),
    )
