"""From the place that pydantic names to the line and the path that the user wrote."""

from typing import NamedTuple

import yaml
from pydantic import BaseModel

from headwater.assets.validation.reading import line_of, values_of
from headwater.assets.validation.schemas import SchemaWalk

PLAIN_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("bool", "float", "int", "null", "str")}

Location = tuple[int | str, ...]


class Found(NamedTuple):
    """Where an error is."""

    line: int
    path: list[int | str]  # as the user wrote it: without the tags of unions
    node: yaml.Node | None  # the value, None when it is not written
    around: SchemaWalk  # the model whose field it is
    here: SchemaWalk  # what may stand there
    choice: SchemaWalk | None = None  # the kinds that the model around is one of


def locate(model: type[BaseModel], node: yaml.Node | None, line: int, location: Location) -> Found:
    """Follows an error's location as far as the YAML goes.

    Args:
        model: the model that the attributes were checked with.
        node: the attributes.
        line: where the attributes begin.
        location: pydantic's ``loc``, which also names the member of a union that was tried.
    """
    around = here = SchemaWalk.of(model)
    path: list[int | str] = []
    key: yaml.Node | None = None
    choice: SchemaWalk | None = None
    chosen_from: SchemaWalk | None = None
    for step in location:
        if isinstance(step, str) and step in here.kinds():
            chosen_from = here
            around = here = here.kind(step)
            continue
        if step == "[key]":  # the key itself is wrong, not its value
            node = key
            continue
        entry = child(node, step)
        if entry is None and (isinstance(node, yaml.ScalarNode) or step not in here.fields()):
            continue  # pydantic's name for the member of a plain union, or a field that a short form left out
        choice, chosen_from = chosen_from, None
        around, here = here, here.step(step)
        in_list = isinstance(node, yaml.SequenceNode)
        key, node = entry or (None, None)
        path.append(step if in_list else key.value if key else str(step))
        if node is not None:
            line = line_of(node if key is None or isinstance(node, yaml.ScalarNode) else key)
    return Found(line, path, node, around, here, choice)


def child(node: yaml.Node | None, step: int | str) -> tuple[yaml.Node | None, yaml.Node] | None:
    """(key, value) of a mapping's field or (None, entry) of a list, where there is one."""
    if isinstance(node, yaml.MappingNode):
        # Of a key that a merge brought in and the mapping says again, the last one counts.
        return next(((key, value) for key, value in reversed(node.value) if _is(key, step)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return None, node.value[step]
    return None


def key_line(node: yaml.Node | None, step: int | str) -> int | None:
    """The line of a mapping's key."""
    entry = child(node, step)
    return line_of(entry[0]) if entry and entry[0] else None


def _is(key: yaml.Node, step: int | str) -> bool:
    if not isinstance(key, yaml.ScalarNode):
        return False
    # Pydantic names a key by its value: `on` is True, `1` is the number.
    return key.value == step or (key.tag in PLAIN_TAGS and step in (values_of(key), str(values_of(key))))
