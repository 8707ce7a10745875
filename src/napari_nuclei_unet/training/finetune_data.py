"""What a fine-tuning learns from: pairs of image and labels, and the crops cut out of them."""

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

from napari_nuclei_unet.arrays.axes import Channel, PlaneView, pair_plane_indices
from napari_nuclei_unet.arrays.boxes import Box, Polygons, Region
from napari_nuclei_unet.arrays.tiling import ArrayLike
from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.io.atomic import atomic_write
from napari_nuclei_unet.params import TrainParams
from napari_nuclei_unet.training.annotation import (
    MAX_TRAINING_CROPS,
    AnnotatedPlane,
    choose_validation_areas,
    crop_training_examples,
    crop_validation_examples,
    open_annotated_plane,
)
from napari_nuclei_unet.training.example import Example
from napari_nuclei_unet.training.reference_images import read_reference_images

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
    finished : mapping of Place to Region, or Region, or None
        What is annotated, of each plane or of all; None: everything.
    validation_areas : mapping of Place to sequence of (slice, slice), or None
        What is held back of each plane; None: it is chosen.
    """

    image: ArrayLike
    labels: ArrayLike
    name: str = ""
    channel_axis: int | None = None
    channel: Channel | None = None
    finished: Mapping[AnnotatedPosition, Region] | Region | None = None
    validation_areas: ValidationAreas | None = None

    @classmethod
    def of(cls, given: Any, number: int) -> Pair:
        """Make one of (image, labels) or (image, labels, polygons of what is finished)."""
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
        list of (Place, Annotated)

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
            cuts = pair_plane_indices(shape, self.labels.shape, self.channel_axis, self.channel)
        except UserError as error:
            raise UserError(f"{self.name}: {error}") from error
        made = []
        for image, labels in cuts:
            place = tuple(at for at in labels.index if at is not None)
            finished = self.finished
            if isinstance(finished, Mapping):
                if place not in finished:  # nothing of this plane is
                    continue
                finished = finished[place]
            name = f"{self.name} {list(place)}" if len(cuts) > 1 else self.name
            truth = PlaneView(self.labels, labels)
            one = open_annotated_plane(name, PlaneView(self.image, image), truth, finished, margin)
            if one is not None:
                made.append((place, one))
        return made


@dataclass(frozen=True, eq=False)
class FineTuneData:
    """What a fine-tuning learns from, in memory.

    Attributes
    ----------
    training, validation : list of Example
        Crops; the second are held back.
    images : list of dict
        Name, nuclei and SHA-256 of each annotated plane, for the card.
    """

    training: list[Example]
    validation: list[Example]
    images: list[dict[str, Any]] = field(default_factory=list)

    @property
    def user_crops(self) -> list[Example]:
        """The crops to learn from that are the user's."""
        return [one for one in self.training if one.known is not None]

    @property
    def warning(self) -> str:
        """Say what was left out, if anything was."""
        if not any(one.has_invalid_pixels for one in (*self.training, *self.validation)):
            return ""
        return "Some pixels are NaN or infinite: they were left out of training."

    def save(self, path: Path) -> None:
        """Write all of it, so that a training can go on when the images are gone.

        Raises
        ------
        UserError
            If the file cannot be written.
        """
        tensors: dict[str, Tensor] = {}
        rows = []
        for part in ("training", "validation"):
            for index, one in enumerate(getattr(self, part)):
                image = one.image[:1] if _is_grey(one) else one.image
                stored = {"image": image, "labels": one.labels.int(), "known": one.known}
                tensors |= {
                    f"{part}.{index}.{name}": value.contiguous()
                    for name, value in stored.items()
                    if value is not None
                }
                rows.append([part, one.name, one.group, one.kind, one.sampling_weight])
        header = {
            "format": FINETUNE_DATA_FORMAT,
            "lesson": json.dumps({"rows": rows, "images": self.images}),
        }
        with atomic_write(path) as aside:
            try:
                save_file(tensors, aside, metadata=header)
            except SafetensorError as error:  # by which it means a disk that is full
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
        try:
            with safe_open(path, framework="pt") as opened:
                about = json.loads(opened.metadata()["lesson"])
                names = set(opened.keys())
                for part, *rest in about["rows"]:
                    key = f"{part}.{len(parts[part])}"
                    image = opened.get_tensor(f"{key}.image").expand(3, -1, -1)
                    labels = opened.get_tensor(f"{key}.labels").float()
                    there = f"{key}.known" in names
                    known = opened.get_tensor(f"{key}.known") if there else None
                    name, group, kind, chance = rest
                    parts[part].append(Example(name, image, labels, group, kind, known, chance))
            return cls(parts["training"], parts["validation"], about["images"])
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path.name} cannot be read: train anew.") from error


def _as_sliceable(given: Any) -> Any:
    """Leave what can be sliced as it is."""
    return given if hasattr(given, "shape") and hasattr(given, "dtype") else np.asarray(given)


def make_finetune_data(
    pairs: Sequence[Pair], params: TrainParams, references: Sequence[Example] | None = None
) -> FineTuneData:
    """Cut what is learnt from out of images and their labels.

    Parameters
    ----------
    pairs : sequence of Pair
        Where one says what is held back, all must.
    params : TrainParams
        Says how much is held back, and how much is mixed in from the reference images.
    references : sequence of Example, optional
        What is mixed in; the reference images of the package without.

    Returns
    -------
    Lesson

    Raises
    ------
    UserError
        If there is too little to learn from, or to validate on.
    """
    planes, held = find_annotated_planes(pairs, params)
    training, validation, images = [], [], []
    for one, boxes in zip(planes, held, strict=True):
        learnt = crop_training_examples(one, boxes, max(4, MAX_TRAINING_CROPS // len(planes)))
        kept = [piece for box in boxes for piece in crop_validation_examples(one, box)]
        training += learnt
        validation += [example for example in kept if len(example.centres)]
        images.append(_image_record(one, [*learnt, *kept]))
    if not validation:
        raise UserError(
            "No annotated nucleus has its centre in what is held back to validate: move the "
            "rectangles over some nuclei."
        )
    if not any(len(one.centres) for one in training):
        raise UserError(
            "No nucleus is left to learn from: all lie in, or reach into, what is held back. "
            "Make the rectangles smaller, or annotate more."
        )
    mixed = _weighted_references(training, params.reference, references)
    return FineTuneData([*training, *mixed], validation, images)


def find_annotated_planes(
    pairs: Sequence[Pair], params: TrainParams
) -> tuple[list[AnnotatedPlane], list[list[Box]]]:
    """Find the annotated planes of pairs, and what is held back of each.

    Raises
    ------
    UserError
        As :func:`make_finetune_data`.
    """
    if not pairs:
        raise UserError("There is nothing to learn from: add an image with its labels.")
    found = [(pair, place, one) for pair in pairs for place, one in pair.planes(params.margin)]
    planes = [one for _, _, one in found]
    if all(pair.validation_areas is None for pair in pairs):
        return planes, choose_validation_areas(planes, params.validation, params.seed)
    return planes, [list((pair.validation_areas or {}).get(place, ())) for pair, place, _ in found]


def _image_record(plane: AnnotatedPlane, examples: list[Example]) -> dict[str, Any]:
    digest = hashlib.sha256()
    for one in examples:
        for part in (one.image[:1] if _is_grey(one) else one.image, one.labels, one.known):
            assert part is not None
            digest.update(part.numpy().tobytes())
    nuclei = int(plane.is_counted.sum())
    return {"name": plane.name, "nuclei": nuclei, "sha256": digest.hexdigest()}


def _is_grey(example: Example) -> bool:
    return example.image.stride(0) == 0  # its channels share their memory


def _weighted_references(
    training: list[Example], share: float, references: Sequence[Example] | None
) -> list[Example]:
    """Give the reference images to learn from a share of all patches."""
    if not share:
        return []
    references = read_reference_images("learn") if references is None else references
    chance = share / (1 - share) * sum(one.sampling_weight for one in training) / len(references)
    # of one kind with the others, so that this share holds; not the images count
    return [dataclasses.replace(one, kind="", sampling_weight=chance) for one in references]
