"""Cross-entropy of a linear output layer without ever holding all its logits.

With a vocabulary of 32,000 the logits of 8,192 tokens take 1 GB, their gradient another. Rows are taken in chunks that
fit a processor's cache; each chunk's gradient is formed at once, while its logits are at hand, so that nothing is kept
and nothing computed twice (the idea of Liger Kernel's fused linear cross-entropy, Hsu et al. 2024, arXiv:2410.10989).

Shapes: N rows, W width, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK_ELEMENTS = 1 << 22  # logits held at a time: 16 MiB in float32


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden_NW: Tensor, weight_VW: Tensor, targets_N: Tensor, gradients: bool) -> Tensor:
        total = torch.zeros((), dtype=torch.float32, device=hidden_NW.device)
        hidden_gradient = torch.empty_like(hidden_NW) if gradients else None
        weight_gradient = torch.zeros_like(weight_VW, dtype=torch.float32) if gradients else None
        rows = max(1, CHUNK_ELEMENTS // weight_VW.shape[0])
        for start in range(0, len(targets_N), rows):
            hidden, targets = hidden_NW[start : start + rows], targets_N[start : start + rows, None]
            logits = (hidden @ weight_VW.T).float()
            normaliser = logits.logsumexp(dim=1, keepdim=True)
            total += (normaliser - logits.gather(1, targets)).sum()
            if hidden_gradient is None or weight_gradient is None:
                continue
            slope = logits.sub_(normaliser).exp_().scatter_add_(1, targets, torch.full_like(normaliser, -1.0))
            slope = slope.to(hidden.dtype)
            hidden_gradient[start : start + rows] = slope @ weight_VW
            if weight_gradient.dtype == slope.dtype:
                weight_gradient.addmm_(slope.T, hidden)
            else:
                weight_gradient += slope.T @ hidden
        if hidden_gradient is not None and weight_gradient is not None:
            ctx.save_for_backward(hidden_gradient, weight_gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, None, None]:
        hidden_gradient, weight_gradient = ctx.saved_tensors
        return hidden_gradient * slope, weight_gradient * slope, None, None


def linear_cross_entropy(hidden_NW: Tensor, weight_VW: Tensor, targets_N: Tensor) -> Tensor:
    """Sum over rows of -log softmax(hidden @ weight.T)[target], in nats, as a float32 scalar.

    Under autocast the products run in its type and the rest in float32. Gradients of first order only.
    """
    device = hidden_NW.device.type
    gradients = torch.is_grad_enabled() and (hidden_NW.requires_grad or weight_VW.requires_grad)
    if torch.is_autocast_enabled(device):
        kind = torch.get_autocast_dtype(device)
        hidden_NW, weight_VW = hidden_NW.to(kind), weight_VW.to(kind)
    with torch.autocast(device, enabled=False):
        return _LinearCrossEntropy.apply(hidden_NW, weight_VW, targets_N, gradients)
