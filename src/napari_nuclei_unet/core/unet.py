"""The U-Net: contracting and expanding path, joined by skip concatenation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_nuclei_unet.core.encoders import ENCODERS
from napari_nuclei_unet.errors import UserError

Padding = Literal["zeros", "reflect", "replicate"]


@dataclass(frozen=True)
class UNetConfig:
    """Shape of a :class:`UNet`.

    Attributes
    ----------
    in_channels : int
        Channels of the input image, at least 1.
    out_channels : int
        Number of predicted maps, at least 1.
    width : int
        Channels after the first block; every pooling doubles them.
    depth : int
        Number of poolings N; height and width of an input must be divisible by 2**N.
    padding : {"zeros", "reflect", "replicate"}
        What the 3x3 convolutions see beyond the edge of their input.
    stem : int
        Edge length, in pixels, of the squares that are folded into channels before the first
        block and unfolded by a transposed convolution after the last; 1 folds nothing. With 2
        the network works at half the resolution, at a quarter of the cost.
    detail : int
        Channels of a level of its own at full resolution: one convolution before the folding
        and one after the unfolding, joined like any other level; 0: none. It draws the edges
        that half a resolution blurs.
    mean, std : tuple of float
        Of each input channel: taken off, and divided by, before the first block; 0 and 1
        without.
    encoder : str
        ``plain``, the contracting path of the paper, or a key of ``core.encoders.ENCODERS``;
        those begin at half the resolution, like a stem of 2.
    """

    in_channels: int = 3
    out_channels: int = 3
    width: int = 32
    depth: int = 4
    padding: Padding = "zeros"
    stem: int = 1
    detail: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    encoder: str = "plain"

    def __post_init__(self) -> None:
        # JSON, in which a model's card keeps this, gives lists
        object.__setattr__(self, "mean", tuple(self.mean) or (0.0,) * self.in_channels)
        object.__setattr__(self, "std", tuple(self.std) or (1.0,) * self.in_channels)
        if self.encoder == "plain":
            return
        if self.encoder not in ENCODERS:
            raise UserError(f"There is no encoder '{self.encoder}': {', '.join(ENCODERS)}.")
        most = len(ENCODERS[self.encoder].channels) - 1
        if self.in_channels != 3 or self.stem != 2 or self.depth > most:
            raise UserError(
                f"The encoder {self.encoder} takes 3 channels, a stem of 2, and a depth of 1 to "
                f"{most}; these are {self.in_channels}, {self.stem} and {self.depth}."
            )

    @property
    def divisor(self) -> int:
        """Height and width of an input must be multiples of this many pixels."""
        return self.stem * 2**self.depth

    @property
    def receptive_field(self) -> int:
        """How far, in pixels, an output pixel looks in every direction, at most.

        A level ``l`` works on pixels of size 2**l. It has two 3x3 convolutions on the way
        down and two on the way up, each reaching one such pixel further; the pooling below
        it reaches one pixel of that level more. Folding by the stem multiplies all of it.
        """
        detail = 1 if self.detail else 0
        if self.encoder != "plain":
            up = sum(2 * 2 ** (level + 1) for level in range(self.depth))
            return up + ENCODERS[self.encoder].reach(self.depth + 1) + self.divisor + detail
        levels = sum(5 * 2**level for level in range(self.depth))
        return self.stem * (levels + 2 * 2**self.depth + 1) - 1 + detail

    @property
    def working_channels(self) -> float:
        """Upper estimate of the numbers that a pixel takes on its way through the network.

        The finest level holds at most its skip connection, the upsampled maps, both joined, and
        the result of a convolution: five times its width. A pretrained encoder is widest before.
        The level of detail holds both joined, and the result.
        """
        finest = 5 * self.width
        if self.encoder != "plain":
            finest = max(finest, 3 * ENCODERS[self.encoder].widest)
        folded = self.stem**2
        detail = 3 * self.detail + self.width / folded
        return self.in_channels + self.out_channels + max(finest / folded, detail)

    @property
    def halo(self) -> int:
        """The receptive field, rounded up to a multiple of the divisor, in pixels."""
        return -(-self.receptive_field // self.divisor) * self.divisor


class UNet(nn.Module):
    """U-Net with batch normalisation.

    Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image
    Segmentation (MICCAI 2015), doi:10.1007/978-3-319-24574-4_28. Unlike the paper the
    convolutions are padded, so that output and input have one size; the overlap-tile
    strategy (``core.tiles``) discards what padding has touched.

    Parameters
    ----------
    config : UNetConfig
        Channels, width, depth and padding.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.shifted = any(config.mean) or set(config.std) != {1.0}
        self.register_buffer("mean", _per_channel(config.mean), persistent=False)
        self.register_buffer("std", _per_channel(config.std), persistent=False)
        widths = [config.width * 2**level for level in range(config.depth + 1)]
        if config.encoder == "plain":
            skips = widths
            inputs = [config.in_channels * config.stem**2, *widths]
            self.down = nn.ModuleList(
                _block(a, b, config.padding) for a, b in zip(inputs, widths, strict=False)
            )
            self.pool = nn.MaxPool2d(2)
            self.fold = nn.PixelUnshuffle(config.stem)
        else:
            kind = ENCODERS[config.encoder]
            skips = list(kind.channels[: config.depth + 1])
            self.encoder = kind.make(config.depth + 1)
        below = [*widths[1:-1], skips[-1]]
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(b, w, 2, stride=2) for b, w in zip(below, widths, strict=False)
        )
        self.merge = nn.ModuleList(
            _block(s + w, w, config.padding) for s, w in zip(skips, widths[:-1], strict=False)
        )
        unfolded = config.detail or config.out_channels
        self.head = nn.ConvTranspose2d(widths[0], unfolded, config.stem, stride=config.stem)
        if config.detail:
            self.detail = _convolution(config.in_channels, config.detail, config.padding)
            self.draw = nn.Sequential(
                *_convolution(2 * config.detail, config.detail, config.padding),
                nn.Conv2d(config.detail, config.out_channels, 1),
            )

    def forward(self, image: Tensor) -> Tensor:
        """Predict one logit per pixel and output channel.

        Parameters
        ----------
        image : Tensor, shape (N, in_channels, H, W), floating
            Normalised images; H and W are divisible by ``config.divisor``.

        Returns
        -------
        Tensor, shape (N, out_channels, H, W)
            Logits, unbounded.

        Raises
        ------
        UserError
            If the channels or the size do not fit.
        """
        self._check(image)
        if self.shifted:
            image = (image - self.mean) / self.std
        skips = self._contract(image)
        x = skips.pop()
        for level in reversed(range(self.config.depth)):
            x = self.merge[level](torch.cat([skips.pop(), self.up[level](x)], dim=1))
        return self.draw(self._unfolded(image, x)) if self.config.detail else self.head(x)

    def _unfolded(self, image: Tensor, x: Tensor) -> Tensor:
        """Join the level at full resolution with what was unfolded.

        That takes most memory of all. Without gradients, the one is given back before the other
        is made.
        """
        if torch.is_grad_enabled():
            return torch.cat([self.detail(image), self.head(x)], dim=1)
        part = self.detail(image)
        n, channels, height, width = part.shape
        both: Tensor = part.new_empty((n, height, width, 2 * channels)).permute(0, 3, 1, 2)
        both[:, :channels] = part
        del part
        both[:, channels:] = self.head(x)
        return both

    def _contract(self, image: Tensor) -> list[Tensor]:
        """Go down the contracting path; the maps of every level, the finest first."""
        if self.config.encoder != "plain":
            return cast(list[Tensor], self.encoder(image))
        maps = [self.down[0](self.fold(image))]
        for block in self.down[1:]:
            maps.append(block(self.pool(maps[-1])))
        return maps

    def _check(self, image: Tensor) -> None:
        channels, height, width = image.shape[-3:]
        if channels != self.config.in_channels:
            raise UserError(
                f"This model takes {self.config.in_channels} channel(s), the image has {channels}."
            )
        if height % self.config.divisor or width % self.config.divisor:
            raise UserError(
                f"Height and width must be divisible by {self.config.divisor} for this U-Net of "
                f"{self.config.depth} poolings; this input is {height} x {width}."
            )


def _per_channel(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values)[:, None, None]


def fused(network: UNet) -> UNet:
    """Fold the batch normalisations of an evaluated network into its convolutions.

    The predictions stay the same to rounding, with a third fewer passes over memory.

    Parameters
    ----------
    network : UNet
        Is put into evaluation mode and changed in place.

    Returns
    -------
    UNet
        The same object.
    """
    network.eval()
    for block in [m for m in network.modules() if isinstance(m, nn.Sequential)]:
        for i in range(len(block) - 1):
            first, second = block[i], block[i + 1]
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                block[i] = fuse_conv_bn_eval(first, second)
                block[i + 1] = nn.Identity()
    return channels_last(network)


def channels_last(network: UNet) -> UNet:
    """Store weights as CPUs and tensor cores want them; changed in place and returned."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _block(inputs: int, outputs: int, padding: Padding) -> nn.Sequential:
    first, second = (_convolution(n, outputs, padding) for n in (inputs, outputs))
    return nn.Sequential(*first, *second)


def _convolution(inputs: int, outputs: int, padding: Padding) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode=padding, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
