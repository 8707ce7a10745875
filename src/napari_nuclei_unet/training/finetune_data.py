"""Training data of a fine-tuning: pairs of image and labels, and the crops of them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..arrays.axes import Channel, PlaneView, pair_plane_indices
from ..arrays.boxes import Box, full_box
from ..arrays.roi import Polygons, Region
from ..arrays.tiling import ArrayLike
from ..errors import UserError
from ..io.atomic import atomic_write
from ..io.json_text import parse_json
from ..io.openable import check_openable
from ..labels.masks import check_instances
from ..params import TrainParams
from ..segmentation.intensity_range import AUTOMATIC_BRIGHTNESS, Brightness
from .annotation import (
    MAX_TRAINING_CROPS,
    AnnotatedPlane,
    crop_training_examples,
    crop_validation_examples,
    open_annotated_plane,
)
from .example import Example
from .reference_images import read_reference_images
from .validation_choice import choose_validation_areas

FINETUNE_DATA_FORMAT = "nuclei-unet-lesson-1"

# Position of a plane on the axes of its labels beside Y and X.
AnnotatedPosition = tuple[int, ...]
ValidationAreas = Mapping[AnnotatedPosition, Sequence[Box]]


@dataclass(frozen=True, eq=False)
class Pair:
    """An image and its labels; of a stack the planes that have labels count.

    Attributes
    ----------
    image : array-like, shape (..., Y, X) or (..., Y, X, 3)
        May be lazy: it is only sliced.
    labels : array-like, integer
        0 is background or unknown, else the id of a nucleus. Of the image's shape, without
        colours and channels.
    name : str
        For messages and cards.
    channel_axis : int, optional
        Of the image.
    channel : int, "mean" or None
        None: the first.
    finished : mapping of AnnotatedPosition to Region, or Region, or None
        What is annotated, of each plane or of all; None: everything.
    validation_areas : mapping of AnnotatedPosition to sequence of (slice, slice), or None
        Validation areas of each plane; None: they are chosen.
    brightness : Brightness
        With which the model will see such images.
    """

    image: ArrayLike
    labels: ArrayLike
    name: str = ""
    channel_axis: int | None = None
    channel: Channel | None = None
    finished: Mapping[AnnotatedPosition, Region] | Region | None = None
    validation_areas: ValidationAreas | None = None
    brightness: Brightness = AUTOMATIC_BRIGHTNESS

    @classmethod
    def of(cls, given: Any, number: int) -> Pair:
        """Create a pair from (image, labels) or (image, labels, polygons of what is finished)."""
        if isinstance(given, Pair):
            return given
        if not isinstance(given, tuple | list) or len(given) not in (2, 3):
            raise UserError("Give pairs of an image and its labels.")
        image, labels = given[:2]
        finished: Polygons | None = given[2] if len(given) == 3 else None
        region = None if finished is None else Region.of(finished)
        return cls(_as_sliceable(image), _as_sliceable(labels), f"image {number}", finished=region)

    @property
    def _keeps_channels(self) -> bool:
        """Whether the labels have an axis of channels, one pixel long, where the image has it."""
        axis, shape = self.channel_axis, self.labels.shape
        return axis is not None and axis < len(shape) and shape[axis] == 1 and axis > 0

    def planes(self, margin: int = 0) -> list[tuple[AnnotatedPosition, AnnotatedPlane]]:
        """Find the planes that have labels.

        Parameters
        ----------
        margin : int
            As in ``TrainParams``.

        Returns
        -------
        list of (AnnotatedPosition, AnnotatedPlane)

        Raises
        ------
        UserError
            If image and labels do not belong together, or cannot be used.
        """
        if self.image is self.labels:
            raise UserError(f"{self.name}: an image cannot be its own labels.")
        ndim, dropped = len(self.labels.shape), self.channel_axis is not None
        coloured = len(self.image.shape) > ndim + dropped
        coloured |= dropped and len(self.image.shape) == ndim + 1 and self._keeps_channels
        shape = tuple(self.image.shape)[: -1 if coloured else None]
        try:
            indices = pair_plane_indices(shape, self.labels.shape, self.channel_axis, self.channel)
        except UserError as error:
            raise UserError(f"{self.name}: {error}") from error
        planes = []
        for image, labels in indices:
            position = tuple(at for at in labels.index if at is not None)
            finished = self.finished
            if isinstance(finished, Mapping):
                if position not in finished:  # nothing of this plane is
                    continue
                finished = finished[position]
            name = f"{self.name} {list(position)}" if len(indices) > 1 else self.name
            truth = PlaneView(self.labels, labels)
            plane = open_annotated_plane(
                name, PlaneView(self.image, image), truth, finished, margin, self.brightness
            )
            if plane is not None:
                planes.append((position, plane))
        if all(len(plane.nuclei) == 1 for _, plane in planes):
            whole = (np.asarray(p.labels[full_box(p.labels.shape)]) for _, p in planes)
            check_instances(f"The annotation of {self.name}", whole)
        return planes


@dataclass(frozen=True, eq=False)
class FineTuneData:
    """Training and validation data of a fine-tuning, in memory.

    Attributes
    ----------
    training, validation : list of Example
        Crops.
    images : list of dict
        Name, nuclei and SHA-256 of each annotated plane, for the card.
    """

    training: list[Example]
    validation: list[Example]
    images: list[dict[str, Any]] = field(default_factory=list)

    @property
    def user_crops(self) -> list[Example]:
        """The training crops that are the user's."""
        return [example for example in self.training if example.known is not None]

    @property
    def warning(self) -> str:
        """Message about pixels that were left out; empty if there are none."""
        if not any(example.has_invalid_pixels for example in (*self.training, *self.validation)):
            return ""
        return "Some pixels are NaN or infinite: they were left out of training."

    def save(self, path: Path) -> None:
        """Write all of it, so that a training can be resumed when the images are gone.

        Raises
        ------
        UserError
            If the file cannot be written.
        """
        tensors: dict[str, Tensor] = {}
        rows = []
        for part in ("training", "validation"):
            for index, example in enumerate(getattr(self, part)):
                image = _stored_image(example)
                stored = {"image": image, "labels": example.labels.int(), "known": example.known}
                tensors |= {
                    f"{part}.{index}.{name}": value.contiguous()
                    for name, value in stored.items()
                    if value is not None
                }
                rows.append(
                    [part, example.name, example.group, example.kind, example.sampling_weight]
                )
        header = {
            "format": FINETUNE_DATA_FORMAT,
            "lesson": json.dumps({"rows": rows, "images": self.images}),
        }
        with atomic_write(path) as temporary:
            try:
                save_file(tensors, temporary, metadata=header)
            except SafetensorError as error:  # raised when the disk is full
                raise OSError(str(error)) from error

    @classmethod
    def load(cls, path: Path) -> FineTuneData:
        """Read what :meth:`save` wrote.

        Raises
        ------
        UserError
            If it is not there, or damaged.
        """
        parts: dict[str, list[Example]] = {"training": [], "validation": []}
        check_openable(path)
        try:
            with safe_open(path, framework="pt") as file:
                header = parse_json(file.metadata()["lesson"])
                names = set(file.keys())
                for part, *rest in header["rows"]:
                    key = f"{part}.{len(parts[part])}"
                    image = file.get_tensor(f"{key}.image").expand(3, -1, -1)
                    labels = file.get_tensor(f"{key}.labels").float()
                    is_partial = f"{key}.known" in names
                    known = file.get_tensor(f"{key}.known") if is_partial else None
                    name, group, kind, weight = rest
                    parts[part].append(Example(name, image, labels, group, kind, known, weight))
            return cls(parts["training"], parts["validation"], header["images"])
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path.name} cannot be read: train again.") from error


def _as_sliceable(given: Any) -> Any:
    """Return what can be sliced as it is, and anything else as an array."""
    return given if hasattr(given, "shape") and hasattr(given, "dtype") else np.asarray(given)


def make_finetune_data(
    pairs: Sequence[Pair], params: TrainParams, references: Sequence[Example] | None = None
) -> FineTuneData:
    """Create the training data from images and their labels.

    Parameters
    ----------
    pairs : sequence of Pair
        Where one has validation areas, all must.
    params : TrainParams
        Sets the share of validation areas, and of the reference images that are mixed in.
    references : sequence of Example, optional
        Those that are mixed in; without, the reference images of the package.

    Returns
    -------
    FineTuneData

    Raises
    ------
    UserError
        If there is too little to train or to validate on.
    """
    planes, areas = find_annotated_planes(pairs, params)
    training, validation, images = [], [], []
    max_crops = max(4, MAX_TRAINING_CROPS // max(len(planes), 1))
    for plane, boxes in zip(planes, areas, strict=True):
        training_crops = crop_training_examples(plane, boxes, max_crops)
        validation_crops = [crop for box in boxes for crop in crop_validation_examples(plane, box)]
        training += training_crops
        validation += [crop for crop in validation_crops if len(crop.centres)]
        images.append(_image_record(plane, [*training_crops, *validation_crops]))
    if not validation:
        raise UserError(
            "No annotated nucleus has its centre in a validation area: move the rectangles over "
            "some nuclei."
        )
    if not any(len(crop.centres) for crop in training):
        raise UserError(
            "No nucleus is left to train on: all lie in, or reach into, validation areas. Make "
            "the rectangles smaller, or annotate more."
        )
    mixed = _weighted_references(training, params.reference, references)
    return FineTuneData([*training, *mixed], validation, images)


def find_annotated_planes(
    pairs: Sequence[Pair], params: TrainParams
) -> tuple[list[AnnotatedPlane], list[list[Box]]]:
    """Find the annotated planes of pairs, and the validation areas of each.

    Raises
    ------
    UserError
        As :func:`make_finetune_data`.
    """
    if not pairs:
        raise UserError("There is nothing to train on: add an image with its labels.")
    found = [
        (number, at, plane)
        for number, pair in enumerate(pairs)
        for at, plane in pair.planes(params.margin)
    ]
    planes, areas = [plane for *_, plane in found], [pair.validation_areas for pair in pairs]
    if all(of_pair is None for of_pair in areas):
        images = [number for number, *_ in found]
        return planes, choose_validation_areas(
            planes, params.validation, params.seed, params.validation_nuclei, images
        )
    return planes, [list((areas[number] or {}).get(at, ())) for number, at, _ in found]


def _image_record(plane: AnnotatedPlane, examples: list[Example]) -> dict[str, Any]:
    digest = hashlib.sha256()
    for example in examples:
        for part in (_stored_image(example), example.labels, example.known):
            assert part is not None
            digest.update(part.numpy().tobytes())
    nuclei = int(plane.is_counted.sum())
    return {"name": plane.name, "nuclei": nuclei, "sha256": digest.hexdigest()}


def _stored_image(example: Example) -> Tensor:
    """Return the image, or a single channel of a grey one, whose channels share their memory."""
    return example.image[:1] if example.image.stride(0) == 0 else example.image


def _weighted_references(
    training: list[Example], share: float, references: Sequence[Example] | None
) -> list[Example]:
    """Return the reference images, weighted so that they get a share of all patches."""
    if not share:
        return []
    references = read_reference_images("learn") if references is None else references
    total = sum(example.sampling_weight for example in training)
    weight = share / (1 - share) * total / len(references)
    # of the same kind as the user's crops: balance between kinds would change the share
    return [dataclasses.replace(image, kind="", sampling_weight=weight) for image in references]
