"""Counts that a record carries, so that a refresh goes on counting from them instead of counting all again."""

from collections.abc import Mapping

from headwater.assets.storage.records import Counts


def added(counts: Mapping[str, Mapping[str, int]], more: Mapping[str, Mapping[str, int]], sign: int = 1) -> Counts:
    """Both together, or the first less the second; what comes to nothing is left out."""
    result = {group: dict(of) for group, of in counts.items()}
    for group, of in more.items():
        own = result.setdefault(group, {})
        for name, count in of.items():
            own[name] = own.get(name, 0) + sign * count
    return {group: left for group, of in result.items() if (left := {name: n for name, n in of.items() if n})}
