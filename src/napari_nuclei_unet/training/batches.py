"""Batches of a training, which depend on its seed and on the step only."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter, deque
from collections.abc import Callable, Generator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..params import TrainParams
from .augmentation import Variety, sample_patches, whole_images
from .example import Example

# Share of the patches that a kind of image gets: 0 by number of images, 1 the same for all kinds.
BALANCE = 0.6
# Last share of a training, in which augmentation decreases.
AUGMENT_DECAY_SHARE = 0.4
# Shortest epoch, in steps, for which processes that draw batches are started: it takes a second,
# and a fine-tuning in the window never needs it.
MIN_STEPS_FOR_PROCESSES = 100
# Most of these processes, and batches that each draws ahead: a batch of 12 patches has 14 MB.
MAX_PROCESSES, DRAWN_AHEAD = 32, 2


def augmentation_strength(params: TrainParams, progress: float) -> float:
    """Compute the strength of augmentation after a share of the training.

    Parameters
    ----------
    params : TrainParams
    progress : float, 0 to 1

    Returns
    -------
    float
        ``params.augment`` at first; in the end ``params.augment_end``, if that is less.
    """
    decay = min(max(0.0, (progress - (1 - AUGMENT_DECAY_SHARE)) / AUGMENT_DECAY_SHARE), 1.0)
    return params.augment + (min(params.augment_end, params.augment) - params.augment) * decay


def steps_per_epoch(params: TrainParams, images: int) -> int:
    """Return the batches in an epoch: ``params.steps``, or as many as show every image once."""
    return params.steps or -(-images // params.batch)


@dataclass(frozen=True, eq=False)
class _Drawer:
    """Draws the batch of a step.

    ``weights`` are the probabilities of the examples.
    """

    examples: list[Example]
    params: TrainParams
    weights: NDArray[np.float64]

    def draw(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Draw the batch of a step."""
        params, examples = self.params, self.examples
        rng = np.random.default_rng((params.seed, step))
        steps = steps_per_epoch(params, len(examples))
        if not params.resize:
            strength = augmentation_strength(params, step / (params.epochs * steps))
            chosen = rng.choice(len(examples), size=params.batch, p=self.weights)
            images = [examples[i] for i in chosen]
            variety = Variety(params.variety == "wide", params.paste)
            return sample_patches(images, params.patch, rng, strength, variety)
        epoch, index = divmod(step, steps)
        order = np.random.default_rng((params.seed, epoch)).permutation(len(examples))
        chosen = np.roll(order, -index * params.batch)[: params.batch]
        if not params.steps and (index + 1) * params.batch > len(order):
            chosen = order[index * params.batch :]  # the last batch of an epoch
        return whole_images([examples[i] for i in chosen], params.resize, rng)


def iter_batches(
    examples: list[Example], params: TrainParams, start: int, processes: int = 0
) -> Generator[tuple[Tensor, Tensor, Tensor], None, None]:
    """Draw endless batches from step ``start`` on; the next are drawn while one is in training.

    Each depends on seed and step only, so that a resumed training gets the same batches as an
    uninterrupted one, and any number of processes draws the same.

    Parameters
    ----------
    examples : list of Example
    params : TrainParams
    start : int
    processes : int
        How many draw, as from :func:`count_processes`; 0: a thread of this one.

    Yields
    ------
    images, target, weight : Tensor
    """
    drawer = _Drawer(examples, params, _sampling_probabilities(examples))
    executor, draw = _start(drawer, processes)
    ahead = max(1, DRAWN_AHEAD * processes)
    try:
        upcoming = deque(executor.submit(draw, start + i) for i in range(ahead))
        for step in count(start + ahead):
            batch = upcoming.popleft().result()
            upcoming.append(executor.submit(draw, step))
            images, target, weight = map(torch.as_tensor, batch)
            yield images, target, weight
    finally:
        executor.shutdown(cancel_futures=True)


def count_processes(device: str, params: TrainParams) -> int:
    """Return how many processes should draw batches; 0: none but this one.

    One core draws two or three batches of 12 patches a second. That suffices for a network on the
    CPU, which needs the other cores itself; a graphics card waits for most of the time.
    """
    if device != "cuda" or sys.platform != "linux" or params.steps < MIN_STEPS_FOR_PROCESSES:
        return 0
    return min(len(os.sched_getaffinity(0)) - 1, MAX_PROCESSES)


def _start(
    drawer: _Drawer, processes: int
) -> tuple[Executor, Callable[[int], tuple[Tensor | NDArray[np.float32], ...]]]:
    """Start what draws batches, and return it with the function to submit."""
    if not processes:
        return ThreadPoolExecutor(1), drawer.draw
    # forked, so that the images are in memory once, and not sent
    context = get_context("fork")
    return ProcessPoolExecutor(processes, context, _begin_drawing, (drawer,)), _draw_in_process


_drawers: list[_Drawer] = []


def _begin_drawing(drawer: _Drawer) -> None:
    """Prepare a process that draws batches."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that trains
    torch.set_num_threads(1)
    _drawers.append(drawer)


def _draw_in_process(step: int) -> tuple[NDArray[np.float32], ...]:
    """Draw a batch; as arrays, since tensors would go through shared memory, often too small."""
    return tuple(part.numpy() for part in _drawers[-1].draw(step))


def _sampling_probabilities(examples: list[Example]) -> NDArray[np.float64]:
    """Compute the probability of each example, between equal images and equal kinds (BALANCE)."""
    of_kind = Counter(example.kind for example in examples)
    weights = np.array([e.sampling_weight * of_kind[e.kind] ** -BALANCE for e in examples])
    return weights / weights.sum()
