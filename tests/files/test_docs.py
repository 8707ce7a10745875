"""The Python code in README and docs runs as it stands there."""

import re
from pathlib import Path

import pytest

import napari_nuclei_unet

ROOT = Path(__file__).parents[2]
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page.relative_to(ROOT)}:{number}")
    for page in PAGES
    for number, block in enumerate(PYTHON.findall(page.read_text("utf-8")))
]


@pytest.mark.parametrize("block", BLOCKS)
def test_code_in_the_docs_runs(block, tmp_path, monkeypatch, three_discs):
    import tifffile

    monkeypatch.chdir(tmp_path)
    tifffile.imwrite("cells.tif", three_discs)
    exec(compile(block, "docs", "exec"), {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_in_the_docs_exist(page):
    for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


# How code that is shown to users, or generated for them, may import this package.
PUBLIC = re.compile(r"from napari_nuclei_unet import [^.]+$")
IMPORT = re.compile(r"^\W*((?:from|import) napari_nuclei_unet\b.*?)\W*$", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_docs_import_public_names_only(page):
    for statement in IMPORT.findall(page.read_text("utf-8")):
        _assert_public(statement)


def test_generated_code_imports_public_names_only():
    source = ROOT / "src" / "napari_nuclei_unet" / "provenance"
    quoted = re.compile(r"[\"'](from napari_nuclei_unet[^\"']*)")
    found = [one for path in source.glob("*.py") for one in quoted.findall(path.read_text("utf-8"))]
    assert found
    for statement in found:
        assert statement.startswith("from napari_nuclei_unet import "), statement


def _assert_public(statement):
    assert PUBLIC.match(statement), statement
    for name in statement.partition(" import ")[2].split(","):
        assert name.strip() in napari_nuclei_unet.__all__, statement
