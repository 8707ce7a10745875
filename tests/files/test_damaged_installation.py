"""Computers on which something is missing: torch does not load, no network, a read-only home."""

import os
import shutil
import subprocess
import sys

import pytest
import tifffile
from conftest import discs

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="namespaces as Linux has them")
BROKEN = {
    "missing": "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')",
    "without a library": "raise OSError('libtorch_cpu.so: cannot open shared object file')",
    "of another CUDA": "raise ImportError('libcudart.so.12: cannot open shared object file')",
}
TORCH_ADVICE = ": run pip uninstall torch, then pip install torch."


@pytest.fixture
def image(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", discs((60, 80), [(20, 20), (40, 60)]))
    return tmp_path / "a.tif"


def run(*command, **environment):
    return subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )


def run_program(*args, before=(), **environment):
    return run(*before, sys.executable, "-m", "napari_nuclei_unet.cli", *args, **environment)


def with_package(folder, name, source):
    """Return an environment in which a package is one of this source."""
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(source)
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


def assert_one_sentence(done, *parts):
    assert done.returncode == 2
    assert done.stderr.startswith("nuclei-unet: "), done.stderr
    assert done.stderr.count("\n") == 1
    assert all(part in done.stderr for part in parts), done.stderr


@pytest.mark.parametrize("source", BROKEN.values(), ids=BROKEN)
def test_a_torch_that_does_not_load_is_told(source, tmp_path):
    broken = with_package(tmp_path / "broken", "torch", source)
    assert_one_sentence(run_program("segment", "a.tif", **broken), TORCH_ADVICE + "\n")


@pytest.mark.parametrize(
    "command",
    [
        ("demo", "--out", "out"),
        ("bench",),
        ("train", "images", "--out", "a.safetensors"),
        ("evaluate", "a.tif", "a.tif"),
    ],
    ids=lambda command: command[0],
)
def test_other_commands_tell_of_a_broken_torch(command, tmp_path):
    broken = with_package(tmp_path / "broken", "torch", BROKEN["without a library"])
    done = run_program(*command, **broken)
    assert_one_sentence(done, TORCH_ADVICE + "\n")


def test_a_report_of_a_broken_torch_has_all_the_rest(tmp_path):
    broken = with_package(tmp_path / "broken", "torch", "raise OSError('/home/me/libtorch.so')")
    done = run_program("bench", "--report", **broken)
    assert done.returncode == 0
    assert "\ntorch: cannot be loaded\nversions: napari-nuclei-unet" in done.stdout
    assert "/home/me" not in done.stdout + done.stderr


def test_python_is_told_of_a_torch_that_does_not_load(tmp_path):
    program = (
        "import napari_nuclei_unet as package\n"
        "for get in (lambda: package.segment, package.load_model):\n"
        "    try:\n        get()\n    except package.UserError as error:\n        print(error)"
    )
    broken = with_package(tmp_path / "broken", "torch", BROKEN["without a library"])
    printed = run(sys.executable, "-c", program, **broken).stdout.splitlines()
    assert [line.endswith(TORCH_ADVICE) for line in printed] == [True, True]


@pytest.mark.parametrize("package", ["numpy", "tifffile"])
def test_any_other_package_that_does_not_load_is_told(package, image, tmp_path):
    broken = with_package(tmp_path / "broken", package, "raise ImportError('DLL load failed')")
    done = run_program("segment", image, "--out", tmp_path / "out", **broken)
    assert_one_sentence(
        done, "(DLL load failed): install napari-nuclei-unet in a new environment.\n"
    )


def can_unshare(*flags):
    try:
        return run("unshare", *flags, "true").returncode == 0
    except OSError:
        return False


@ON_LINUX
def test_neither_network_nor_compiler_is_needed(image, tmp_path):
    if not can_unshare("-n"):
        pytest.skip("namespaces are not allowed here")
    done = run_program(
        "segment", image, "--out", tmp_path / "out",
        before=[shutil.which("unshare"), "-n"], PATH="/nowhere", CC="/nowhere/cc",
    )  # fmt: skip
    assert done.stdout.startswith("a.tif: 2 nuclei\n"), done.stderr


@pytest.fixture
def read_only(tmp_path):
    """Words that run a command where this folder is the home, and nobody can write to it."""
    if sys.platform != "linux" or not can_unshare("-m"):
        pytest.skip("namespaces are not allowed here")
    home = tmp_path / "home"
    home.mkdir()
    program = f'mount -t tmpfs -o ro none {home} && exec "$@"'
    return home, ["unshare", "-m", "sh", "-c", program, "sh"]


def test_a_read_only_home_is_no_obstacle(image, tmp_path, read_only):
    home, before = read_only
    home_of_user = {"HOME": str(home), "NUCLEI_UNET_HOME": ""}
    args = ("segment", image, "--out", tmp_path / "out")
    done = run_program(*args, before=before, **home_of_user)
    assert done.stdout.startswith("a.tif: 2 nuclei\n"), done.stderr


def test_models_in_a_read_only_home_are_told_where_to_go(bright_file, tmp_path, read_only):
    home, before = read_only
    args = ("models", "--import", bright_file)
    done = run_program(*args, before=before, HOME=str(home), NUCLEI_UNET_HOME="")
    assert_one_sentence(done, "(Read-only file system)", "variable NUCLEI_UNET_HOME to a folder")
    again = run_program(*args, before=before, HOME=str(home), NUCLEI_UNET_HOME=str(tmp_path / "x"))
    assert again.returncode == 0, again.stderr


def test_an_old_napari_is_told():
    program = (
        "import napari\nnapari.__version__ = '0.6.6'\n"
        "import napari_nuclei_unet.widgets as widgets\n"
        "for name in widgets.__all__:\n"
        "    try:\n        getattr(widgets, name)\n"
        "    except widgets.UserError as error:\n        print(error)"
    )
    *told, last = run(
        sys.executable, "-c", program, QT_QPA_PLATFORM="offscreen"
    ).stdout.splitlines()
    assert set(told) == {last}
    assert len(told) == 4
    assert last.startswith("napari 0.6.6 is too old for Nuclei U-Net, which needs 0.7.1 or newer: ")
