"""A rule: bounds on one stored signal, or a list that its value must be on or must not be on.

Rules are plain values, flat and in declared order; deciding with other thresholds reads signals only.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from headwater.assets.curation.licences import permits

AppliesTo = Literal["any", "prose", "code", "data"]
Match = Literal["exact", "domain", "license"]


@dataclass(frozen=True)
class Rule:
    """What a document needs to be kept.

    `min` and `max` bound a numeric signal; the bounds themselves pass unless `exclusive`. `one_of` and `none_of` are
    lists for a text signal, compared as `match` says: `exact`, `domain` (a listed domain covers its subdomains) or
    `license` (SPDX expressions). An undefined (null) number never fails; an undefined text fails a list only when
    `drop_unknown`.
    """

    name: str
    signal: str
    min: float | None = None
    max: float | None = None
    exclusive: bool = False
    one_of: tuple[str, ...] | None = None
    none_of: tuple[str, ...] = ()
    match: Match = "exact"
    drop_unknown: bool = False
    applies_to: AppliesTo = "any"
    source: str = ""

    @property
    def is_list(self) -> bool:
        """Whether the rule compares text with lists instead of bounding a number."""
        return self.one_of is not None or bool(self.none_of) or self.drop_unknown

    def expression(self) -> str:
        """What drops a document, for people: `words < 50`."""
        if self.is_list:
            return f"{self.signal} {self._list_expression()}"
        below, above = ("<=", ">=") if self.exclusive else ("<", ">")
        parts = [f"{self.signal} {below} {self.min:g}"] if self.min is not None else []
        parts += [f"{self.signal} {above} {self.max:g}"] if self.max is not None else []
        return " or ".join(parts)

    def _list_expression(self) -> str:
        parts = [f"not in ({_shorten(self.one_of)})"] if self.one_of is not None else []
        parts += [f"in ({_shorten(self.none_of)})"] if self.none_of else []
        return " or ".join(parts + (["unknown"] if self.drop_unknown else []))

    def mistake(self) -> str | None:
        """What is wrong with the rule itself, or None."""
        bounds = [bound for bound in (self.min, self.max) if bound is not None]
        if any(math.isnan(bound) for bound in bounds):
            return f"rule {self.name!r}: a bound is not a number; give a number or leave it out"
        if not bounds and not self.is_list:
            return f"rule {self.name!r} has neither min nor max; give at least one of them"
        if len(bounds) == 2 and bounds[0] > bounds[1]:
            return f"rule {self.name!r}: min {bounds[0]:g} is above max {bounds[1]:g}, so nothing passes; swap them"
        return None

    def fails_text(self, value: str | None) -> bool:
        """Whether a text value fails the lists."""
        if value is None:
            return self.drop_unknown
        if self.match == "license":
            allowed = None if self.one_of is None else frozenset(self.one_of)
            denied = frozenset(self.none_of)
            return not permits(value, lambda name: (allowed is None or name in allowed) and name not in denied)
        listed = _on_domain if self.match == "domain" else _on_exactly
        return (self.one_of is not None and not listed(value, self.one_of)) or listed(value, self.none_of)


Lookup = Callable[[str, tuple[str, ...]], bool]


def _on_exactly(value: str, names: tuple[str, ...]) -> bool:
    return value in names


def _on_domain(host: str, domains: tuple[str, ...]) -> bool:
    labels = host.split(".")
    return not {".".join(labels[at:]) for at in range(len(labels))}.isdisjoint(domains)


def _shorten(names: tuple[str, ...] | None) -> str:
    names = names or ()
    return ", ".join(names[:5]) + (f", and {len(names) - 5} more" if len(names) > 5 else "")
