"""Orders and mixtures are bijections, undone by their inverses, and keep their promises of shares and of nearness."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.sharding.mixture import Mixture, largest_remainders
from headwater.assets.sharding.order import Permutation, SampleOrder


@pytest.mark.parametrize("n", [*range(1, 70), 255, 256, 257, 4096, 5000])
def test_a_permutation_is_one_and_is_undone(n):
    permutation = Permutation(n, key=n * 31)
    forward = permutation.forward(np.arange(n))
    assert np.array_equal(np.sort(forward), np.arange(n))
    assert np.array_equal(permutation.inverse(forward), np.arange(n))


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 2**52), key=st.integers(0, 2**63 - 1), data=st.data())
def test_a_permutation_of_any_size_is_undone(n, key, data):
    values = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=20)))
    forward = Permutation(n, key).forward(values)
    assert forward.min() >= 0
    assert forward.max() < n
    assert np.array_equal(Permutation(n, key).inverse(forward), values)


def test_keys_give_different_orders_without_drift():
    n = 100_000
    one, other = (Permutation(n, key).forward(np.arange(n)) for key in (1, 2))
    assert np.mean(one == other) < 0.001
    for order in (one, other):
        assert abs(np.corrcoef(order, np.arange(n))[0, 1]) < 0.02
        assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.02
    # 24 orders of four numbers all occur about equally often.
    small = np.array([Permutation(4, key).forward(np.arange(4)) for key in range(4800)])
    _, counts = np.unique(small, axis=0, return_counts=True)
    assert len(counts) == 24


@settings(max_examples=200, deadline=None)
@given(samples=st.integers(1, 60), block=st.integers(1, 12), window=st.integers(1, 7), seed=st.integers(0, 2**40))
def test_every_epoch_is_a_permutation_and_is_undone(samples, block, window, seed):
    order = SampleOrder(samples, block, window, seed)
    positions = np.arange(3 * samples)
    drawn = order.sample_at(positions)
    assert np.array_equal(np.sort(drawn.reshape(3, samples), axis=1), np.tile(np.arange(samples), (3, 1)))
    assert np.array_equal(order.position_of(drawn, positions // samples), positions)
    one_by_one = [int(order.sample_at(np.array([p]))[0]) for p in range(0, len(positions), 7)]
    assert one_by_one == drawn[::7].tolist()


def test_a_window_reads_only_its_blocks():
    order = SampleOrder(samples=100 * 16 - 5, block_samples=16, window_blocks=4, seed=3)
    drawn = order.sample_at(np.arange(order.samples))
    window = np.flatnonzero(np.isin(drawn // 16, np.unique(drawn[:40] // 16)))
    assert len(np.unique(drawn[:59] // 16)) <= 5
    assert window.max() < 4 * 16
    assert np.any(np.diff(drawn[:40]) != 1)
    assert not np.array_equal(drawn, order.sample_at(np.arange(order.samples) + order.samples))


def test_a_great_order_is_found_anywhere_at_once():
    order = SampleOrder(samples=10**12 + 7, block_samples=128, window_blocks=64, seed=9)
    positions = np.array([0, 10**12 + 6, 10**12 + 7, 7 * 10**12])
    assert np.array_equal(order.position_of(order.sample_at(positions), positions // order.samples), positions)


@pytest.mark.parametrize("wrong", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_an_order_of_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match="at least one"):
        SampleOrder(*wrong, seed=0)


@settings(max_examples=100, deadline=None)
@given(
    weights=st.lists(st.floats(0.1, 10), min_size=1, max_size=5), block=st.integers(600, 700), seed=st.integers(0, 99)
)
def test_shares_hold_exactly_in_every_block_and_positions_are_undone(weights, block, seed):
    mixture = Mixture(weights, block, seed)
    component, index = mixture.component_at(np.arange(4 * block))
    for number, weight in enumerate(weights):
        here = np.flatnonzero(component == number)
        share = np.bincount(here // block, minlength=4)
        assert np.all(share == mixture.counts[number])
        assert abs(share[0] - block * weight / sum(weights)) < 1
        assert np.array_equal(np.sort(index[here]), np.arange(len(here)))
        assert np.array_equal(mixture.position_of(number, index[here]), here)


def test_largest_remainders():
    assert largest_remainders([1, 1, 1], 10).tolist() == [4, 3, 3]
    assert largest_remainders([0.5, 0.3, 0.2], 1024).sum() == 1024
    assert largest_remainders([47, 16, 15.8, 12, 6.1, 3.1], 10).tolist() == [5, 2, 1, 1, 1, 0]


def test_a_share_below_one_sample_is_refused():
    with pytest.raises(ValueError, match=r"weight 0\.001 of entry 2 .* raise mixture_block"):
        Mixture([1, 0.001], block=100)
    with pytest.raises(ValueError, match="above 0"):
        Mixture([1, 0])
