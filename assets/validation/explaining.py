"""Pydantic's findings in plain words: what is wrong, and what to write instead."""

import difflib
import re
from collections.abc import Iterable
from typing import Any

import yaml
from pydantic_core import ErrorDetails

from headwater.assets.validation.locating import Found

UNKNOWN = "Unknown field."
MISSING = "The field is missing."
NO_CHOICE = "is not one of the choices."
OUTSIDE = "It must be "  # greater than something, and the like
EXPECTED = {
    "int": "A whole number is expected",
    "float": "A number is expected",
    "bool": "true or false is expected",
    "string": "Text is expected",
    "list": "A list is expected",
    "tuple": "A list is expected",
    "dict": "A mapping (`field: value` lines) is expected",
    "model": "A mapping (`field: value` lines) is expected",
}
BOUNDS = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
TEMPLATE = "{{"


def explain(detail: ErrorDetails, found: Found) -> tuple[str, str]:
    """(what is wrong, the mend) of one finding."""
    kind, context = detail["type"], detail.get("ctx", {})
    given = shown(found.node, detail.get("input"))
    field = str(found.path[-1]) if found.path else ""
    if kind in ("extra_forbidden", "invalid_key"):
        return UNKNOWN, nearest_field(field, found)
    if kind == "missing":
        return MISSING, _how_to_add(field, found)
    if kind == "union_tag_not_found":
        tag = str(context.get("discriminator", "kind")).strip("'")
        return f"It does not say its {tag}.", f"Add `{tag}: …`, one of: {', '.join(sorted(found.here.kinds()))}."
    if kind == "union_tag_invalid":
        what = str(context.get("discriminator", "kind")).strip("'")
        return f"There is no {what} '{context.get('tag')}' here.", nearest(str(context.get("tag")), found.here.kinds())
    if _is_template(detail) and kind != "value_error":
        return _template_refused(kind), "Write the value itself."
    if kind == "literal_error":
        return f"{given} {NO_CHOICE}", _choose(detail, context)
    if kind == "string_pattern_mismatch":
        return _not_a_name(str(detail.get("input")), str(context.get("pattern")))
    if kind in BOUNDS:
        name, words = BOUNDS[kind]
        return f"{OUTSIDE}{words} {context[name]:g}, but it is {given}.", ""
    if kind == "value_error":
        return _sentence(str(detail["msg"]).removeprefix("Value error, ")), ""
    return _wrong_type(detail, found, given)


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """A question with the most similar known word, or a list of all."""
    names = sorted(known)
    folded = {name.lower(): name for name in names}
    close = difflib.get_close_matches(word.lower(), folded, n=1, cutoff=cutoff)
    if close:
        return f"Did you mean '{folded[close[0]]}'?"
    return f"Known: {', '.join(names)}." if names else ""


def _kinds_with(field: str, found: Found) -> list[str]:
    """Other kinds of what stands here that have such a field."""
    if found.choice is None:
        return []
    return sorted(tag for tag in found.choice.kinds() if field in found.choice.kind(tag).fields())


def nearest_field(field: str, found: Found) -> str:
    """The field that was probably meant: one with a similar name, or one of this name in another kind or further in."""
    known = found.around.fields()
    if difflib.get_close_matches(field.lower(), known, n=1, cutoff=0.75):
        return nearest(field, known)
    if kinds := _kinds_with(field, found):
        return f"It belongs to `kind: {kinds[0]}`." if len(kinds) == 1 else f"It belongs to kinds {', '.join(kinds)}."
    inside = [name for name in known if field in found.around.step(name).fields_of_any_kind()]
    places = " or ".join(f"'{name}.{field}'" for name in inside[:3])
    return f"Did you mean {places}?" if inside else nearest(field, known)


def shown(node: yaml.Node | None, given: Any) -> str:
    """A value as the user wrote it, or what sort of thing it is."""
    if isinstance(given, dict):
        return "a mapping"
    if isinstance(given, list | tuple):
        return "a list"
    if given is None:
        return "nothing"
    text = node.value if isinstance(node, yaml.ScalarNode) else str(given)
    text = text if len(text) <= 60 else text[:57] + "…"
    return f"'{text}'" if isinstance(given, str) else text


def _how_to_add(field: str, found: Found) -> str:
    description = str(found.around.fields().get(field, {}).get("description", ""))
    return f"Add `{field}: …`" + (f" ({_first_sentence(description)})." if description else ".")


def _first_sentence(text: str) -> str:
    return re.split(r"[.;] ", text, maxsplit=1)[0].rstrip(".")


def _choose(detail: ErrorDetails, context: dict[str, Any]) -> str:
    choices = re.findall(r"'([^']*)'", str(context.get("expected")))
    given = detail.get("input")
    if isinstance(given, bool) and choices:
        return f"YAML reads on, off, yes and no as true and false: put text in quotes. Choose {_listed(choices)}."
    if isinstance(given, str) and difflib.get_close_matches(given.lower(), choices, n=1, cutoff=0.6):
        return nearest(given, choices)
    return f"Choose {_listed(choices)}." if choices else f"Choose {context.get('expected')}."


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _is_template(detail: ErrorDetails) -> bool:
    given = detail.get("input")
    return isinstance(given, str) and TEMPLATE in given


def _template_refused(kind: str) -> str:
    expected = EXPECTED.get(kind.partition("_")[0], "")
    if kind == "literal_error":
        expected = "one of a few choices is expected"
    elif kind == "string_pattern_mismatch":
        expected = "a name is expected"
    return f"Templates such as {{{{ env.NAME }}}} are for text values; here {expected[:1].lower()}{expected[1:]}."


def _not_a_name(given: str, pattern: str) -> tuple[str, str]:
    if not pattern.startswith("^[A-Za-z]"):
        return f"'{given}' does not have the form {pattern}.", ""
    better = re.sub(r"^[^A-Za-z]+", "", re.sub(r"[^A-Za-z0-9_]+", "_", given)).strip("_")
    message = f"'{given}' is not a name: letters, digits and _, beginning with a letter."
    return message, f"Write '{better}', for example." if better else "Choose another one."


def _wrong_type(detail: ErrorDetails, found: Found, given: str) -> tuple[str, str]:
    kind, value = detail["type"], detail.get("input")
    if kind == "int_from_float":
        return f"A whole number is expected, but this is {given}.", ""
    expected = EXPECTED.get(kind.partition("_")[0])
    if expected is None or not kind.endswith(("_type", "_parsing")):
        return _sentence(f"{detail['msg']} (it is {given})"), ""
    return f"{expected}, but this is {given}.", _mend_of_type(kind, value, given, found)


def _mend_of_type(kind: str, value: Any, given: str, found: Found) -> str:
    if kind == "int_parsing" and re.fullmatch(r"\d+(\.\d+)?[eE]\+?\d+", str(value)):
        return f"YAML reads {value} as text: write {float(value):.0f}."
    if kind == "string_type" and isinstance(value, int | float):  # a truth value too
        return f"Put it in quotes: '{given}'."
    if kind.startswith(("model", "dict")) and (kinds := sorted(found.here.kinds())):
        return f"It needs `kind: …`, one of: {', '.join(kinds)}."
    if kind.startswith(("list", "tuple")) and value is not None and not isinstance(value, dict):
        return f"Write [{given}]."
    if isinstance(value, str) and value[:1] in "'\"" and value:
        return "Remove the quotes."
    return ""


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "?", "!")) else text + "."
