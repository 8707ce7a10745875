"""What a tag publishes fits: version, notes, recipe for conda-forge."""

import hashlib
import re
import runpy
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RELEASE = runpy.run_path(str(ROOT / "packaging/release.py"))
CHANGELOG = "# Changelog\n\n## 1.3.0 (unreleased)\n\n- Later.\n\n## 1.2.3 (2026-01-02)\n\n- Now.\n"


def make_dist(folder, *names):
    for name in names:
        (folder / name).write_bytes(name.encode())
    return folder


def test_the_sdist_is_found_beside_its_wheel(tmp_path):
    names = ["napari_nuclei_unet-1.2.3.tar.gz", "napari_nuclei_unet-1.2.3-py3-none-any.whl"]
    assert RELEASE["find_sdist"](make_dist(tmp_path, *names), "1.2.3").name == names[0]


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["napari_nuclei_unet-1.2.3.tar.gz"],
        [
            "napari_nuclei_unet-1.2.4.dev1.tar.gz",
            "napari_nuclei_unet-1.2.4.dev1-py3-none-any.whl",
        ],
        [
            "napari_nuclei_unet-1.2.3.tar.gz",
            "napari_nuclei_unet-1.2.3-py3-none-any.whl",
            "napari_nuclei_unet-1.2.2.tar.gz",
        ],
    ],
)
def test_another_version_than_that_of_the_tag_is_not_published(tmp_path, names):
    with pytest.raises(SystemExit, match=re.escape("of 1.2.3 are due")):
        RELEASE["find_sdist"](make_dist(tmp_path, *names), "1.2.3")


def test_the_notes_are_the_section_of_the_version():
    assert RELEASE["read_notes"](CHANGELOG, "1.2.3") == "- Now.\n"


@pytest.mark.parametrize("version", ["1.3.0", "1.2", "9.9.9"])
def test_a_version_without_a_dated_section_is_not_published(version):
    with pytest.raises(SystemExit, match=rf"needs a section '## {version}"):
        RELEASE["read_notes"](CHANGELOG, version)


def test_the_newest_section_of_the_changelog_only_lacks_its_date():
    text = (ROOT / "CHANGELOG.md").read_text("utf-8").replace("(unreleased)", "(2026-01-02)")
    version = re.search(r"^## (\S+)", text, re.MULTILINE)[1]
    assert RELEASE["read_notes"](text, version)


def test_the_recipe_for_conda_gets_version_and_checksum():
    filled = RELEASE["fill_recipe"](
        (ROOT / "packaging/conda/recipe.yaml").read_text("utf-8"), "1.2.3", b"sdist"
    )
    recipe = yaml.safe_load(filled)
    assert recipe["context"]["version"] == "1.2.3"
    assert recipe["source"]["sha256"] == hashlib.sha256(b"sdist").hexdigest()
