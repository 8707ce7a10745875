"""Counting annotated nuclei, and choosing validation areas, in a thread."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import UserError
from ...params import TrainParams
from ...progress import Step, Stop

if TYPE_CHECKING:
    from ...arrays.boxes import Box
    from ...training.finetune_data import AnnotatedPosition
    from .layer_pairs import PairArrays


@dataclass(frozen=True, eq=False)
class AnnotationCount:
    """Number of annotated nuclei, and validation areas, of the pairs.

    Attributes
    ----------
    nuclei : list of int
        Of each pair.
    validation_areas : list of dict of AnnotatedPosition to list of (slice, slice)
        Of each pair; empty if there is a ``problem``.
    problem : str
        Why training is not possible yet; empty: it is.
    """

    nuclei: list[int]
    validation_areas: list[dict[AnnotatedPosition, list[Box]]]
    problem: str = ""


def annotation_count_steps(
    arrays: Sequence[PairArrays], params: TrainParams
) -> Generator[Step, Stop, AnnotationCount]:
    """Count nuclei, and choose validation areas; runs in the thread."""
    # torch is imported when it is needed: the dock opens faster
    from ...training.finetune_data import Pair
    from ...training.validation_choice import choose_validation_areas

    pairs = [Pair(**vars(item)) for item in arrays]
    if not pairs:
        return AnnotationCount([], [])
    nuclei, places, planes = [0] * len(pairs), [], []
    areas: list[dict[AnnotatedPosition, list[Box]]] = [{} for _ in pairs]
    try:
        for index, pair in enumerate(pairs):
            yield Step(index, len(pairs))
            for place, plane in pair.planes(params.margin):
                nuclei[index] += int(plane.is_counted.sum())
                places.append((index, place))
                planes.append(plane)
        images = [index for index, _ in places]
        chosen = choose_validation_areas(
            planes, params.validation, params.seed, params.validation_nuclei, images
        )
    except UserError as error:
        return AnnotationCount(nuclei, areas, str(error))
    for (index, place), boxes in zip(places, chosen, strict=True):
        if boxes:
            areas[index][place] = boxes
    return AnnotationCount(nuclei, areas)
