"""YAML as nodes that know their lines: what PyYAML passes over in silence, or says in its own words, is a problem here.

Values are built by the rules of Dagster's loader (dates stay text), so that what is checked is what is loaded.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import yaml
from dagster_shared.yaml_utils import DagsterYamlLoader

from headwater.assets.validation.problems import Problem

try:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]

    class _FastLoader(CParser, yaml.composer.Composer, yaml.resolver.Resolver):  # type: ignore[misc]
        """libyaml's parser with the rules of Dagster's loader for what is text and what a number: ten times as fast."""

        yaml_implicit_resolvers = DagsterYamlLoader.yaml_implicit_resolvers

        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)
            yaml.resolver.Resolver.__init__(self)

except ImportError:  # a PyYAML without libyaml
    _FastLoader = None  # type: ignore[assignment, misc]

MERGE_TAG = "tag:yaml.org,2002:merge"


class Parsed(NamedTuple):
    """The documents of a file up to the first that cannot be read, and what is wrong with their form."""

    documents: list[yaml.Node]
    problems: list[Problem]
    whole: bool  # every document was read


@lru_cache(maxsize=1024)
def parse(file: str, data: bytes) -> Parsed:
    """Reads the documents of a YAML file, without values yet; once for what looks at it several times."""
    text, problem = _decoded(file, data)
    if problem:
        return Parsed([], [problem], whole=False)
    documents: list[yaml.Node] = []
    problems: list[Problem] = []
    try:
        for node in _composed(text):
            if is_empty(node):
                problems.append(_empty_document(file, text, node))
            else:
                documents.append(node)
                problems += _repeated_keys(file, node)
    except yaml.YAMLError as error:
        return Parsed(documents, [*problems, not_yaml(file, error)], whole=False)
    if not documents and not problems:
        problems.append(
            Problem(file, 1, "", "The file declares nothing.", "Begin with `type: headwater.assets.Corpus`.")
        )
    return Parsed(documents, problems, whole=True)


def _composed(text: str) -> Iterable[yaml.Node]:
    """The documents as nodes; what libyaml cannot read is left to PyYAML, which says it in the words known here."""
    if _FastLoader is not None:
        try:
            return list(yaml.compose_all(text, Loader=_FastLoader))  # type: ignore[arg-type]
        except (yaml.YAMLError, ValueError):
            pass
    return yaml.compose_all(text, Loader=DagsterYamlLoader)


def values_of(node: yaml.Node) -> Any:
    """The Python values of a node; merge keys are resolved, in the node as well.

    Raises:
        yaml.YAMLError: a key is a list, or a tag is unknown.
    """
    return DagsterYamlLoader("").construct_document(node)


def line_of(node: yaml.Node) -> int:
    """The line on which a node begins, from 1."""
    return int(node.start_mark.line) + 1


def is_empty(node: yaml.Node | None) -> bool:
    """Whether nothing is written there."""
    return node is None or (isinstance(node, yaml.ScalarNode) and node.value == "" and not node.style)


def not_yaml(file: str, error: yaml.YAMLError) -> Problem:
    """What PyYAML could not read, with the line it points to."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    begun = getattr(error, "context_mark", None)
    line = mark.line + 1 if mark else 1
    what = getattr(error, "problem", None) or str(error).splitlines()[0]
    since = f" ({error.context}, begun on line {begun.line + 1})" if begun and begun.line + 1 != line else ""  # type: ignore[attr-defined]
    return Problem(file, line, "", f"This is not valid YAML: {what}{since}.", _mend_of_syntax(what))


def _mend_of_syntax(what: str) -> str:
    if "'\\t'" in what:
        return "YAML does not allow tabs: indent with spaces."
    if "undefined alias" in what:
        return "Define the anchor (`&name`) in this document, before its use."
    if "unhashable key" in what:
        return "A field's name is text; put values that begin with { or [ in quotes."
    if "constructor for the tag" in what:
        return "Tags (`!…`) have no meaning here; put text that begins with ! in quotes."
    return "Check indentation, colons and quotes here."


def _decoded(file: str, data: bytes) -> tuple[str, Problem | None]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        message = f"The file is not UTF-8: byte 0x{data[error.start]:02X} is not part of a character."
        return "", Problem(file, line, "", message, "Save the file as UTF-8.")
    unprintable = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if unprintable:
        line = text.count("\n", 0, unprintable.start()) + 1
        message = f"The character U+{ord(unprintable.group()):04X} is not allowed in YAML."
        return "", Problem(file, line, "", message, 'Remove it, or write it as "\\x…" in double quotes.')
    return text, None


def _empty_document(file: str, text: str, node: yaml.Node) -> Problem:
    before = text.splitlines()[: line_of(node)]
    line = max((n for n, words in enumerate(before, 1) if words.startswith("---")), default=line_of(node))
    return Problem(file, line, "", "The document that begins here is empty.", "Remove its `---`.")


def _repeated_keys(file: str, document: yaml.Node) -> Iterator[Problem]:
    """Keys that one mapping has twice, of which YAML readers would take the last without a word."""
    for path, node in _mappings(document):
        first: dict[tuple[str, str], yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE_TAG:
                continue
            earlier = first.setdefault((key.tag, key.value), key)
            if earlier is not key:
                message = f"The field is given twice, on line {line_of(earlier)} and on line {line_of(key)}."
                yield Problem(file, line_of(key), joined([*path, key.value]), message, "Keep one of them.")


def _mappings(document: yaml.Node) -> Iterator[tuple[list[int | str], yaml.MappingNode]]:
    """Every mapping with its path; one that several aliases share comes once."""
    seen: set[int] = set()
    waiting: list[tuple[list[int | str], yaml.Node]] = [([], document)]
    while waiting:
        path, node = waiting.pop()
        if id(node) in seen or isinstance(node, yaml.ScalarNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            yield path, node
            waiting += [([*path, str(key.value)], value) for key, value in node.value]
        else:
            waiting += [([*path, n], item) for n, item in enumerate(node.value)]


def joined(path: list[int | str]) -> str:
    """A path as people write it: ``attributes.sources[0].path``; list entries count from 0."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")
