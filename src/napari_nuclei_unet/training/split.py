"""Which annotated images are held back to validate, and how a set of images is told from others."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import Protocol, TypeVar

import numpy as np

from napari_nuclei_unet.errors import UserError
from napari_nuclei_unet.training.example import Example


class Grouped(Protocol):
    """What can be split: all that counts of an example are these."""

    @property
    def name(self) -> str:
        """Tells it from the others."""

    @property
    def group(self) -> str:
        """Those of one group stay together."""

    @property
    def kind(self) -> str:
        """Each is split by itself."""


One = TypeVar("One", bound=Grouped)


def split_by_group(examples: list[One], share: float, seed: int) -> tuple[list[One], list[One]]:
    """Split by group, within each kind of image, into a training and a validation part.

    A kind with a single group is trained on. When that leaves nothing to validate, one group is
    held back, and of a single group one example.

    Parameters
    ----------
    examples : list of Example
        At least two.
    share : float, 0 to 1
        Part of each kind's groups that is held back, at least one group, but not all.
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
        raise UserError(
            "Training needs at least two annotated images: one is held back to validate."
        )
    rng = np.random.default_rng(seed)
    groups: dict[str, set[str]] = defaultdict(set)
    for one in examples:
        groups[one.kind].add(one.group)
    held: set[str] = set()
    for kind in sorted(groups):
        names = sorted(groups[kind] - held)
        if len(names) > 1:
            n = min(max(1, round(share * len(names))), len(names) - 1)
            held.update(rng.permutation(names)[:n].tolist())
    if not held and len(all_groups := sorted({one.group for one in examples})) > 1:
        held = {all_groups[int(rng.integers(len(all_groups)))]}
    if not held:
        held = {examples[int(rng.integers(len(examples)))].name}
        return _partition(examples, held, "name")
    return _partition(examples, held, "group")


def _partition(examples: list[One], held: set[str], by: str) -> tuple[list[One], list[One]]:
    kept = [one for one in examples if getattr(one, by) not in held]
    return kept, [one for one in examples if getattr(one, by) in held]


def fingerprint_examples(examples: list[Example]) -> str:
    """Tell annotated images from others: by name, group, size, and sums of pixels and labels."""
    digest = hashlib.sha256()
    for one in examples:
        # numpy's sum, unlike torch's, does not depend on the number of threads
        sums = [float(part.numpy().sum(dtype=np.float64)) for part in (one.image, one.labels)]
        digest.update(repr((one.name, one.group, one.kind, one.labels.shape, sums)).encode())
        if one.known is not None:
            digest.update(one.known.numpy().tobytes())
    return digest.hexdigest()
