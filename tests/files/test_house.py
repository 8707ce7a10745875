"""The structure of the package: names, folders, and the map of them."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

import napari_nuclei_unet
from napari_nuclei_unet.cli import main
from napari_nuclei_unet.errors import name_parameters
from napari_nuclei_unet.params import PARAMETER_LABELS

PACKAGE = Path(napari_nuclei_unet.__file__).parent
ROOT = Path(__file__).parents[2]


# Openings that are no verb of the field: docstrings of functions say what they do.
NO_VERBS = {"Give", "Say", "Whether", "What", "Which", "Where", "How", "Let", "Tell", "Of", "So"}


def names_defined(statement):
    """Return the public names that a statement of a module defines."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [] if statement.name.startswith("_") else [statement.name]
    targets = getattr(statement, "targets", [getattr(statement, "target", None)])
    if not isinstance(statement, ast.Assign | ast.AnnAssign):
        return []
    names = [node.id for part in targets for node in ast.walk(part) if isinstance(node, ast.Name)]
    return [name for name in names if not name.startswith("_")]


# What every reader of a kind of files has.
READER_PROTOCOL = {"SUFFIXES", "list_scenes", "open_scene"}


def test_no_public_name_is_defined_in_two_modules():
    homes = defaultdict(set)
    for path in PACKAGE.rglob("*.py"):
        for statement in ast.parse(path.read_text("utf-8")).body:
            readers = READER_PROTOCOL if path.parent.name == "readers" else set()
            for name in {*names_defined(statement)} - readers:
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
        assert (PACKAGE / place).exists() or (ROOT / place).exists(), place


def strings_below_the_faces():
    """Yield the strings, but docstrings, of what is below the command line and the window."""
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).as_posix()
        if room.startswith(("cli/", "widgets/")) or room == "provenance/reproduce.py":
            continue
        tree = ast.parse(path.read_text("utf-8"))
        docstrings = {n.value for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(getattr(node, "value", None), str) and node not in docstrings:
                yield f"{room}:{node.lineno}", node.value


def test_messages_below_the_faces_name_no_flags():
    assert not [one for one in strings_below_the_faces() if re.search("--[a-z]", one[1])]


def test_the_parameters_that_messages_name_have_a_flag_and_a_label(capsys):
    named = {name for _, text in strings_below_the_faces() for name in re.findall(r"`(\w+)`", text)}
    assert {"planes", "encoder_weights", "overwrite"} <= named <= PARAMETER_LABELS.keys()
    for command in ("segment", "train"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
    flags = set(re.findall("--[a-z-]+", capsys.readouterr().out))
    assert {"--" + name.replace("_", "-") for name in PARAMETER_LABELS} <= flags


def test_only_parameters_are_named_anew():
    names = {"planes": "--planes"}
    said = name_parameters("/a/`odd`/it`s/`b.tif: give `planes`, not `plane`", names)
    assert said == "/a/`odd`/it`s/`b.tif: give --planes, not `plane`"


def test_docstrings_of_functions_open_with_a_verb():
    odd = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            docstring = ast.get_docstring(node) if isinstance(node, ast.FunctionDef) else None
            if docstring is None or any("property" in ast.unparse(d) for d in node.decorator_list):
                continue  # a property is a noun
            if docstring.split()[0].strip(".,:;") in NO_VERBS:
                odd.append(f"{path.name}:{node.lineno} {docstring.splitlines()[0]}")
    assert not odd


def test_modules_and_functions_are_short():
    long = []
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text("utf-8")
        if len(text.splitlines()) > 350:
            long.append(path.name)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.body[0].end_lineno > 60:
                long.append(f"{path.name}:{node.name}")  # without its docstring
    assert not long


def test_a_module_says_why_its_functions_import():
    odd = []
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text("utf-8")
        inside = {
            imported.lineno
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for imported in ast.walk(node)
            if isinstance(imported, ast.Import | ast.ImportFrom)
        }
        if inside:  # the first one has a comment, beside it or above, that holds for all
            above, beside = text.splitlines()[min(inside) - 2 : min(inside)]
            if not any("#" in line.replace("# noqa", "") for line in (above, beside)):
                odd.append(f"{path.relative_to(PACKAGE)}:{min(inside)}")
    assert not odd
