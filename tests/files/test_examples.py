"""What stands in examples/ runs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from napari_nuclei_unet.samples.images import SAMPLES_FOLDER

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_cells_of_the_notebook_run(capsys):
    notebook = json.loads((EXAMPLES / "first_nuclei.ipynb").read_text("utf-8"))
    names = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"]
            exec("".join(cell["source"]), names)
    assert len(names["table"]) == names["labels"].max()
    assert "nuclei" in capsys.readouterr().out


@pytest.mark.skipif(not shutil.which("snakemake"), reason="Snakemake is not installed")
def test_snakemake_segments_a_folder_into_one_table(tmp_path):
    (tmp_path / "images").mkdir()
    shutil.copy(SAMPLES_FOLDER / "fluorescence_small.png", tmp_path / "images")
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = ["snakemake", "--snakefile", EXAMPLES / "Snakefile", "--cores", "1"]
    subprocess.run(command, cwd=tmp_path, check=True, env=os.environ | {"PATH": search})
    table = pd.read_csv(tmp_path / "results" / "nuclei.csv")
    assert set(table["image"]) == {"fluorescence_small"}
    assert len(table) > 90
