"""What the report of a fault says about a computer."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distributions, requires, version
from pathlib import Path

import psutil

from ..errors import UserError
from ..memory import available_memory
from ..network.loading import load_torch

DISTRIBUTION = "napari-nuclei-unet"
QT_BINDINGS = ("PyQt6", "PySide6", "PyQt5")
PLUGIN_ENTRY_POINTS = ("napari.manifest", "napari.plugin")


def iter_report_lines() -> Iterator[str]:
    """Iterate over lines that describe this computer, without names of users, hosts or paths."""
    yield f"system: {platform.system()} {platform.release()}, {platform.machine()}"
    yield f"Python: {platform.python_version()}"
    yield f"processor: {_processor_name()}, {os.cpu_count()} cores"
    total, free = psutil.virtual_memory().total, available_memory()
    yield f"memory: {total / 1e9:.1f} GB, {free / 1e9:.1f} GB for this program"
    yield from _iter_torch_lines()
    yield f"versions: {_join_versions((DISTRIBUTION, 'napari', *_required()))}"
    yield f"Qt: {_join_versions(QT_BINDINGS) or 'none'}"
    yield f"plugins of napari: {', '.join(_plugins()) or 'none'}"


def _iter_torch_lines() -> Iterator[str]:
    try:
        load_torch()
    except UserError:  # its message names folders
        yield "torch: cannot be loaded"
        return
    import torch  # here, so that --help does not load it

    from ..models.model import load_model
    from ..params import SegmentParams
    from ..segmentation.device import plan_inference

    for number in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(number)
        yield f"GPU: {card.name}, {card.total_memory / 1e9:.1f} GB, CUDA {torch.version.cuda}"
    if torch.backends.mps.is_available():
        yield "GPU: Apple (MPS)"
    plan = plan_inference(SegmentParams(), "auto", load_model())
    yield f"runs on: {plan}, {plan.precision}, {torch.get_num_threads()} threads"


def _processor_name() -> str:
    """Return the name of the processor, for which Python has no function on Linux."""
    table = Path("/proc/cpuinfo")
    found = (
        re.search(r"^model name\s*:\s*(.+)$", table.read_text(), re.M) if table.exists() else None
    )
    return found[1] if found else platform.processor() or "unknown"


def _required() -> list[str]:
    """Return the names of the packages that users of this one and its extras need, in order."""
    lines = (one for one in requires(DISTRIBUTION) or () if not re.search("test|dev", one))
    names = {re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines}
    return sorted(names - {DISTRIBUTION, "napari"}, key=str.lower)


def _join_versions(names: Iterable[str]) -> str:
    """Join names and versions of those distributions that are installed."""
    found = []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def _plugins() -> list[str]:
    """Return names and versions of installed plugins of napari."""
    return sorted(
        f"{one.metadata['Name']} {one.version}"
        for one in distributions()
        if any(entry.group in PLUGIN_ENTRY_POINTS for entry in one.entry_points)
    )
