"""Which fields a batch has after its views: what an objective may count on, before anything runs. No torch here."""

from collections.abc import Sequence
from typing import NamedTuple

from headwater.models.views.options import ViewOptions


class Missing(NamedTuple):
    """A view that cannot be made: its place in the list, the fields that it lacks, and those that there are."""

    place: int
    lacks: list[str]
    there: frozenset[str]


def after_views(fields: frozenset[str], views: Sequence[ViewOptions]) -> frozenset[str] | Missing:
    """The fields that a batch has after the views, or the first view that needs what nothing before it gives."""
    for place, view in enumerate(views):
        if lacks := sorted(view.needs() - fields):
            return Missing(place, lacks, fields)
        fields |= view.gives()
    return fields


def offered(fields: frozenset[str], views: Sequence[ViewOptions]) -> frozenset[str]:
    """The fields that a batch has after the views.

    Raises:
        ValueError: a view needs a field that nothing gives before it.
    """
    found = after_views(fields, views)
    if isinstance(found, Missing):
        kind = getattr(views[found.place], "kind", type(views[found.place]).__name__)
        there = ", ".join(sorted(found.there))
        raise ValueError(f"views.{found.place} ({kind}) needs {', '.join(found.lacks)}; before it there are {there}")
    return found
