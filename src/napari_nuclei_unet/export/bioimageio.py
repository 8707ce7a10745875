"""Models as packages of the BioImage Model Zoo: written for other programs, and read back.

A package is a zip file as https://bioimage.io describes it: a network that other programs can run,
its inputs and outputs, and an example. Our own model file is attached, to be read back.
"""

from __future__ import annotations

import io
import re
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import PIL.Image
import tifffile
import torch
from torch import nn

from ..errors import UserError
from ..io.atomic import atomic_write
from ..io.openable import check_openable
from ..models.library import find_path_for_copy
from ..models.model import ModelCard, find_model_path, read_card, read_model
from ..models.stored_network import IMAGE_CHANNELS
from ..network.unet import UNet
from ..samples.images import repeated_sample
from ..segmentation.normalization import check_plane
from .model_description import describe_model, format_readme, min_input_edge

PACKED_SUFFIX = ".safetensors"
MAX_UNPACKED_BYTES = 2**30  # model files that claim more in total are not unpacked
# Edges, in pixels, of an example, unless the network needs more, and of the image it is cut from.
EXAMPLE_EDGE, EXAMPLE_SOURCE_EDGE = 256, 512
MIN_EXAMPLE_PEAK = 0.1  # an example without a value above this would test nothing


def export_bioimage(model: str | Path, out: Path) -> Path:
    """Write a model as a bioimage.io package, which other programs can run.

    Its TorchScript takes images of shape (N, 3, Y, X), float32, values 0 to 1, as the description
    normalizes them, and returns maps of shape (N, 1, 3 or 4, Y, X), float32, values 0 to 1; Y and X
    are divisible by the network's divisor. Nuclei are not separated, and images are not zoomed.

    Parameters
    ----------
    model : str or Path
        As in ``find_model_path``.
    out : Path
        Gets the suffix ``.zip`` if it has another; it is replaced if it exists.

    Returns
    -------
    Path
        The file, which is written completely or not at all.

    Raises
    ------
    UserError
        If ``bioimageio.spec`` is not installed, the model cannot be read or finds nothing in the
        sample image, or the file cannot be written.
    """
    spec = _import_spec()
    card, network = read_model(model)
    model_file = f"{_sanitize_name(find_model_path(model).stem)}{PACKED_SUFFIX}"
    out = Path(out if str(out).lower().endswith(".zip") else f"{out}.zip")
    with atomic_write(out) as temporary, TemporaryDirectory(ignore_cleanup_errors=True) as work:
        folder = Path(work)
        shutil.copyfile(find_model_path(model), folder / model_file)
        (folder / "weights.pt").write_bytes(_trace_network(network))
        _write_example(folder, card, network)
        (folder / "README.md").write_text(format_readme(card, network.config), "utf-8")
        (folder / "rdf.yaml").write_text(
            describe_model(card, network.config, model_file, spec), "utf-8"
        )
        _pack(folder, temporary, spec)
    return out


def import_bioimage(path: Path, folder: Path) -> Path:
    """Take our model file out of a bioimage.io package that :func:`export_bioimage` wrote.

    Nothing else in a package is read or run. ``bioimageio`` need not be installed.

    Parameters
    ----------
    path : Path
        The ``.zip``, the folder to which it was unpacked, or the ``rdf.yaml`` there.
    folder : Path
        Destination of the model; it is created if it does not exist.

    Returns
    -------
    Path
        The model file. If its name is taken it gets a number: ``name 2``, ``name 3``, ...

    Raises
    ------
    UserError
        If there is no such package, it is damaged or holds no intact model of this plugin, or the
        file cannot be written.
    """
    path = Path(path)
    with TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        try:
            files = list(_iter_model_files(path, Path(directory)))
        except Exception as error:  # damaged zip files raise many kinds of errors
            raise UserError(
                f"{path} cannot be read ({getattr(error, 'strerror', None) or error}): copy or "
                "download it again, or choose another package."
            ) from error
        model = _find_own_model(files, path)
        read_model(model)
        target = find_path_for_copy(Path(folder), model.stem)
        with atomic_write(target) as temporary:
            shutil.copyfile(model, temporary)
    return target


def _import_spec() -> Any:
    try:
        import bioimageio.spec  # an optional dependency
    except ImportError as error:
        raise UserError(
            'Exporting needs another package: pip install "napari-nuclei-unet[bioimageio]".'
        ) from error
    return bioimageio.spec


def _sanitize_name(name: str) -> str:
    """Return a name as a valid file name, without a path."""
    last = re.split(r"[\\/:]", name)[-1]
    return re.sub(r"[^\w .()+-]", "_", last).strip(" .") or "model"


def _trace_network(network: UNet) -> bytes:
    """Trace a network, for images of any size and number."""
    module = nn.Sequential(network, nn.Sigmoid()).eval().requires_grad_(False)
    example = torch.zeros(1, IMAGE_CHANNELS, *[4 * network.config.divisor] * 2)
    archive, stripped = io.BytesIO(), io.BytesIO()
    # torch.jit warns that it is deprecated, and that the network's check of sizes is not traced.
    # Where gradients are on, the network does not work in strips, whose number would be fixed.
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(module, example, check_trace=False), archive)
    with ZipFile(archive) as traced, ZipFile(stripped, "w") as copy:
        for record in traced.infolist():
            # debug records contain paths of source files on this computer
            if not record.filename.endswith(".debug_pkl"):
                copy.writestr(record, traced.read(record))
    return stripped.getvalue()


def _write_example(folder: Path, card: ModelCard, network: UNet) -> None:
    """Write an example of input and output: as test, as sample, and as cover."""
    divisor = network.config.divisor
    edge = max(EXAMPLE_EDGE // divisor * divisor, min_input_edge(network.config))
    image = repeated_sample(max(edge, EXAMPLE_SOURCE_EDGE))[-edge:, -edge:]
    normalized = np.stack([check_plane(image).normalized()] * IMAGE_CHANNELS)
    with torch.inference_mode():
        maps = torch.sigmoid(network(torch.from_numpy(normalized)[None])).numpy()
    if maps.max() < MIN_EXAMPLE_PEAK:
        raise UserError(
            f"{card.name} finds nothing in the sample image: train it longer, or export another "
            "model."
        )
    image = np.stack([image] * IMAGE_CHANNELS)
    np.save(folder / "test_input.npy", image[None].astype(np.float32))
    np.save(folder / "test_output.npy", maps)
    for name, pixels in (("sample_input", image), ("sample_output", maps[0])):
        tifffile.imwrite(folder / f"{name}.tif", pixels, imagej=True, metadata={"axes": "CYX"})
    # the image, and beside it nucleus red, border green and distance blue
    colours = maps[0, :3] if maps.shape[1] >= 3 else maps[0, [0, 0, 0]]
    cover = np.concatenate(
        [part[:, -EXAMPLE_EDGE:, -EXAMPLE_EDGE:] for part in (normalized, colours)], axis=2
    )
    pixels = (255 * np.moveaxis(cover, 0, 2)).round().astype(np.uint8)
    PIL.Image.fromarray(pixels).save(folder / "cover.png")


def _pack(folder: Path, out: Path, spec: Any) -> None:
    """Validate a description and the files it names, without network, and zip them."""
    with spec.ValidationContext(log_warnings=False):
        described = spec.load_description(folder / "rdf.yaml", perform_io_checks=True)
        if isinstance(described, spec.InvalidDescr):
            reason = " ".join(str(described.get_reason()).split())[:300]
            raise UserError(f"Update bioimageio.spec, which does not accept this model ({reason}).")
        spec.save_bioimageio_yaml_only(described, folder / "rdf.yaml")  # with checksums
    with ZipFile(out, "w", ZIP_DEFLATED, compresslevel=1) as package:
        for part in sorted(folder.iterdir()):
            package.write(part, part.name)


def _iter_model_files(path: Path, folder: Path) -> Iterator[Path]:
    """Yield the safetensors files of a package; those of a zip file are copied to ``folder``."""
    path.stat()  # raises an error where there is nothing
    unpacked = path.parent if path.suffix == ".yaml" else path
    if unpacked.is_dir():
        if any(unpacked.glob("*.yaml")):
            yield from sorted(unpacked.glob(f"*{PACKED_SUFFIX}"))
        return
    check_openable(path)
    with ZipFile(path) as package:
        members = [file for file in package.infolist() if file.filename.endswith(PACKED_SUFFIX)]
        if sum(member.file_size for member in members) > MAX_UNPACKED_BYTES:
            raise OSError("its models would take more than 1 GiB")
        for number, member in enumerate(members):
            # in a folder of its own, whatever path its name has
            name = _sanitize_name(member.filename[: -len(PACKED_SUFFIX)])
            copy = folder / str(number) / f"{name}{PACKED_SUFFIX}"
            copy.parent.mkdir()
            with package.open(member) as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target)
            yield copy


def _find_own_model(files: list[Path], package: Path) -> Path:
    for file in files:
        try:
            read_card(file)
        except UserError:
            continue
        return file
    raise UserError(f"{package.name} contains no model of this plugin: choose another package.")
