"""What stands in examples/ runs."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from napari_nuclei_unet.cli._results import ENDINGS
from napari_nuclei_unet.samples.images import SAMPLES_FOLDER

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
IMAGEJ = Path("/usr/share/java/ij.jar")  # of Debian's package
MODULE = EXAMPLES / "nextflow/nuclei_unet/main.nf"
SAMPLE = SAMPLES_FOLDER / "fluorescence_small.png"
SEARCH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def needs(program):
    return pytest.mark.skipif(not shutil.which(program), reason=f"{program} is not installed")


def run(*command, folder):
    """Run a program that calls the command line of this environment."""
    environment = os.environ | {"PATH": SEARCH}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder, capture_output=True, text=True, env=environment, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_cells_of_the_notebook_run(capsys):
    notebook = json.loads((EXAMPLES / "first_nuclei.ipynb").read_text("utf-8"))
    names = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"]
            exec("".join(cell["source"]), names)
    assert len(names["table"]) == names["labels"].max()
    assert "nuclei" in capsys.readouterr().out


@needs("snakemake")
def test_snakemake_segments_a_folder_into_one_table(tmp_path):
    (tmp_path / "images").mkdir()
    shutil.copy(SAMPLE, tmp_path / "images" / "one of two.ome.png")
    shutil.copy(SAMPLE, tmp_path / "images")
    run("snakemake", "--snakefile", EXAMPLES / "Snakefile", "--cores", "1", folder=tmp_path)
    table = pd.read_csv(tmp_path / "results" / "nuclei.csv")
    assert set(table["image"]) == {"fluorescence_small", "one of two"}
    assert len(table) > 180


def block_of_module(name, image):
    """Return a block of the Nextflow process as Nextflow hands it to the shell."""
    text = re.search(rf'{name}:.*?"""(.*?)"""', MODULE.read_text("utf-8"), re.DOTALL)[1]
    values = {"task.cpus": "1", "image": image, "image.simpleName": Path(image).stem, "args": ""}
    return re.sub(r"\$\{([\w.]+)\}", lambda match: values[match[1]], text)


@pytest.mark.skipif(os.name == "nt", reason="Nextflow runs bash")
@pytest.mark.parametrize("block", ["script", "stub"])
def test_the_nextflow_process_makes_what_it_declares(tmp_path, block):
    shutil.copy(SAMPLE, tmp_path)
    run("bash", "-euo", "pipefail", "-c", block_of_module(block, SAMPLE.name), folder=tmp_path)
    declared = re.findall(r'path\("([^"]+)"\)', MODULE.read_text("utf-8"))
    assert declared
    assert all(len(list(tmp_path.glob(pattern))) == 1 for pattern in declared)


@needs("nextflow")
def test_nextflow_segments_a_folder(tmp_path):
    (tmp_path / "images").mkdir()
    shutil.copy(SAMPLE, tmp_path / "images")
    run("nextflow", "run", EXAMPLES / "nextflow", folder=tmp_path)
    assert len(pd.read_csv(tmp_path / "results" / f"{SAMPLE.stem}_nuclei.csv")) > 90


@pytest.mark.parametrize(
    ("script", "kind"), [("import_nuclei.groovy", "geojson"), ("open_nuclei.ijm", "rois")]
)
def test_scripts_of_other_programs_look_for_the_files_that_are_written(script, kind):
    text = (EXAMPLES / script).read_text("utf-8")
    assert f"--save {kind}" in text
    assert re.findall(r"\w*_\w+\.(?:geojson|zip)\b", text) == [ENDINGS[kind]]


@pytest.mark.skipif(not IMAGEJ.exists(), reason="ImageJ is not installed")
def test_imagej_opens_an_image_and_its_nuclei(tmp_path):
    image = tmp_path / "one of two.ome.png"
    shutil.copy(SAMPLE, image)
    run("nuclei-unet", "segment", image, "--out", "results", "--save", "rois", folder=tmp_path)
    imagej = ["java", "-jar", IMAGEJ, "-batch", EXAMPLES / "open_nuclei.ijm"]
    display = ["sh", ROOT / "tools/with_display.sh"]
    said = run(*display, *imagej, f"{image}|{tmp_path / 'results'}", folder=tmp_path)
    table = pd.read_csv(tmp_path / "results" / "one of two_nuclei.csv")
    assert f"{len(table)} nuclei" in said
