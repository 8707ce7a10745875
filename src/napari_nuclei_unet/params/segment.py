"""Parameters of segmentation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..errors import UserError
from ..fields import check_bounds, parameter

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
        "Typical diameter of the nuclei. auto: measured in the image. Images with very small or "
        "very large nuclei are enlarged or reduced for the network.",
        min=1.0,
        max=5000.0,
        step=1.0,
    )
    threshold: float | None = parameter(
        None,
        "Sensitivity",
        "How sure the network must be that a pixel belongs to a nucleus. A lower value finds more "
        "nuclei, and draws them larger.",
        min=0.01,
        max=0.99,
        step=0.01,
        inverted_help="A higher value finds more nuclei, and draws them larger. It is 1 minus the "
        "threshold: how sure the network must be that a pixel belongs to a nucleus.",
    )
    separation: float | None = parameter(
        None,
        "Split touching nuclei",
        "How readily touching nuclei are split. A higher value splits more, and may cut one "
        "nucleus in two.",
        min=0.01,
        max=0.99,
        step=0.01,
    )
    confidence: float | None = parameter(
        None,
        "Leave out doubtful",
        "How sure the network must be of a nucleus as a whole. A higher value leaves out more "
        "doubtful nuclei; below 0.6 nothing changes.",
        min=0.0,
        max=0.99,
        step=0.01,
        slider_min=0.6,
    )
    minimum_area: int | None = parameter(
        None,
        "Smallest area (px)",
        "Nuclei with fewer pixels are left out. In the window, 0 is the value of the model.",
        min=1,
        max=1_000_000,
        step=1,
        slider=500,
    )
    leave_out_fragments: bool = parameter(
        True,
        "Leave out micronuclei and fragments",
        "Leave out objects with less than a tenth of the area of a typical nucleus, unless the "
        "edge of the image cuts them. Has no effect on volumes.",
    )
    tile: int = parameter(
        0,
        "Tile size (px, 0: auto)",
        "Edge of the tiles that go through the network, without their overlap. "
        "0: chosen from the free memory. It does not change the result.",
        min=0,
        max=16_384,
        step=16,
    )
    batch: int = parameter(
        0,
        "Tiles at a time (0: auto)",
        "How many tiles go through the network at once. 0: chosen for the device.",
        min=0,
        max=256,
        step=1,
    )
    precision: str = parameter(
        "auto",
        "Precision",
        "Number format of the network. auto: 8 bits (int8) or 16 (bf16, fp16) where this device is "
        "faster with them and the model is prepared for them, else fp32.",
        choices=("auto", "fp32", "bf16", "fp16", "int8"),
    )
    average_orientations: bool = parameter(
        False,
        "Average eight orientations",
        "Show the network each image rotated and mirrored, too, and average what it predicts "
        "(test-time augmentation). The result depends less on how the image lies, in up to eight "
        "times the time.",
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
        """Return what affects the result, as in earlier versions where nothing newer is set."""
        values = asdict(self)
        del values["batch"]  # the number of tiles in a batch changes nothing
        newer = {
            "black": None, "white": None, "gamma": None, "leave_out_fragments": False,
            "average_orientations": False,
        }  # fmt: skip
        return {name: at for name, at in values.items() if name not in newer or at != newer[name]}
