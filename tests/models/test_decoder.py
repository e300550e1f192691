"""The decoder against a slow NumPy transformer, and the promise that packing changes nothing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.models.backbones.attention import (
    Layout,
    attend,
    attend_by_products,
    document_runs,
    flex_mask,
    packed_layout,
    plain_layout,
)
from headwater.models.backbones.decoder import Decoder, KeyValueCache, build_decoder, flops_per_token, parameter_count
from headwater.models.backbones.options import DecoderOptions

TINY = DecoderOptions(width=32, layers=2, heads=4, key_value_heads=2, vocabulary_size=50, context_length=32)


def slow_hidden(model: Decoder, tokens: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Hidden states of one sample by loops in float64, written from the papers."""
    o = model.options
    weights = {name: value.detach().numpy().astype(np.float64) for name, value in model.named_parameters()}
    length, half = len(tokens), o.head_width // 2
    position = [sum(segments[j] == segments[i] for j in range(i)) for i in range(length)]

    def normed(x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + o.norm_epsilon) * weights[name]

    def turned(vector, at):
        result = vector.copy()
        for i in range(half):
            angle = at * o.rope_base ** (-2 * i / o.head_width)
            a, b = vector[i], vector[i + half]
            result[i], result[i + half] = a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)
        return result

    x = weights["embedding.weight"][tokens]
    for layer in range(o.layers):
        w = {n.removeprefix(f"blocks.{layer}."): v for n, v in weights.items() if n.startswith(f"blocks.{layer}.")}
        y = normed(x, f"blocks.{layer}.attention_norm.weight")
        q, k, v = (y @ w[f"attention.{n}.weight"].T for n in ("query", "key", "value"))
        out = np.zeros((length, o.heads, o.head_width))
        for head in range(o.heads):
            mine = slice(head * o.head_width, (head + 1) * o.head_width)
            group = head // (o.heads // o.groups)
            shared = slice(group * o.head_width, (group + 1) * o.head_width)
            for i in range(length):
                seen = [j for j in range(i + 1) if segments[j] == segments[i]]
                query = turned(q[i, mine], position[i])
                scores = np.array([query @ turned(k[j, shared], position[j]) for j in seen]) / np.sqrt(o.head_width)
                shares = np.exp(scores - scores.max())
                out[i, head] = (shares / shares.sum()) @ v[seen, shared]
        x = x + out.reshape(length, -1) @ w["attention.output.weight"].T
        y = normed(x, f"blocks.{layer}.feed_forward_norm.weight")
        gate, up = y @ w["feed_forward.gate.weight"].T, y @ w["feed_forward.up.weight"].T
        x = x + (gate / (1 + np.exp(-gate)) * up) @ w["feed_forward.down.weight"].T
    return normed(x, "norm.weight")


@pytest.mark.parametrize("packed", [False, True])
def test_forward_equals_slow_reference(packed):
    model = build_decoder(TINY, seed=1)
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 50, 20)
    segments = np.repeat([3, 4, 9], [7, 1, 12]) if packed else np.zeros(20, int)
    given_segments = torch.from_numpy(segments)[None] if packed else None
    hidden = model(torch.from_numpy(tokens)[None], given_segments)[0].detach().numpy()
    np.testing.assert_allclose(hidden, slow_hidden(model, tokens, segments), atol=2e-5)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=5), st.integers(0, 99))
def test_packed_documents_equal_each_alone(lengths, seed):
    options = TINY.model_copy(update={"context_length": 64})
    model = build_decoder(options, seed=2)
    tokens = torch.randint(50, (1, sum(lengths)), generator=torch.Generator().manual_seed(seed))
    segments = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))[None]
    together = model.logits(model(tokens, segments))
    alone = torch.cat([model.logits(model(part)) for part in tokens.split(lengths, dim=1)], dim=1)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_runs_number_neighbours_even_when_ids_repeat():
    runs, positions = document_runs(torch.tensor([[5, 5, 2, 5, 5, 5]]))
    assert runs.tolist() == [[0, 0, 1, 2, 2, 2]]
    assert positions.tolist() == [[0, 1, 0, 0, 1, 2]]


def test_changing_a_later_or_another_documents_token_changes_nothing():
    model = build_decoder(TINY, seed=3)
    tokens = torch.arange(20)[None]
    segments = torch.tensor([[0] * 8 + [1] * 12])
    before = model(tokens, segments)
    changed = tokens.clone()
    changed[0, 3] = 49
    changed[0, 15] = 48
    after = model(changed, segments)
    same = [0, 1, 2, 8, 9, 10, 11, 12, 13, 14]
    assert torch.equal(before[0, same], after[0, same])
    assert not torch.allclose(before[0, 4], after[0, 4])


@pytest.mark.parametrize("groups", [4, 2])
@pytest.mark.parametrize("packed", [False, True])
def test_products_in_blocks_equal_the_fused_kernel(packed, groups):
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 4, 300, 16, generator=generator)
    k, v = (torch.randn(2, groups, 300, 16, generator=generator) for _ in range(2))
    segments = torch.arange(300).div(70, rounding_mode="floor").expand(2, -1)
    layout = packed_layout(segments, "sdpa") if packed else plain_layout(300, 0, q.device)
    k4, v4 = (x.repeat_interleave(4 // groups, dim=1) for x in (k, v))
    torch.testing.assert_close(attend(q, k, v, layout), attend_by_products(q, k4, v4, layout), atol=1e-5, rtol=0)
    low = attend(q.bfloat16(), k.bfloat16(), v.bfloat16(), layout)
    torch.testing.assert_close(low.float(), attend(q, k, v, layout), atol=0.05, rtol=0)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_flex_mask_gives_the_same_attention():
    q, k, v = torch.randn(3, 2, 2, 128, 16, generator=torch.Generator().manual_seed(0)).unbind(0)
    segments = torch.arange(128).div(50, rounding_mode="floor").expand(2, -1)
    flex = Layout(torch.zeros(0), flex_mask(document_runs(segments)[0]), causal=False)
    torch.testing.assert_close(
        attend(q, k, v, flex), attend(q, k, v, packed_layout(segments, "sdpa")), atol=1e-5, rtol=0
    )


def test_cache_in_uneven_pieces_equals_one_forward():
    model = build_decoder(TINY, seed=4)
    tokens = torch.arange(24).reshape(2, 12)
    cache = KeyValueCache(TINY, 2, 12, model.output_weight)
    pieces = torch.cat([model(part, cache=cache) for part in tokens.split([5, 1, 4, 2], dim=1)], dim=1)
    torch.testing.assert_close(pieces, model(tokens), atol=1e-5, rtol=0)


@pytest.mark.parametrize("tied", [False, True])
def test_parameter_count_and_meta_build(tied):
    options = TINY.model_copy(update={"tied": tied})
    with torch.device("meta"):
        model = Decoder(options)
    assert all(p.is_meta for p in model.parameters())
    assert parameter_count(options)["total"] == sum(p.numel() for p in model.parameters())
    large = DecoderOptions(width=4096, layers=32, heads=32, feed_forward_width=11008, vocabulary_size=32000, tied=False)
    assert parameter_count(large)["total"] == 6_738_415_616  # Llama 7B


def test_flops_are_six_per_weight_and_quadratic_in_length():
    base, twice = flops_per_token(TINY, 100), flops_per_token(TINY, 200)
    assert twice - base == 12 * 2 * 32 * 100
    assert base - 12 * 2 * 32 * 100 == 6 * parameter_count(TINY)["total"]  # tied: the matrix multiplies once


def test_initialisation_depends_on_the_seed_alone():
    first, again, other = (build_decoder(TINY, seed).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["embedding.weight"], other["embedding.weight"])
    # A 16-layer model: the matrices that write to the residual stream have deviation 2 / (16 sqrt(64)).
    deep = build_decoder(DecoderOptions(width=64, layers=16, heads=2), 0)
    assert float(deep.blocks[0].feed_forward.down.weight.detach().std()) == pytest.approx(2 / (16 * 8), rel=0.05)


@pytest.mark.parametrize(
    "wrong",
    [{"width": 30}, {"key_value_heads": 3}, {"layers": 0}, {"heads": 32}, {"norm_epsilon": 0}, {"wdith": 64}],
)
def test_impossible_options_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DecoderOptions(**{**TINY.model_dump(), **wrong})


def test_too_long_and_segments_with_cache_are_refused():
    model = build_decoder(TINY, 0)
    with pytest.raises(ValueError, match="context length of 32"):
        model(torch.zeros(1, 33, dtype=torch.int64))
    tokens = torch.zeros(1, 3, dtype=torch.int64)
    with pytest.raises(ValueError, match="segments"):
        model(tokens, tokens, KeyValueCache(TINY, 1, 8, model.output_weight))
