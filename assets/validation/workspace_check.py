"""All declarations of a workspace: each by itself, then their names, then what they name of each other."""

import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from headwater.assets.likeness import Said, among, completed
from headwater.assets.options import ANY_COMPONENT, ComponentOptions
from headwater.assets.references import GIVEN_BY, wrong_asset
from headwater.assets.scales import at_scale
from headwater.assets.validation.explaining import MISSING, NO_CHOICE, OUTSIDE, UNKNOWN, explain, nearest
from headwater.assets.validation.locating import child, key_line, locate
from headwater.assets.validation.problems import Problem
from headwater.assets.validation.reading import is_empty, joined, line_of, not_yaml, parse, values_of
from headwater.assets.validation.variants import with_variants
from headwater.assets.workspace import Workspace

PREFIX = "headwater.assets."
TOP_LEVEL = ("type", "attributes", "requirements", "post_processing", "template_vars_module")
FOLDER = re.compile(r"[A-Za-z0-9_]+")  # what Dagster allows in the name of a group


@dataclass(frozen=True)
class Declared:
    """A component that a YAML document declares, with the line of each of its values."""

    file: str
    kind: str
    name: str
    options: Any  # None when they are wrong
    node: yaml.MappingNode


class Checked(NamedTuple):
    """What documents declare, what is wrong in them, and whether every component's name is known."""

    declared: list[Declared]
    problems: list[Problem]
    whole: bool = True


def validate_workspace(workspace: Workspace) -> list[Problem]:
    """Checks every ``defs.yaml`` under the workspace's ``pipelines/`` and all references between them."""
    _make_importable(workspace)
    with among(said_in(workspace)):
        return _validate_all(workspace)


def _make_importable(workspace: Workspace) -> None:
    """A workspace need not be installed: its module `pipelines`, and parts of one's own, are found by its folder."""
    root = str(workspace.root)
    if (workspace.pipelines / "__init__.py").is_file() and root not in sys.path:
        sys.path.insert(0, root)


def said_in(workspace: Workspace) -> dict[str, Said]:
    """What each document of a workspace says, by its component's name, whether right or wrong.

    Empty where nothing is like anything else, which costs a look at the bytes.
    """
    files: dict[str, bytes] = {}
    for path in sorted(workspace.pipelines.rglob("defs.yaml")):
        with suppress(OSError):
            files[path.relative_to(workspace.root).as_posix()] = path.read_bytes()
    found: dict[str, Said] = {}
    if any(b"like" in data or b"variants" in data for data in files.values()):
        for file, data in files.items():
            found = {said.attributes["name"]: said for said in _said(file, data)} | found
    return found


def _said(file: str, data: bytes) -> Iterator[Said]:
    with suppress(yaml.YAMLError):
        for node in with_variants(parse(file, data).documents):
            values = values_of(node)
            attributes = values.get("attributes") if isinstance(values, dict) else None
            if isinstance(attributes, dict) and isinstance(attributes.get("name"), str):
                yield Said(str(values.get("type")).rpartition(".")[2], attributes)


def _validate_all(workspace: Workspace) -> list[Problem]:
    problems = [*_not_a_package(workspace), *_misplaced(workspace)]
    declared: list[Declared] = []
    whole = True
    for path in sorted(workspace.pipelines.rglob("defs.yaml")):
        shown = path.relative_to(workspace.root).as_posix()
        found, wrong, complete = _validate_file(shown, path)
        declared += found
        problems += wrong
        whole = whole and complete
    problems += _duplicate_names(declared)
    problems += _second_automations(declared)
    if whole:  # else a name that seems to be unknown may stand where nothing could be read
        problems += _unknown_references(declared, python=_has_python(workspace))
        problems += _misfits(declared)
        problems += _circles(declared)
    return sorted(set(problems))


def validate_text(file: str, data: bytes) -> Checked:
    """Checks the documents of one YAML file."""
    parsed = parse(file, data)
    declared: list[Declared] = []
    problems = list(parsed.problems)
    whole = parsed.whole
    for node in with_variants(parsed.documents):
        found, wrong, complete = _validate_document(file, node)
        declared += found
        problems += wrong
        whole = whole and complete
    return Checked(declared, problems, whole)


@cache
def component_kinds() -> dict[str, type[BaseModel]]:
    """The kinds of asset and the model of each one's attributes."""
    from headwater import assets

    return {name: getattr(assets, name).options_type for name in assets.__all__}


def _validate_file(shown: str, path: Path) -> Checked:
    try:
        data = path.read_bytes()
    except OSError as error:
        problem = Problem(shown, 1, "", f"The file cannot be read: {error.strerror}.", "Check what and whose it is.")
        return Checked([], [problem], whole=False)
    return validate_text(shown, data)


def _not_a_package(workspace: Workspace) -> Iterator[Problem]:
    """The file without which Dagster cannot import the folder that it is to load."""
    file = workspace.pipelines / "__init__.py"
    if not file.is_file():
        folder = "" if workspace.pipelines.is_dir() else f"mkdir {workspace.pipelines.name} && "
        shown = file.relative_to(workspace.root).as_posix()
        message = "It is missing: the folder of declarations is loaded as a Python package."
        yield Problem(shown, 1, "", message, f"An empty file will do: {folder}touch {shown}")


def _misplaced(workspace: Workspace) -> Iterator[Problem]:
    """Files that Dagster would not load, or load unchecked, and folders that cannot name a group."""
    for path in sorted(workspace.pipelines.rglob("*.y*ml")):
        shown = path.relative_to(workspace.root).as_posix()
        if path.name == "defs.yml":
            yield Problem(shown, 1, "", "Only files named defs.yaml are loaded.", "Rename it to defs.yaml.")
        elif path.name == "component.yaml":  # Dagster's former name, which it still loads, unchecked
            yield Problem(shown, 1, "", "Declarations are in files named defs.yaml.", "Rename it to defs.yaml.")
        elif path.name == "defs.yaml" and not FOLDER.fullmatch(path.parent.name):
            better = re.sub(r"[^A-Za-z0-9_]+", "_", path.parent.name)
            message = f"The folder '{path.parent.name}' names the pipeline: letters, digits and _ only."
            yield Problem(shown, 1, "", message, f"Rename the folder to '{better}'.")


def _validate_document(file: str, node: yaml.Node) -> Checked:
    if not isinstance(node, yaml.MappingNode):
        mend = "It needs `type: …` and `attributes: …`; further components follow after a line `---`."
        what = "a list" if isinstance(node, yaml.SequenceNode) else "text"
        return Checked([], [Problem(file, line_of(node), "", f"A declaration is a mapping, not {what}.", mend)], False)
    try:
        values = values_of(node)
    except yaml.YAMLError as error:
        return Checked([], [not_yaml(file, error)], whole=False)
    names = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
    problems = [
        Problem(file, line_of(key), key.value, UNKNOWN, nearest(key.value, TOP_LEVEL))
        for key in names
        if key.value not in TOP_LEVEL
    ]
    kind, problem = _kind(file, node)
    if problem:
        return Checked([], [*problems, problem], whole=False)
    if kind is None:  # another library's component: Dagster checks it
        return Checked([], problems)
    found, wrong = _validate_attributes(file, kind, node, values.get("attributes"))
    return Checked([found], problems + wrong) if found.name else Checked([], problems + wrong, whole=False)


def _kind(file: str, node: yaml.MappingNode) -> tuple[str | None, Problem | None]:
    """The kind of asset that a document declares, None for a component of another library."""
    entry = child(node, "type")
    example = f"Write `type: {PREFIX}Corpus`; the kinds are {', '.join(component_kinds())}."
    if entry is None or is_empty(entry[1]):
        return None, Problem(file, line_of(node), "type", MISSING, example)
    line = line_of(entry[1])
    if not isinstance(entry[1], yaml.ScalarNode):
        return None, Problem(file, line_of(entry[0] or node), "type", "The type is text.", example)
    given = entry[1].value
    short = given.rpartition(".")[2]
    if given == PREFIX + short and short in component_kinds():
        return short, None
    near = nearest(short, component_kinds())
    own = given.startswith("headwater") or "." not in given or (near.startswith("Did") and "asset" in given)
    if not own:
        return None, None
    mend = near.replace("mean '", f"mean '{PREFIX}") if near.startswith("Did") else example
    return None, Problem(file, line, "type", f"There is no kind '{given}'.", mend)


def _validate_attributes(file: str, kind: str, node: yaml.MappingNode, values: Any) -> tuple[Declared, list[Problem]]:
    unnamed = Declared(file, kind, "", None, node)
    entry = child(node, "attributes")
    line = key_line(node, "attributes") or line_of(node)
    if entry is None or is_empty(entry[1]):
        required = {name for name, field in component_kinds()[kind].model_fields.items() if field.is_required()}
        mend = f"Add `attributes:` with at least {', '.join(['name', *sorted(required - {'name'})])}."
        return unnamed, [Problem(file, line, "attributes", MISSING, mend)]
    attributes = entry[1]
    if not isinstance(attributes, yaml.MappingNode):
        return unnamed, [
            Problem(file, line, "attributes", "The attributes are a mapping.", "Write `name: …` below it.")
        ]
    model = component_kinds()[kind]
    name = values.get("name")
    declared = Declared(file, kind, name if isinstance(name, str) else "", None, node)
    try:
        found = Declared(file, kind, declared.name, model.model_validate(values), node)
    except ValidationError as error:
        found_wrong = error.errors()
        if (others := _errors_of_other(model, values)) and all(each["loc"] for each in others):  # there is such a one
            missing = [each["loc"] for each in others if each["type"] == "missing"]
            found_wrong = [e for e in found_wrong if not _inherited(values, e) and e["loc"] not in missing]
        return declared, _without_echoes([_problem(file, model, each, attributes, line) for each in found_wrong])
    return found, list(_wrong_scales(found, values, attributes))


def _errors_of_other(model: type[BaseModel], values: dict[str, Any]) -> list[ErrorDetails]:
    """What is wrong by itself in the component that this one is like, which is told where it stands."""
    if values.get("like") is None:
        return []
    try:
        model.model_validate({"name": "other", "like": values["like"]})
    except ValidationError as error:
        return error.errors()
    return []


def _inherited(values: dict[str, Any], error: ErrorDetails) -> bool:
    """Whether what is wrong was not said here."""
    here: Any = values
    for step in error["loc"][:-1] if error["type"] == "missing" else error["loc"]:
        inside = step in here if isinstance(here, dict) else isinstance(step, int) and step < len(here)
        if inside:
            here = here[step]
        elif not (isinstance(here, dict) and here.get("kind") == step):  # pydantic names the member of a union
            return True
        if not isinstance(here, dict | list):
            break
    return False


def _wrong_scales(item: Declared, values: dict[str, Any], attributes: yaml.MappingNode) -> Iterator[Problem]:
    """What would be wrong at another size, told at the block that says what differs there."""
    for scale in completed(values, item.kind).get("scales") or {}:
        try:
            type(item.options).model_validate(at_scale(completed(values, item.kind), scale))
        except ValidationError as error:
            for each in error.errors():
                found = locate(type(item.options), attributes, line_of(attributes), ("scales", scale))
                message, mend = explain(each, locate(type(item.options), attributes, found.line, each["loc"]))
                path = joined(["attributes", "scales", scale, *each["loc"]])
                yield Problem(item.file, found.line, path, message, mend)


def _problem(file: str, model: type[BaseModel], detail: ErrorDetails, node: yaml.Node, start: int) -> Problem:
    found = locate(model, node, start, detail["loc"])
    message, mend = explain(detail, found)
    line, path = found.line, found.path
    if detail["type"] in ("extra_forbidden", "invalid_key"):
        parent = locate(model, node, start, detail["loc"][:-1])
        line = key_line(parent.node, detail["loc"][-1]) or line
    named = {"union_tag_invalid": "kind", "value_error": re.split(r"[^A-Za-z0-9_]", message, maxsplit=1)[0]}
    entry = child(found.node, named.get(detail["type"], ""))
    if entry:  # a rule over a whole mapping begins with the name of the field that it is about
        path = [*path, named[detail["type"]]]
        line = line_of(entry[1] if isinstance(entry[1], yaml.ScalarNode) else entry[0] or entry[1])
    return Problem(file, line, joined(["attributes", *path]), message, mend)


def _without_echoes(problems: list[Problem]) -> list[Problem]:
    """What is wrong in one way is told once.

    A required field that is misspelled is not missing too, and a number outside of what a number may be there is not
    also a wrong word, where a field takes either.
    """
    meant = {
        problem.field.rpartition(".")[0] + "." + problem.mend.split("'")[1]
        for problem in problems
        if problem.message == UNKNOWN and problem.mend.startswith("Did you mean")
    }
    left = [problem for problem in problems if problem.message != MISSING or problem.field not in meant]
    too_far = {(problem.line, problem.field) for problem in left if problem.message.startswith(OUTSIDE)}
    return [p for p in left if not p.message.endswith(NO_CHOICE) or (p.line, p.field) not in too_far]


def _duplicate_names(declared: list[Declared]) -> Iterator[Problem]:
    first: dict[str, Declared] = {}
    for item in declared:
        earlier = first.setdefault(item.name, item)
        if earlier is not item:
            where = f"{earlier.file}:{_name_line(earlier)}"
            message = f"'{item.name}' is declared in {where} already."
            yield Problem(item.file, _name_line(item), "attributes.name", message, "Give it another name.")


def _second_automations(declared: list[Declared]) -> Iterator[Problem]:
    """One pipeline's assets are followed by one sensor, so a folder has one Automation."""
    first: dict[str, Declared] = {}
    for item in (each for each in declared if each.kind == "Automation"):
        earlier = first.setdefault(Path(item.file).parent.as_posix(), item)
        if earlier is not item:
            message = f"'{earlier.name}' automates this pipeline already."
            yield Problem(item.file, line_of(item.node), "", message, f"Say it in '{earlier.name}'.")


def _unknown_references(declared: list[Declared], python: bool) -> Iterator[Problem]:
    """References to nothing; with Python beside the YAML, a name may be declared there."""
    known = {item.name: item for item in declared}
    for item in declared:
        for location, kind, name in item.options.references() if item.options is not None else []:
            problem = _wrong_reference(known, kind, name, python)
            if problem:
                found = locate(type(item.options), _attributes(item.node), line_of(item.node), location)
                yield Problem(item.file, found.line, joined(["attributes", *found.path]), *problem)


def _misfits(declared: list[Declared]) -> Iterator[Problem]:
    """What two declarations contradict each other in, each of them right by itself."""
    known = {item.name: item.options for item in declared}
    for item in declared:
        if not isinstance(item.options, ComponentOptions):  # wrong by itself, or an Automation, which has no inputs
            continue
        for location, message, mend in item.options.misfits(known.get):
            found = locate(type(item.options), _attributes(item.node), line_of(item.node), location)
            yield Problem(item.file, found.line, joined(["attributes", *found.path]), message, mend)


def _circles(declared: list[Declared]) -> Iterator[Problem]:
    """Components that are made from each other: nothing could be computed first."""
    named = {
        item.name: [name.partition("/")[0] for _, kind, name in item.options.references() if kind != ANY_COMPONENT]
        for item in declared
        if item.options is not None
    }
    for item in declared:
        way = _way_back(item.name, named)
        if way and item.name == min(way):
            message = f"It is made from itself: {' from '.join((*way, item.name))}."
            yield Problem(item.file, _name_line(item), "attributes.name", message, "Take one of these references out.")


def _way_back(start: str, named: dict[str, list[str]]) -> list[str]:
    """Names from a component over what it names back to itself; empty where no way leads back."""
    waiting: list[list[str]] = [[start]]
    seen: set[str] = set()
    while waiting:
        way = waiting.pop()
        for name in named.get(way[-1], []):
            if name == start:
                return way
            if name not in seen:
                seen.add(name)
                waiting.append([*way, name])
    return []


def _wrong_reference(known: dict[str, Declared], kind: str, name: str, python: bool) -> tuple[str, str] | None:
    """(what is wrong, the mend) of a name, where something is."""
    component, _, stage = name.partition("/")
    named = known.get(component)
    if named is None:
        mend = nearest(component, [each.name for each in known.values() if kind in (each.kind, ANY_COMPONENT)])
        what = "component" if kind == ANY_COMPONENT else kind
        return (
            None if python else (f"No {what} is named '{component}'.", mend or f"Declare a {what} of this name first.")
        )
    if named.kind in GIVEN_BY.get(kind, {}):
        return wrong_asset(kind, name, named.kind)
    if kind not in (named.kind, ANY_COMPONENT):
        mend = nearest(name, [each.name for each in known.values() if each.kind == kind])
        return f"'{name}' is a {named.kind}; a {kind} is needed here.", mend or f"Declare a {kind} of this name first."
    stages = _stages_of(named) if kind == ANY_COMPONENT else []
    if kind == ANY_COMPONENT and named.options is not None and (not stages or (stage and stage not in stages)):
        what = f"{component} has no asset '{stage}'." if stage else f"'{component}' has no assets."
        return what, nearest(stage, stages)
    return None


def _stages_of(item: Declared) -> list[str]:
    from headwater import assets

    return [] if item.options is None else [s.stage for s in getattr(assets, item.kind)(item.options).stages("")]


def _has_python(workspace: Workspace) -> bool:
    return any(path.name != "__init__.py" for path in workspace.pipelines.rglob("*.py"))


def _attributes(node: yaml.MappingNode) -> yaml.Node | None:
    entry = child(node, "attributes")
    return entry[1] if entry else None


def _name_line(item: Declared) -> int:
    entry = child(_attributes(item.node), "name")
    return line_of(entry[1]) if entry else line_of(item.node)
