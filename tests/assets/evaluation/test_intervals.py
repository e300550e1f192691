import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.evaluation.intervals import cluster_bootstrap, student_t_quantile, wilson_interval


@pytest.mark.parametrize(
    ("degrees", "expected"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (10, 2.228), (30, 2.042), (5000, 1.960)]
)
def test_students_t_as_printed_in_tables(degrees, expected):
    assert student_t_quantile(0.975, degrees) == pytest.approx(expected, abs=6e-4)


def test_wilson_as_published():
    # Newcombe (1998), Statistics in Medicine 17, table I, method 3.
    assert wilson_interval(81, 263, 0.95) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20, 0.95) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(0, 0, 0.95) == (0.0, 1.0)


@settings(max_examples=20, deadline=None)
@given(st.permutations(list(range(12))), st.integers(0, 5))
def test_the_order_of_rows_does_not_matter_and_the_seed_does(order, seed):
    generator = np.random.default_rng(7)
    above, below = generator.exponential(size=12), generator.integers(1, 50, 12).astype(float)
    groups = [f"g{i % 5}" for i in range(12)]
    first = cluster_bootstrap(above, below, groups, 100, 0.95, seed)
    shuffled = cluster_bootstrap(above[order], below[order], [groups[i] for i in order], 100, 0.95, seed)
    assert shuffled == first
    assert cluster_bootstrap(above, below, groups, 100, 0.95, seed + 1) != first


def test_resampling_in_parts_equals_resampling_at_once(monkeypatch):
    above, below, groups = np.arange(1.0, 9.0), np.ones(8), list("abcdefgh")
    whole = cluster_bootstrap(above, below, groups, 64, 0.9, 0)
    monkeypatch.setattr("headwater.assets.evaluation.intervals._MAX_CELLS", 40)
    assert cluster_bootstrap(above, below, groups, 64, 0.9, 0) == whole


def test_fewer_than_two_groups_with_bytes_have_no_interval():
    assert cluster_bootstrap([1, 2], [3, 4], ["a", "a"], 100, 0.95, 0) is None
    assert cluster_bootstrap([1, 2], [3, 0], ["a", "b"], 100, 0.95, 0) is None
    assert cluster_bootstrap([], [], [], 100, 0.95, 0) is None


def _coverage(group_of, trials=300, groups=8, rows=6):
    """How often the interval holds the true ratio, 1, when rows of a group share an effect."""
    hits = 0
    for trial in range(trials):
        generator = np.random.default_rng(trial)
        effect = np.repeat(generator.normal(0, 0.3, groups), rows)
        below = generator.integers(500, 1500, groups * rows).astype(float)
        above = below * (1 + effect + generator.normal(0, 0.1, groups * rows))
        low, high = cluster_bootstrap(above, below, group_of(groups, rows), 300, 0.95, trial)
        hits += low <= 1 <= high
    return hits / trials


def test_the_interval_covers_the_truth_as_often_as_it_says_even_with_few_groups():
    by_group = _coverage(lambda groups, rows: [f"g{i // rows}" for i in range(groups * rows)])
    by_document = _coverage(lambda groups, rows: [f"d{i}" for i in range(groups * rows)])
    assert 0.91 <= by_group <= 0.99
    assert by_document < 0.75  # what taking dependent documents for independent ones would do
