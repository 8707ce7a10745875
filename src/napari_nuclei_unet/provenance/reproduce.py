"""Command line and Python code that reproduce a result from its record."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from ..arrays.axes import PlaneIndex
from ..arrays.roi import Region
from ..arrays.selection import Positions
from ..errors import UserError
from .record import Provenance, SourceImage

# Letters of axes that are neither time, depth, channels nor the plane.
SPARE_AXIS_LETTERS = "PQRSUVW"


def format_command(provenance: Provenance) -> str:
    """Format the command that reproduces a result.

    Parameters
    ----------
    provenance : Provenance

    Returns
    -------
    str
        For a POSIX shell, one line.

    Raises
    ------
    UserError
        If the image is in no file, the run was stopped, or sections were joined along Z.
    """
    source = _get_source(provenance)
    if (provenance.join or "").upper() == "Z":
        raise UserError(
            "The command line finds nuclei along Z as volumes, which is better than joining "
            "sections, but not the same: copy the Python code, or segment as a z-stack."
        )
    if source.path is None:
        raise UserError(
            "The command line needs a file, and this image is not in a file that it can read: "
            "save the image, open the file, and segment that."
        )
    arguments = ["nuclei-unet", "segment", source.path, "--out", "results"]
    arguments += ["--model", provenance.model_file or provenance.model]
    for name, value in _get_settings(provenance).items():
        flag = "--" + name.replace("_", "-")
        # or a negative number such as -1e+20 would be taken for a flag
        arguments += [f"{flag}={value}"] if str(value).startswith("-") else [flag, str(value)]
    if len(source.axes) > 2:
        arguments += ["--axes", source.axes]
    if source.planes:
        arguments += ["--planes", ",".join(map(str, source.planes))]
    if source.channel is not None:
        arguments += ["--channel", str(source.channel)]
    if source.level:
        arguments += ["--level", str(source.level)]
    if source.scene is not None:
        arguments += ["--scene", str(source.scene)]
    if provenance.join:
        arguments += ["--join", provenance.join]
    if provenance.volume:
        arguments += ["--volume", "--z-step", f"{provenance.z_step:g}px"]
    if provenance.track:
        arguments += ["--track"]
    if provenance.exclude_border:
        arguments += ["--exclude-border"]
    if provenance.format == "zarr":
        arguments += ["--format", "zarr"]
    for polygon in provenance.region or ():
        arguments += ["--region", " ".join(f"{y!r},{x!r}" for y, x in polygon)]
    return shlex.join(arguments)


def format_python(provenance: Provenance) -> str:
    """Format the Python code that reproduces a result, as ``labels``.

    Parameters
    ----------
    provenance : Provenance
        Without a file the image is taken from the viewer, so that the code runs in napari's
        console.

    Returns
    -------
    str
        Lines of Python.

    Raises
    ------
    UserError
        If the run was stopped, nuclei were tracked, or those at the border left out.
    """
    if provenance.track or provenance.exclude_border:
        raise UserError("Only the command line can reproduce this result: copy the command.")
    source = _get_source(provenance)
    if _is_stack(source):
        return _format_stack_python(provenance, source)
    level = source.level
    names = {"segment"}
    if source.path is not None:
        names.add("read_image")
        named = {"level": level or None, "scene": source.scene}
        options = "".join(f", {name}={at}" for name, at in named.items() if at is not None)
        lines = [f"image = read_image({source.path!r}{options})"]
    else:
        lines = [_format_layer(source)]
    arguments = _get_engine_arguments(provenance, source)
    lines += ["labels = segment(", f"    {_format_plane(source)},"]
    lines += [f"    {name}={value!r}," for name, value in arguments.items()]
    lines += [")"]
    if source.size != source.level_size:
        names.add("enlarged")
        lines += [f"labels = enlarged(labels, {source.size})"]
    return _format_script(names, lines)


def _format_script(names: set[str], lines: list[str]) -> str:
    """Format a script of lines that use these public names of the package, and maybe numpy."""
    imports = [f"from napari_nuclei_unet import {', '.join(sorted(names))}", ""]
    if any("np." in line for line in lines):
        imports.insert(0, "import numpy as np")
    return "\n".join([*imports, *lines, ""])


def extend_to_stack(
    provenance: Provenance, planes_written: Sequence[Sequence[int | None]]
) -> Provenance | None:
    """Extend the provenance of one plane to all planes that were written into its labels.

    Parameters
    ----------
    provenance : Provenance
    planes_written : sequence of sequence of (int or None)
        Indices of planes of the labels, with None for the axes of the plane.

    Returns
    -------
    Provenance or None
        Its source has all planes. The same object for one plane only; None where the planes are
        no ranges, which neither the command line nor ``segment_stack`` can select.
    """
    written, source = planes_written, provenance.source
    if source is None or len(written) < 2:
        return provenance
    lengths, axes = source.lengths, source.axes
    linked = provenance.join or provenance.track or provenance.volume
    along = provenance.along if linked else None
    lead = len(axes) - len(written[0])  # 1: the labels have no axis of channels
    free = [axis - lead for axis, name in enumerate(axes) if name not in "CYX"]
    positions_by_axis = [sorted({plane[axis] or 0 for plane in written}) for axis in free]
    ranges = all(some[-1] - some[0] == len(some) - 1 for some in positions_by_axis)
    if lengths is None or not ranges or math.prod(map(len, positions_by_axis)) != len(written):
        return None
    planes = tuple(
        positions[0] if len(positions) == 1 and axis != along else _format_range(positions, length)
        for axis, positions, length in zip(free, positions_by_axis, lengths, strict=True)
    )
    if along is not None:
        letter = "T" if provenance.track else (provenance.join or "Z").upper()
        axes = _rename_axis(axes, along + lead, letter, keeps_slices=provenance.volume)
    return replace(provenance, source=replace(source, planes=planes, axes=axes))


def _format_range(positions: Sequence[int], length: int) -> str:
    return "all" if len(positions) == length else f"{positions[0]}-{positions[-1]}"


def _rename_axis(axes: str, axis: int, letter: str, keeps_slices: bool) -> str:
    """Rename an axis, swapping letters with the axis that had this one.

    Slices that are no volumes are not tracked, and their axis gets another letter.
    """
    names = list(axes)
    if letter in names:
        names[names.index(letter)] = names[axis]
    names[axis] = letter
    if letter == "T" and "Z" in names and not keeps_slices:
        names[names.index("Z")] = next(spare for spare in SPARE_AXIS_LETTERS if spare not in names)
    return "".join(names)


def _is_stack(source: SourceImage) -> bool:
    """Return whether there are many planes: ranges, or all, of an axis."""
    return any(isinstance(part, str) for part in source.planes)


def _format_stack_python(provenance: Provenance, source: SourceImage) -> str:
    """Format the Python code that reproduces labels of many planes."""
    planes: list[Positions] = []
    for part in source.planes:
        first, _, last = str(part).partition("-")
        positions = None if part == "all" else range(int(first), int(last or first) + 1)
        planes.append(positions if isinstance(part, str) else part)
    arguments: dict[str, Any] = {"channel": source.channel, "planes": planes}
    arguments |= {"join": provenance.join, "z_step": provenance.z_step}
    arguments = {name: value for name, value in arguments.items() if value is not None}
    arguments |= _get_engine_arguments(provenance, source)
    function = "segment_volume" if provenance.volume else "segment_stack"
    names = {function}
    if source.path is not None:
        names.add("open_lazily")
        scene = "" if source.scene is None else f", scene={source.scene}"
        opened = f"image = open_lazily({source.path!r}, {source.level}{scene}).pixels"
    else:
        opened = _format_layer(source)
    lines = [
        opened,
        f"labels = {function}(",
        "    image,",
        f"    {source.axes!r},",
        *(f"    {name}={value!r}," for name, value in arguments.items()),
        ")",
    ]
    if source.size != source.level_size and provenance.format != "zarr":
        names.add("enlarged")
        lines += [
            "planes = labels.reshape(-1, *labels.shape[-2:])",
            f"planes = np.stack([enlarged(plane, {source.size}) for plane in planes])",
            "labels = planes.reshape(*labels.shape[:-2], *planes.shape[1:])",
        ]
    return _format_script(names, lines)


def _format_layer(source: SourceImage) -> str:
    """Format the line that takes the image from the viewer."""
    level = f"[{source.level}]" if source.multiscale else ""
    return f"image = viewer.layers[{source.layer!r}].data{level}"


def _get_source(provenance: Provenance) -> SourceImage:
    if provenance.source is None:
        raise UserError("This record does not say which image it belongs to.")
    if provenance.stopped:
        raise UserError(
            "This run was stopped before it was finished, so it cannot be repeated exactly: "
            "segment again, then copy."
        )
    return provenance.source


def _get_settings(provenance: Provenance) -> dict[str, Any]:
    """Return what is set, and how the network ran, which another machine might choose otherwise."""
    params, ran_on = provenance.params, provenance.ran_on
    given = {name: value for name, value in asdict(params).items() if value is not None}
    if not params.average_orientations:
        del given["average_orientations"]  # as in scripts of the time before it
    return given | ({} if ran_on is None else asdict(ran_on))


def _get_engine_arguments(provenance: Provenance, source: SourceImage) -> dict[str, Any]:
    """Return the arguments that ``segment`` and ``segment_stack`` have in common."""
    arguments = {"model": provenance.model_file or provenance.model} | _get_settings(provenance)
    if provenance.region:
        region = Region.of(provenance.region).scaled(source.size, source.level_size)
        arguments["region"] = [list(polygon) for polygon in region.polygons]
    return arguments


def _format_plane(source: SourceImage) -> str:
    """Format the plane as an index of the array ``image``."""
    plane_index = PlaneIndex(source.index, source.channel_axis)
    parts = [":" if at is None else str(at) for at in plane_index.index]
    while parts and parts[-1] == ":":
        parts.pop()
    text = f"image[{', '.join(parts)}]" if parts else "image"
    if not plane_index.mean:
        return text
    exact = source.mean_dtype
    return f'np.asarray({text}).mean(axis={plane_index.mean_axis}, dtype="{exact}")'
