"""The U-Net of Ronneberger, Fischer and Brox (2015), from scratch.

Rule 1: `UNet.convolve` is the network of the paper; `UNet.forward` brings its output to the input's size.
Rule 2: mirroring touches the input only, which needs no gradient, so it is deterministic on a GPU too.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unetsweep.contract import ModelConfig
from unetsweep.training.batch_norm import BatchNorm


class UNet(nn.Module):
    """Contracting path, bottleneck, expanding path, 1x1 convolution to the classes.

    Two 3x3 convolutions with ReLU a level; 2x2 max pooling down, channels doubled; transposed
    convolution up, channels halved, joined with the skip connection cut to its centre.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.base * 2**level for level in range(config.depth + 1)]
        entries = [config.in_channels, *widths]
        self.down = nn.ModuleList(Convolutions(entries[i], widths[i], config) for i in range(config.depth))
        self.bottleneck = Convolutions(entries[-2], widths[-1], config)
        if config.dropout:
            self.bottleneck.append(nn.Dropout(config.dropout))
        self.pool = nn.MaxPool2d(2)
        self.raise_ = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in reversed(widths[:-1]))
        self.up = nn.ModuleList(Convolutions(2 * w, w, config) for w in reversed(widths[:-1]))
        self.classify = nn.Conv2d(config.base, config.classes, 1)
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu")  # He et al. 2015, as the paper asks
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def convolve(self, x: Tensor, count: Tensor | None = None) -> Tensor:
        """Logits as the convolutions leave them: N x 3 x 572 x 572 gives N x C x 388 x 388 with `valid`, depth 4."""
        skips: list[Tensor] = []
        for level in self.down:
            x = level(x, count)
            skips.append(x)
            x = self.pool(x)
        x = self.bottleneck(x, count)
        for raise_, level in zip(self.raise_, self.up, strict=True):
            x = level(self.join(skips.pop(), raise_(x)), count)
        return cast(Tensor, self.classify(x))

    @staticmethod
    def join(skip: Tensor, x: Tensor) -> Tensor:
        """The skip connection, cut to the centre, and then `x`: N x 2W x h x w, as `x` is N x W x h x w."""
        return torch.cat([centre(skip, x.shape[-2], x.shape[-1]), x], dim=1)

    def forward(self, x: Tensor, count: Tensor | None = None) -> Tensor:
        """Logits, N x C x H x W, of N x `in_channels` x H x W; a positive logit of one class is vessel.

        `count`: 0 where the samples are a filler of weight 0, which batch normalisation leaves out, else N (None: N).
        Raises ValueError where `valid` convolutions without mirroring leave nothing of so small an image.
        """
        height, width = x.shape[-2:]
        if self.config.padding == "same":
            step = 2**self.config.depth
            out = self.convolve(mirror(x, -height % step, -width % step), count)
            return centre(out, height, width)
        if self.config.output_resize == "none":
            depth = self.config.depth
            more = [valid_input(size, depth) - size for size in (height, width)]
            return centre(self.convolve(mirror(x, *more), count), height, width)
        least = valid_input(1, self.config.depth)
        if min(height, width) < least:
            raise ValueError(
                f"images of {width}x{height} are too small for valid convolutions at depth {self.config.depth}; "
                f"use at least {least} pixels a side, output_resize: none, or padding: same"
            )
        mode = self.config.output_resize
        aligned = {} if mode == "nearest" else {"align_corners": False}
        return F.interpolate(self.convolve(x, count), size=(height, width), mode=mode, **aligned)


class Convolutions(nn.Sequential):
    """Twice 3x3 convolution, batch normalisation where asked for, ReLU."""

    def __init__(self, entry: int, width: int, config: ModelConfig) -> None:
        super().__init__()
        for channels in (entry, width):
            plain = config.norm == "none"
            self.append(nn.Conv2d(channels, width, 3, padding=1 if config.padding == "same" else 0, bias=plain))
            if not plain:
                self.append(BatchNorm(width))
            self.append(nn.ReLU(inplace=True))

    def forward(self, x: Tensor, count: Tensor | None = None) -> Tensor:
        for layer in self:
            x = layer(x, count) if isinstance(layer, BatchNorm) else layer(x)
        return x


def probabilities(logits: Tensor) -> Tensor:
    """Of N x C x H x W logits: sigmoid for one class, else softmax over the channels (their sum is 1)."""
    return torch.sigmoid(logits) if logits.shape[1] == 1 else torch.softmax(logits, dim=1)


def centre(x: Tensor, height: int, width: int) -> Tensor:
    """The middle height x width of the last two dimensions; an odd rest is left at the right and below."""
    top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
    return x[..., top : top + height, left : left + width]


def mirror(x: Tensor, rows: int, columns: int) -> Tensor:
    """`rows` and `columns` more pixels, half on each side, mirrored at the border without repeating it.

    As `numpy.pad(mode="reflect")`, for any number: also where it is more than the image itself.
    """
    for dim, more in ((-2, rows), (-1, columns)):
        if more:
            size = x.shape[dim]
            at = torch.arange(-(more // 2), size + more - more // 2, device=x.device)
            period = max(2 * (size - 1), 1)
            at = at.remainder(period)
            x = x.index_select(dim, torch.minimum(at, period - at) if size > 1 else torch.zeros_like(at))
    return x


def valid_output(size: int, depth: int) -> int:
    """Side of the output of `valid` convolutions, 0 or less where nothing is left.

    >>> valid_output(572, 4), valid_output(512, 4)
    (388, 324)
    """
    for _ in range(depth):
        size = (size - 4) // 2
    size -= 4
    for _ in range(depth):
        size = 2 * size - 4
    return size


def valid_input(size: int, depth: int) -> int:
    """Smallest input that pools evenly and whose `valid` output is at least `size`.

    >>> valid_input(388, 4), valid_input(387, 4), valid_input(512, 4)
    (572, 572, 700)
    """
    for _ in range(depth):
        size = -(-(size + 4) // 2)
    size += 4
    for _ in range(depth):
        size = 2 * size + 4
    return size
