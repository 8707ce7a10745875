"""The package itself: what importing it costs, its manifest, its samples."""

import importlib
import os
import re
import subprocess
import sys
import tomllib
from importlib import resources
from importlib.metadata import version
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import yaml
from skimage.draw import ellipse

import napari_nuclei_unet
from napari_nuclei_unet import _deprecated
from napari_nuclei_unet.metrics.error_types import compare
from napari_nuclei_unet.samples.images import (
    SAMPLES,
    film,
    fluorescence_errors,
    sample_layers,
    two_channels,
    z_stack,
)
from napari_nuclei_unet.samples.planted_errors import plant_errors

ROOT = Path(__file__).parents[2]


def python(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout


def test_importing_the_package_is_quick_and_loads_neither_torch_nor_qt():
    program = (
        "import time, sys; t = time.process_time(); import napari_nuclei_unet; "
        "print(time.process_time() - t); "
        "heavy = {'torch', 'pandas', 'qtpy', 'PyQt6', 'PySide6', 'napari'}; "
        "print(heavy & set(sys.modules) or 'none')"
    )
    seconds, loaded = python(program).split("\n")[:2]
    assert float(seconds) < 0.3
    assert loaded == "none"


def test_writing_a_table_loads_neither_torch_nor_skimage(tmp_path):
    program = (
        "import sys, numpy as np\n"
        "import napari_nuclei_unet.export, napari_nuclei_unet.io\n"
        "from napari_nuclei_unet import Result, save\n"
        f"save({str(tmp_path / 'nuclei.csv')!r}, Result(np.eye(3, dtype=int), {{}}))\n"
        "print({'torch', 'skimage', 'scipy'} & set(sys.modules) or 'none')"
    )
    assert python(program).strip() == "none"
    assert (tmp_path / "nuclei.csv").exists()


def test_help_of_the_command_line_does_not_load_torch():
    program = (
        "import sys\nfrom napari_nuclei_unet.cli import main\n"
        "try:\n    main(['segment', '--help'])\n"
        "except SystemExit:\n    print(not {'torch', 'pandas'}.isdisjoint(sys.modules))"
    )
    printed = python(program)
    assert printed.strip().endswith("False")
    assert "--minimum-area" in printed


def test_segmenting_a_picture_loads_only_what_it_needs(tmp_path, bright_file):
    image = np.zeros((32, 32), np.uint8)
    image[8:20, 8:20] = 255
    PIL.Image.fromarray(image).save(tmp_path / "a.png")
    command = ["segment", str(tmp_path / "a.png"), "--model", str(bright_file)]
    program = (
        "import gc, sys\nfrom napari_nuclei_unet.cli import main\n"
        f"assert main({[*command, '--out', str(tmp_path / 'out')]}) == 0\n"
        "late = {'zarr', 'pydantic', 'skimage', 'dask', 'distributed', 'matplotlib', 'qtpy',"
        " 'napari', 'torch._dynamo', 'scipy.linalg', 'scipy.optimize', 'scipy.spatial',"
        " 'scipy.sparse', 'napari_nuclei_unet.blockwise.run'}\n"
        "loaded = set(sys.modules)\n"
        f"own = {python('import sys, scipy.ndimage; print(set(sys.modules))').strip()}\n"
        "print(late & (loaded - own) or 'none', gc.isenabled())"
    )
    assert python(program).splitlines()[-1] == "none True"


@pytest.mark.parametrize("name", napari_nuclei_unet.__all__)
def test_public_names_can_be_had(name):
    assert getattr(napari_nuclei_unet, name).__doc__


def test_the_version_is_public():
    assert napari_nuclei_unet.__version__ == version("napari-nuclei-unet")


SCRIPT = """
import numpy as np
import PIL.Image
from napari_nuclei_unet import fine_tune, measure, segment

image = np.zeros((64, 64), np.uint8)
labels = segment(image, minimum_area=30)
table = measure(labels, image)
model = fine_tune([(image, labels)]).model
print(int(labels.max()), table["area"].mean(), model.card.name)
"""


# Other packages than these are no business of the script, and torch alone takes a minute.
MYPY = """
[mypy]
strict = true
cache_dir = {nowhere}
follow_imports = skip
follow_imports_for_stubs = true
[mypy-napari_nuclei_unet.*,numpy.*]
follow_imports = normal
"""


def test_a_script_of_a_user_passes_strict_mypy(tmp_path):
    mypy = pytest.importorskip("mypy.api")
    script, config = tmp_path / "script.py", tmp_path / "mypy.ini"
    script.write_text(SCRIPT)
    config.write_text(MYPY.format(nowhere=os.devnull))
    printed, _, status = mypy.run([f"--config-file={config}", str(script)])
    assert status == 0, printed


@pytest.mark.parametrize(
    ("path", "name"),
    [(path, name) for path, names in _deprecated.GONE.items() for name in names]
    + [("samples", "read_sample"), ("models", "load_model")],
)
def test_paths_of_the_version_before_still_work_and_warn(path, name):
    module = importlib.import_module(f"napari_nuclei_unet.{path}")
    with pytest.warns(FutureWarning, match=f"from napari_nuclei_unet import {name}"):
        assert getattr(module, name) is getattr(napari_nuclei_unet, name)


def test_a_path_that_never_was_is_an_import_error():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("napari_nuclei_unet.core.nothing")
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        from napari_nuclei_unet.core.measure import nothing  # noqa: F401


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="attribute nothing"):
        _ = napari_nuclei_unet.nothing


def test_the_manifest_is_valid_and_complete():
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution("napari-nuclei-unet")
    manifest.validate_imports()
    package, icon = manifest.icon.split(":")
    assert resources.files(package).joinpath(icon).read_text("utf-8").startswith("<svg")
    widgets = [one.display_name for one in manifest.contributions.widgets]
    assert widgets == [
        "Segment nuclei", "Train nuclei model", "Review nuclei", "Nuclei table", "Many images",
    ]  # fmt: skip
    samples = {sample.key for sample in manifest.contributions.sample_data}
    assert samples == {*SAMPLES, "fluorescence_errors", "z_stack", "film", "two_channels"}


@pytest.mark.parametrize(("make", "nuclei"), [(z_stack, 28), (film, 28), (two_channels, 106)])
def test_the_composed_samples_are_aligned_and_always_the_same(make, nuclei):
    (truth, placed, _), *images = sorted(make(), key=lambda one: one[2], reverse=True)
    for pixels, options, kind in images:
        assert kind == "image"
        assert pixels.shape == truth.shape
        assert all(options[name] == placed[name] for name in ("scale", "units", "axis_labels"))
    assert len(np.unique(truth)) - 1 == nuclei
    _, *again = sorted(make(), key=lambda one: one[2], reverse=True)
    assert all((one[0] == other[0]).all() for one, other in zip(images, again, strict=True))


@pytest.mark.parametrize(
    ("name", "make"), [("z_stack", z_stack), ("film", film), ("two_channels", two_channels)]
)
def test_composed_samples_can_be_read_as_the_window_opens_them(name, make):
    image, annotation = napari_nuclei_unet.read_sample(name)
    shown = {options["name"]: pixels for pixels, options, _ in make()}
    labels = next(pixels for title, pixels in shown.items() if title.endswith("annotation"))
    assert image.ndim == 3
    assert (annotation == labels).all()
    images = [pixels for pixels in shown.values() if pixels is not labels]
    channels = image[::-1] if len(images) > 1 else [image]
    assert all((a == b).all() for a, b in zip(images, channels, strict=True))


def test_the_sample_with_ten_errors_has_ten():
    _, (truth, *_), (labels, *_) = fluorescence_errors()
    numbers = compare(truth, labels).numbers
    assert numbers == {"missed": 2, "false": 2, "split": 3, "merged": 3}


@pytest.mark.parametrize("angle", [10, 45, 80, 100, 135, 170])
def test_the_same_half_is_cut_off_on_every_computer(angle):
    rows, columns = ellipse(30, 30, 20, 10, rotation=np.deg2rad(angle))
    annotation = np.zeros((60, 60), np.int32)
    annotation[rows, columns] = 1
    labels = plant_errors(annotation)
    assert set(np.unique(labels[annotation > 0])) >= {1, 2}
    assert np.nonzero(labels == 2)[0].mean() < np.nonzero(labels == 1)[0].mean()


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_comes_with_its_annotation(name):
    (image, _, kind), (annotation, _, annotation_kind) = sample_layers(name)
    assert (kind, annotation_kind) == ("image", "labels")
    assert image.shape[:2] == annotation.shape
    assert set(np.unique(annotation)) == set(range(annotation.max() + 1))
    assert annotation.max() > 10


def test_the_recipe_for_conda_has_the_same_requirements():
    recipe = yaml.safe_load((ROOT / "packaging/conda/recipe.yaml").read_text("utf-8"))
    theirs = {line.replace(" ", "") for line in recipe["requirements"]["run"][1:]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert theirs == {line.replace("torch>", "pytorch>") for line in project["dependencies"]}
    assert recipe["context"]["python_min"] == project["requires-python"].removeprefix(">=")


def test_every_public_name_is_in_the_reference():
    page = (ROOT / "docs/reference/api.md").read_text("utf-8")
    listed = re.findall(r"^   (\w+)$", page, re.MULTILINE)
    assert sorted(listed) == sorted(set(napari_nuclei_unet.__all__))
