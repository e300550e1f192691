"""What declarations say, component by component: variants too, and each with what it takes over from another one."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

from headwater.assets.likeness import VARIANTS, Said, among, completed


class Declared(NamedTuple):
    """A component: its kind, and its attributes with those of the component that it is like."""

    kind: str
    attributes: dict[str, Any]


def said_by(text: str) -> dict[str, Said]:
    """What the documents of a YAML text say by the name of the component; a variant is like the one it stands in."""
    said = {}
    for document in filter(None, yaml.safe_load_all(text)):
        kind, attributes = document["type"].rpartition(".")[2], document["attributes"]
        said[attributes["name"]] = Said(kind, attributes)
        for name, own in attributes.get(VARIANTS, {}).items():
            said[name] = Said(kind, {**own, "name": name, "like": attributes["name"]})
    return said


def components_in(text: str, others: Mapping[str, Said] | None = None) -> dict[str, Declared]:
    """Every component of a YAML text by its name; `others` are declared elsewhere, and it may be like one of them."""
    own = said_by(text)
    with among({**(others or {}), **own}):
        whole = {name: Declared(said.kind, completed(said.attributes, said.kind)) for name, said in own.items()}
    for declared in whole.values():
        declared.attributes.pop(VARIANTS, None)
    return whole
