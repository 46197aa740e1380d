"""Batch normalisation over the global batch, however many ranks share it out.

Rule 1: one rank normalises as PyTorch does, bit for bit.
Rule 2: several ranks normalise by what all samples that count have together (Ioffe and Szegedy 2015). Each rank
        computes mean and squared deviations of its own samples; all ranks join them in the same way (Chan, Golub and
        LeVeque 1983), on CPUs and GPUs alike. PyTorch's SyncBatchNorm is for GPUs alone, and would
        count the sample that a rank gets where none is left for it.
Rule 3: nothing is read back from the device.
"""

from typing import Any, cast

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from unetsweep.training.ranks import of_each


class BatchNorm(nn.BatchNorm2d):
    """`nn.BatchNorm2d` whose statistics in training are those of all ranks' samples together."""

    def forward(self, x: Tensor, count: Tensor | None = None) -> Tensor:
        """Normalised N x C x H x W. `count`: 0 where this rank's samples are a filler of weight 0, else N (None: N).

        With several ranks every rank must call it.
        """
        if not (self.training and distributed.is_initialized() and distributed.get_world_size() > 1):
            return super().forward(x)
        whole = torch.full((), len(x), device=x.device) if count is None else count
        mean, variance, values = joined(x.detach(), whole)
        self._remember(mean, variance * (values / (values - 1)))
        kind = self.weight.dtype
        statistics = (mean.to(kind), variance.to(kind), whole, values)
        return cast(Tensor, _Normalise.apply(x, self.weight, self.bias, *statistics, self.eps))  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics, as PyTorch does, which takes the unbiased variance for them."""
        for running, new in ((self.running_mean, mean), (self.running_var, variance)):
            cast(Tensor, running).lerp_(new.to(self.weight), cast(float, self.momentum))
        cast(Tensor, self.num_batches_tracked).add_(1)


def joined(x: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance of each channel over the samples of all ranks that count, and how many values they have.

    float64, C and C and one number. `x` is N x C x H x W.
    """
    exact = x if x.dtype == torch.float64 else x.float()
    mean, variance = torch.batch_norm_update_stats(exact, None, None, 0.0)  # four times as fast as var_mean on a CPU
    values = (count * (x.shape[2] * x.shape[3])).double()
    own = torch.cat([mean.double(), variance.double() * values, values[None]])
    every = of_each(own)
    means, squares = every[:, :-1].chunk(2, dim=1)
    sizes = every[:, -1:]
    total = sizes.sum()
    mean = (means * sizes).sum(0) / total
    return mean, (squares + sizes * (means - mean) ** 2).sum(0) / total, total


class _Normalise(torch.autograd.Function):
    """Normalise by given statistics that are themselves functions of every rank's x."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        count: Tensor,
        values: Tensor,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, variance, count, values)
        ctx.eps = eps
        return F.batch_norm(x, mean, variance, weight, bias, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Of the loss by x, weight and bias.

        With n values, deviations d = (x - mean) / sd and g the gradient by the output, the gradient by x is
        weight / sd * (g - sum(g) / n - d * sum(g * d) / n), where the sums are over all ranks. PyTorch's own
        backward step with fixed statistics gives its first term and this rank's sums.
        """
        x, weight, mean, variance, count, values = ctx.saved_tensors
        unsaved = mean.new_empty(0)  # not None: on a GPU, channels_last would then be refused
        first, by_weight, by_bias = torch.ops.aten.native_batch_norm_backward(
            gradient.contiguous(), x, weight, mean, variance, unsaved, unsaved, False, ctx.eps, [True, True, True]
        )
        of_weight, of_bias = (of_each(torch.cat([by_weight, by_bias]).double()).sum(0) / values).chunk(2)
        scale = -weight / torch.sqrt(variance + ctx.eps) * (count > 0)
        second = F.batch_norm(x, mean, variance, scale * of_weight.to(weight), scale * of_bias.to(weight), eps=ctx.eps)
        return first.add_(second), by_weight, by_bias, None, None, None, None, None
