"""The structure of the package: names, folders, and the map of them."""

import ast
from collections import defaultdict
from pathlib import Path

import napari_nuclei_unet

PACKAGE = Path(napari_nuclei_unet.__file__).parent
ROOT = Path(__file__).parents[2]


def names_defined(statement):
    """Return the public names that a statement of a module defines."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        names = [statement.name]
    elif isinstance(statement, ast.Assign):
        names = [n.id for target in statement.targets for n in ast.walk(target) if is_name(n)]
    elif isinstance(
        statement, ast.AnnAssign | ast.TypeAlias if hasattr(ast, "TypeAlias") else ast.AnnAssign
    ):
        names = [getattr(statement, "target", getattr(statement, "name", None)).id]
    else:
        names = []
    return [name for name in names if not name.startswith("_")]


def is_name(node):
    return isinstance(node, ast.Name)


def test_no_public_name_is_defined_in_two_modules():
    homes = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        for statement in ast.parse(path.read_text("utf-8")).body:
            for name in names_defined(statement):
                homes[name].add(str(path.relative_to(PACKAGE)))
    assert not {name: where for name, where in homes.items() if len(where) > 1}


def test_the_map_of_contributing_is_the_tree():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    lines = text.partition("<!-- map -->\n```text\n")[2].partition("```")[0].splitlines()
    drawn = dict(line.strip().split(maxsplit=1) for line in lines)
    folders = {}
    for init in PACKAGE.rglob("*/__init__.py"):
        docstring = ast.get_docstring(ast.parse(init.read_text("utf-8")))
        folders[init.parent.relative_to(PACKAGE).as_posix()] = docstring.splitlines()[0]
    assert drawn == folders


def test_every_place_that_contributing_names_exists():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    table = text.partition("| to change")[2].partition("\n\n")[0]
    places = table.split("`")[1::2]
    assert len(places) > 10
    for place in places:
        assert (PACKAGE / place).exists(), place
