"""Draw text from a decoder, one token at a time, each forward seeing only what is new."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from headwater.models.backbones.decoder import Decoder, KeyValueCache


def filtered(logits_V: Tensor, top_k: int | None, top_p: float | None) -> Tensor:
    """Logits with those outside the `top_k` highest, and outside the smallest set of probability `top_p`, at -inf.

    The set of probability top_p is that of Holtzman et al. 2020 (arXiv:1904.09751): the likeliest token always stays.
    """
    if top_k is not None and top_k < len(logits_V):
        logits_V = logits_V.masked_fill(logits_V < logits_V.topk(top_k).values[-1], -torch.inf)
    if top_p is not None and top_p < 1:
        ordered, order = logits_V.sort(descending=True, stable=True)
        shares = ordered.softmax(0)
        outside = shares.cumsum(0) - shares >= top_p
        logits_V = logits_V.masked_fill(outside.scatter(0, order, outside), -torch.inf)
    return logits_V


def _choose(logits_V: Tensor, temperature: float, top_k: int | None, top_p: float | None, rng: torch.Generator) -> int:
    if temperature == 0:
        return int(logits_V.argmax())
    shares = filtered(logits_V.float().cpu() / temperature, top_k, top_p).softmax(0)
    return int(torch.multinomial(shares, 1, generator=rng))


def _continuations(model: Decoder, prompt: Sequence[int]) -> Iterator[tuple[list[int], Tensor]]:
    """Yields (tokens so far, logits of the next); the caller appends to the tokens between yields."""
    tokens, context = list(prompt), model.options.context_length
    weight = model.output_weight
    cache, seen = KeyValueCache(model.options, 1, context, weight), 0
    while True:
        if len(tokens) - seen + cache.length > context:
            # Full: begin again with the newer half, rather than forget one token and recompute all at every step.
            cache, seen = KeyValueCache(model.options, 1, context, weight), len(tokens) - max(1, context // 2)
        new = torch.tensor([tokens[seen:]], device=weight.device)
        seen = len(tokens)
        yield tokens, model.logits(model(new, cache=cache)[0, -1])


@torch.no_grad()
def sample(
    model: Decoder,
    prompt: Sequence[int],
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
    stop: int | None = None,
) -> list[int]:
    """New token ids after `prompt`, up to `max_new_tokens` or before the id `stop`.

    Temperature 0 takes the likeliest token each time. The draw depends on `seed` alone. Past the context length the
    model goes on seeing between half and all of it. Raises ValueError for an empty prompt or unusable settings.
    """
    if not len(prompt):
        raise ValueError("the prompt is empty: give at least the end-of-text token, which begins every document")
    if temperature < 0 or (top_k is not None and top_k < 1) or (top_p is not None and not 0 < top_p <= 1):
        raise ValueError("temperature must be at least 0, top_k at least 1 and top_p in (0, 1]")
    rng = torch.Generator().manual_seed(seed)
    new: list[int] = []
    if max_new_tokens < 1:
        return new
    was_training = model.training
    model.eval()
    for tokens, logits in _continuations(model, prompt):
        token = _choose(logits, temperature, top_k, top_p, rng)
        if token == stop:
            break
        tokens.append(token)
        new.append(token)
        if len(new) == max_new_tokens:
            break
    model.train(was_training)
    return new
