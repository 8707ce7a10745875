"""Models: weights and card in one safetensors file, checked when it is loaded."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_origin, get_type_hints

from ..errors import UserError
from ..io.atomic import atomic_write
from ..io.json_text import parse_json
from ..io.openable import check_openable
from ..io.paths import model_folder
from ..network.loading import load_torch
from ..params import SegmentParams
from .header import read_metadata

if TYPE_CHECKING:
    from ..network.unet import UNet

# Later formats, which this version cannot read, have another number.
MODEL_FORMAT = "nuclei-unet-1"
MODEL_FORMAT_PATTERN = re.compile(r"nuclei-unet-\d{1,9}")
THRESHOLD_NAMES = ("threshold", "separation", "confidence", "minimum_area")
SHIPPED_MODELS_FOLDER = Path(str(files("napari_nuclei_unet"))) / "weights"
# Layers of a network that works give no such numbers.
MAX_ACTIVATION_RANGE = 1e6
# Written by tools/calibrate_shipped.py.
SHIPPED_RANGES_FILE = SHIPPED_MODELS_FOLDER / "activation_ranges.json"


@dataclass(frozen=True)
class ModelCard:
    """The card of a model, stored as JSON in the header of its file.

    Attributes
    ----------
    name, description, licence, version, created : str
        ``version`` is that of the plugin that trained it, ``created`` an ISO date.
    network : dict
        Fields of ``network.unet.UNetConfig``.
    thresholds : dict
        ``threshold``, ``separation``, ``confidence`` and ``minimum_area`` as tuned for this
        model; the area in pixels of the zoomed image.
    sizes : tuple of float
        Smallest and largest diameter of nuclei, in pixels, that need no zoom. Empty: images are
        never zoomed.
    ideal : float or None
        Diameter to which the nuclei of other images are zoomed; by default the geometric mean of
        ``sizes``.
    activation_ranges : dict of str to (float, float)
        Lowest and highest number that layers give, by their names, with which the network has a
        form in 8 bits; empty: they are measured when they are needed.
    parent : dict
        ``name`` and ``sha256`` of the model that training began with; empty: random weights.
    trained_on, training, scores, validated_on : dict
        Data, parameters, validation scores, and nuclei found (``training.evidence``).
    history : list of dict
        One row per epoch, as in ``training.loop.Epoch``; row 0 is that of the parent.
    sha256 : str
        Of the weights: names, shapes, types and bytes in alphabetical order.
    """

    name: str
    description: str
    network: dict[str, Any]
    thresholds: dict[str, Any]
    sizes: tuple[float, ...] = ()
    ideal: float | None = None
    trained_on: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    validated_on: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    activation_ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    parent: dict[str, str] = field(default_factory=dict)
    licence: str = "BSD-3-Clause"
    version: str = ""
    created: str = ""
    sha256: str = ""


@dataclass(frozen=True, eq=False)
class Model:
    """A network ready to predict, and its card.

    Attributes
    ----------
    card : ModelCard
    network : UNet
        In evaluation mode, batch normalisation folded in, fp32, on the CPU.
    """

    card: ModelCard
    network: UNet


def shipped_models() -> dict[str, Path]:
    """List names and files of the models of the package, without loading them."""
    return {path.stem: path for path in list_models(SHIPPED_MODELS_FOLDER)}


def available_models() -> dict[str, Path]:
    """List names and files of the models with names, shipped ones first, without loading them.

    Returns
    -------
    dict of str to Path
        Of the package, and in the user's own folder (``io.paths.model_folder``).
    """
    mine = {path.stem: path for path in list_models(model_folder())}
    shipped = shipped_models()
    return shipped | {name: path for name, path in mine.items() if name not in shipped}


def list_models(folder: str | Path) -> list[Path]:
    """List model files directly in a folder, in order of their names, without loading them."""
    try:
        return sorted(Path(folder).expanduser().glob("*.safetensors"))
    except (RuntimeError, OSError):  # no such user, or not readable
        return []


def find_model_path(name: str | Path) -> Path:
    """Find the file of a model.

    Parameters
    ----------
    name : str or Path
        A name of :func:`available_models` or a path.

    Raises
    ------
    UserError
        If there is neither such a model nor such a file, or it is a pipe or a device.
    """
    known = available_models()
    if str(name) in known:
        return known[str(name)]
    path = Path(str(name))
    check_openable(path)
    try:
        if path.is_file():
            return path
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    raise UserError(
        f"There is no model '{name}': give one of {', '.join(known)} or the path of a "
        ".safetensors file."
    )


def read_card(name: str | Path) -> ModelCard:
    """Read the card of a model without its weights, and without torch.

    Parameters
    ----------
    name : str or Path
        As in :func:`find_model_path`.

    Raises
    ------
    UserError
        If it is no model file of this plugin.
    """
    path = find_model_path(name)
    header = read_metadata(path)
    made_by = header.get("format", "")
    if made_by != MODEL_FORMAT and MODEL_FORMAT_PATTERN.fullmatch(made_by):
        raise UserError(
            f"{path.name} was made by a newer version of this plugin ({made_by}): update the "
            "plugin to use it."
        )
    if made_by != MODEL_FORMAT:
        raise UserError(f"{path.name} is not a model of this plugin: its header has no model card.")
    known = {entry.name for entry in dataclasses.fields(ModelCard)}
    try:
        card = parse_json(header["card"])
        _check_types(card)
        card["thresholds"] = {"confidence": 0.0} | card["thresholds"]
        ranges = card.get("activation_ranges") or _shipped_ranges().get(card["sha256"], {})
        card["activation_ranges"] = _check_ranges(ranges)
        model_card = ModelCard(**{key: value for key, value in card.items() if key in known})
        SegmentParams(**{name: model_card.thresholds[name] for name in THRESHOLD_NAMES})
        SegmentParams(diameter=model_card.ideal)
        if model_card.sizes:
            smallest, largest = model_card.sizes
            if smallest > largest:
                raise ValueError("sizes are not in order")
            SegmentParams(diameter=smallest)
            SegmentParams(diameter=largest)
        return model_card
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, UserError) as error:
        raise UserError(
            f"The model card of {path.name} is damaged; copy or download it again."
        ) from error


def _check_types(card: Any) -> None:
    """Raise an error for a card with values of other types than those of :class:`ModelCard`."""
    for name, hint in get_type_hints(ModelCard).items():
        kind = get_origin(hint) or hint
        kind = list if kind is tuple else kind  # as JSON has it
        if kind in (str, dict, list) and not isinstance(card.get(name, kind()), kind):
            raise TypeError(f"{name} is no {kind.__name__}")
    if not isinstance(card.get("ideal"), int | float | None):
        raise TypeError("ideal is no number")
    if None in card["thresholds"].values():  # which parameters may be, but not those of a model
        raise TypeError("a threshold is no number")
    if not all(isinstance(row, dict) for row in card.get("history", ())):
        raise TypeError("history has rows of another kind")


def _check_ranges(ranges: Any) -> dict[str, tuple[float, float]]:
    """Return activation ranges if all of them can be, else none, as if they were not measured."""
    try:
        checked = {str(layer): (float(low), float(high)) for layer, (low, high) in ranges.items()}
    except (TypeError, ValueError, AttributeError, OverflowError):
        return {}
    are_possible = all(
        -MAX_ACTIVATION_RANGE < low <= 0 <= high < MAX_ACTIVATION_RANGE and low < high
        for low, high in checked.values()
    )
    return checked if are_possible else {}


@cache
def _shipped_ranges() -> dict[str, dict[str, list[float]]]:
    """Read the activation ranges of models that were shipped before cards had them, by checksum."""
    ranges: dict[str, dict[str, list[float]]] = json.loads(SHIPPED_RANGES_FILE.read_text("utf-8"))
    return ranges


def load_model(name: str | Path = "nuclei") -> Model:
    """Load a model and check its weights against the checksum in its card.

    Parameters
    ----------
    name : str or Path
        A name of :func:`available_models` or the path of a ``.safetensors`` file.

    Returns
    -------
    Model
        The same object as long as the file does not change.

    Raises
    ------
    UserError
        If the file is missing, damaged, of another architecture, or its checksum is wrong.
    """
    path = find_model_path(name)
    # any one of them may be that of another file, as copies keep times, and disks use numbers again
    at = path.stat()
    return _load_cached(path, (at.st_mtime_ns, at.st_ctime_ns, at.st_size, at.st_ino))


@lru_cache(maxsize=4)
def _load_cached(path: Path, _changed: tuple[int, ...]) -> Model:
    card, network = read_model(path)
    # here and below: torch takes seconds to import, and models are listed without it
    from ..network.fusion import fuse_conv_bn_relu

    return Model(card, fuse_conv_bn_relu(network))


def read_model(name: str | Path) -> tuple[ModelCard, UNet]:
    """Read the card and the unfused network of a model, for further training.

    Parameters
    ----------
    name : str or Path
        As in :func:`find_model_path`.

    Returns
    -------
    card : ModelCard
    network : UNet
        In evaluation mode, fp32, on the CPU; a new object every time.

    Raises
    ------
    UserError
        As :func:`load_model`.
    """
    path = find_model_path(name)
    card = read_card(path)
    load_torch()
    from .stored_network import read_network

    return card, read_network(path, card.network, card.sha256)


def save_model(path: Path, card: ModelCard, weights: Mapping[str, Any]) -> ModelCard:
    """Write a model; the file appears whole or not at all.

    Parameters
    ----------
    path : Path
        Ends in ``.safetensors``.
    card : ModelCard
        Its checksum is filled in.
    weights : mapping of str to Tensor
        The network's ``state_dict``.

    Returns
    -------
    ModelCard
        As it was written.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    from safetensors.torch import save

    from .stored_network import hash_weights

    tensors = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    card = dataclasses.replace(card, sha256=hash_weights(tensors))
    header = {"format": MODEL_FORMAT, "card": json.dumps(dataclasses.asdict(card))}
    with atomic_write(path) as aside:
        aside.write_bytes(save(tensors, metadata=header))
    return card
