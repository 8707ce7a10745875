"""Print the lowest versions that pyproject.toml allows, as constraints for pip."""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
BOUND = re.compile(r"([A-Za-z0-9._-]+)(?:\[.*\])?>=([\w.]+)$")


def iter_lower_bounds(skipped: set[str]) -> Iterator[str]:
    """Iterate over ``name==version`` of each dependency that has a lower bound."""
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    users = {name: extra for name, extra in project["optional-dependencies"].items()
             if name not in ("test", "dev")}  # fmt: skip
    for line in sum(users.values(), project["dependencies"]):
        found = BOUND.match(line)
        if found and found[1] not in skipped:
            yield f"{found[1]}=={found[2]}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--skip", nargs="*", default=(), metavar="NAME")
    print(*sorted(set(iter_lower_bounds(set(parser.parse_args().skip)))), sep="\n")
