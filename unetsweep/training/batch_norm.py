"""Batch normalisation over the global batch, for any number of ranks.

Rule 1: one rank normalises as PyTorch does, bit for bit.
Rule 2: several ranks normalise with the statistics of all samples that count (Ioffe and Szegedy 2015). Each rank
        computes mean and squared deviations of its own samples, and all ranks combine them in the same way (Chan,
        Golub and LeVeque 1983), on CPUs and GPUs. PyTorch's SyncBatchNorm runs on GPUs only, and would count
        the filler sample of a rank for which none is left.
Rule 3: nothing is read back from the device.
"""

from typing import Any, cast

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from unetsweep.training.ranks import gather_all


class BatchNorm(nn.BatchNorm2d):
    """`nn.BatchNorm2d` with the statistics of all ranks' samples in training."""

    def forward(self, x: Tensor, count: Tensor | None = None) -> Tensor:
        """Normalise N x C x H x W. `count`: 0 if this rank's only sample is a filler of weight 0, else N (None: N).

        With several ranks every rank must call it.
        """
        if not (self.training and distributed.is_initialized() and distributed.get_world_size() > 1):
            return super().forward(x)
        whole = torch.full((), len(x), device=x.device) if count is None else count
        mean, variance, values = global_statistics(x.detach(), whole)
        self._update_running(mean, variance * (values / (values - 1)))
        dtype = self.weight.dtype
        statistics = (mean.to(dtype), variance.to(dtype), whole, values)
        return cast(Tensor, _Normalise.apply(x, self.weight, self.bias, *statistics, self.eps))  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def _update_running(self, mean: Tensor, variance: Tensor) -> None:
        """Update the running statistics as PyTorch does, with the unbiased variance."""
        for running, new in ((self.running_mean, mean), (self.running_var, variance)):
            cast(Tensor, running).lerp_(new.to(self.weight), cast(float, self.momentum))
        cast(Tensor, self.num_batches_tracked).add_(1)


def global_statistics(x: Tensor, count: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance per channel over all ranks' samples that count, and the number of values in each channel.

    float64, of shapes C, C and (). `x` is N x C x H x W.
    """
    exact = x if x.dtype == torch.float64 else x.float()
    mean, variance = torch.batch_norm_update_stats(exact, None, None, 0.0)  # four times as fast as var_mean on a CPU
    values = (count * (x.shape[2] * x.shape[3])).double()
    own = torch.cat([mean.double(), variance.double() * values, values[None]])
    every = gather_all(own)
    means, squares = every[:, :-1].chunk(2, dim=1)
    sizes = every[:, -1:]
    total = sizes.sum()
    mean = (means * sizes).sum(0) / total
    return mean, (squares + sizes * (means - mean) ** 2).sum(0) / total, total


class _Normalise(torch.autograd.Function):
    """Normalise with given statistics, and differentiate through them: they depend on every rank's x."""

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
        """The gradients with respect to x, weight and bias.

        With n values, deviations d = (x - mean) / sd and the output's gradient g, the gradient of x is
        weight / sd * (g - sum(g) / n - d * sum(g * d) / n), with sums over all ranks. PyTorch's own backward
        pass with fixed statistics returns the first term and this rank's sums.
        """
        x, weight, mean, variance, count, values = ctx.saved_tensors
        unsaved = mean.new_empty(0)  # with None, channels_last would be refused on a GPU
        first, by_weight, by_bias = torch.ops.aten.native_batch_norm_backward(
            gradient.contiguous(), x, weight, mean, variance, unsaved, unsaved, False, ctx.eps, [True, True, True]
        )
        of_weight, of_bias = (gather_all(torch.cat([by_weight, by_bias]).double()).sum(0) / values).chunk(2)
        scale = -weight / torch.sqrt(variance + ctx.eps) * (count > 0)
        second = F.batch_norm(x, mean, variance, scale * of_weight.to(weight), scale * of_bias.to(weight), eps=ctx.eps)
        return first.add_(second), by_weight, by_bias, None, None, None, None, None
