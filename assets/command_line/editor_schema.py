"""One JSON schema for all kinds, with which editors complete and check ``defs.yaml`` while it is written.

``type`` decides which attributes may follow. The schema is stricter than pydantic's where that helps an editor: an
entry of a list of kinds must say its ``kind``, so that a misspelled field is marked in the kind that was meant.
"""

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from headwater.assets.likeness import NOT_IN_A_VARIANT, VARIANTS
from headwater.assets.validation import component_kinds
from headwater.assets.workspace import Workspace

SCHEMA_FILE = Path(".dg") / "defs.schema.json"
PREFIX = "headwater.assets."

Schema = dict[str, Any]


def declarations_schema() -> Schema:
    """The schema of one document of a declaration."""
    kinds = component_kinds()
    references, shared = models_json_schema(
        [(model, "validation") for model in kinds.values()], ref_template="#/$defs/{model}"
    )
    attributes = {name: references[(model, "validation")] for name, model in kinds.items()}
    types = [PREFIX + name for name in kinds]
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Headwater declaration",
        "type": "object",
        "required": ["type"],
        "additionalProperties": False,
        "properties": {
            "type": {
                "description": "Which kind of asset this declares.",
                "anyOf": [{"enum": types}, {"type": "string", "pattern": r"^(?!headwater\.).+\..+$"}],
            },
            "attributes": {"type": "object", "description": "The options of this kind."},
            "requirements": {"type": "object", "description": "Dagster: environment variables that must be set."},
            "post_processing": {"type": "object", "description": "Dagster: changes to the assets of this component."},
            "template_vars_module": {"type": "string", "description": "Dagster: module with variables of templates."},
        },
        "allOf": [_attributes_of(name, reference) for name, reference in attributes.items()],
        "$defs": {name: _for_editors(node) for name, node in _with_kinds(shared["$defs"]).items()},
    }


def write_schema(workspace: Workspace) -> Path:
    """Writes the schema to ``.dg/defs.schema.json`` of the workspace and returns its path."""
    path = workspace.root / SCHEMA_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(declarations_schema(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _attributes_of(name: str, reference: Schema) -> Schema:
    chosen = {"properties": {"type": {"const": PREFIX + name}}, "required": ["type"]}
    attributes = {"if": {"required": ["like"]}, "then": _differences(name), "else": reference}
    variants = {"properties": {VARIANTS: {"additionalProperties": _differences(name, NOT_IN_A_VARIANT)}}}
    said = {"attributes": {"allOf": [attributes, variants]}}
    return {"if": chosen, "then": {"required": ["attributes"], "properties": said}}


def _differences(name: str, without: tuple[str, ...] = ()) -> Schema:
    """What a component may say that is like another one: parts of attributes too, so that their names alone count."""
    fields = {field: info for field, info in component_kinds()[name].model_fields.items() if field not in without}
    told = {field: {"description": info.description} if info.description else {} for field, info in fields.items()}
    required = [] if without else ["name"]
    return {"type": "object", "required": required, "properties": told, "additionalProperties": False}


def _with_kinds(models: Schema) -> Schema:
    """The models, of which those that a union tells apart by ``kind`` (data sets: and ``name``) must say it."""
    told_by: dict[str, set[str]] = {}
    for node in _nodes(models):
        for reference, field in _members(node):
            told_by.setdefault(reference.rsplit("/", 1)[-1], {"kind"}).add(field)
    return {
        name: model | {"required": sorted({*model.get("required", []), *told_by.get(name, ())})}
        if name in told_by
        else model
        for name, model in models.items()
    }


def _members(node: Schema) -> list[tuple[str, str]]:
    """(reference, field that tells it apart) of a union's models; a union within the union has its own."""
    apart = node.get("discriminator", {})
    mapping = apart.get("mapping", {}) if isinstance(apart, dict) else {}
    return [(model, apart["propertyName"]) for model in mapping.values() if isinstance(model, str)]


def _nodes(value: Any) -> list[Schema]:
    if isinstance(value, dict):
        return [value, *(node for item in value.values() for node in _nodes(item))]
    return [node for item in value for node in _nodes(item)] if isinstance(value, list) else []


def _for_editors(value: Any) -> Any:
    """Leaves out what JSON schema does not know (a discriminator) and titles that only repeat the field's name."""
    if isinstance(value, list):
        return [_for_editors(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _for_editors(item) for key, item in value.items() if key != "discriminator"}
    if isinstance(kept.get("title"), str) and "properties" not in kept:
        del kept["title"]
    return kept
