"""The package itself: what importing it costs, its manifest, its samples."""

import subprocess
import sys

import numpy as np
import pytest

import napari_nuclei_unet
from napari_nuclei_unet.metrics.error_types import compare
from napari_nuclei_unet.samples.images import SAMPLES, fluorescence_errors, sample_layers


def python(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout


def test_importing_the_package_is_quick_and_loads_neither_torch_nor_qt():
    program = (
        "import time, sys; t = time.perf_counter(); import napari_nuclei_unet; "
        "print(time.perf_counter() - t); "
        "print({'torch', 'qtpy', 'PyQt6', 'PySide6', 'napari'} & set(sys.modules) or 'none')"
    )
    seconds, loaded = python(program).split("\n")[:2]
    assert float(seconds) < 0.3
    assert loaded == "none"


def test_help_of_the_command_line_does_not_load_torch():
    program = (
        "import sys\nfrom napari_nuclei_unet.cli import main\n"
        "try:\n    main(['segment', '--help'])\n"
        "except SystemExit:\n    print('torch' in sys.modules)"
    )
    printed = python(program)
    assert printed.strip().endswith("False")
    assert "--minimum-area" in printed


@pytest.mark.parametrize("name", napari_nuclei_unet.__all__)
def test_public_names_can_be_had(name):
    assert getattr(napari_nuclei_unet, name).__doc__


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = napari_nuclei_unet.nothing


def test_the_manifest_is_valid_and_complete():
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution("napari-nuclei-unet")
    manifest.validate_imports()
    widgets = [one.display_name for one in manifest.contributions.widgets]
    assert widgets == ["Segment nuclei", "Train nuclei model", "Review nuclei"]
    samples = {sample.key for sample in manifest.contributions.sample_data}
    assert samples == {*SAMPLES, "fluorescence_errors"}


def test_the_sample_with_ten_errors_has_ten():
    _, (truth, *_), (labels, *_) = fluorescence_errors()
    numbers = compare(truth, labels).numbers
    assert numbers == {"missed": 2, "false": 2, "split": 3, "merged": 3}


@pytest.mark.parametrize("name", SAMPLES)
def test_every_sample_comes_with_its_annotation(name):
    (image, _, kind), (annotation, _, annotation_kind) = sample_layers(name)
    assert (kind, annotation_kind) == ("image", "labels")
    assert image.shape[:2] == annotation.shape
    assert set(np.unique(annotation)) == set(range(annotation.max() + 1))
    assert annotation.max() > 10
