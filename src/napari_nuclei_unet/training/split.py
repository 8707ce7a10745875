"""Split of annotated images into training and validation, and fingerprints of sets of images."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import Protocol, TypeVar

import numpy as np

from ..errors import UserError
from .example import Example


class Grouped(Protocol):
    """What a split needs to know of an example."""

    @property
    def name(self) -> str:
        """Its unique name."""

    @property
    def group(self) -> str:
        """Its group, which is never split."""

    @property
    def kind(self) -> str:
        """Its kind of image; each is split by itself."""


One = TypeVar("One", bound=Grouped)


def split_by_group(examples: list[One], share: float, seed: int) -> tuple[list[One], list[One]]:
    """Split by group, within each kind of image, into a training and a validation part.

    A kind with a single group is trained on. When that leaves nothing to validate, one group is
    chosen for validation, and of a single group one example.

    Parameters
    ----------
    examples : list of Example
        At least two.
    share : float, 0 to 1
        Share of each kind's groups for validation: at least one group, but not all.
    seed : int

    Returns
    -------
    training, validation : list of Example
        Neither is empty.

    Raises
    ------
    UserError
        If there are fewer than two examples.
    """
    if len(examples) < 2:
        raise UserError("Training needs at least two annotated images: one is used for validation.")
    rng = np.random.default_rng(seed)
    groups: dict[str, set[str]] = defaultdict(set)
    for example in examples:
        groups[example.kind].add(example.group)
    validation: set[str] = set()
    for kind in sorted(groups):
        names = sorted(groups[kind] - validation)
        if len(names) > 1:
            n = min(max(1, round(share * len(names))), len(names) - 1)
            validation.update(rng.permutation(names)[:n].tolist())
    if not validation and len(all_groups := sorted({e.group for e in examples})) > 1:
        validation = {all_groups[int(rng.integers(len(all_groups)))]}
    if not validation:
        validation = {examples[int(rng.integers(len(examples)))].name}
        return _partition(examples, validation, "name")
    return _partition(examples, validation, "group")


def _partition(examples: list[One], validation: set[str], by: str) -> tuple[list[One], list[One]]:
    training = [example for example in examples if getattr(example, by) not in validation]
    return training, [example for example in examples if getattr(example, by) in validation]


def fingerprint_examples(examples: list[Example]) -> str:
    """Compute a hash of annotated images: of names, groups, sizes, sums of pixels and labels."""
    digest = hashlib.sha256()
    for e in examples:
        # numpy's sum, unlike torch's, does not depend on the number of threads
        sums = [float(part.numpy().sum(dtype=np.float64)) for part in (e.image, e.labels)]
        digest.update(repr((e.name, e.group, e.kind, e.labels.shape, sums)).encode())
        if e.known is not None:
            digest.update(e.known.numpy().tobytes())
    return digest.hexdigest()
