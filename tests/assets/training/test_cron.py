"""Cron expressions, against a slow search minute by minute."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.training.cron import parse_cron

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)  # a Monday


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("* * * * *", "2026-11-23 12:01"),
        ("0 3 * * 0", "2026-11-29 03:00"),
        ("0 3 * * 7", "2026-11-29 03:00"),
        ("*/20 12 * * *", "2026-11-23 12:20"),
        ("0 12 * * *", "2026-11-24 12:00"),
        ("5,50 1-3 * * 1-5", "2026-11-24 01:05"),
        ("0 0 29 2 *", "2028-02-29 00:00"),
        ("0 0 1 * 2", "2026-11-24 00:00"),  # both day fields: either
        ("30 6 1 1 *", "2027-01-01 06:30"),
        ("10/30 12 * * *", "2026-11-23 12:10"),
    ],
)
def test_the_next_time(expression, expected):
    assert parse_cron(expression).next_after(NOON) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@settings(max_examples=25, deadline=None)
@given(
    minute=st.integers(0, 59), hours=st.sets(st.integers(0, 23), min_size=1), weekday=st.integers(0, 6),
    ahead=st.integers(0, 20_000),
)  # fmt: skip
def test_no_earlier_minute_matches(minute, hours, weekday, ahead):
    start = NOON + timedelta(minutes=ahead, seconds=7)
    found = parse_cron(f"{minute} {','.join(map(str, sorted(hours)))} * * {weekday}").next_after(start)
    candidate = start.replace(second=0) + timedelta(minutes=1)
    while not (candidate.minute == minute and candidate.hour in hours and candidate.isoweekday() % 7 == weekday):
        candidate += timedelta(minutes=1)
    assert found == candidate


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("60 * * * *", "'60' is no minute: they go from 0 to 59"),
        ("* * 0 * *", "'0' is no day of the month"),
        ("* 5-3 * * *", "'5-3' is no hour"),
        ("*/0 * * * *", r"'\*/0' is no minute"),
        ("x * * * *", r"'x' is no minute: write \*, a number"),
        ("0 3", "has 2 fields"),
        ("0 0 31 4 *", "names no day that there is"),
    ],
)
def test_what_is_no_cron_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        parse_cron(wrong)
