"""Parameters of training."""

from __future__ import annotations

from dataclasses import dataclass

from ..fields import check_bounds, parameter


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
    paste: str = parameter(
        "nothing",
        "Pasted nuclei",
        "Fill some patches with their own nuclei, pasted one by one until they touch everywhere. "
        "plain: as they are; texture, lobes, mitoses or focus: some of them changed in that way; "
        "all: in all these ways.",
        choices=("nothing", "plain", "texture", "lobes", "mitoses", "focus", "all"),
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
    validation_nuclei: int = parameter(
        10,
        "Validation nuclei, at least",
        "More than the validation part is used where that has fewer nuclei, up to half of all, "
        "and whole images where there are three or more; 0: the part alone decides.",
        min=0,
        max=1_000_000,
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
