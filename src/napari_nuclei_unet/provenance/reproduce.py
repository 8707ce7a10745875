"""Command line and Python code that reproduce a result from its record."""

from __future__ import annotations

import dataclasses
import math
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..arrays.axes import PlaneIndex
from ..arrays.boxes import enlarged
from ..arrays.roi import Region
from ..arrays.selection import Positions
from ..errors import UserError
from ..segmentation.normalization import check_plane

if TYPE_CHECKING:
    from ..segmentation.segment import Segmentation

# Settings of the network's run; without them another machine could choose another precision.
RUN_SETTINGS = ("device", "precision", "tile", "batch")
# Letters of axes that are neither time, depth, channels nor the plane.
SPARE_AXIS_LETTERS = "PQRSUVW"


def describe_source(
    plane_index: PlaneIndex,
    axes: str,
    path: str | None,
    level: int,
    dtype: np.dtype[Any],
    shapes: tuple[tuple[int, int], tuple[int, int]],
) -> dict[str, Any]:
    """Describe the source image of a record, for the other functions here.

    Parameters
    ----------
    plane_index : PlaneIndex
    axes : str
        A letter for every axis of ``plane_index``.
    path : str or None
        File of the image, if ``io.images.read_image`` returns the same array.
    level : int
        Of a pyramid.
    dtype : dtype
        Of the image.
    shapes : two of (int, int)
        Heights and widths of the plane: at full resolution, and at the level.
    """
    exact = "float32" if dtype.itemsize <= 2 else "float64"
    free = [axis for axis, name in enumerate(axes) if name not in "CYX"]
    channel = (
        None if plane_index.channel_axis is None else plane_index.index[plane_index.channel_axis]
    )
    return {
        "path": path,
        "axes": axes,
        "planes": [plane_index.index[axis] for axis in free],
        "channel": "mean" if plane_index.mean else channel,
        "level": level,
        # not "shape", by which tifffile would know its own metadata in a description
        "size": list(shapes[0]),
        "level_size": list(shapes[1]),
        "index": list(plane_index.index),
        "channel_axis": plane_index.channel_axis,
        "mean_dtype": exact,
    }


def enlarge_to_full_resolution(result: Segmentation, plane: NDArray[np.generic]) -> Segmentation:
    """Enlarge a result of a lower level of a pyramid to full resolution.

    Parameters
    ----------
    result : Segmentation
    plane : ndarray, shape (Y, X) or (Y, X, C)
        The same plane at full resolution.

    Returns
    -------
    Segmentation
        The same object where it is at full resolution already.
    """
    if result.labels.shape == plane.shape[:2]:
        return result
    inside = None if result.inside is None else enlarged(result.inside, plane.shape)
    return dataclasses.replace(
        result,
        plane=check_plane(plane),
        labels=enlarged(result.labels, plane.shape),
        maps=np.stack([enlarged(values, plane.shape) for values in result.maps]),
        inside=inside,
    )


def format_command(record: dict[str, Any]) -> str:
    """Format the command that reproduces a result.

    Parameters
    ----------
    record : dict
        Of the result, with its ``source``: the image's ``path``, ``axes``, ``planes``,
        ``channel`` and ``level``.

    Returns
    -------
    str
        For a POSIX shell, one line.

    Raises
    ------
    UserError
        If the image is in no file, or the run was stopped.
    """
    source = _get_source(record)
    if source["path"] is None:
        raise UserError(
            "The command line needs a file, and this image is in none that it can read: save the "
            "image first, open it, and segment that."
        )
    arguments = ["nuclei-unet", "segment", source["path"], "--out", "results"]
    arguments += ["--model", record.get("model_file") or record["model"]]
    for name, value in _get_settings(record).items():
        arguments += ["--" + name.replace("_", "-"), str(value)]
    if len(source["axes"]) > 2:
        arguments += ["--axes", source["axes"]]
    if source["planes"]:
        arguments += ["--planes", ",".join(map(str, source["planes"]))]
    if source["channel"] is not None:
        arguments += ["--channel", str(source["channel"])]
    if source["level"]:
        arguments += ["--level", str(source["level"])]
    if record.get("join"):
        arguments += ["--join", record["join"]]
    if record.get("track"):
        arguments += ["--track"]
    if record.get("format") == "zarr":
        arguments += ["--format", "zarr"]
    for polygon in record["region"] or []:
        arguments += ["--region", " ".join(f"{y!r},{x!r}" for y, x in polygon)]
    return shlex.join(arguments)


def format_python(record: dict[str, Any]) -> str:
    """Format the Python code that reproduces a result, as ``labels``.

    Parameters
    ----------
    record : dict
        As in :func:`format_command`. Without a file the image is taken from the viewer, so that
        the code runs in napari's console.

    Returns
    -------
    str
        Lines of Python.

    Raises
    ------
    UserError
        If the run was stopped, or nuclei were tracked.
    """
    source = _get_source(record)
    if _is_stack(source):
        return _format_stack_python(record, source)
    level = source["level"]
    names = {"segment"}
    if source["path"] is not None:
        names.add("read_image")
        lines = [f"image = read_image({source['path']!r}{f', level={level}' if level else ''})"]
    else:
        lines = [_format_layer(source)]
    arguments = {"model": record.get("model_file") or record["model"]} | _get_settings(record)
    shapes = source["size"], source["level_size"]
    if record["region"]:
        region = Region.of(record["region"]).scaled(*shapes)
        arguments["region"] = [list(polygon) for polygon in region.polygons]
    lines += ["labels = segment(", f"    {_format_plane(source)},"]
    lines += [f"    {name}={value!r}," for name, value in arguments.items()]
    lines += [")"]
    if shapes[0] != shapes[1]:
        names.add("enlarged")
        lines += [f"labels = enlarged(labels, {tuple(shapes[0])})"]
    return _format_script(names, lines)


def _format_script(names: set[str], lines: list[str]) -> str:
    """Format a script of lines that use these public names of the package, and maybe numpy."""
    imports = [f"from napari_nuclei_unet import {', '.join(sorted(names))}", ""]
    if any("np." in line for line in lines):
        imports.insert(0, "import numpy as np")
    return "\n".join([*imports, *lines, ""])


def extend_record_to_stack(record: dict[str, Any]) -> dict[str, Any] | None:
    """Extend the record of one plane to all planes that were written into its labels.

    Parameters
    ----------
    record : dict
        Of a labels layer: ``planes_written`` are indices of planes of the labels, with None for
        the axes of the plane; ``along`` is the axis along which nuclei were joined or tracked.

    Returns
    -------
    dict or None
        Its source has all planes. The same record for one plane only; None where the planes are
        no ranges, which neither the command line nor ``segment_stack`` can select.
    """
    written, source = record.get("planes_written") or [], record.get("source")
    if source is None or len(written) < 2:
        return record
    lengths, axes, along = source.get("lengths"), source["axes"], _linked_axis(record)
    lead = len(axes) - len(written[0])  # 1: the labels have no axis of channels
    free = [axis - lead for axis, name in enumerate(axes) if name not in "CYX"]
    positions_by_axis = [sorted({plane[axis] for plane in written}) for axis in free]
    ranges = all(some[-1] - some[0] == len(some) - 1 for some in positions_by_axis)
    if lengths is None or not ranges or math.prod(map(len, positions_by_axis)) != len(written):
        return None
    planes = [
        positions[0] if len(positions) == 1 and axis != along else _format_range(positions, length)
        for axis, positions, length in zip(free, positions_by_axis, lengths, strict=True)
    ]
    extended = record | {"source": source | {"planes": planes}}
    if along is not None:
        letter = "T" if record.get("track") else record["join"].upper()
        extended["source"]["axes"] = _rename_axis(axes, along + lead, letter)
    return extended


def _linked_axis(record: dict[str, Any]) -> int | None:
    along: int | None = record.get("along")
    return along if record.get("join") or record.get("track") else None


def _format_range(positions: Sequence[int], length: int) -> str:
    return "all" if len(positions) == length else f"{positions[0]}-{positions[-1]}"


def _rename_axis(axes: str, axis: int, letter: str) -> str:
    """Rename an axis, swapping letters with the axis that had this one; slices are not tracked."""
    names = list(axes)
    if letter in names:
        names[names.index(letter)] = names[axis]
    names[axis] = letter
    if letter == "T" and "Z" in names:
        names[names.index("Z")] = next(spare for spare in SPARE_AXIS_LETTERS if spare not in names)
    return "".join(names)


def _is_stack(source: dict[str, Any]) -> bool:
    """Return whether there are many planes: ranges, or all, of an axis."""
    return any(isinstance(part, str) for part in source["planes"])


def _format_stack_python(record: dict[str, Any], source: dict[str, Any]) -> str:
    """Format the Python code that reproduces labels of many planes."""
    if record.get("track"):
        raise UserError("Only the command line makes this result again: copy the command.")
    planes: list[Positions] = []
    for part in source["planes"]:
        first, _, last = str(part).partition("-")
        positions = None if part == "all" else range(int(first), int(last or first) + 1)
        planes.append(positions if isinstance(part, str) else part)
    arguments: dict[str, Any] = {"channel": source["channel"], "planes": planes}
    arguments |= {"join": record.get("join")}
    arguments = {name: value for name, value in arguments.items() if value is not None}
    arguments |= {"model": record.get("model_file") or record["model"]} | _get_settings(record)
    shapes = source["size"], source["level_size"]
    if record["region"]:
        region = Region.of(record["region"]).scaled(*shapes)
        arguments["region"] = [list(polygon) for polygon in region.polygons]
    names = {"segment_stack"}
    if source["path"] is not None:
        names.add("open_lazily")
        opened = f"image = open_lazily({source['path']!r}, {source['level']}).pixels"
    else:
        opened = _format_layer(source)
    lines = [
        opened,
        "labels = segment_stack(",
        "    image,",
        f"    {source['axes']!r},",
        *(f"    {name}={value!r}," for name, value in arguments.items()),
        ")",
    ]
    if shapes[0] != shapes[1] and record.get("format") != "zarr":
        names.add("enlarged")
        lines += [
            "planes = labels.reshape(-1, *labels.shape[-2:])",
            f"planes = np.stack([enlarged(plane, {tuple(shapes[0])}) for plane in planes])",
            "labels = planes.reshape(*labels.shape[:-2], *planes.shape[1:])",
        ]
    return _format_script(names, lines)


def _format_layer(source: dict[str, Any]) -> str:
    """Format the line that takes the image from the viewer."""
    level = f"[{source['level']}]" if source["multiscale"] else ""
    return f"image = viewer.layers[{source['layer']!r}].data{level}"


def _get_source(record: dict[str, Any]) -> dict[str, Any]:
    source: dict[str, Any] | None = record.get("source")
    if source is None:
        raise UserError("This record does not say which image it is of.")
    if record.get("stopped"):
        raise UserError(
            "This run was stopped before it was finished, so it cannot be repeated exactly: "
            "segment again, then copy."
        )
    return source


def _get_settings(record: dict[str, Any]) -> dict[str, Any]:
    ran_on = {name: record["ran_on"][name] for name in RUN_SETTINGS}
    return {name: value for name, value in record["params"].items() if value is not None} | ran_on


def _format_plane(source: dict[str, Any]) -> str:
    """Format the plane as an index of the array ``image``."""
    plane_index = PlaneIndex(tuple(source["index"]), source["channel_axis"])
    parts = [":" if at is None else str(at) for at in plane_index.index]
    while parts and parts[-1] == ":":
        parts.pop()
    text = f"image[{', '.join(parts)}]" if parts else "image"
    if not plane_index.mean:
        return text
    exact = source["mean_dtype"]
    return f'np.asarray({text}).mean(axis={plane_index.mean_axis}, dtype="{exact}")'
