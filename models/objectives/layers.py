"""Heads that objectives put on a student: projections, and a temperature that is learned."""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


class BatchStatistics(nn.Module):
    """Batch normalisation by the batch at hand alone (Ioffe and Szegedy 2015): it keeps no running state.

    x: (B, width). Without running averages the loss is a function of weights and batch, in training and in evaluation.
    """

    def __init__(self, width: int, affine: bool = True, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(width)) if affine else None
        self.bias = nn.Parameter(torch.zeros(width)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        return functional.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.epsilon)


Norm = Literal["batch", "layer", "none"]


def _norm(kind: Norm, width: int) -> list[nn.Module]:
    if kind == "none":
        return []
    return [BatchStatistics(width) if kind == "batch" else nn.LayerNorm(width)]


def projection(width: int, hidden: int, outputs: int, layers: int, norm: Norm = "none") -> nn.Module:
    """Linear maps with ReLU between: `width` → `hidden` … → `outputs`; `layers` of them, 0 for the identity.

    Each hidden layer is normalised before its ReLU as `norm` says; then it needs no bias. The last layer is plain.
    """
    if layers == 0:
        return nn.Identity()
    steps: list[nn.Module] = []
    for _ in range(layers - 1):
        steps += [nn.Linear(width, hidden, bias=norm == "none"), *_norm(norm, hidden), nn.ReLU()]
        width = hidden
    return nn.Sequential(*steps, nn.Linear(width, outputs))


class PrototypeHead(nn.Module):
    """Three linear maps with GELU between, scaled to length 1, and cosines with prototypes: (B, W) → (B, K).

    With a `norm` each hidden layer is normalised before its GELU, and has no bias of its own.
    """

    def __init__(self, width: int, hidden: int, bottleneck: int, prototypes: int, norm: Norm = "none") -> None:
        super().__init__()
        steps: list[nn.Module] = []
        for inputs in (width, hidden):
            steps += [nn.Linear(inputs, hidden, bias=norm == "none"), *_norm(norm, hidden), nn.GELU()]
        self.layers = nn.Sequential(*steps, nn.Linear(hidden, bottleneck))
        self.prototypes = nn.Parameter(torch.randn(prototypes, bottleneck))

    def forward(self, embedded_BW: Tensor) -> Tensor:
        directions = functional.normalize(self.layers(embedded_BW).float())
        return directions @ functional.normalize(self.prototypes).to(directions.dtype).T


class _NotAbove(torch.autograd.Function):
    """min(x, most), with a gradient of 0 only where a descent step would leave the allowed range still further."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, most: float) -> Tensor:
        ctx.save_for_backward(x >= most)
        return x.clamp(max=most)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        (at_bound,) = ctx.saved_tensors
        return torch.where(at_bound & (slope < 0), torch.zeros_like(slope), slope), None


class LearnedScale(nn.Module):
    """The factor of similarities, 1 / temperature, learned by its logarithm and never above `largest`.

    CLIP (Radford et al. 2021, arXiv:2103.00020, section 2.5) begins at 1 / 0.07 and clips to 100 after each step. Here
    the forward clips, so that the trainer needs to know nothing of it.
    """

    def __init__(self, temperature: float, largest: float, learned: bool = True) -> None:
        super().__init__()
        self.largest = largest
        self.logarithm = nn.Parameter(torch.tensor(-math.log(temperature)), requires_grad=learned)

    def forward(self) -> Tensor:
        """The factor, a float32 scalar."""
        return _NotAbove.apply(self.logarithm, math.log(self.largest)).exp()
