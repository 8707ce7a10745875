"""Examples, targets and loss of a training."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from ..arrays.relabel import relabel_sequential
from ..labels.diameter import diameter_to_size, equivalent_diameters

BORDER_WINDOW = 5
BORDER_WEIGHT = 5.0
# In and next to nuclei of smaller diameters, in pixels, every pixel weighs more, up to this factor:
# scores count nuclei, not pixels.
SMALL_DIAMETER, MAX_SMALL_WEIGHT = 20.0, 3.0
DISTANCE_WEIGHT = 2.0
SIZE_WEIGHT = 0.5
BACKGROUND_DISTANCE_WEIGHT = 0.05
# Most positions of a partly annotated example around which patches are drawn.
MAX_KNOWN_POSITIONS = 4096


class DiceBCELoss(nn.Module):
    """Sum of the Dice loss and the binary cross-entropy.

    The Dice coefficient ``2 |X * Y| / (|X| + |Y|)`` is taken for every channel over the whole
    batch, so that a patch without a nucleus is no special case, and averaged over channels
    (Milletari et al. 2016, doi:10.1109/3DV.2016.79).

    Parameters
    ----------
    smooth : float
        Added to numerator and denominator of Dice, in pixels: keeps empty masks finite.
    """

    def __init__(self, smooth: float = 1.0) -> None:
        super().__init__()
        self.smooth = smooth

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compute the loss of predicted logits.

        Parameters
        ----------
        logits : Tensor, shape (N, C, H, W)
            Predictions before the sigmoid.
        target : Tensor, shape (N, C, H, W), values 0 to 1
            Target.
        weight : Tensor, broadcastable to ``logits``, optional
            Importance of each pixel; pixels of weight 0 are ignored.

        Returns
        -------
        Tensor, scalar
            ``(1 - Dice) + BCE``, at least 0.
        """
        weight = torch.ones_like(logits) if weight is None else weight.expand_as(logits)
        bce = weighted_bce(logits, target, weight)
        probability = torch.sigmoid(logits) * weight
        axes = (0, 2, 3)
        overlap = (probability * target).sum(axes)
        total = probability.sum(axes) + (target * weight).sum(axes)
        dice = (2 * overlap + self.smooth) / (total + self.smooth)
        return (1 - dice).mean() + bce


def weighted_bce(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Compute the binary cross-entropy, averaged over pixels by weight.

    Parameters
    ----------
    logits, target, weight : Tensor, shape (N, C, H, W)
        As in :class:`DiceBCELoss`.

    Returns
    -------
    Tensor, scalar
        0 where all weights are 0.
    """
    loss = F.binary_cross_entropy_with_logits(logits, target, weight=weight, reduction="sum")
    return loss / weight.sum().clamp(min=1)


class NucleiLoss(nn.Module):
    """DiceBCELoss on nucleus and border, cross-entropy on the graded distance and size.

    The distance counts inside nuclei above all: averaged over a whole image, where most pixels
    are background, its shape hardly weighs, and the network learns one flat value for all of a
    nucleus (docs/decisions/0002-separation.md). The size counts inside nuclei only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dice_bce = DiceBCELoss()

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Compute the loss against :func:`make_targets`; shapes as in :class:`DiceBCELoss`."""
        nucleus = target[:, :1]
        areas = self.dice_bce(logits[:, :2], target[:, :2], weight)
        inside = weight * nucleus.clamp(min=BACKGROUND_DISTANCE_WEIGHT)
        distance = weighted_bce(logits[:, 2:3], target[:, 2:3], inside)
        loss = areas + DISTANCE_WEIGHT * distance
        if logits.shape[1] == 3:  # a model without a map of sizes
            return loss
        return loss + SIZE_WEIGHT * weighted_bce(logits[:, 3:], target[:, 3:], weight * nucleus)


class MaskLoss(nn.Module):
    """DiceBCELoss on the nucleus alone, every pixel alike: the loss of the paper in ``seed``."""

    def __init__(self) -> None:
        super().__init__()
        self.dice_bce = DiceBCELoss()

    def forward(self, logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Compute the loss against the first of :func:`make_targets`; weights count as 0 or 1."""
        return self.dice_bce(logits, target[:, :1], (weight > 0).to(logits.dtype))


def make_loss(maps: int) -> NucleiLoss | MaskLoss:
    """Create the loss of a network that predicts this number of maps."""
    return MaskLoss() if maps == 1 else NucleiLoss()


def make_targets(
    labels: NDArray[np.integer], diameters: NDArray[np.floating] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute the targets of the network for annotated nuclei.

    Parameters
    ----------
    labels : ndarray, shape (Y, X), integer
        0 is background, any other value one nucleus.
    diameters : ndarray, shape (labels.max() + 1,), floating, optional
        Equivalent diameter of each id in pixels, where ``labels`` show only parts of the
        nuclei; from the labels without.

    Returns
    -------
    target : ndarray, shape (4, Y, X), float32, values 0 to 1
        In the order of ``TARGETS``: nucleus; border, where a window of 5x5 pixels holds two
        nuclei; distance to the nucleus' edge, 1 at its deepest pixel; size, see
        :func:`diameter_to_size`, 0 in the background.
    weight : ndarray, shape (1, Y, X), float32
        1, up to 3 times that in and next to small nuclei, and 5 times at borders, where an
        error joins two nuclei.
    """
    inside = labels > 0
    border = _is_border(labels)
    diameters = equivalent_diameters(labels) if diameters is None else diameters
    size = diameter_to_size(diameters)[labels] * inside
    target = np.stack([inside, border, edge_distance(labels), size]).astype(np.float32)
    small = np.clip(SMALL_DIAMETER / np.maximum(diameters, 1), 1.0, MAX_SMALL_WEIGHT)
    small[0] = 1.0
    weight = ndimage.maximum_filter(small.astype(np.float32)[labels], size=BORDER_WINDOW)
    return target, np.where(border, BORDER_WEIGHT * weight, weight)[None]


def edge_distance(labels: NDArray[np.integer]) -> NDArray[np.float32]:
    """Compute each pixel's distance to the edge of its nucleus, relative to the deepest pixel.

    Parameters
    ----------
    labels : ndarray, shape (Y, X), integer

    Returns
    -------
    ndarray, shape (Y, X), float32
        0 in the background, 1 at the deepest pixel of each nucleus.
    """
    if not labels.any():
        return np.zeros(labels.shape, np.float32)
    # One distance transform serves all nuclei when pixels that touch another one are zeroed.
    low = ndimage.minimum_filter(labels, size=3)
    high = ndimage.maximum_filter(labels, size=3)
    touching = (labels > 0) & (((low != labels) & (low > 0)) | (high != labels))
    depth = ndimage.distance_transform_edt((labels > 0) & ~touching) + 0.5 * touching
    deepest = np.full(labels.max() + 1, 1e-6)
    inside = labels > 0
    np.maximum.at(deepest, labels[inside], depth[inside])
    return np.where(inside, depth / deepest[labels], 0).astype(np.float32)


def _is_border(labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return which pixels have two different nuclei in their window."""
    high = ndimage.maximum_filter(labels, size=BORDER_WINDOW)
    absent = np.iinfo(np.int32).max
    low = ndimage.minimum_filter(np.where(labels > 0, labels, absent), size=BORDER_WINDOW)
    return (high > 0) & (low != absent) & (low != high)


@dataclass(frozen=True)
class Example:
    """One annotated image.

    Attributes
    ----------
    name : str
        For messages and splits.
    image : Tensor, shape (3, Y, X), float32, values 0 to 1
        Normalised; the three channels of a grey image share their memory.
    labels : Tensor, shape (1, Y, X), float32
        Whole numbers: 0 is background, else the nucleus' id.
    group : str
        Examples of one group are never on both sides of a split.
    kind : str
        Modality, such as fluorescence; may be empty.
    known : Tensor, shape (1, Y, X), float32, or None
        1 where a pixel is annotated, 0 where it is not and therefore ignored; None: 1 everywhere.
    sampling_weight : float
        How often patches are drawn from it, compared with others of its kind.
    has_invalid_pixels : bool
        Whether some of its pixels are NaN or infinite, and therefore not known.
    """

    name: str
    image: Tensor
    labels: Tensor
    group: str
    kind: str
    known: Tensor | None = None
    sampling_weight: float = 1.0
    has_invalid_pixels: bool = False

    @cached_property
    def ids(self) -> NDArray[np.int32]:
        """Labels as whole numbers, shape (Y, X)."""
        return self.labels[0].numpy().astype(np.int32)

    @cached_property
    def diameters(self) -> NDArray[np.float64]:
        """Diameter of every id in pixels, 0 for the background and for ids that do not occur."""
        diameters = equivalent_diameters(self.ids)
        diameters[0] = 0
        return diameters

    @cached_property
    def is_known(self) -> NDArray[np.bool_]:
        """Mask of the annotated pixels, shape (Y, X)."""
        if self.known is None:
            return np.ones(self.labels.shape[1:], bool)
        return np.asarray(self.known[0].numpy() > 0)

    @cached_property
    def known_positions(self) -> NDArray[np.float64]:
        """Evenly sampled known pixels (y, x), shape (n, 2); none where all pixels are known."""
        if self.known is None:
            return np.empty((0, 2))
        positions = np.argwhere(self.is_known)
        return positions[:: max(1, len(positions) // MAX_KNOWN_POSITIONS)].astype(np.float64)

    @cached_property
    def centres(self) -> NDArray[np.float64]:
        """Centre of mass (y, x) of each nucleus that is known, in pixels, shape (n, 2)."""
        ids = np.unique(np.where(self.is_known, self.ids, 0))
        ids = ids[ids > 0]
        centres = ndimage.center_of_mass(self.ids > 0, self.ids, ids) if ids.size else []
        return np.array(centres, np.float64).reshape(-1, 2)

    @cached_property
    def diameter(self) -> float:
        """Median diameter of the nuclei in pixels, 0 without any."""
        nuclei = self.diameters[self.diameters > 0]
        return float(np.median(nuclei)) if nuclei.size else 0.0


def make_example(
    name: str,
    pixels: NDArray[np.float32],
    labels: NDArray[np.integer],
    group: str = "",
    kind: str = "",
) -> Example:
    """Create an example from arrays.

    Parameters
    ----------
    name : str
    pixels : ndarray, shape (Y, X) or (Y, X, C up to 3), float32, values 0 to 1
        Normalised.
    labels : ndarray, shape (Y, X), integer
        They are relabelled, as ids may be too large for float32.
    group, kind : str
        Without a group the name is the group.

    Returns
    -------
    Example
    """
    ids, _ = relabel_sequential(labels)
    channels = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    return Example(
        name=name,
        image=torch.from_numpy(np.ascontiguousarray(channels)).expand(3, -1, -1),
        labels=torch.from_numpy(ids.astype(np.float32))[None],
        group=group or name,
        kind=kind,
    )
