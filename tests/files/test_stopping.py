"""Programs that are stopped while they begin, or whose output nobody reads: they end quietly."""

import csv
import os
import signal
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest
import tifffile
from conftest import discs

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it has other signals")

INTERRUPT_AT = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, *_):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
# jobs in the background of a shell ignore it
signal.signal(signal.SIGINT, signal.default_int_handler)
from napari_nuclei_unet.cli import main
sys.exit(main(sys.argv[2:]))
"""


LISTENING = """
import signal, sys

# jobs in the background of a shell ignore it
signal.signal(signal.SIGINT, signal.default_int_handler)
from napari_nuclei_unet.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in "abcd":
        tifffile.imwrite(folder / f"{name}.tif", discs((60, 80), [(20, 20), (40, 60)]))
    return folder


@pytest.mark.parametrize("module", ["argparse", "napari_nuclei_unet.cli._segment", "torch"])
def test_ctrl_c_while_modules_are_loaded(images, tmp_path, module):
    """The signal comes as soon as a module is looked for."""
    command = [
        sys.executable,
        "-c",
        INTERRUPT_AT,
        module,
        "segment",
        images,
        "--out",
        tmp_path / "out",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout) == (128 + signal.SIGINT, "")
    assert ended.stderr == "nuclei-unet: stopped before it began.\n"
    assert not (tmp_path / "out").exists()


def test_ctrl_c_while_processes_start(tmp_path, bright_file):
    """A terminal sends it to all of them, and what they load takes seconds."""
    tifffile.imwrite(tmp_path / "a.tif", discs((600, 800), [(20, 20), (400, 600)]))
    command = [sys.executable, "-c", LISTENING, "segment", tmp_path / "a.tif"]
    command += ["--out", tmp_path / "out", "--model", bright_file, "--device", "cpu"]
    command += ["--scheduler", "local:2"]
    started = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    with started:
        workers = []
        while not workers and started.poll() is None:
            with suppress(psutil.NoSuchProcess):
                some = psutil.Process(started.pid).children()
                workers = [one for one in some if "spawn_main" in " ".join(one.cmdline())]
        os.killpg(started.pid, signal.SIGINT)
        told = started.communicate(timeout=120)[1]
    assert "Traceback" not in told
    assert (started.returncode, told.count("\n")) == (128 + signal.SIGINT, 1)
    assert not any(one.is_running() for one in workers)


def read_and_close(*args, lines):
    """Run a command of which only so many lines are read; return its exit code and errors."""
    command = [sys.executable, "-m", "napari_nuclei_unet.cli", *map(str, args)]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with started:
        for _ in range(lines):
            started.stdout.readline()
        started.stdout.close()
        return started.wait(timeout=120), started.stderr.read()


@pytest.mark.parametrize("args", [["models"], ["models", "--json"]])
def test_nobody_reads_a_list(args):
    assert read_and_close(*args, lines=0) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize("workers", [1, 2])
def test_nobody_reads_what_comes_of_images(images, tmp_path, bright_file, workers):
    out = tmp_path / "out"
    flags = ("--out", out, "--model", bright_file, "--device", "cpu", "--workers", workers)
    assert read_and_close("segment", images, *flags, lines=1) == (128 + signal.SIGPIPE, "")
    with (out / "nuclei_summary.csv").open(newline="", encoding="utf-8") as table:
        assert {row["status"] for row in csv.DictReader(table)} == {"done"}  # none has failed


def test_nobody_reads_errors_either(tmp_path):
    """As with ``2>&1 | head``."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "napari_nuclei_unet.cli", "segment", str(tmp_path / "none")]
    ended = subprocess.run(command, stdout=write, stderr=write, timeout=120, check=False)
    os.close(write)
    assert ended.returncode == 128 + signal.SIGPIPE
