"""Variants as documents of their own, so that they are checked as what they are: components like the one they stand in.

The nodes of a variant keep their lines, so that what is wrong in it is told where it is written.
"""

from collections.abc import Iterable, Iterator

import yaml

from headwater.assets.likeness import NOT_IN_A_VARIANT, VARIANTS
from headwater.assets.validation.locating import child

_TEXT = "tag:yaml.org,2002:str"


def with_variants(documents: Iterable[yaml.Node]) -> Iterator[yaml.Node]:
    """Every document, and behind it one for each variant that its component names."""
    for document in documents:
        yield document
        if isinstance(document, yaml.MappingNode) and not _has_none(_value(document, "type")):
            yield from _variants(document)


def _has_none(kind: yaml.Node | None) -> bool:
    """Whether components of a kind have no variants: what automates a pipeline is there once."""
    return isinstance(kind, yaml.ScalarNode) and kind.value.rpartition(".")[2] == "Automation"


def _variants(document: yaml.MappingNode) -> Iterator[yaml.Node]:
    attributes = _value(document, "attributes")
    name, variants = _value(attributes, "name"), _value(attributes, VARIANTS)
    if not isinstance(name, yaml.ScalarNode) or not isinstance(variants, yaml.MappingNode):
        return
    kind = [(key, value) for key, value in document.value if key.value == "type"]
    seen = {name.value}
    for key, value in variants.value:  # what is not one, or may not stand in one, is refused where it stands
        named = isinstance(key, yaml.ScalarNode) and key.tag == _TEXT and key.value not in seen
        if named and isinstance(value, yaml.MappingNode):
            seen.add(key.value)
            own = [pair for pair in value.value if pair[0].value not in NOT_IN_A_VARIANT]
            said = [(_text("name", key), key), (_text("like", key), name), *own]
            attributes = yaml.MappingNode(value.tag, said, key.start_mark, value.end_mark)
            pairs = [*kind, (_text("attributes", key), attributes)]
            yield yaml.MappingNode(document.tag, pairs, key.start_mark, value.end_mark)


def _value(node: yaml.Node | None, name: str) -> yaml.Node | None:
    entry = child(node, name)
    return entry[1] if entry else None


def _text(value: str, where: yaml.Node) -> yaml.ScalarNode:
    return yaml.ScalarNode(_TEXT, value, where.start_mark, where.end_mark)
