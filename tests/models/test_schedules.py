"""Schedules against their closed forms, and the properties that make a rate usable."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.models.trainer.options import (
    ConstantOptions,
    CosineOptions,
    InfiniteOptions,
    RecipeOptions,
    WarmupStableDecayOptions,
)
from headwater.models.trainer.schedules import multiplier

COOL = {"warmup_steps": 10, "cooldown_steps": 40, "constant": 0.4}
SCHEDULES = [
    ConstantOptions(warmup_steps=10),
    CosineOptions(warmup_steps=10, final=0.1),
    *(
        WarmupStableDecayOptions(warmup_steps=10, shape=s, decay_share=0.5)
        for s in ("one_minus_sqrt", "linear", "cosine")
    ),
    *(InfiniteOptions(**COOL, cooldown_shape=s, anneal_from=150, anneal_steps=50) for s in ("cosine", "inverse_sqrt")),
]


def test_closed_forms():
    cosine = CosineOptions(warmup_steps=10, final=0.1)
    assert [multiplier(cosine, s, 110) for s in (0, 4, 9, 10, 60, 110)] == pytest.approx([0.1, 0.5, 1, 1, 0.55, 0.1])
    stable = WarmupStableDecayOptions(warmup_steps=10, decay_share=0.2, final=0.0)
    expected = [1.0, 1.0, 1 - math.sqrt(0.25), 1 - math.sqrt(0.5)]
    assert [multiplier(stable, s, 100) for s in (50, 80, 85, 90)] == pytest.approx(expected)
    endless = InfiniteOptions(**COOL, anneal_from=100, anneal_steps=20, final=0.01)
    assert [multiplier(endless, s, 1) for s in (10, 30, 50, 99, 100)] == pytest.approx([1, 0.7, 0.4, 0.4, 0.4])
    assert multiplier(endless, 110, 1) == pytest.approx(math.sqrt(0.4 * 0.01))  # half way down a geometric fall
    assert multiplier(endless, 500, 1) == pytest.approx(0.01)
    root = InfiniteOptions(**COOL, cooldown_shape="inverse_sqrt")
    assert multiplier(root, 30, 1) == pytest.approx(1 / math.sqrt(1 + (1 / 0.16 - 1) / 2))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: f"{s.kind}")
def test_rises_to_one_then_never_rises_again_without_jumps(schedule):
    rates = [multiplier(schedule, step, 200) for step in range(200)]
    assert all(0 < rate <= 1 for rate in rates)
    assert max(rates) == 1
    assert rates[:10] == sorted(rates[:10])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    # 1 - sqrt starts steeply; every other phase is smoother than 1 in 10.
    assert all(abs(a - b) <= 0.1 + 1e-9 for a, b in itertools.pairwise(rates))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 5000), st.integers(1, 5000), st.integers(1, 5000))
def test_the_infinite_schedules_past_does_not_depend_on_its_end(step, one_end, other_end):
    schedule = InfiniteOptions(**COOL)
    later = schedule.model_copy(update={"anneal_from": step + 1})
    assert multiplier(schedule, step, one_end) == multiplier(schedule, step, other_end) == multiplier(later, step, 1)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"schedule": {"kind": "infinite", "anneal_from": 10}}, "anneal_from"),
        ({"schedule": {"kind": "infinite", "constant": 0.0}}, "constant"),
        ({"schedule": {"kind": "warmup_stable_decay", "decay_share": 1.5}}, "decay_share"),
        ({"schedule": {"kind": "triangular"}}, "triangular"),
        ({"optimizer": {"kind": "adamw", "betas": (0.9, 1.0)}}, "betas"),
        ({"optimizer": {"kind": "muon", "momentum": 1.0}}, "momentum"),
        ({"steps": 0}, "steps"),
        ({"clip_norm": -1.0}, "clip_norm"),
        ({"stepz": 5}, "stepz"),
    ],
)
def test_wrong_recipes_are_refused_by_name(wrong, named):
    with pytest.raises(ValueError, match=named):
        RecipeOptions(**wrong)
