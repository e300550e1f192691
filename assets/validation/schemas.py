"""Walking a model's JSON schema beside a YAML document: which fields would have been right where one is wrong."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import BaseModel

Node = dict[str, Any]


class SchemaWalk:
    """A place in the JSON schema of a model; every step gives another place. Unknown places have no fields."""

    def __init__(self, root: Node, here: Node) -> None:
        self._root = root
        self._here = here

    @classmethod
    def of(cls, model: type[BaseModel]) -> "SchemaWalk":
        """The place of a model itself."""
        schema = _schema(model)
        return cls(schema, schema)

    def fields(self) -> dict[str, Node]:
        """The fields here, by name."""
        return {name: node for choice in self._choices() for name, node in choice.get("properties", {}).items()}

    def fields_of_any_kind(self) -> set[str]:
        """Names of the fields here and, where kinds are told apart, of those that any kind has."""
        return {*self.fields(), *(name for tag in self.kinds() for name in self.kind(tag).fields())}

    def kinds(self) -> dict[str, str | Node]:
        """The kinds that may stand here (``kind: …``), each with the reference to its model, or with what tells its
        own kinds apart by another field."""
        return {tag: ref for choice in self._choices() for tag, ref in _tags(choice).items()}

    def kind(self, tag: str) -> "SchemaWalk":
        """The model of one of the kinds."""
        chosen = self.kinds()[tag]
        return SchemaWalk(self._root, chosen if isinstance(chosen, dict) else {"$ref": chosen})

    def step(self, step: int | str) -> "SchemaWalk":
        """The field, entry of a list or value of a mapping that a step leads to."""
        return SchemaWalk(self._root, next(self._following(step), {}))

    def _following(self, step: int | str) -> Iterator[Node]:
        for choice in self._choices():
            if isinstance(step, int) and ("items" in choice or "prefixItems" in choice):
                fixed = choice.get("prefixItems", [])
                yield fixed[step] if step < len(fixed) else choice.get("items", {})
            elif step in choice.get("properties", {}):
                yield choice["properties"][step]
            elif isinstance(choice.get("additionalProperties"), dict):
                yield choice["additionalProperties"]

    def _choices(self) -> list[Node]:
        """What may stand here, references and plain unions resolved; a union told apart by kind is one choice."""
        waiting, found = [self._here], []
        while waiting:
            node = waiting.pop(0)
            if "$ref" in node:
                waiting.append(self._root.get("$defs", {}).get(node["$ref"].rsplit("/", 1)[-1], {}))
            elif "discriminator" in node:
                found.append(node)
            elif "anyOf" in node or "oneOf" in node or "allOf" in node:
                waiting += [*node.get("anyOf", []), *node.get("oneOf", []), *node.get("allOf", [])]
            else:
                found.append(node)
        return found


def _tags(choice: Node) -> dict[str, str | Node]:
    return dict(choice.get("discriminator", {}).get("mapping", {}))


@cache
def _schema(model: type[BaseModel]) -> Node:
    return model.model_json_schema()
