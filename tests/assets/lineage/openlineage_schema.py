"""Is an event what the OpenLineage schema asks for?

The client's classes are generated from the published schema, so they state it: names, types, which fields are required,
and for each standard facet the address of its own schema. This turns them into JSON Schema again and checks events with
an independent validator, Headwater's own facets against the schema file that travels with the package.
"""

import importlib
import json
import pkgutil
import types
import typing
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import attr
import jsonschema
from openlineage.client import event_v2, facet_v2, generated
from openlineage.client.utils import RedactMixin
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

import headwater.assets.lineage

CORE = "https://openlineage.io/spec/2-0-2/OpenLineage.json"
OWN = Path(headwater.assets.lineage.__file__).parent / "schemas" / "headwater-facets-1-0-0.json"
BASES = (
    facet_v2.RunFacet,
    facet_v2.JobFacet,
    facet_v2.DatasetFacet,
    facet_v2.InputDatasetFacet,
    facet_v2.OutputDatasetFacet,
)
FORMATS = {"runId": "uuid", "eventTime": "date-time", "producer": "uri", "schemaURL": "uri"}


def problems_of(event: dict[str, Any]) -> list[str]:
    """What is wrong with an event, one sentence each; facets are judged by the schema that they name themselves."""
    found = [f"{e.json_path}: {e.message}" for e in _validator(_shape(event_v2.RunEvent)).iter_errors(event)]
    for place, base, facet in _facets(event):
        schema = _schemas().get(facet.get("_schemaURL", ""))
        if schema is None:
            found.append(f"{place} names no known schema: {facet.get('_schemaURL')}")
            continue
        both = {"allOf": [_shape(base), schema]}
        found += [f"{place}{e.json_path[1:]}: {e.message}" for e in _validator(both).iter_errors(facet)]
    return found


def _facets(event: dict[str, Any]):
    groups = [("run", facet_v2.RunFacet, event["run"].get("facets"))]
    groups.append(("job", facet_v2.JobFacet, event["job"].get("facets")))
    for side, base in (("inputs", facet_v2.InputDatasetFacet), ("outputs", facet_v2.OutputDatasetFacet)):
        for item in event[side]:
            groups.append((item["name"], facet_v2.DatasetFacet, item.get("facets")))
            groups.append((item["name"], base, item.get(f"{side[:-1]}Facets")))
    return [
        (f"{place}.{name}", base, facet) for place, base, facets in groups for name, facet in (facets or {}).items()
    ]


def _validator(schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(
        schema, registry=_registry(), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


@cache
def _schemas() -> dict[str, dict[str, Any]]:
    """Address of a facet's schema → the schema, for all standard facets and Headwater's own."""
    found = {}
    for module in pkgutil.iter_modules(generated.__path__):
        for value in vars(importlib.import_module(f"{generated.__name__}.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, facet_v2.BaseFacet):
                found[value._get_schema()] = _shape(value)
    own = json.loads(OWN.read_text())
    return found | {f"{own['$id']}#/$defs/{name}": {"$ref": f"{own['$id']}#/$defs/{name}"} for name in own["$defs"]}


@cache
def _registry() -> Registry:
    core = {"$id": CORE, "$defs": {base.__name__: _shape(base) for base in BASES}}
    own = json.loads(OWN.read_text())
    return Registry().with_resources(
        (schema["$id"], Resource.from_contents(schema, default_specification=DRAFT202012)) for schema in (core, own)
    )


def _shape(kind: type, depth: int = 0) -> dict[str, Any]:
    """JSON Schema of a generated class. Only a facet of no particular kind may hold more than its class says."""
    hints = typing.get_type_hints(kind)
    properties, required = {}, []
    for field in attr.fields(kind):
        told = {"format": FORMATS[field.name]} if field.name in FORMATS else {}
        properties[field.name] = _type(hints[field.name], depth) | told
        if type(None) not in typing.get_args(hints[field.name]) and not field.name.startswith("_deleted"):
            required.append(field.name)
    anything = kind in (facet_v2.BaseFacet, *BASES)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": anything}


def _type(hint: Any, depth: int) -> dict[str, Any]:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _type(next(item for item in inner if item is not type(None)), depth)
    if origin is list:
        return {"type": "array", "items": _type(inner[0], depth)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _type(inner[1], depth)}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"enum": [item.value for item in hint]}
    if isinstance(hint, type) and issubclass(hint, RedactMixin):  # columns hold columns: to a depth that is enough here
        return _shape(hint, depth + 1) if depth < 6 else {"type": "object"}
    named = {str: "string", int: "integer", float: "number", bool: "boolean"}
    return {"type": named[hint]} if hint in named else {}
