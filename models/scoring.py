"""How likely a model finds each token of a document, however long: what bits per byte and cloze tests are made of.

A document longer than the context is read in windows that overlap, so that each token is scored exactly once and,
from the second window on, with at least `context - stride` tokens before it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from headwater.models.backbones.decoder import Decoder

LOGITS_AT_ONCE = 1 << 24  # 64 MiB in float32


class Window(NamedTuple):
    """Tokens start..end of a document are read; those from `scored` on are scored."""

    document: int
    start: int
    end: int
    scored: int


def windows(length: int, context: int, stride: int, document: int = 0) -> list[Window]:
    """The windows of a document of `length` tokens; every token but the first is scored once.

    Raises ValueError unless 1 <= stride < context.
    """
    if not 1 <= stride < context:
        raise ValueError(f"stride ({stride}) must be at least 1 and less than the context ({context})")
    result, scored = [], 1
    while scored < length:
        end = min(length, context if scored == 1 else scored + stride)
        result.append(Window(document, max(0, end - context), end, scored))
        scored = end
    return result


@torch.no_grad()
def _score(model: Decoder, batch: list[Window], documents: Sequence[Tensor], results: list[Tensor]) -> None:
    longest = max(window.end - window.start for window in batch)
    device = model.output_weight.device
    # Padding comes after the tokens, where causal attention never looks back from.
    tokens = torch.zeros(len(batch), longest, dtype=torch.int64)
    for row, window in enumerate(batch):
        tokens[row, : window.end - window.start] = documents[window.document][window.start : window.end]
    hidden = model(tokens[:, :-1].to(device))
    for row, window in enumerate(batch):
        first, last = window.scored - 1 - window.start, window.end - 1 - window.start
        targets = tokens[row, first + 1 : last + 1].to(device)
        scores = -functional.cross_entropy(model.logits(hidden[row, first:last]).float(), targets, reduction="none")
        results[window.document][window.scored - 1 : window.end - 1] = scores.cpu()


def score_documents(
    model: Decoder, documents: Sequence[Tensor], context: int | None = None, stride: int | None = None
) -> list[Tensor]:
    """Natural log-probability of every token but the first, for each document of int64 ids: float32 (n - 1,) each.

    `context` tokens are read at a time (default: the model's context length), moving on by `stride` (default: half).
    Windows of like length are read together, so that little is padded. Raises ValueError for an unusable stride.
    """
    context = context or model.options.context_length
    stride = stride or max(1, context // 2)
    todo = [w for number, tokens in enumerate(documents) for w in windows(len(tokens), context, stride, number)]
    todo.sort(key=lambda window: (window.start - window.end, window.document, window.start))
    results = [torch.zeros(max(0, len(tokens) - 1)) for tokens in documents]
    was_training = model.training
    model.eval()
    while todo:
        rows = max(1, LOGITS_AT_ONCE // (model.options.vocabulary_size * (todo[0].end - todo[0].start)))
        batch, todo = todo[:rows], todo[rows:]
        _score(model, batch, documents, results)
    model.train(was_training)
    return results


def token_log_probabilities(
    model: Decoder, tokens: Tensor, context: int | None = None, stride: int | None = None
) -> Tensor:
    """`score_documents` of one document: float32 (n - 1,), in nats."""
    return score_documents(model, [tokens], context, stride)[0]
