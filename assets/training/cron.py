"""Cron expressions: when a moment comes next, in UTC.

Five fields say minutes, hours, days of the month, months and days of the week; each is ``*`` or a list of numbers,
ranges and steps (``0,30``, ``1-5``, ``*/15``). As in crontab(5), a day matches by either of its two fields where both
are restricted, and Sunday is 0 or 7.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))
_LONGEST = 4 * 366 * 2  # days to look ahead: a 29 February comes within eight years, 2100 notwithstanding


@dataclass(frozen=True)
class Cron:
    """A parsed expression."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 is Sunday
    either_day: bool  # both day fields are restricted: one of them is enough

    def next_after(self, moment: datetime) -> datetime:
        """The first minute after a moment that the expression names."""
        start = moment.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        for day in range(_LONGEST):
            midnight = (start + timedelta(days=day)).replace(hour=0, minute=0)
            if self._names_day(midnight):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        found = midnight.replace(hour=hour, minute=minute)
                        if found >= start:
                            return found
        raise ValueError("no such day comes in the next years")

    def _names_day(self, day: datetime) -> bool:
        if day.month not in self.months:
            return False
        by_month, by_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return by_month or by_week if self.either_day else by_month and by_week


def parse_cron(expression: str) -> Cron:
    """Reads an expression of five fields.

    Raises:
        ValueError: it is none, or no moment ever matches; names the field.
    """
    parts = expression.split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"'{expression}' has {len(parts)} fields; cron has five, as in '0 3 * * 0' (Sundays at 3:00)")
    minutes, hours, days, months, weekdays = (
        _numbers(part, *field) for part, field in zip(parts, _FIELDS, strict=True)
    )
    either = not parts[2].startswith("*") and not parts[4].startswith("*")
    cron = Cron(minutes, hours, days, months, frozenset(day % 7 for day in weekdays), either)
    try:
        cron.next_after(datetime(2000, 1, 1, tzinfo=UTC))
    except ValueError as error:
        raise ValueError(f"'{expression}' names no day that there is") from error
    return cron


def _numbers(text: str, name: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for item in text.split(","):
        span, _, step = item.partition("/")
        first, _, last = (str(low), "", str(high)) if span == "*" else span.partition("-")
        numbers = [first, last or (str(high) if step else first), step or "1"]
        if not all(number.isdecimal() for number in numbers):
            raise ValueError(
                f"'{item}' is no {name}: write *, a number, a range (1-5), a step (*/15) or a list of them"
            )
        start, stop, by = map(int, numbers)
        if not low <= start <= stop <= high or by < 1:
            raise ValueError(f"'{item}' is no {name}: they go from {low} to {high}")
        found.update(range(start, stop + 1, by))
    return frozenset(found)
