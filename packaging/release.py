"""Check that a tag and what was built from it fit, and write what else belongs to a release.

    python packaging/release.py v1.2.3 dist release

Needs ``dist`` with wheel and sdist of this version, and its section in CHANGELOG.md. Writes
``release/notes.md`` (that section) and ``release/recipe.yaml`` (the recipe for conda-forge, with
the version and the checksum of the sdist).
"""

import hashlib
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def find_sdist(dist: Path, version: str) -> Path:
    """Return the sdist; exit if the folder has anything but it and the wheel of this version."""
    stem = f"napari_nuclei_unet-{version}"
    due = {f"{stem}.tar.gz", f"{stem}-py3-none-any.whl"}
    built = {path.name for path in dist.iterdir()}
    if built != due:
        sys.exit(f"{dist} has {', '.join(sorted(built))}; of {version} are due {sorted(due)}.")
    return dist / f"{stem}.tar.gz"


def read_notes(changelog: str, version: str) -> str:
    """Return the section of a version; exit if there is none, or it is not dated."""
    for section in re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]:
        title, _, notes = section.partition("\n")
        if title.split()[0] == version and re.search(r"\d{4}-\d\d-\d\d", title) and notes.strip():
            return notes.strip() + "\n"
    sys.exit(f"CHANGELOG.md needs a section '## {version} (year-month-day)', which is not empty.")


def fill_recipe(recipe: str, version: str, sdist: bytes) -> str:
    """Return the recipe for conda-forge with version and checksum."""
    recipe = re.sub(r'(?m)^  version: ".*"$', f'  version: "{version}"', recipe)
    return re.sub(r'sha256: ".*"', f'sha256: "{hashlib.sha256(sdist).hexdigest()}"', recipe)


def write_release(tag: str, dist: Path, out: Path) -> None:
    """Write notes and recipe of a tag."""
    version = tag.removeprefix("v")
    sdist = find_sdist(dist, version).read_bytes()
    notes = read_notes((ROOT / "CHANGELOG.md").read_text("utf-8"), version)
    recipe = (ROOT / "packaging/conda/recipe.yaml").read_text("utf-8")
    out.mkdir(exist_ok=True)
    (out / "notes.md").write_text(notes, "utf-8")
    (out / "recipe.yaml").write_text(fill_recipe(recipe, version, sdist), "utf-8")


if __name__ == "__main__":
    write_release(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
