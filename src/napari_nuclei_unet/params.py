"""Parameters: the only place of a default, a bound, a label and a help text."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar

from .errors import UserError
from .fields import check_bounds, parameter

P = TypeVar("P", "SegmentParams", "TrainParams")

DEVICES = ("auto", "cpu", "cuda", "mps")
# Of images: no value of float64 that can be computed with is larger.
MAX_INTENSITY = 1e300


@dataclass(frozen=True)
class SegmentParams:
    """Parameters of segmentation.

    ``None`` means: the value tuned for the model; diameter, black and white point are measured.
    """

    diameter: float | None = parameter(
        None,
        "Diameter (px)",
        "Typical diameter of the nuclei. It is measured where it is not given; images with very "
        "small or very large nuclei are zoomed for the network.",
        min=1.0,
        max=5000.0,
        step=1.0,
    )
    threshold: float | None = parameter(
        None,
        "Nucleus threshold",
        "How sure the model must be that a pixel belongs to a nucleus. "
        "Lower finds more and larger nuclei.",
        min=0.01,
        max=0.99,
        step=0.01,
    )
    separation: float | None = parameter(
        None,
        "Separation",
        "How readily touching nuclei are parted. Higher parts more, and may split one nucleus.",
        min=0.01,
        max=0.99,
        step=0.01,
    )
    confidence: float | None = parameter(
        None,
        "Confidence",
        "How sure the model must be of a nucleus as a whole. Lower keeps more doubtful ones.",
        min=0.0,
        max=0.99,
        step=0.01,
    )
    minimum_area: int | None = parameter(
        None,
        "Smallest area (px)",
        "Nuclei with fewer pixels are left out. 0 in the form: the model's own.",
        min=1,
        max=1_000_000,
        step=1,
        slider=500,
    )
    tile: int = parameter(
        0,
        "Tile size (px, 0: auto)",
        "Edge of the squares that go through the network, without the overlap. "
        "0: chosen from the free memory. The result does not depend on it.",
        min=0,
        max=16_384,
        step=16,
    )
    batch: int = parameter(
        0,
        "Tiles at a time (0: auto)",
        "How many tiles go through the network together. 0: chosen from the device.",
        min=0,
        max=256,
        step=1,
    )
    precision: str = parameter(
        "auto",
        "Precision",
        "Number format of the network. auto: bf16 or fp16 where this device is faster with it, "
        "else fp32.",
        choices=("auto", "fp32", "bf16", "fp16"),
    )
    black: float | None = parameter(
        None,
        "Black point",
        "Intensity that is black to the network, as is what lies below. It is measured in each "
        "plane where it is not given.",
        min=-MAX_INTENSITY,
        max=MAX_INTENSITY,
        in_form=False,
    )
    white: float | None = parameter(
        None,
        "White point",
        "Intensity that is white to the network, as is what lies above. It is measured in each "
        "plane where it is not given.",
        min=-MAX_INTENSITY,
        max=MAX_INTENSITY,
        in_form=False,
    )
    gamma: float | None = parameter(
        None,
        "Gamma",
        "Exponent of what lies between black and white; below 1 dim nuclei become brighter.",
        min=0.01,
        max=100.0,
        in_form=False,
    )

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.black is not None and self.white is not None and not self.black < self.white:
            raise UserError(
                f"`black` must be lower than `white`: they are {self.black:g} and {self.white:g}."
            )

    def fingerprint(self) -> dict[str, Any]:
        """Return what affects the result; results from before there was brightness count, too."""
        values = asdict(self)
        del values["batch"]  # the number of tiles in a batch changes nothing
        newer = ("black", "white", "gamma")
        return {name: at for name, at in values.items() if name not in newer or at is not None}


@dataclass(frozen=True)
class TrainParams:
    """Parameters of training."""

    encoder: str = parameter(
        "plain",
        "Encoder",
        "Contracting path: plain, as in the paper of the U-Net, or one of those that can start "
        "with ImageNet weights.",
        choices=("plain", "resnet34", "efficientnet_lite0"),
    )
    width: int = parameter(
        40,
        "Base width",
        "Channels of the first level of the U-Net; each level doubles them.",
        min=1,
        max=256,
    )
    depth: int = parameter(
        3,
        "Depth",
        "Number of poolings of the U-Net.",
        min=1,
        max=7,
    )
    stem: int = parameter(
        2,
        "Stem",
        "Edge of the pixel squares that the first block sees as one; 1: every pixel.",
        min=1,
        max=4,
    )
    detail: int = parameter(
        16,
        "Detail",
        "Channels of a level at full resolution around a stem of 2 or more; 0: none.",
        min=0,
        max=256,
    )
    epochs: int = parameter(
        24,
        "Epochs",
        "Rounds of training; after each the model is validated.",
        min=1,
        max=10_000,
    )
    steps: int = parameter(
        480,
        "Steps an epoch",
        "Batches in one epoch; 0: as many as it takes to see every image once.",
        min=0,
        max=100_000,
    )
    batch: int = parameter(
        12,
        "Batch",
        "Patches in one step.",
        min=1,
        max=1024,
    )
    patch: int = parameter(
        192,
        "Patch size (px)",
        "Edge length of a patch.",
        min=32,
        max=2048,
        step=16,
    )
    augment: float = parameter(
        1.0,
        "Augmentation",
        "How often, and how much, nuclei and colours of patches are changed; 0: only their places, "
        "directions and sizes.",
        min=0.0,
        max=1.0,
    )
    augment_end: float = parameter(
        0.3,
        "Augmentation at the end",
        "What augmentation falls to in the last two fifths of the training, so that the last steps "
        "see patches nearer to images as they are.",
        min=0.0,
        max=1.0,
    )
    variety: str = parameter(
        "usual",
        "Variety of patches",
        "usual: as the shipped model was trained; wide: also bright fields darker and lighter, "
        "out-of-focus light, dense crowds and micronuclei.",
        choices=("usual", "wide"),
    )
    resize: int = parameter(
        0,
        "Resize whole images to (px)",
        "Learn whole images, resized to squares of this edge and mirrored at random, instead of "
        "augmented patches; 0: patches.",
        min=0,
        max=2048,
        step=16,
    )
    goal: str = parameter(
        "nuclei",
        "Goal",
        "What the network predicts. nuclei: nucleus, border, distance to the edge, and size; "
        "mask: nucleus or not.",
        choices=("nuclei", "mask"),
    )
    normalize: str = parameter(
        "range",
        "Normalisation",
        "range: black point 0, white point 1; moments: also the training images' mean is taken "
        "off and their standard deviation divided by.",
        choices=("range", "moments"),
    )
    schedule: str = parameter(
        "cycle",
        "Schedule",
        "cycle: the learning rate rises in the first tenth and falls to zero; constant: it stays.",
        choices=("cycle", "constant"),
    )
    learning_rate: float = parameter(
        2e-3,
        "Learning rate",
        "Highest learning rate of the schedule.",
        min=1e-7,
        max=1.0,
        decimals=6,
    )
    weight_decay: float = parameter(
        1e-4,
        "Weight decay",
        "Decoupled weight decay of AdamW.",
        min=0.0,
        max=1.0,
        decimals=6,
    )
    clip: float = parameter(
        5.0,
        "Largest gradient",
        "Gradients of a larger norm are shortened to it; 0: never.",
        min=0.0,
        max=1e6,
    )
    average: float = parameter(
        0.998,
        "Averaging",
        "Share of the running average of the weights that a step keeps; 0: no averaging.",
        min=0.0,
        max=0.99999,
    )
    frozen: str = parameter(
        "nothing",
        "Frozen",
        "What stays as the model has it. encoder: the contracting path; fewer weights are learnt, "
        "faster, and less is forgotten.",
        choices=("nothing", "encoder"),
    )
    patience: int = parameter(
        0,
        "Patience",
        "Epochs without a better validation loss after which training ends; 0: never.",
        min=0,
        max=10_000,
    )
    tolerance: float = parameter(
        0.0,
        "Tolerance",
        "Of epochs whose validation loss is higher than the lowest by no more than this part, the "
        "last is kept.",
        min=0.0,
        max=1.0,
    )
    reference: float = parameter(
        0.0,
        "Reference images",
        "Share of the patches that come from the reference images of the package, so that the "
        "model does not forget other microscopes.",
        min=0.0,
        max=0.9,
    )
    margin: int = parameter(
        0,
        "Margin (px)",
        "0: what is not labelled is background. Else only so many pixels around each nucleus are, "
        "and what lies farther away is unknown and changes nothing.",
        min=0,
        max=1000,
    )
    validation: float = parameter(
        0.1,
        "Validation part",
        "Share of the field groups, or of the annotated areas, that is held back.",
        min=0.01,
        max=0.9,
    )
    precision: str = parameter(
        "auto",
        "Precision",
        "Number format of the network. auto: bf16 where this device is faster with it, else fp32.",
        choices=("auto", "fp32", "bf16"),
    )
    seed: int = parameter(
        0,
        "Seed",
        "Same seed, data and machine: same weights.",
        min=0,
        max=2**31 - 1,
    )

    def __post_init__(self) -> None:
        check_bounds(self)


# What messages may name, and what the window calls it: a control by its label, in quotes; what
# has none there in plain words.
PARAMETER_LABELS = {
    one.name: f"'{one.metadata['label'].partition(' (')[0]}'"
    for params in (SegmentParams, TrainParams)
    for one in fields(params)
} | {
    "axes": "the axis labels of the layer",
    "black": "the black point ('Brightness')",
    "channel": "'Channel'",
    "encoder_weights": "encoder weights",
    "format": "the format",
    "groups": "groups",
    "join": "'Join slices'",
    "level": "'Level'",
    "model": "'Model'",
    "overwrite": "overwrite",
    "planes": "'Planes'",
    "region": "'Region'",
    "resume": "'Resume'",
    "scene": "the image in its file",
    "scheduler": "the scheduler",
    "track": "'Link over time'",
    "white": "the white point ('Brightness')",
}


def with_changes(params: P, changes: dict[str, Any]) -> P:
    """Replace parameters by name, with checks of names and values.

    Raises
    ------
    UserError
        If a parameter does not exist, or from :func:`check_bounds`.
    """
    known = [entry.name for entry in fields(params)]
    for name in changes:
        if name not in known:
            raise UserError(f"There is no parameter '{name}': choose among {', '.join(known)}.")
    return replace(params, **changes)
