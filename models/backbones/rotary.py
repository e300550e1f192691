"""Rotary positions (Su et al. 2021, arXiv:2104.09864), in the half-split convention that Llama checkpoints use.

Pair i of a head joins numbers i and i + D/2 and turns by position x base^(-2i/D), so that the product of a query and a
key depends on their distance alone.
"""

import torch
from torch import Tensor


def rotary_table(context_length: int, head_width: int, base: float, device: torch.device | None = None) -> Tensor:
    """Cosines and sines of every position, float32 (2, context_length, head_width / 2)."""
    exponents = torch.arange(0, head_width, 2, dtype=torch.int64, device=device).float() / head_width
    angles = torch.outer(torch.arange(context_length, device=device).float(), 1.0 / base**exponents)
    return torch.stack((angles.cos(), angles.sin()))


def rotate(heads_BHLD: Tensor, turns: Tensor) -> Tensor:
    """Turn each pair by its angle; `turns` is (2, L, D/2), or (2, B, 1, L, D/2) when rows differ in position."""
    cosine, sine = turns.to(heads_BHLD.dtype).unbind(0)
    first, second = heads_BHLD.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)
