"""Runs of marks: random tokens that stand in a text only to be asked for again.

Without groups the tokens of a run tell nothing of each other, and to find the second, one must find the first and look
one further (two looks back, which small networks learn late). With groups a run begins with its group's name and goes
on with members of that group: the name tells what to look for, so one look back suffices.

`ids` are the first and last token id; a group's name is its first id.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def draw_runs(
    uniform: Callable[..., Tensor], ids: tuple[int, int], groups: int | None, runs: int, tokens: int
) -> Tensor:
    """Runs of token ids (B, runs, tokens), int64, no id twice in a row. `uniform(*shape)` gives numbers (B, *shape)."""
    first, there = ids[0], ids[1] - ids[0] + 1
    if groups is None:
        return first + uniform(there).argsort(dim=1)[:, : runs * tokens].reshape(-1, runs, tokens)
    size = there // groups
    names = first + size * uniform(groups).argsort(dim=1)[:, :runs, None]
    members = 1 + uniform(runs, size - 1).argsort(dim=2)[..., : tokens - 1]
    return torch.cat([names, names + members], dim=2)
