"""Limits of memory that are enforced: a result, or a sentence before anything is loaded."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_nuclei_unet

CGROUPS = Path("/sys/fs/cgroup")
TOLD = re.compile(
    r"^nuclei-unet: Loading the network takes 0\.\d+ GB of memory, of which 0\.\d+ GB are free: "
    r"close other programs, or give it at least 0\.\d+ GB of memory in all\.$"
)
MEGABYTE = 10**6
# Runs the command line, and says at the end whether torch was loaded.
COMMAND = (
    "import sys\nfrom napari_nuclei_unet.cli import main\n"
    "code = main(sys.argv[1:])\nprint('torch' in sys.modules)\nsys.exit(code)"
)
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux has them")


def run(*args, begin=lambda: None, **environment):
    """Run the command line in a process, which calls ``begin`` first."""
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *map(str, args)],
        capture_output=True,
        text=True,
        preexec_fn=begin,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )


@pytest.fixture
def image(tmp_path):
    pixels = np.zeros((64, 64), np.uint8)
    pixels[8:20, 8:20] = 255
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    return tmp_path / "a.tif"


def segment_command(image, bright_file):
    return "segment", image, "--out", image.parent / "out", "--model", bright_file


def is_told(done):
    """Return whether it ended with the sentence, and without torch."""
    assert TOLD.match(done.stderr.strip()), done.stderr
    return done.returncode == 2 and done.stdout.strip() == "False"


@pytest.mark.parametrize(
    "command",
    [
        ("segment", "a.tif", "--out", "out"),
        ("demo", "--out", "out"),
        ("bench",),
        ("train", "images", "--out", "a.safetensors"),
        ("evaluate", "a.tif", "a.tif"),
    ],
)
def test_commands_that_load_the_network_are_told_before(command):
    assert is_told(run(*command, SLURM_MEM_PER_NODE="200"))


def test_other_commands_take_no_more_than_they_need():
    done = run("models", SLURM_MEM_PER_NODE="200")
    assert done.stdout.splitlines()[-1] == "False"
    assert done.returncode == 0


def test_public_names_that_load_the_network_are_told_before():
    """All other names are loaded under the limit, and do not load torch."""
    program = (
        "import sys\nimport napari_nuclei_unet as package\n"
        "for name in package.__all__:\n"
        "    try:\n        getattr(package, name)\n"
        "    except Exception as error:\n        print(name, type(error).__name__)\n"
        "try:\n    package.load_model()\n"
        "except package.UserError as error:\n    print('load_model()', type(error).__name__)\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | {"SLURM_MEM_PER_NODE": "300"},
    )
    *refused, has_torch = done.stdout.splitlines()
    assert has_torch == "False"
    names = {line.removesuffix(" UserError") for line in refused}
    assert {"segment", "segment_stack", "fine_tune", "load_model()"} < names
    assert names - {"load_model()"} < set(napari_nuclei_unet.__all__)


@needs_linux
@pytest.mark.parametrize("megabytes", [200, 400, 700])
def test_limits_of_the_address_space_are_told(megabytes, image, bright_file):
    """Libraries that find no room for themselves, or an abort, would come first."""
    import resource  # not on Windows

    def begin():
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * MEGABYTE,) * 2)

    assert is_told(run(*segment_command(image, bright_file), begin=begin))


@needs_linux
def test_libraries_that_find_no_room_are_told(image, bright_file):
    """As of a torch that is larger than the one that was measured."""
    import resource  # not on Windows

    program = (
        "import resource, sys\nimport napari_nuclei_unet.cli as cli\n"
        "from napari_nuclei_unet.memory import explain_out_of_memory, UserError\n"
        f"resource.setrlimit(resource.RLIMIT_AS, ({300 * MEGABYTE},) * 2)\n"
        "try:\n    with explain_out_of_memory():\n        import torch\n"
        "except UserError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.startswith("There is not enough memory"), done.stderr
    assert resource.getrlimit(resource.RLIMIT_AS)[0] != 300 * MEGABYTE  # only there


@pytest.fixture
def control_group():
    """A control group of this machine's: of version 1 or 2, whichever can be limited."""
    names = {CGROUPS / "memory": "memory.limit_in_bytes", CGROUPS: "memory.max"}
    for root, limit in names.items():
        folder = root / f"nuclei-unet-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            continue
        if (folder / limit).exists():
            yield folder / limit
            folder.rmdir()
            return
        folder.rmdir()
    pytest.skip("control groups of memory cannot be made here: it needs Linux and root")


@pytest.mark.parametrize(("megabytes", "is_enough"), [(100, False), (300, False), (500, True)])
def test_limits_of_control_groups_end_in_a_result_or_a_sentence(
    megabytes, is_enough, image, bright_file, control_group
):
    control_group.write_text(str(megabytes * MEGABYTE))

    def begin():
        (control_group.parent / "cgroup.procs").write_text(str(os.getpid()))

    done = run(*segment_command(image, bright_file), begin=begin)
    if is_enough:
        assert done.returncode == 0, done.stderr
        assert (image.parent / "out" / "a_labels.ome.tif").exists()
    else:
        assert is_told(done)
