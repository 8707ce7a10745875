"""Models as packages of the BioImage Model Zoo: written for other programs, and read back.

A package is a zip file as https://bioimage.io describes it: a network that other programs can run,
what goes in and comes out, and an example. Our own model file travels with it, to be read back.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import PIL.Image
import tifffile
import torch
from torch import nn

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.io.atomic import atomic_write
from napari_nuclei_unet.models.library import find_path_for_copy
from napari_nuclei_unet.models.model import (
    IMAGE_CHANNELS,
    ModelCard,
    find_model_path,
    read_card,
    read_model,
)
from napari_nuclei_unet.network.unet import TARGETS, UNet, UNetConfig
from napari_nuclei_unet.samples.images import repeated_sample
from napari_nuclei_unet.segmentation.normalization import (
    HIGH_PERCENTILE,
    LOW_PERCENTILE,
    check_plane,
)

PACKED_SUFFIX = ".safetensors"
MAX_UNPACKED_BYTES = 2**30  # bytes: model files that claim more, all together, are not unpacked
# Edges, in pixels, of an example where the network needs no more, and of the image it is cut from.
EXAMPLE_EDGE, EXAMPLE_SOURCE_EDGE = 256, 512
MIN_EXAMPLE_PEAK = 0.1  # an example without any value above this would prove nothing to others
MAP_DESCRIPTIONS = {
    "nucleus": "probability that the pixel lies in a nucleus",
    "border": "probability that two nuclei are less than 5 pixels apart here",
    "distance": "distance to the edge of the nucleus, 1 at its deepest pixel",
    "size": "diameter d of the nucleus in pixels, as log2(d / 4) / 6; counts inside nuclei only",
}
# Filled in with JSON, which is YAML. Percentiles are of each image by itself: not over "batch".
RDF_TEMPLATE = """\
type: model
format_version: 0.5.12
name: %(name)s
description: %(description)s
authors: [{name: The napari-nuclei-unet developers}]
timestamp: %(now)s
license: %(license)s
tags: [nuclei, 2d, pytorch, unet, semantic-segmentation]
documentation: {source: README.md}
covers: [{source: cover.png}]
attachments: [{source: %(own)s}]
cite:
  - {text: "Ronneberger, Fischer, Brox 2015: U-Net", doi: 10.1007/978-3-319-24574-4_28}
  - {text: "Caicedo et al. 2019: BBBC038", doi: 10.1038/s41592-019-0612-7}
inputs:
  - id: image
    description: A grey image is given three times, as red, green and blue.
    axes:
      - {type: batch}
      - {type: channel, channel_names: [r, g, b]}
      - {type: space, id: y, size: %(size)s}
      - {type: space, id: x, size: %(size)s}
    data: {type: float32}
    test_tensor: {source: test_input.npy}
    sample_tensor: {source: sample_input.tif}
    preprocessing:
      - id: scale_range
        kwargs: {axes: [channel, y, x], min_percentile: %(low)s, max_percentile: %(high)s}
      - {id: clip, kwargs: {min: 0.0, max: 1.0}}
outputs:
  - id: maps
    description: Maps of nuclei, which are not separated yet.
    axes:
      - {type: batch}
      - {type: channel, channel_names: %(maps)s}
      - {type: space, id: y, size: {tensor_id: image, axis_id: y}, halo: %(halo)s}
      - {type: space, id: x, size: {tensor_id: image, axis_id: x}, halo: %(halo)s}
    data: {type: float32, range: [0.0, 1.0]}
    test_tensor: {source: test_output.npy}
    sample_tensor: {source: sample_output.tif}
weights:
  torchscript: {source: weights.pt, pytorch_version: %(torch)s}
config:
  napari_nuclei_unet: {thresholds: %(thresholds)s, sizes: %(sizes)s}
"""


def export_bioimage(model: str | Path, out: Path) -> Path:
    """Write a model as a bioimage.io package, which other programs can run.

    Its TorchScript takes images of shape (N, 3, Y, X), float32, values 0 to 1, as the description
    has them made, and gives maps of shape (N, 1, 3 or 4, Y, X), float32, values 0 to 1; Y and X
    are divisible by the network's divisor. Nuclei are not separated, and images are not zoomed.

    Parameters
    ----------
    model : str or Path
        As in ``models.model_path``.
    out : Path
        Gets the suffix ``.zip`` if it has another; is replaced if it exists.

    Returns
    -------
    Path
        What was written. The file appears whole or not at all.

    Raises
    ------
    UserError
        If ``bioimageio.spec`` is not installed, the model cannot be read or gives nothing on the
        sample image, or the file cannot be written.
    """
    spec = _import_spec()
    card, network = read_model(model)
    own = f"{_sanitized_name(find_model_path(model).stem)}{PACKED_SUFFIX}"
    out = Path(out if str(out).lower().endswith(".zip") else f"{out}.zip")
    with atomic_write(out) as aside, TemporaryDirectory(ignore_cleanup_errors=True) as made:
        folder = Path(made)
        shutil.copyfile(find_model_path(model), folder / own)
        (folder / "weights.pt").write_bytes(_torchscript(network))
        _write_example(folder, card, network)
        (folder / "README.md").write_text(_readme(card, network.config), "utf-8")
        (folder / "rdf.yaml").write_text(_description(card, network.config, own, spec), "utf-8")
        _pack(folder, aside, spec)
    return out


def import_bioimage(path: Path, folder: Path) -> Path:
    """Take our model file out of a bioimage.io package that :func:`export_bioimage` wrote.

    Nothing else in a package is read or run. ``bioimageio`` need not be installed.

    Parameters
    ----------
    path : Path
        The ``.zip``, the folder to which it was unpacked, or the ``rdf.yaml`` there.
    folder : Path
        Gets the model; is made if need be.

    Returns
    -------
    Path
        The model file. Where its name is taken it gets a number: ``name 2``, ``name 3``, ...

    Raises
    ------
    UserError
        If there is no such package, it is damaged or holds no intact model of this plugin, or the
        file cannot be written.
    """
    path = Path(path)
    with TemporaryDirectory(ignore_cleanup_errors=True) as made:
        try:
            found = list(_model_files(path, Path(made)))
        except Exception as error:  # damaged zip files raise all sorts, each meaning the same
            raise UserError(
                f"{path} cannot be read ({getattr(error, 'strerror', None) or error}): copy or "
                "download it again, or choose another package."
            ) from error
        model = _first_own_model(found, path)
        read_model(model)
        target = find_path_for_copy(Path(folder), model.stem)
        with atomic_write(target) as aside:
            shutil.copyfile(model, aside)
    return target


def _import_spec() -> Any:
    try:
        import bioimageio.spec
    except ImportError as error:
        raise UserError(
            'Exporting needs another package: pip install "napari-nuclei-unet[bioimageio]".'
        ) from error
    return bioimageio.spec


def _sanitized_name(name: str) -> str:
    """Make a name a file name: no path, and nothing that a file system refuses."""
    last = re.split(r"[\\/:]", name)[-1]
    return re.sub(r"[^\w .()+-]", "_", last).strip(" .") or "model"


def _torchscript(network: UNet) -> bytes:
    """Trace a network, for images of any size and number."""
    module = nn.Sequential(network, nn.Sigmoid()).eval().requires_grad_(False)
    example = torch.zeros(1, IMAGE_CHANNELS, *[4 * network.config.divisor] * 2)
    archive, kept = io.BytesIO(), io.BytesIO()
    # torch.jit warns that it is deprecated, and that the network's check of sizes is not traced.
    # Where gradients are on, the network does not work in strips, whose number would be fixed.
    with warnings.catch_warnings(), torch.enable_grad():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(module, example, check_trace=False), archive)
    with ZipFile(archive) as traced, ZipFile(kept, "w") as copy:
        for record in traced.infolist():
            # debug records name source files by their paths on this computer
            if not record.filename.endswith(".debug_pkl"):
                copy.writestr(record, traced.read(record))
    return kept.getvalue()


def _write_example(folder: Path, card: ModelCard, network: UNet) -> None:
    """Write what goes in and what comes out: to test, to look at, and as a cover."""
    divisor = network.config.divisor
    edge = max(EXAMPLE_EDGE // divisor * divisor, _min_input_edge(network.config))
    image = repeated_sample(max(edge, EXAMPLE_SOURCE_EDGE))[-edge:, -edge:]
    seen = np.stack([check_plane(image).normalized()] * IMAGE_CHANNELS)
    with torch.inference_mode():
        maps = torch.sigmoid(network(torch.from_numpy(seen)[None])).numpy()
    if maps.max() < MIN_EXAMPLE_PEAK:
        raise UserError(
            f"{card.name} finds nothing in the sample image: train it longer or export another."
        )
    image = np.stack([image] * IMAGE_CHANNELS)
    np.save(folder / "test_input.npy", image[None].astype(np.float32))
    np.save(folder / "test_output.npy", maps)
    for name, pixels in (("sample_input", image), ("sample_output", maps[0])):
        tifffile.imwrite(folder / f"{name}.tif", pixels, imagej=True, metadata={"axes": "CYX"})
    # the image, and beside it nucleus red, border green and distance blue
    shown = maps[0, :3] if maps.shape[1] >= 3 else maps[0, [0, 0, 0]]
    cover = np.concatenate(
        [part[:, -EXAMPLE_EDGE:, -EXAMPLE_EDGE:] for part in (seen, shown)], axis=2
    )
    pixels = (255 * np.moveaxis(cover, 0, 2)).round().astype(np.uint8)
    PIL.Image.fromarray(pixels).save(folder / "cover.png")


def _min_input_edge(config: UNetConfig) -> int:
    """Smallest edge of an input, in pixels, of which the halo leaves something."""
    return 2 * config.halo + config.divisor


def _description(card: ModelCard, config: UNetConfig, own: str, spec: Any) -> str:
    """Fill in ``RDF_TEMPLATE``."""
    try:
        licence = str(spec.generic.v0_3.LicenseId(card.licence))
    except ValueError:  # not an SPDX identifier; the page names any licence
        licence = None
    values = {
        "name": f"Nuclei U-Net {re.sub('[^a-zA-Z0-9_+() -]', '-', card.name)}"[:64],
        "description": re.sub(r"[^ -~\u00a0-\U0010ffff]+", " ", card.description)[:512],
        "now": datetime.now(UTC).isoformat(timespec="seconds"),
        "own": own,
        "low": LOW_PERCENTILE,
        "high": HIGH_PERCENTILE,
        "size": {"min": _min_input_edge(config), "step": config.divisor},
        "halo": config.halo,
        "maps": TARGETS[: config.out_channels],
        "torch": torch.__version__.split("+")[0],  # whether "+cpu" or "+cu126", is all the same
        "thresholds": card.thresholds,
        "sizes": card.sizes,
        "license": licence,
    }
    return RDF_TEMPLATE % {
        key: json.dumps(value, ensure_ascii=False) for key, value in values.items()
    }


def _readme(card: ModelCard, config: UNetConfig) -> str:
    """Write what there is to read: the card, and what others have to do themselves."""
    maps = "\n".join(
        f"- {name}: {MAP_DESCRIPTIONS[name]}" for name in TARGETS[: config.out_channels]
    )
    scores = "\n".join(f"- {part}: {_listed(values)}" for part, values in card.scores.items())
    sizes = (
        "Nuclei should be {:g} to {:g} pixels wide: resize images with others, as the plugin does."
    )
    return f"""# {card.name}

{card.description}

Exported by the napari plugin napari-nuclei-unet {version("napari-nuclei-unet")}. For every pixel
the network gives, from 0 to 1:

{maps}

Neither it nor this package separates nuclei. The plugin does, by a watershed: there is a nucleus
where the nucleus map is above the threshold; each summit of the distance (measured, where there is
no map of it) is one; neighbours are joined where the lower of their summits rises above the saddle
by less than 1 - separation; those that are small, or where the nucleus map is low, are removed.
Tuned for this model: {_listed(card.thresholds)}.

{sizes.format(*card.sizes) if card.sizes else "Images go in as they are."}
Tiles should overlap by {config.halo} pixels on each side.

## Validation

{scores or "The card of this model holds no scores."}

Trained on: {_listed(card.trained_on) or "not known"}. Licence: {card.licence or "not known"}.
"""


def _listed(values: Any) -> str:
    return re.sub(r'[{}"]', "", json.dumps(values, ensure_ascii=False))


def _pack(folder: Path, out: Path, spec: Any) -> None:
    """Check a description and the files it names, without network, and zip them."""
    with spec.ValidationContext(log_warnings=False):
        described = spec.load_description(folder / "rdf.yaml", perform_io_checks=True)
        if isinstance(described, spec.InvalidDescr):
            reason = " ".join(str(described.get_reason()).split())[:300]
            raise UserError(f"Update bioimageio.spec, which does not take this model ({reason}).")
        spec.save_bioimageio_yaml_only(described, folder / "rdf.yaml")  # with checksums
    with ZipFile(out, "w", ZIP_DEFLATED, compresslevel=1) as package:
        for part in sorted(folder.iterdir()):
            package.write(part, part.name)


def _model_files(path: Path, aside: Path) -> Iterator[Path]:
    """Give the safetensors files of a package; those of a zip file are copied aside."""
    path.stat()  # raises an error where there is nothing
    folder = path.parent if path.suffix == ".yaml" else path
    if folder.is_dir():
        if any(folder.glob("*.yaml")):
            yield from sorted(folder.glob(f"*{PACKED_SUFFIX}"))
        return
    with ZipFile(path) as package:
        members = [one for one in package.infolist() if one.filename.endswith(PACKED_SUFFIX)]
        if sum(one.file_size for one in members) > MAX_UNPACKED_BYTES:
            raise OSError("its models would take more than 1 GiB")
        for number, member in enumerate(members):
            # wherever its name wants it, it gets a folder of its own
            copy = (
                aside
                / str(number)
                / f"{_sanitized_name(member.filename[: -len(PACKED_SUFFIX)])}{PACKED_SUFFIX}"
            )
            copy.parent.mkdir()
            with package.open(member) as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target)
            yield copy


def _first_own_model(found: list[Path], package: Path) -> Path:
    for one in found:
        try:
            read_card(one)
        except UserError:
            continue
        return one
    raise UserError(f"{package.name} holds no model of this plugin: choose another package.")
