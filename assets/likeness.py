"""A declaration that is like another one: it says what differs, and the rest is the other's.

The arms of a comparison should differ in one thing, and a reader should see that it is one thing. So a component may
say `like: other` and then only what is its own; mappings are joined, all else is replaced (see `scales.merged`). What
is declared elsewhere is known while a workspace is checked and loaded, and at no other time.

Where several are like one, that one may name them under `variants`: each is a component of its own, as if it stood in
a document of its own and said `like:`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from headwater.assets.scales import merged

VARIANTS = "variants"
OWN = ("name", "description", VARIANTS)  # what is never taken over
NOT_IN_A_VARIANT = ("name", "like", VARIANTS)  # its key is its name, and what it is like is where it stands


class Said(NamedTuple):
    """What a YAML document says: the kind of its component, and the attributes as they are written."""

    kind: str
    attributes: Mapping[str, Any]


_around: ContextVar[Mapping[str, Said] | None] = ContextVar("headwater_declarations", default=None)


@contextmanager
def among(declarations: Mapping[str, Said]) -> Iterator[None]:
    """While the block runs, these declarations, by name, are what one may be like."""
    before = _around.set(declarations)
    try:
        yield
    finally:
        _around.reset(before)


def completed(attributes: Mapping[str, Any], kind: str, seen: tuple[str, ...] = ()) -> dict[str, Any]:
    """A component's attributes with those of the component that it is like.

    Raises:
        ValueError: there is no such component, it is of another kind, or it is like this one in turn.
    """
    own = {name: value for name, value in attributes.items() if name != "like"}
    other = attributes.get("like")
    if other is None:
        return own
    known = {name: said for name, said in (_around.get() or {}).items() if said.kind == kind}
    if other in seen:
        raise ValueError(f"like: {' is like '.join((*seen, str(other)))}: none of them says anything by itself")
    if other not in known:
        there = f"there are {', '.join(sorted(known))}" if known else "there is no other one"
        raise ValueError(f"like: no {kind} is named '{other}' in the declarations; {there}")
    base = completed(known[other].attributes, kind, (*seen, str(other)))
    return merged({name: value for name, value in base.items() if name not in OWN}, own)


def variants_of(attributes: Mapping[str, Any], kind: str) -> Iterator[dict[str, Any]]:
    """The whole attributes of each variant that a component names.

    Raises:
        ValueError: the component is like another one, and there is no such.
    """
    variants = attributes.get(VARIANTS) or {}
    base = {name: value for name, value in completed(attributes, kind).items() if name not in OWN} if variants else {}
    for name, own in variants.items():
        yield merged(base, {**own, "name": name})
