"""Deep paths that docs showed, and users' scripts may import: they work until 0.2, and warn."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

PACKAGE = "napari_nuclei_unet"
# Modules that are gone, and the public names that could be imported from them.
GONE: dict[str, tuple[str, ...]] = {
    "bioimage": ("export_bioimage", "import_bioimage"),
    "core": (),
    "core.comparing": ("Comparison", "compare"),
    "core.measure": ("Frame", "measure"),
    "core.regions": ("Region", "enlarged"),
    "engine": (
        *("Prediction", "Segmentation", "predict_plane_steps"),
        *("retune", "segment", "segment_steps"),
    ),
    "files": ("read_image",),
    "large": (),
    "large.lazy": ("open_lazily",),
    "large.stores": ("LabelsStore",),
    "learning": (),
    "learning.finetuning": ("fine_tune",),
    "learning.outcomes": ("FineTuned",),
    "prediction": ("Step", "run"),
    "stacks": ("segment_stack",),
}


def renamed(module: str, names: tuple[str, ...]) -> Callable[[str], Any]:
    """Return a module's ``__getattr__`` that takes names from the package, with a warning.

    Parameters
    ----------
    module : str
        The old path.
    names : tuple of str
        Public names that could be imported from it.

    Returns
    -------
    callable
    """

    def __getattr__(name: str) -> Any:  # noqa: N807
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warnings.warn(
            f"{module}.{name} is deprecated and will be removed in version 0.2: "
            f"use `from {PACKAGE} import {name}`.",
            FutureWarning,
            stacklevel=2,
        )
        return getattr(import_module(PACKAGE), name)

    return __getattr__


class _Finder(MetaPathFinder, Loader):
    """Finds modules that are gone, after all other finders have failed."""

    def find_spec(self, fullname: str, *_args: object) -> ModuleSpec | None:
        package, _, path = fullname.partition(".")
        if package != PACKAGE or path not in GONE:
            return None
        is_package = any(other.startswith(f"{path}.") for other in GONE)
        return ModuleSpec(fullname, self, is_package=is_package)

    def exec_module(self, module: ModuleType) -> None:
        names = GONE[module.__name__.partition(".")[2]]
        module.__getattr__ = renamed(module.__name__, names)  # type: ignore[method-assign]


def install() -> None:
    """Make the modules that are gone importable."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
