"""How far results depend on the orientation of an image, which step is the cause, and what helps.

    python benchmarks/orientations.py [--validation IMAGES LABELS GROUPS.csv] [--all]
        [--kind histology_purple] [--every 1] [--precision fp32]

Each sample, or each image of a kind of the validation part, is rotated and mirrored to its eight
orientations; with ``--all`` those of the training, too, and with ``--every`` each nth only. A line
for each image: the nuclei in each orientation; if brightness and diameter are those of the first;
if only the separation sees another orientation; and if the maps of all eight are averaged. Then
how much the maps of nucleus differ from the first, in the mean, inside and at the edge.

A table in the end averages the maps of some orientations: by how much of their mean the nuclei of
an image differ, in the mean and at most; the nuclei of all images together; and AP@0.5 by image
and pooled, in the mean over the orientations. Last, what makes the difference: nuclei of one
orientation that the first has not, or the other way round.
"""

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from validation_part import load

from napari_nuclei_unet import SegmentParams, run
from napari_nuclei_unet.arrays.orientation import ORIENTATIONS
from napari_nuclei_unet.metrics.error_types import compare
from napari_nuclei_unet.metrics.matching import average_scores, pool_scores
from napari_nuclei_unet.samples.images import SAMPLES, read_sample
from napari_nuclei_unet.segmentation.left_out import Reason
from napari_nuclei_unet.segmentation.segment import predict_plane_steps, retune

# Of the mirror image beyond the plane the network sees so much.
EDGE = 16
# Numbers of orientations whose maps are averaged.
CHOICES = {
    "one": [0],
    "with its transpose": [0, 4],
    "with 180 degrees": [0, 3],
    "with its mirror image": [0, 1],
    "four rotations": [0, 3, 5, 6],
    "four mirrorings": [0, 1, 2, 3],
    "all eight": list(range(8)),
}


def turn(maps, how):
    """Turn maps, shape (C, Y, X)."""
    return np.ascontiguousarray([ORIENTATIONS[how].turn(one) for one in maps])


def turn_back(maps, how):
    """Undo :func:`turn`."""
    return np.ascontiguousarray([ORIENTATIONS[how].turn_back(one) for one in maps])


def compose(first, then):
    """Return the number of the orientation that two of them give, one after the other."""
    given = turn(turn(np.arange(6).reshape(1, 2, 3), first), then)[0].tolist()
    every = [one.turn(np.arange(6).reshape(2, 3)).tolist() for one in ORIENTATIONS]
    return every.index(given)


class Image:
    """An image in its eight orientations."""

    def __init__(self, pixels, params):
        turned = [one.turn(pixels) for one in ORIENTATIONS]
        seen = [run(predict_plane_steps(one, params=params, device="cpu")) for one in turned]
        plane, diameter = seen[0].plane, seen[0].provenance.diameter
        alike = replace(
            params, diameter=diameter, black=plane.low, white=plane.high, gamma=plane.gamma
        )
        alike = [run(predict_plane_steps(one, params=alike, device="cpu")) for one in turned]
        self.first = alike[0]
        self.counts = [retune(one).count for one in seen]
        self.maps = [turn_back(one.quantized_maps, how) for how, one in enumerate(alike)]

    def segment(self, how, averaged=(0,)):
        """Separate the mean of maps of the image in an orientation; return what is found."""
        maps = [self.maps[compose(how, other)].astype(float) for other in averaged]
        mean = np.floor(np.mean(maps, axis=0) + 0.5).astype(np.uint16)
        return self.separate(mean, how)

    def separate(self, maps, how):
        """Separate maps in an orientation; labels, and those of what is left out, turned back."""
        turned = replace(self.first, quantized_maps=turn(maps, how))
        return retune(turned)

    def differences(self):
        """Compute by how much the maps of nucleus differ from the first: inside, at the edge."""
        inside, at_edge = [], []
        for maps in self.maps[1:]:
            difference = np.abs(maps[0].astype(float) - self.maps[0][0]) / 65535
            core = difference[EDGE:-EDGE, EDGE:-EDGE]
            inside.append(core.mean())
            at_edge.append((difference.sum() - core.sum()) / (difference.size - core.size))
        return np.mean(inside), np.mean(at_edge)


def find_causes(first, other, how):
    """Count what makes the nuclei of an orientation differ from those of the first."""
    back = ORIENTATIONS[how].turn_back
    labels = first.labels, back(other.labels)
    left_out = first.left_out.to_labels(), back(other.left_out.to_labels())
    found, causes = compare(*labels), Counter()
    causes["merged or split"] = len(found.split) + len(found.merged)
    for ids, side in ((found.missed, 0), (found.false, 1)):
        reasons = (other if side == 0 else first).left_out.reasons
        for number in ids:
            there = left_out[1 - side][labels[side] == number]
            most = np.bincount(there, minlength=1).argmax()
            causes[Reason(reasons[most]).name.lower() if most else "below the threshold"] += 1
    return causes


def describe(name, image):
    """Return the line of an image."""
    averaged = [image.segment(how, range(8)).count for how in range(8)]
    lines = [
        f"{name}: nuclei {image.counts}",
        f"alike {[image.segment(how).count for how in range(8)]}",
        f"separation alone {[image.separate(image.maps[0], how).count for how in range(8)]}",
        f"averaged {averaged}",
        "maps differ by {:.4f} inside and {:.4f} at the edge".format(*image.differences()),
    ]
    return ", ".join(lines)


def summarize(images, truths):
    """Print the table of the choices, and the causes without any."""
    print("\n| averaged | difference | at most | nuclei | by image | pooled |")
    print("|---" * 6 + "|")
    causes = Counter()
    for choice, averaged in CHOICES.items():
        counts, matches = [], []
        for image, truth in zip(images, truths, strict=True):
            found = [image.segment(how, averaged) for how in range(8)]
            counts.append([one.count for one in found])
            back = [one.turn_back for one in ORIENTATIONS]
            matches.append(
                [
                    compare(truth, turned(one.labels)).counts
                    for turned, one in zip(back, found, strict=True)
                ]
            )
            if averaged == [0]:
                for how in range(1, 8):
                    causes += find_causes(found[0], found[how], how)
        spread = np.ptp(counts, axis=1) / np.maximum(np.mean(counts, axis=1), 1)
        every = np.sum(counts, axis=0)
        by_image, pooled = (
            np.mean([score(one)["AP@0.5"] for one in zip(*matches, strict=True)])
            for score in (average_scores, pool_scores)
        )
        print(
            f"| {choice} | {spread.mean():.1%} | {spread.max():.1%} "
            f"| {every.min()} to {every.max()} | {by_image:.3f} | {pooled:.3f} |"
        )
    print(f"\nNuclei of one orientation only, in seven comparisons of each image: {dict(causes)}")


def main():
    """Print a line for each image, and the table of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--validation", type=Path, nargs=3)
    parser.add_argument("--kind", default="histology_purple")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--precision", default="fp32")
    args = parser.parse_args()
    params = SegmentParams(precision=args.precision)
    if args.validation is None:
        examples = [(name, *read_sample(name)) for name in SAMPLES]
    else:
        args.images, args.labels, args.groups = args.validation
        args.model, args.second = "nuclei", None
        examples = [one for one in load(args, args.all)[1] if one[0] == args.kind][:: args.every]
    images = []
    for name, pixels, _ in examples:
        images.append(Image(pixels, params))
        print(describe(name, images[-1]), flush=True)
    summarize(images, [truth for *_, truth in examples])


if __name__ == "__main__":
    main()
