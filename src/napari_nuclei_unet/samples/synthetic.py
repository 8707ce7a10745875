"""Sample images of more than one plane, composed of nuclei of a sample: all nuclei are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import regionprops

SEED = 22
# Pixels around a nucleus that belong to its picture, as its edge is blurred.
SPRITE_MARGIN = 3
MIN_SPRITE_SOLIDITY = 0.96
# Of the made images: grey values of the background, and of the brightest nuclei above it.
BACKGROUND, NUCLEUS_BRIGHTNESS = 200.0, 3000.0
# Least gap between nuclei that are put side by side, in pixels.
NUCLEUS_GAP = 5.0
MOST_TRIES = 3000
FILM_SHAPE, FILM_NUCLEI, FILM_STEP = (12, 240, 280), 22, 0.9
DIVIDING_NUCLEI, FIRST_DIVISION, DAUGHTER_SIZE = 3, 4, 0.72
STACK_SHAPE, STACK_NUCLEI = (24, 240, 260), 34
# Slices are so many pixels apart; nuclei are a little flatter than wide.
STACK_STEP, FLATNESS = 2.5, 0.8
POSITIVE_PART = 0.35


@dataclass(frozen=True, eq=False)
class MadeImage:
    """An image that was composed.

    Attributes
    ----------
    pixels : ndarray, uint16
    truth : ndarray, uint16
        0 is background, else the nucleus' id: in 3-D, and along a film.
    """

    pixels: NDArray[np.uint16]
    truth: NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class _Sprite:
    """The picture of one nucleus: how bright it is, from 0 to 1, and its pixels."""

    light: NDArray[np.float64]
    mask: NDArray[np.bool_]

    @property
    def radius(self) -> float:
        return float(np.sqrt(self.mask.sum() / np.pi))

    def turned(self, degrees: float, size: float = 1.0) -> _Sprite:
        light, mask = (
            ndimage.zoom(ndimage.rotate(picture, degrees, order=1), size, order=1)
            for picture in (self.light, self.mask.astype(float))
        )
        return _Sprite(light, mask > 0.5)


def make_film(image: NDArray[np.integer], annotation: NDArray[np.integer]) -> MadeImage:
    """Compose a film of nuclei that move, and three of which divide.

    Parameters
    ----------
    image, annotation : ndarray, shape (Y, X)
        A sample, whose nuclei are taken.

    Returns
    -------
    MadeImage
        Of shape (T, Y, X).
    """
    rng = np.random.default_rng(SEED)
    sprites = _cut_sprites(image, annotation)
    light, truth = np.zeros(FILM_SHAPE), np.zeros(FILM_SHAPE, np.uint16)
    places = _scatter(rng, FILM_SHAPE[1:], FILM_NUCLEI, sprites)
    daughters = FILM_NUCLEI + 1
    for number, (y, x) in enumerate(places):
        sprite, angle = sprites[number % len(sprites)], rng.uniform(0, 360)
        drift, turn = rng.normal(0, FILM_STEP / 2, 2), rng.normal(0, 4)
        division = FIRST_DIVISION + 2 * number if number < DIVIDING_NUCLEI else FILM_SHAPE[0]
        for frame in range(FILM_SHAPE[0]):
            y, x = np.array((y, x)) + drift + rng.normal(0, FILM_STEP / 3, 2)
            age, angle = frame - division, angle + turn
            if age < 0:
                _put(light[frame], truth[frame], sprite.turned(angle), (y, x), number + 1)
                continue
            half = sprite.turned(angle, DAUGHTER_SIZE)
            apart = (half.radius + 1.5 + age) * np.array((np.cos(division), np.sin(division)))
            for side in (0, 1):
                place = (y, x) + (2 * side - 1) * apart
                _put(light[frame], truth[frame], half, tuple(place), daughters + side)
        daughters += 2 * (number < DIVIDING_NUCLEI)
    return MadeImage(_expose(light, rng), truth)


def make_stack(image: NDArray[np.integer], annotation: NDArray[np.integer]) -> MadeImage:
    """Compose a z-stack of nuclei that lie side by side, and one above the other.

    Parameters
    ----------
    image, annotation : ndarray, shape (Y, X)
        A sample, whose nuclei are taken.

    Returns
    -------
    MadeImage
        Of shape (Z, Y, X); slices are ``STACK_STEP`` pixels apart.
    """
    rng = np.random.default_rng(SEED)
    sprites = _cut_sprites(image, annotation)
    light, truth = np.zeros(STACK_SHAPE), np.zeros(STACK_SHAPE, np.uint16)
    shape = (STACK_SHAPE[0] * STACK_STEP, *STACK_SHAPE[1:])
    for number, (z, y, x) in enumerate(_scatter(rng, shape, STACK_NUCLEI, sprites)):
        sprite, angle = sprites[number % len(sprites)], rng.uniform(0, 360)
        height = FLATNESS * sprite.radius / STACK_STEP
        for slice_ in range(STACK_SHAPE[0]):
            part = 1 - ((slice_ - z / STACK_STEP) / height) ** 2
            if part > 0.05:  # an ellipsoid
                section = sprite.turned(angle, float(np.sqrt(part)))
                _put(light[slice_], truth[slice_], section, (y, x), number + 1)
    blurred = ndimage.gaussian_filter(light, (0.6, 0.7, 0.7))
    return MadeImage(_expose(blurred, rng), truth)


def make_marker(image: NDArray[np.integer], annotation: NDArray[np.integer]) -> NDArray[np.uint16]:
    """Compose a channel in which a third of the nuclei are stained, more or less.

    Parameters
    ----------
    image, annotation : ndarray, shape (Y, X)
        A sample.

    Returns
    -------
    ndarray, shape (Y, X), uint16
    """
    rng = np.random.default_rng(SEED)
    count = int(annotation.max()) + 1
    strength = np.where(rng.random(count) < POSITIVE_PART, rng.uniform(0.4, 1.0, count), 0.03)
    strength[0] = 0.0
    grain = ndimage.gaussian_filter(rng.normal(1, 1.5, image.shape), 1.5)
    light = strength[annotation] * np.clip(grain, 0.4, 1.6)
    return _expose(ndimage.gaussian_filter(light, 1.0), rng)


def _cut_sprites(image: NDArray[np.integer], annotation: NDArray[np.integer]) -> list[_Sprite]:
    """Cut out the nuclei that touch no other, of usual size and shape."""
    dark, bright = float(np.median(image[annotation == 0])), float(np.percentile(image, 99.5))
    regions = [
        region for region in regionprops(annotation) if region.solidity > MIN_SPRITE_SOLIDITY
    ]
    usual = np.median([region.area for region in regions])
    sprites = []
    for region in regions:
        top, left, bottom, right = np.array(region.bbox) + SPRITE_MARGIN * np.array((-1, -1, 1, 1))
        is_cut = min(top, left) < 0 or bottom > image.shape[0] or right > image.shape[1]
        if is_cut or not 0.5 < region.area / usual < 1.5:
            continue
        labels = annotation[top:bottom, left:right]
        if set(np.unique(labels).tolist()) != {0, region.label}:
            continue
        light = np.clip((image[top:bottom, left:right] - dark) / (bright - dark), 0, 1)
        sprites.append(_Sprite(light / np.percentile(light, 95), labels > 0))
    return sprites


def _scatter(
    rng: np.random.Generator, shape: tuple[float, ...], count: int, sprites: list[_Sprite]
) -> Iterator[tuple[float, ...]]:
    """Yield places, in pixels, at which nuclei do not touch; none at the edge.

    As many as have room, where that is not ``count``.
    """
    placed: list[tuple[NDArray[np.float64], float]] = []
    for _ in range(MOST_TRIES):
        if len(placed) == count:
            return
        radius = 1.15 * sprites[len(placed) % len(sprites)].radius  # they are not round
        edges = [FLATNESS * radius if len(shape) == 3 and axis == 0 else radius + 6
                 for axis in range(len(shape))]  # fmt: skip
        place = np.array(
            [rng.uniform(edge, n - edge) for edge, n in zip(edges, shape, strict=True)]
        )
        gaps = [np.linalg.norm(place - other) - radius - size for other, size in placed]
        if all(gap > NUCLEUS_GAP for gap in gaps):
            placed.append((place, radius))
            yield tuple(place.tolist())


def _put(
    light: NDArray[np.float64],
    truth: NDArray[np.uint16],
    sprite: _Sprite,
    place: tuple[float, ...],
    number: int,
) -> None:
    """Draw a nucleus into a plane, around a place; what lies outside is cut off."""
    rows, columns = np.indices(sprite.mask.shape)
    rows = rows + round(place[0] - sprite.mask.shape[0] / 2)
    columns = columns + round(place[1] - sprite.mask.shape[1] / 2)
    inside = (rows >= 0) & (columns >= 0) & (rows < light.shape[0]) & (columns < light.shape[1])
    at = rows[inside], columns[inside]
    light[at] = np.maximum(light[at], sprite.light[inside])
    is_free = sprite.mask[inside] & (truth[at] == 0)
    truth[at[0][is_free], at[1][is_free]] = number


def _expose(light: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.uint16]:
    """Return the picture that a camera takes: with its background, and the noise of photons."""
    expected = BACKGROUND + (NUCLEUS_BRIGHTNESS - BACKGROUND) * light
    return rng.poisson(expected / 4).astype(np.uint16) * np.uint16(4)
