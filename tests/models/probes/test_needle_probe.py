"""A needle in a haystack: where it lies, against a network that copies and one that cannot, and what is refused."""

import pytest
import torch
from probe_examples import probe
from torch import nn

from headwater.models.backbones.building import build_backbone
from headwater.models.backbones.transformer.options import TransformerOptions
from headwater.models.probes.needle.options import NeedleOptions

OPTIONS = {"lengths": [12, 20, 40], "depths": [0.0, 0.5, 1.0], "tokens": 3, "ids": [50, 59], "texts": 8}


def texts(count=5, width=40):
    rng = torch.Generator().manual_seed(2)
    return {
        "tokens": torch.randint(2, 50, (count, width), generator=rng),
        "length": torch.tensor([40, 38, 3, 40, 35])[:count],
    }


class Copier(nn.Module):
    """Says what stood after the last earlier place of the token just read, as far back as it can see."""

    options = None
    output_weight = torch.eye(60)

    def __init__(self, reach=1000):
        super().__init__()
        self.reach = reach

    def forward(self, tokens):
        states = torch.zeros(*tokens.shape, 60)
        for row, ids in enumerate(tokens.tolist()):
            for place, token in enumerate(ids):
                earlier = [p for p in range(max(0, place - self.reach), place) if ids[p] == token]
                if earlier:
                    states[row, place, ids[earlier[-1] + 1]] = 1.0
        return states


def test_who_copies_finds_every_needle_and_who_does_not_none():
    figures = probe("needle", **OPTIONS).measure(Copier(), texts(), texts(), 0)
    assert len(figures) == 1 + 3 + 9
    assert set(figures.values()) == {1.0}
    blind = probe("needle", **OPTIONS).measure(Copier(reach=0), texts(), texts(), 0)
    assert set(blind.values()) == {0.0}


def test_who_sees_twelve_tokens_back_finds_what_lies_that_near():
    figures = probe("needle", **OPTIONS).measure(Copier(reach=12), texts(), texts(), 0)
    for length in (12, 20, 40):
        hay = length - 5
        for depth in (0.0, 0.5, 1.0):
            away = hay - round(depth * hay) + 3  # from the key to the key said again
            assert figures[f"{length}_tokens_at_{100 * depth:g}_percent/recall"] == float(away <= 12)
    assert figures["40_tokens/recall"] == pytest.approx(1 / 3)
    assert figures["recall"] == pytest.approx((1 + 2 / 3 + 1 / 3) / 3)


@pytest.mark.parametrize(("length", "depth", "before"), [(12, 0.0, 0), (12, 1.0, 7), (20, 0.5, 8), (40, 0.25, 9)])
def test_a_needle_lies_where_it_says_and_all_else_is_the_text(length, depth, before):
    options = NeedleOptions(**OPTIONS | {"depths": (0.0, 0.25, 0.5, 1.0)})
    hay = texts()["tokens"]
    rows = options.build().hidden_in(hay, length, depth)
    assert rows.shape == (5, length + 1)  # the last is only told
    for row, text in zip(rows.tolist(), hay.tolist(), strict=True):
        needle = row[before : before + 3]
        assert len(set(needle)) == 3
        assert all(50 <= token <= 59 for token in needle)
        assert row[-3:] == needle
        assert row[:before] + row[before + 3 : -3] == text[: length - 5]


def test_every_token_after_the_key_counts():
    class Once(Copier):
        """As the copier, but it never says the token 55."""

        output_weight = torch.eye(60).index_fill(0, torch.tensor([55]), 0.0)

    options = NeedleOptions(**OPTIONS | {"lengths": (20,), "depths": (0.5,), "texts": 60})
    figures = options.build().measure(Once(), texts(), texts(), 0)
    wanted = options.build().hidden_in(texts()["tokens"][torch.arange(60) % 5], 20, 0.5)[:, -2:]
    assert figures["recall"] == pytest.approx(float((wanted != 55).all(1).double().mean()))
    assert 0 < figures["recall"] < 1


def test_a_needle_of_a_group_begins_with_its_name_and_is_asked_by_it():
    options = NeedleOptions(**OPTIONS | {"groups": 2, "texts": 200, "lengths": (20,)})
    rows = options.build().hidden_in(texts()["tokens"][torch.arange(200) % 5], 20, 0.5)
    names = set()
    for name, *members in rows[:, -3:].tolist():
        assert name in (50, 55)
        assert all(name < member < name + 5 for member in members)
        names.add(name)
    assert names == {50, 55}
    assert options.build().measure(Copier(), texts(), texts(), 0)["recall"] == 1.0


def test_a_map_names_the_figures_there_are():
    (one,) = NeedleOptions(**OPTIONS).maps()
    figures = probe("needle", **OPTIONS).measure(Copier(), texts(), texts(), 0)
    assert {name for row in one.figures for name in row} <= set(figures)
    assert (one.columns, one.rows) == (("12", "20", "40"), ("0", "50", "100"))


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(ValueError, match="needs texts of 55 tokens, and the longest held-out example has 40"):
        probe("needle", **OPTIONS | {"lengths": [60]}).measure(Copier(), texts(), texts(), 0)
    encoder = TransformerOptions(
        architecture="encoder", width=8, layers=1, heads=2, vocabulary_size=60, context_length=64
    )
    with pytest.raises(ValueError, match="needle needs a network that reads from left to right"):
        probe("needle", **OPTIONS).measure(build_backbone(encoder, 0), texts(), texts(), 0)
    for wrong, message in (
        ({"lengths": [20, 12]}, "smaller to larger"),
        ({"lengths": [12, 12]}, "lengths must rise"),
        ({"depths": []}, "depths must rise, and name one"),
        ({"key": 3}, "key \\(3\\) must be less than tokens"),
        ({"ids": [50, 51]}, "runs need 3 different tokens and ids has 2"),
        ({"lengths": [5]}, "lengths must be 6 at least"),
    ):
        with pytest.raises(ValueError, match=message):
            NeedleOptions(**OPTIONS | wrong)
