"""Generation against forwards without a cache, and window scoring against direct forwards."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.models.backbones.decoder import build_decoder
from headwater.models.backbones.options import DecoderOptions
from headwater.models.generation import filtered, sample
from headwater.models.scoring import score_documents, token_log_probabilities, windows

MODEL = build_decoder(
    DecoderOptions(width=32, layers=2, heads=4, key_value_heads=2, vocabulary_size=50, context_length=16), seed=1
)


def direct(tokens):
    """Log-probabilities of every token but the first by one forward."""
    with torch.no_grad():
        shares = MODEL.logits(MODEL(tokens[None]))[0].log_softmax(-1)
    return shares[:-1].gather(1, tokens[1:, None])[:, 0]


def test_greedy_equals_argmax_without_a_cache():
    tokens = [0, 7, 3]
    for _ in range(13):
        with torch.no_grad():
            tokens.append(int(MODEL.logits(MODEL(torch.tensor([tokens])))[0, -1].argmax()))
    assert sample(MODEL, [0, 7, 3], 13, temperature=0) == tokens[3:]


def test_generation_goes_on_past_the_context():
    long = sample(MODEL, [0] * 40, 30, temperature=0)
    assert len(long) == 30
    # After the sixteenth token the model sees the newer half, and from there on all that follows.
    tokens = [0] * 40
    with torch.no_grad():
        first = int(MODEL.logits(MODEL(torch.tensor([tokens[-8:]])))[0, -1].argmax())
    assert long[0] == first


def test_draws_depend_on_the_seed_and_stop_at_the_stop():
    drawn = [sample(MODEL, [0], 12, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    stop = drawn[0][5]
    assert sample(MODEL, [0], 12, seed=1, stop=stop) == drawn[0][: drawn[0].index(stop)]
    assert sample(MODEL, [0], 12, top_k=1) == sample(MODEL, [0], 12, temperature=0)
    assert sample(MODEL, [0], 0) == []


def test_filters_keep_what_they_say():
    logits = torch.tensor([0.5, 0.2, 0.15, 0.1, 0.05]).log()[[3, 0, 4, 1, 2]]
    assert filtered(logits, 2, None).isfinite().tolist() == [False, True, False, True, False]
    assert filtered(logits, None, 0.6).isfinite().tolist() == [False, True, False, True, False]
    assert filtered(logits, None, 0.1).isfinite().tolist() == [False, True, False, False, False]
    assert filtered(logits, None, 0.86).isfinite().sum() == 4


@pytest.mark.parametrize("wrong", [{"temperature": -1.0}, {"top_k": 0}, {"top_p": 0.0}])
def test_unusable_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        sample(MODEL, [0], 3, **wrong)
    with pytest.raises(ValueError, match="prompt is empty"):
        sample(MODEL, [], 3)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 200), st.integers(2, 40), st.data())
def test_windows_score_each_token_once_with_enough_context(length, context, data):
    stride = data.draw(st.integers(1, context - 1))
    scored = []
    for window in windows(length, context, stride):
        assert window.end - window.start <= context
        assert window.start == 0 or window.scored - window.start >= context - stride
        scored += range(window.scored, window.end)
    assert scored == list(range(1, length))


def test_short_documents_equal_the_direct_forward_whatever_their_company():
    generator = torch.Generator().manual_seed(0)
    documents = [torch.randint(50, (n,), generator=generator) for n in (5, 16, 1, 9, 2, 16, 0)]
    together = score_documents(MODEL, documents)
    for tokens, scores in zip(documents, together, strict=True):
        assert len(scores) == max(0, len(tokens) - 1)
        if len(tokens) > 1:
            torch.testing.assert_close(scores, direct(tokens), atol=1e-5, rtol=0)


def test_long_documents_equal_window_by_window_forwards():
    tokens = torch.randint(50, (45,), generator=torch.Generator().manual_seed(1))
    scores = token_log_probabilities(MODEL, tokens, context=12, stride=5)
    expected = [direct(tokens[:12])]
    for end in range(17, 50, 5):
        stop = min(end, 45)
        expected.append(direct(tokens[stop - 12 : stop])[-(stop - end + 5) :])
    torch.testing.assert_close(scores, torch.cat(expected), atol=1e-5, rtol=0)


def test_scoring_leaves_the_model_as_it_was_and_refuses_bad_strides():
    MODEL.train()
    score_documents(MODEL, [torch.arange(4)])
    assert MODEL.training
    with pytest.raises(ValueError, match="stride"):
        token_log_probabilities(MODEL, torch.arange(4), context=8, stride=8)
