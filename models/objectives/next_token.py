"""Predict each next token of a sample: the objective of language models.

In a packed sample every document begins with the end-of-text token. To predict the next document's leading end-of-text
is to say "here the document ends", so those targets count like any other. What must not be learned (withdrawn spans,
padding) is excluded by `loss_mask`.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from headwater.models.objectives.cross_entropy import linear_cross_entropy
from headwater.models.objectives.protocol import Coupling, Losses, Step, Term


def segments_of(tokens_BL: Tensor, end_of_text: int) -> Tensor:
    """Number the documents of packed samples: each end-of-text token opens a new one. Returns int64 (B, L)."""
    return (tokens_BL == end_of_text).cumsum(dim=1)


class NextToken:
    """Sum of cross-entropies (nats) of every next token in the sample, and the number of them.

    Reads `tokens` (B, L) int64; `segments` (B, L), when given, keeps documents apart; `loss_mask` (B, L), when given,
    is true where a token may be a target. The student is called as `student(tokens, segments)` and gives hidden states;
    its `output_weight` (V, W) turns them into logits.
    """

    needs = frozenset({"tokens"})
    couples = Coupling.NONE

    def heads(self, dims: Mapping[str, int]) -> nn.ModuleDict:
        """None: the student has the output matrix."""
        return nn.ModuleDict()

    def memory(self) -> nn.Module:
        """None."""
        return nn.Module()

    def losses(self, step: Step) -> Losses:
        """One term, `next_token`."""
        tokens, segments, mask = (step.batch.get(field) for field in ("tokens", "segments", "loss_mask"))
        assert tokens is not None
        # The last token has no successor here, so it is not run at all.
        hidden = step.student(tokens[:, :-1], None if segments is None else segments[:, :-1]).flatten(0, 1)
        targets = tokens[:, 1:].flatten()
        if mask is not None:
            counted = mask[:, 1:].flatten().bool()
            hidden, targets = hidden[counted], targets[counted]
        total = linear_cross_entropy(hidden, step.student.output_weight, targets)
        return Losses({"next_token": Term(total, torch.tensor(len(targets), device=tokens.device))})
