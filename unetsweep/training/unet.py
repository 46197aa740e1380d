"""The U-Net of Ronneberger, Fischer and Brox (2015), from scratch.

Rule 1: `UNet.convolve` is the network of the paper; `UNet.forward` makes its output as large as the input.
Rule 2: an output pixel is about the same place as the pixel of the input that has its position.
Rule 3: only the input is mirrored, which needs no gradient, so mirroring is deterministic on a GPU too.
"""

from typing import cast

import torch
from torch import Tensor, nn

from unetsweep.contract import ModelConfig
from unetsweep.training.batch_norm import BatchNorm


class UNet(nn.Module):
    """Contracting path, bottleneck, expanding path, 1x1 convolution to the classes.

    Each level has two 3x3 convolutions with ReLU. Going down, 2x2 max pooling, then twice the channels; going up, a
    transposed convolution to half the channels, concatenated with the centre crop of the skip connection.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.base * 2**level for level in range(config.depth + 1)]
        inputs = [config.in_channels, *widths]
        self.down = nn.ModuleList(Convolutions(inputs[i], widths[i], config) for i in range(config.depth))
        self.bottleneck = Convolutions(inputs[-2], widths[-1], config)
        if config.dropout:
            self.bottleneck.append(nn.Dropout(config.dropout))
        self.pool = nn.MaxPool2d(2)
        self.raise_ = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in reversed(widths[:-1]))
        self.up = nn.ModuleList(Convolutions(2 * w, w, config) for w in reversed(widths[:-1]))
        self.classify = nn.Conv2d(config.base, config.classes, 1)
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu")  # He et al. 2015, as in the paper
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def convolve(self, x: Tensor, count: Tensor | None = None) -> Tensor:
        """Logits at the convolutions' output size: with `valid` and depth 4, 572 x 572 gives 388 x 388."""
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
        """Concatenate the centre crop of the skip connection with `x`: N x 2W x h x w for `x` of N x W x h x w."""
        return torch.cat([centre(skip, x.shape[-2], x.shape[-1]), x], dim=1)

    def forward(self, x: Tensor, count: Tensor | None = None) -> Tensor:
        """N x C x H x W logits of N x `in_channels` x H x W images; with one class a positive logit means vessel.

        `count`: 0 if the only sample is a filler of weight 0, which batch normalisation leaves out, else N
        (None: N).

        The input of `valid` convolutions is mirrored at its border, as in figure 2 of the paper, so that every pixel
        has an output. Their output is a few pixels larger than the image (516 for 512 at depth 4) and has the spacing
        of its pixels, so each pixel of the mask has its centre at that of an output pixel. An interpolation at these
        centres, bilinear or nearest, returns these pixels: it crops. So `output_resize` changes nothing. To shrink the
        516 pixels to 512 instead would move vessels by up to two pixels from their places in the mask.
        """
        height, width = x.shape[-2:]
        if self.config.padding == "same":
            step = 2**self.config.depth
            more = [-height % step, -width % step]
        else:
            more = [valid_input(size, self.config.depth) - size for size in (height, width)]
        return centre(self.convolve(mirror(x, *more), count), height, width)


class Convolutions(nn.Sequential):
    """Two times 3x3 convolution, batch normalisation (with `norm: batch`) and ReLU."""

    def __init__(self, inputs: int, width: int, config: ModelConfig) -> None:
        super().__init__()
        for channels in (inputs, width):
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
    """Probabilities of N x C x H x W logits: sigmoid for one class, else softmax over the channels."""
    return torch.sigmoid(logits) if logits.shape[1] == 1 else torch.softmax(logits, dim=1)


def centre(x: Tensor, height: int, width: int) -> Tensor:
    """Crop the last two dimensions to their centre; an odd difference cuts one more pixel at the right and bottom."""
    top, left = (x.shape[-2] - height) // 2, (x.shape[-1] - width) // 2
    return x[..., top : top + height, left : left + width]


def mirror(x: Tensor, rows: int, columns: int) -> Tensor:
    """Add `rows` and `columns` pixels, half on each side, mirrored at the border without repeating it.

    Like `numpy.pad(mode="reflect")`, also for more pixels than the image has.
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
    """Side length of the output of `valid` convolutions; 0 or less if the input is too small.

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
    """Side length of the smallest input that pools evenly and has a `valid` output of at least `size`.

    >>> valid_input(388, 4), valid_input(387, 4), valid_input(512, 4)
    (572, 572, 700)
    """
    for _ in range(depth):
        size = -(-(size + 4) // 2)
    size += 4
    for _ in range(depth):
        size = 2 * size + 4
    return size
