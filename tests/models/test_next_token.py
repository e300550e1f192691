"""The next-token objective and its chunked cross-entropy against plain PyTorch."""

import pytest
import torch
from torch.nn import functional

from headwater.models.backbones.decoder import build_decoder
from headwater.models.backbones.options import DecoderOptions
from headwater.models.objectives import cross_entropy
from headwater.models.objectives.next_token import NextToken, segments_of
from headwater.models.objectives.protocol import Step

MODEL = DecoderOptions(width=16, layers=1, heads=2, vocabulary_size=40, context_length=16)


def losses(batch, model):
    objective = NextToken()
    step = Step(batch, model, {}, objective.heads(model.dims), objective.memory(), 0.0, torch.Generator())
    return objective.losses(step).terms["next_token"]


@pytest.mark.parametrize("chunk", [1, 130, 1 << 20])
def test_chunked_equals_plain_with_gradients(chunk, monkeypatch):
    monkeypatch.setattr(cross_entropy, "CHUNK_ELEMENTS", chunk)
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(23, 8, generator=generator, requires_grad=True)
    weight = torch.randn(40, 8, generator=generator, requires_grad=True)
    targets = torch.randint(40, (23,), generator=generator)
    ours = cross_entropy.linear_cross_entropy(hidden, weight, targets)
    plain = functional.cross_entropy(hidden @ weight.T, targets, reduction="sum")
    torch.testing.assert_close(ours, plain)
    for mine, theirs in zip(
        torch.autograd.grad(ours * 0.3, (hidden, weight)),
        torch.autograd.grad(plain * 0.3, (hidden, weight)),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(cross_entropy.linear_cross_entropy(hidden, weight, targets), plain)


def test_under_autocast_it_stays_near():
    hidden, weight = torch.randn(30, 16, requires_grad=True), torch.randn(40, 16, requires_grad=True)
    targets = torch.randint(40, (30,))
    with torch.autocast("cpu", torch.bfloat16):
        low = cross_entropy.linear_cross_entropy(hidden, weight, targets)
    assert low.dtype == torch.float32
    torch.testing.assert_close(
        low, functional.cross_entropy(hidden @ weight.T, targets, reduction="sum"), rtol=0.02, atol=0
    )
    (gradient,) = torch.autograd.grad(low, weight)
    assert gradient.dtype == torch.float32


def test_every_next_token_counts_once_and_masked_ones_never():
    model = build_decoder(MODEL, 0)
    tokens = torch.tensor([[0, 5, 6, 0, 7, 8], [0, 1, 2, 3, 4, 5]])
    total, count = losses({"tokens": tokens}, model)
    logits = model.logits(model(tokens))[:, :-1]
    each = functional.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")
    assert int(count) == 10
    torch.testing.assert_close(total, each.sum())
    mask = torch.ones_like(tokens, dtype=torch.bool)
    mask[0, 2] = mask[1, 5] = False
    total, count = losses({"tokens": tokens, "loss_mask": mask}, model)
    assert int(count) == 8
    torch.testing.assert_close(total, each.sum() - each[0, 1] - each[1, 4])


def test_segments_open_at_the_end_of_text_token_and_reach_the_model():
    tokens = torch.tensor([[0, 5, 6, 0, 7, 8]])
    segments = segments_of(tokens, end_of_text=0)
    assert segments.tolist() == [[1, 1, 1, 2, 2, 2]]
    model = build_decoder(MODEL, 0)
    packed = losses({"tokens": tokens, "segments": segments}, model).total
    # The document boundary itself is predicted from the first document.
    first, second = (losses({"tokens": t}, model).total for t in (tokens[:, :4], tokens[:, 3:]))
    torch.testing.assert_close(packed, first + second)


def test_a_wholly_masked_sample_counts_nothing():
    tokens = torch.ones(1, 6, dtype=torch.int64)
    total, count = losses({"tokens": tokens, "loss_mask": torch.zeros_like(tokens)}, build_decoder(MODEL, 0))
    assert (float(total), int(count)) == (0.0, 0)
