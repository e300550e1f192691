"""Bits by position: against a slow sum over tokens, one text and one token at a time."""

import math

import pytest
import torch
from probe_examples import probe

from headwater.models.backbones.building import build_backbone
from headwater.models.backbones.transformer.options import TransformerOptions
from headwater.models.probes.bits_by_position.options import BitsByPositionOptions

SIZES = {"width": 16, "layers": 1, "heads": 2, "vocabulary_size": 40, "context_length": 32}


def texts():
    rng = torch.Generator().manual_seed(1)
    return {"tokens": torch.randint(2, 40, (5, 14), generator=rng), "length": torch.tensor([14, 9, 12, 11, 13])}


@torch.no_grad()
def test_bits_are_those_of_each_token_given_all_before_it():
    model, fields = build_backbone(TransformerOptions(architecture="decoder", **SIZES), 0), texts()
    spent: dict[int, list[float]] = {}
    for row, length in zip(fields["tokens"].tolist(), fields["length"].tolist(), strict=True):
        for place in range(1, 12) if length >= 12 else ():
            scores = torch.log_softmax(model.output_weight @ model(torch.tensor([row[:place]]))[0, -1], 0)
            spent.setdefault(place, []).append(-float(scores[row[place]]) / math.log(2))
    figures = probe("bits_by_position", edges=[0, 4, 6, 12], batch_size=2).measure(model, fields, fields, 0)
    for (first, end), name in zip(((1, 4), (4, 6), (6, 12)), ("0_to_4", "4_to_6", "6_to_12"), strict=True):
        told = [value for place in range(first, end) for value in spent[place]]
        assert len(spent[first]) == 3
        assert figures[f"{name}/bits_per_token"] == pytest.approx(sum(told) / len(told), rel=1e-5)
    assert len(figures) == 3


def test_what_cannot_be_asked_is_refused():
    model = build_backbone(TransformerOptions(architecture="encoder", **SIZES), 0)
    with pytest.raises(ValueError, match="bits_by_position needs texts of 15 tokens; the longest held-out one has 14"):
        probe("bits_by_position", edges=[0, 15]).measure(model, texts(), texts(), 0)
    with pytest.raises(ValueError, match="bits_by_position needs a network that reads from left to right"):
        probe("bits_by_position", edges=[0, 14]).measure(model, texts(), texts(), 0)
    for edges in ([3], [0, 5, 5], [6, 2]):
        with pytest.raises(ValueError, match=r"edges.*(must rise|smaller to larger)"):
            BitsByPositionOptions(edges=tuple(edges))
    with pytest.raises(ValueError, match="another before it"):
        BitsByPositionOptions(edges=(0, 1))
