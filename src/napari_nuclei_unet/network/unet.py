"""The U-Net: contracting and expanding path, joined by skip concatenation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from ..errors import UserError
from ..progress import check_interruption
from .encoders import ENCODERS

TARGETS = ("nucleus", "border", "distance", "size")

# Pixels that go through the finest levels together on a CPU, so that their maps stay in the cache;
# and the margin in rows of the level below.
MAX_STRIP_PIXELS, STRIP_MARGIN_ROWS = 2**18, 2

# Of the fields of a configuration that are numbers: the smallest and the largest.
BOUNDS = {
    "in_channels": (1, 64), "out_channels": (1, 64), "width": (1, 1024), "depth": (1, 8),
    "stem": (1, 8), "detail": (0, 1024),
}  # fmt: skip

PaddingMode = Literal["zeros", "reflect", "replicate"]


@dataclass(frozen=True)
class UNetConfig:
    """Architecture of a :class:`UNet`.

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
        Padding mode of the 3x3 convolutions.
    stem : int
        Edge, in pixels, of the squares that are folded into channels before the first block and
        unfolded by a transposed convolution after the last; 1 folds nothing. With 2 the network
        works at half the resolution, at a quarter of the cost.
    detail : int
        Channels of an extra level at full resolution: one convolution before the folding and one
        after the unfolding, joined like any other level; 0: none. It sharpens edges that half
        the resolution blurs.
    mean, std : tuple of float
        Of each input channel: it is standardized with them; 0 and 1 by default.
    encoder : str
        ``plain``, the contracting path of the paper, or a key of ``ENCODERS``; those begin at
        half the resolution, like a stem of 2.
    """

    in_channels: int = 3
    out_channels: int = 3
    width: int = 32
    depth: int = 4
    padding: PaddingMode = "zeros"
    stem: int = 1
    detail: int = 0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    encoder: str = "plain"

    def __post_init__(self) -> None:
        for name, (least, most) in BOUNDS.items():
            value = getattr(self, name)
            if not isinstance(value, int) or not least <= value <= most:
                raise UserError(
                    f"The {name} of a network must be a whole number from {least} to {most}, it is "
                    f"{value}."
                )
        # read from the JSON of a model card, these are lists
        object.__setattr__(self, "mean", tuple(self.mean) or (0.0,) * self.in_channels)
        object.__setattr__(self, "std", tuple(self.std) or (1.0,) * self.in_channels)
        if not len(self.mean) == len(self.std) == self.in_channels or not all(self.std):
            raise UserError("A network needs a mean, and a std that is not 0, for each channel.")
        if self.encoder == "plain":
            return
        if self.encoder not in ENCODERS:
            raise UserError(f"There is no encoder '{self.encoder}': {', '.join(ENCODERS)}.")
        most = len(ENCODERS[self.encoder].channels) - 1
        if self.in_channels != 3 or self.stem != 2 or self.depth > most:
            raise UserError(
                f"The encoder {self.encoder} needs 3 channels, a stem of 2 and a depth of 1 to "
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
            return (
                up + ENCODERS[self.encoder].receptive_field(self.depth + 1) + self.divisor + detail
            )
        levels = sum(5 * 2**level for level in range(self.depth))
        return self.stem * (levels + 2 * 2**self.depth + 1) - 1 + detail

    @property
    def working_channels(self) -> float:
        """Upper estimate of the numbers that a pixel takes in the network at a time.

        On a CPU, where the finest levels are expanded in strips, the peak is at the end of the
        finest contracting level: inputs and outputs of its convolutions, and copies in the layout
        of oneDNN, 4.5 times its width as measured. A pretrained encoder is widest before.
        """
        finest = 4.5 * self.width
        if self.encoder != "plain":
            finest = max(finest, 3 * ENCODERS[self.encoder].max_channels)
        return self.in_channels + self.out_channels + finest / self.stem**2

    @property
    def halo(self) -> int:
        """The receptive field, rounded up to a multiple of the divisor, in pixels."""
        return -(-self.receptive_field // self.divisor) * self.divisor


class UNetForm(nn.Module, ABC):
    """The way of an image through a U-Net, whatever its numbers are.

    Parameters
    ----------
    config : UNetConfig
    """

    mean: Tensor
    std: Tensor
    # of the finest levels that go through together on a CPU
    max_strip_pixels = MAX_STRIP_PIXELS

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        self.is_standardized = any(config.mean) or set(config.std) != {1.0}
        for name in ("mean", "std"):
            per_channel = torch.tensor(getattr(config, name))[:, None, None]
            self.register_buffer(name, per_channel, persistent=False)

    @abstractmethod
    def _contract(self, image: Tensor) -> list[Tensor]:
        """Compute the maps of every level of the contracting path, the finest first."""

    @abstractmethod
    def _merge_level(self, level: int, skip: Tensor, x: Tensor) -> Tensor:
        """Compute one level of the expanding path."""

    @abstractmethod
    def _expand_finest(self, image: Tensor, skip: Tensor, x: Tensor) -> Tensor:
        """Compute the last level of the expanding path, and logits at full resolution."""

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
        if self.is_standardized:
            image = (image - self.mean) / self.std
        skips = self._contract(image)
        x = skips.pop()
        for level in reversed(range(1, self.config.depth)):
            x = self._merge_level(level, skips.pop(), x)
        finest = skips.pop()
        if image.device.type != "cpu" or torch.is_grad_enabled():
            return self._expand_finest(image, finest, x)
        return self._expand_finest_in_strips(image, finest, x)

    def _expand_finest_in_strips(self, image: Tensor, skip: Tensor, x: Tensor) -> Tensor:
        """Compute :meth:`_expand_finest` in strips of a few rows; only without gradients.

        These levels are the largest. Whole, they pass through main memory again and again, in
        pages that the system has to clear first; strips stay in the cache.
        """
        step, height = 2 * self.config.stem, x.shape[-2]
        rows = max(self.max_strip_pixels // (step * image.shape[-1]), 4 * STRIP_MARGIN_ROWS)
        logits = image.new_empty((image.shape[0], self.config.out_channels, *image.shape[-2:]))
        for start in range(0, height, rows):
            check_interruption()
            stop = min(start + rows, height)
            # the convolutions read a margin around a strip, or seams would show
            low, high = max(start - STRIP_MARGIN_ROWS, 0), min(stop + STRIP_MARGIN_ROWS, height)
            strip = self._expand_finest(
                image[..., step * low : step * high, :],
                skip[..., 2 * low : 2 * high, :],
                x[..., low:high, :],
            )
            core = strip[..., step * (start - low) : step * (stop - low), :]
            logits[..., step * start : step * stop, :] = core
        return logits

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


class UNet(UNetForm):
    """U-Net with batch normalisation.

    Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image
    Segmentation (MICCAI 2015), doi:10.1007/978-3-319-24574-4_28. Unlike the paper the
    convolutions are padded, so that output and input have the same size; the overlap-tile
    strategy (``arrays.tiling``) discards what padding affects.

    Parameters
    ----------
    config : UNetConfig
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        widths = [config.width * 2**level for level in range(config.depth + 1)]
        if config.encoder == "plain":
            skips = widths
            inputs = [config.in_channels * config.stem**2, *widths]
            self.down = nn.ModuleList(
                _double_conv(a, b, config.padding) for a, b in zip(inputs, widths, strict=False)
            )
            self.pool = nn.MaxPool2d(2)
            self.fold = nn.PixelUnshuffle(config.stem)
        else:
            kind = ENCODERS[config.encoder]
            skips = list(kind.channels[: config.depth + 1])
            self.encoder = kind.encoder_class(config.depth + 1)
        below = [*widths[1:-1], skips[-1]]
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(b, w, 2, stride=2) for b, w in zip(below, widths, strict=False)
        )
        self.merge = nn.ModuleList(
            _double_conv(s + w, w, config.padding) for s, w in zip(skips, widths[:-1], strict=False)
        )
        unfolded = config.detail or config.out_channels
        self.head = nn.ConvTranspose2d(widths[0], unfolded, config.stem, stride=config.stem)
        if config.detail:
            self.detail = _conv_bn_relu(config.in_channels, config.detail, config.padding)
            self.draw = nn.Sequential(
                *_conv_bn_relu(2 * config.detail, config.detail, config.padding),
                nn.Conv2d(config.detail, config.out_channels, 1),
            )

    def _contract(self, image: Tensor) -> list[Tensor]:
        if self.config.encoder != "plain":
            return cast(list[Tensor], self.encoder(image))
        maps = [self.down[0](self.fold(image))]
        for block in self.down[1:]:
            maps.append(block(self.pool(maps[-1])))
        return maps

    def _merge_level(self, level: int, skip: Tensor, x: Tensor) -> Tensor:
        return cast(Tensor, self.merge[level](torch.cat([skip, self.up[level](x)], dim=1)))

    def _expand_finest(self, image: Tensor, skip: Tensor, x: Tensor) -> Tensor:
        x = self.head(self._merge_level(0, skip, x))
        if not self.config.detail:
            return x
        return cast(Tensor, self.draw(torch.cat([self.detail(image), x], dim=1)))


def _double_conv(inputs: int, outputs: int, padding: PaddingMode) -> nn.Sequential:
    first, second = (_conv_bn_relu(n, outputs, padding) for n in (inputs, outputs))
    return nn.Sequential(*first, *second)


def _conv_bn_relu(inputs: int, outputs: int, padding: PaddingMode) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode=padding, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
