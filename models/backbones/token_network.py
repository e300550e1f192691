"""What networks over token ids share: embedding and output matrix, rotary positions, first weights, the walk through
the blocks.

A subclass registers `embedding`, `blocks`, `norm`, `head` (None: tied) and the buffer `turns`, and says who sees whom.

Shapes: B batch, L length, W width, V vocabulary.
"""

import math
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from headwater.models.backbones.attention import Layout
from headwater.models.backbones.rotary import rotary_table

_WRITES = ("attention.output.weight", "feed_forward.down.weight")  # the matrices that write to the residual stream


class TokenNetwork(nn.Module):
    """Base of the transformers that read token ids. Weights are undefined until `initialise` or `load_state_dict`."""

    options: Any
    embedding: nn.Embedding
    blocks: nn.ModuleList
    norm: nn.RMSNorm
    head: nn.Linear | None
    turns: Tensor

    @property
    def dims(self) -> dict[str, int]:
        """Sizes that an objective may need to build its heads."""
        return {"width": self.options.width, "vocabulary": self.options.vocabulary_size}

    @property
    def outer_parameters(self) -> frozenset[str]:
        """Matrices indexed by token: optimizers made for hidden matrices leave them alone."""
        return frozenset({"embedding.weight", "head.weight"})

    @property
    def output_weight(self) -> Tensor:
        """The matrix (V, W) that turns hidden states into logits."""
        return self.embedding.weight if self.head is None else self.head.weight

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores (..., V) of hidden states (..., W)."""
        return functional.linear(hidden, self.output_weight)

    def _turns(self, device: torch.device) -> Tensor:
        options = self.options
        return rotary_table(options.context_length, options.width // options.heads, options.rope_base, device)

    def _depth(self, parameter: str) -> int:
        """Blocks of the stack that a parameter belongs to."""
        return len(self.blocks)

    @torch.no_grad()
    def initialise(self, seed: int) -> Self:
        """Draw all weights, the same on every device.

        Normal with deviation sqrt(2 / (5 W)) (Nguyen and Salazar 2019, arXiv:1910.05895, "SmallInit"); the two matrices
        of a block that write to the residual stream with 2 / (layers sqrt(W)) (Wang and Komatsuzaki 2021, GPT-J), so
        that its variance does not grow with depth; norms one.
        """
        generator = torch.Generator().manual_seed(seed)
        width = self.options.width
        for name, parameter in self.named_parameters():
            if parameter.ndim == 1:
                parameter.fill_(1.0)
                continue
            small = 2 / (self._depth(name) * math.sqrt(width))
            deviation = small if name.endswith(_WRITES) else math.sqrt(2 / (5 * width))
            parameter.copy_(torch.empty(parameter.shape).normal_(0.0, deviation, generator=generator))
        self.turns.copy_(self._turns(self.turns.device))
        return self

    def _check_length(self, length: int) -> None:
        if length > self.options.context_length:
            raise ValueError(f"{length} tokens exceed the context length of {self.options.context_length}")

    def _through(self, tokens_BL: Tensor, layout: Layout, cache: Any = None) -> Tensor:
        """Normalised hidden states (B, L, W) behind the blocks under a layout; a cache goes on where it was."""
        turns = self.turns[:, layout.positions]
        turns = turns.unsqueeze(2) if layout.positions.ndim == 2 else turns
        x_BLW = self.embedding(tokens_BL)
        for layer, block in enumerate(self.blocks):
            x_BLW = block(x_BLW, turns, layout, cache, layer)
        if cache is not None:
            cache.length += tokens_BL.shape[1]
        return self.norm(x_BLW)
