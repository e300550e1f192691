"""Declarations are checked as a whole before anything loads: every file, every document in it, every reference.

`dg check yaml` looks at one file per component type and names no line for wrong values; here each problem says file,
line, field, what is wrong and the mend.
"""

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from headwater.assets.workspace import Workspace

PREFIX = "headwater.assets."
TOP_LEVEL = ("type", "attributes", "requirements", "post_processing", "template_vars_module")


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong in a declaration."""

    file: str
    line: int
    field: str
    message: str
    mend: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: {self.field}: " if self.field else f"{self.file}:{self.line}: "
        return where + self.message + (f" {self.mend}" if self.mend else "")


class DeclarationError(Exception):
    """Declarations are wrong; holds every problem found."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{count} in the declarations:\n" + "\n".join(f"  {problem}" for problem in problems))


@dataclass(frozen=True)
class Declared:
    """A component that a YAML document declares, with the line of each of its values."""

    file: str
    kind: str
    options: Any
    node: yaml.MappingNode


def validate_workspace(workspace: Workspace) -> list[Problem]:
    """Checks every ``defs.yaml`` under the workspace's ``pipelines/`` and all references between them."""
    files = sorted(workspace.pipelines.rglob("defs.yaml"))
    problems: list[Problem] = []
    declared: list[Declared] = []
    for path in files:
        shown = path.relative_to(workspace.root).as_posix()
        found, wrong = validate_text(shown, path.read_bytes())
        declared += found
        problems += wrong
    problems += _duplicate_names(declared)
    if not problems:  # a name that YAML does not declare may be declared in Python
        problems += _unknown_references(declared, python=_has_python(workspace))
    return sorted(problems)


def validate_text(file: str, text: bytes) -> tuple[list[Declared], list[Problem]]:
    """Checks the documents of one YAML file: (what they declare, what is wrong)."""
    try:
        documents = [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if node is not None]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return [], [_not_yaml(file, error)]
    if not documents:
        return [], [Problem(file, 1, "", "The file declares nothing.", "Begin with `type: headwater.assets.Corpus`.")]
    declared: list[Declared] = []
    problems: list[Problem] = []
    for node in documents:
        found, wrong = _validate_document(file, node)
        declared += found
        problems += wrong
    return declared, problems


def _not_yaml(file: str, error: Exception) -> Problem:
    mark = getattr(error, "problem_mark", None)
    line = mark.line + 1 if mark else 1
    what = getattr(error, "problem", None) or str(error).splitlines()[0]
    return Problem(file, line, "", f"This is not valid YAML: {what}.", "Check indentation, colons and quotes here.")


def _validate_document(file: str, node: yaml.Node) -> tuple[list[Declared], list[Problem]]:
    if not isinstance(node, yaml.MappingNode):
        return [], [Problem(file, _line(node), "", "A declaration is a mapping.", "It needs `type:` and `attributes:`.")]
    keys = {key.value: value for key, value in node.value}
    problems = [
        Problem(file, _line(key), key.value, "Unknown field.", _nearest(key.value, TOP_LEVEL))
        for key, _ in node.value
        if key.value not in TOP_LEVEL
    ]
    kind = keys["type"].value if "type" in keys else ""
    if not isinstance(kind, str) or not kind:
        return [], [*problems, Problem(file, _line(node), "type", "The field is missing.", "Say which kind this is.")]
    if not kind.startswith(PREFIX):
        return [], problems  # another library's component: Dagster checks it
    kinds = component_kinds()
    short = kind.removeprefix(PREFIX)
    if short not in kinds:
        line = _line(keys["type"])
        return [], [*problems, Problem(file, line, "type", f"There is no kind '{kind}'.", _nearest(short, kinds))]
    options, wrong = _validate_attributes(file, kinds[short], keys.get("attributes"), node)
    found = [Declared(file, short, options, node)] if options is not None else []
    return found, problems + wrong


def component_kinds() -> dict[str, type[BaseModel]]:
    """The kinds of asset and the model of each one's attributes."""
    from headwater import assets

    return {name: getattr(assets, name).options_type for name in assets.__all__}


def _validate_attributes(
    file: str, model: type[BaseModel], node: yaml.Node | None, document: yaml.Node
) -> tuple[Any, list[Problem]]:
    loader = yaml.SafeLoader("")
    try:
        values = loader.construct_document(node) if node is not None else {}
    except yaml.YAMLError as error:
        return None, [_not_yaml(file, error)]
    try:
        return model.model_validate(values or {}), []
    except ValidationError as error:
        found = [_problem(file, model, detail, node or document) for detail in error.errors()]
        return None, found


def _problem(file: str, model: type[BaseModel], detail: ErrorDetails, node: yaml.Node) -> Problem:
    at, path = _locate(node, detail["loc"])
    message, mend = _explain(model, detail)
    return Problem(file, _line(at), ".".join(["attributes", *path]), message, mend)


def _locate(node: yaml.Node, location: tuple[int | str, ...]) -> tuple[yaml.Node, list[str]]:
    """Follows an error's location as far as the YAML goes; tags of unions are not in the YAML and are passed over."""
    path: list[str] = []
    here = node
    for position, step in enumerate(location):
        last = position == len(location) - 1
        if isinstance(here, yaml.MappingNode):
            entry = next(((k, v) for k, v in here.value if k.value == step), None)
            if entry is not None:
                here = entry[0] if last and not isinstance(entry[1], yaml.ScalarNode) else entry[1]
                path.append(str(step))
            elif last:
                path.append(str(step))
        elif isinstance(here, yaml.SequenceNode) and isinstance(step, int) and step < len(here.value):
            here = here.value[step]
            path.append(str(step))
    return here, path


def _explain(model: type[BaseModel], detail: ErrorDetails) -> tuple[str, str]:
    kind, given, context = detail["type"], detail.get("input"), detail.get("ctx", {})
    field = str(detail["loc"][-1]) if detail["loc"] else ""
    if kind == "extra_forbidden":
        return "Unknown field.", _nearest(field, _siblings(model, detail["loc"]))
    if kind == "missing":
        return "The field is missing.", f"Add `{field}: …`."
    if kind == "union_tag_invalid":
        tag, expected = str(context.get("tag")), str(context.get("expected_tags", "")).replace("'", "").split(", ")
        return f"There is no kind '{tag}' here.", _nearest(tag, expected)
    if kind == "union_tag_not_found":
        return "It does not say its kind.", "Add `kind: …`; `headwater options` lists the kinds."
    if kind == "literal_error":
        return f"'{given}' is not one of the choices.", f"Choose {context.get('expected')}."
    if kind == "value_error":
        return str(detail["msg"]).removeprefix("Value error, ").rstrip(".") + ".", ""
    shown = "nothing" if given is None else repr(given)
    return f"{detail['msg'].rstrip('.')} (it is {shown[:60]}).", ""


def _siblings(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The field names that would have been right beside a wrong one, found in the model's schema."""
    schema = model.model_json_schema()
    here: Any = schema
    for step in location[:-1]:
        here = _step_into(schema, here, step)
    return list(_resolve(schema, here).get("properties", {}))


def _step_into(schema: dict[str, Any], here: Any, step: int | str) -> Any:
    here = _resolve(schema, here)
    if isinstance(step, int):
        return here.get("items", {})
    if step in here.get("properties", {}):
        return here["properties"][step]
    options = [*here.get("oneOf", []), *here.get("anyOf", [])]
    mapping = here.get("discriminator", {}).get("mapping", {})
    if step in mapping:
        return {"$ref": mapping[step]}
    return next((o for o in options if _resolve(schema, o).get("title") == step), here)


def _resolve(schema: dict[str, Any], here: Any) -> dict[str, Any]:
    while isinstance(here, dict) and "$ref" in here:
        here = schema.get("$defs", {}).get(here["$ref"].rsplit("/", 1)[-1], {})
    if isinstance(here, dict) and "properties" not in here and "items" not in here and "discriminator" not in here:
        for option in [*here.get("anyOf", []), *here.get("allOf", [])]:
            resolved = _resolve(schema, option)
            if "properties" in resolved or "items" in resolved or "discriminator" in resolved:
                return resolved
    return here if isinstance(here, dict) else {}


def _nearest(word: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    if close:
        return f"Did you mean '{close[0]}'?"
    return f"Known: {', '.join(names)}." if names else ""


def _duplicate_names(declared: list[Declared]) -> Iterator[Problem]:
    first: dict[str, Declared] = {}
    for item in declared:
        earlier = first.setdefault(item.options.name, item)
        if earlier is not item:
            where = f"{earlier.file}:{_line(earlier.node)}"
            yield Problem(
                item.file, _line(item.node), "attributes.name", f"'{item.options.name}' is declared in {where} already.",
                "Give it another name.",
            )  # fmt: skip


def _unknown_references(declared: list[Declared], python: bool = False) -> Iterator[Problem]:
    names: dict[str, set[str]] = {}
    for item in declared:
        names.setdefault(item.kind, set()).add(item.options.name)
    for item in declared:
        for location, kind, name in item.options.references():
            if name in names.get(kind, set()) or (python and not any(name in known for known in names.values())):
                continue
            at, path = _locate(_attributes(item.node), location)
            message = f"No {kind} is named '{name}'."
            yield Problem(item.file, _line(at), ".".join(["attributes", *path]), message, _nearest(name, names.get(kind, ())))


def _has_python(workspace: Workspace) -> bool:
    return any(path.name != "__init__.py" for path in workspace.pipelines.rglob("*.py"))


def _attributes(node: yaml.MappingNode) -> yaml.Node:
    return next(value for key, value in node.value if key.value == "attributes")


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1
