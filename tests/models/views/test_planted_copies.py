"""Planted copies: every run stands at two places, what nobody could tell is not learned, documents are not crossed."""

from collections import Counter

import pytest
import torch

from headwater.models.views.options import any_view
from headwater.models.views.protocol import ExampleRandom

OPTIONS = {"kind": "planted_copies", "ids": [100, 139], "copies": 3, "tokens": 4, "untold": 2}


def rows(count=200, length=48, documents=1):
    rng = torch.Generator().manual_seed(0)
    return {
        "tokens": torch.randint(2, 100, (count, length), generator=rng),
        "segments": torch.arange(length).mul(documents).div(length, rounding_mode="floor").expand(count, -1),
    }


def planted(batch, **options):
    made = any_view(OPTIONS | options).build()(batch, ExampleRandom(3, torch.arange(len(batch["tokens"]))))
    return made["tokens"].tolist(), made["loss_mask"].tolist()


def places_of(row):
    """Run (its tokens) → the places at which it begins."""
    found: dict[tuple[int, ...], list[int]] = {}
    place = 0
    while place < len(row):
        if row[place] >= 100:
            found.setdefault(tuple(row[place : place + 4]), []).append(place)
            place += 4
        else:
            place += 1
    return found


def test_every_run_stands_at_two_places_and_the_rest_is_the_text():
    batch = rows()
    for row, mask, text in zip(*planted(batch), batch["tokens"].tolist(), strict=True):
        runs = places_of(row)
        assert len(runs) == 3
        assert sorted({token for run in runs for token in run}) == sorted(token for run in runs for token in run)
        wanted = [True] * 48
        for first, second in runs.values():
            assert second >= first + 4
            wanted[first : first + 4] = [False] * 4
            wanted[second : second + 2] = [False] * 2
        assert mask == wanted
        kept = [place for place in range(48) if row[place] < 100]
        assert [row[place] for place in kept] == [text[place] for place in kept]


def test_distances_go_from_the_shortest_to_the_whole_row():
    away = Counter(b - a for row in planted(rows(2000))[0] for a, b in places_of(row).values())
    assert min(away) == 4
    assert max(away) >= 40


def test_no_pair_crosses_documents_and_where_none_fits_the_text_stays():
    batch = rows(400, documents=2)
    tokens, masks = planted(batch)
    pairs = [pair for row in tokens for pair in places_of(row).values()]
    assert 0 < len(pairs) < 1200
    assert all((a < 24) == (b + 3 < 24) for a, b in pairs)
    assert any(mask == [True] * 48 for mask in masks)
    alone = rows(20, documents=48)
    assert planted(alone) == (alone["tokens"].tolist(), [[True] * 48] * 20)
    assert planted(alone, segments=None)[0] != alone["tokens"].tolist()


def test_what_was_not_to_be_learned_is_not_learned_now():
    batch = rows() | {"loss_mask": torch.rand(200, 48, generator=torch.Generator().manual_seed(1)) < 0.5}
    masks, alone = planted(batch)[1], planted(rows())[1]
    assert masks == (torch.tensor(alone) & batch["loss_mask"]).tolist()


def test_runs_of_groups_begin_with_their_groups_name_and_no_group_comes_twice():
    seen = set()
    for row in planted(rows(2000), groups=5)[0]:
        runs = list(places_of(row))
        assert len({run[0] for run in runs}) == len(runs) == 3
        for name, *members in runs:
            assert name in (100, 108, 116, 124, 132)
            assert all(name < member < name + 8 for member in members)
            seen |= {name, *members}
    assert seen == set(range(100, 140))


def test_what_has_no_room_is_refused():
    with pytest.raises(ValueError, match="rows of 20 tokens have no room for 3 pairs of runs of 4 tokens"):
        planted(rows(length=20))
    with pytest.raises(ValueError, match="runs need 12 different tokens and ids has 11"):
        any_view(OPTIONS | {"ids": [100, 110]})
    with pytest.raises(ValueError, match="untold \\(4\\) must be less than tokens \\(4\\)"):
        any_view(OPTIONS | {"untold": 4})
    for groups, message in (
        (7, "ids has 40 tokens, which are not 7 equal groups"),
        (0, "not 0 equal groups"),
        (2, "each of 3 runs needs a group of its own and there are 2"),
        (20, "a run needs 4 different tokens and a group has 2"),
    ):
        with pytest.raises(ValueError, match=message):
            any_view(OPTIONS | {"groups": groups})
