"""Reading the texts of evaluation sets from where they are declared to be."""

import json
from collections.abc import Iterator
from typing import Any

import fsspec
from fsspec.core import OpenFile

from headwater.assets.deduplication.options import EvaluationSetOptions

_JSON_LINES = (".jsonl", ".ndjson")
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")


def _bare(path: str) -> str:
    """The path without the ending of its compression."""
    return next((path.removesuffix(ending) for ending in _COMPRESSED if path.endswith(ending)), path)


def _item_of(line: str, options: EvaluationSetOptions, where: str) -> str:
    try:
        record: Any = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not JSON ({error.msg}); every line must be one JSON object") from None
    if not isinstance(record, dict):
        raise ValueError(f"{where}: a {type(record).__name__}, but every line must be one JSON object")
    values = [record[field] for field in options.fields if record.get(field) is not None]
    if not values:
        raise ValueError(
            f"{where}: none of the fields {', '.join(options.fields)} is there (it has {', '.join(record) or 'none'}); "
            f"name the right ones under fields of the evaluation set {options.name}"
        )
    return "\n".join(_flatten(value) for value in values)


def _flatten(value: Any) -> str:
    """A field's text: lists (answer choices) line by line, anything else as written."""
    return "\n".join(map(_flatten, value)) if isinstance(value, list) else str(value)


def _items_of(file: OpenFile, options: EvaluationSetOptions) -> Iterator[str]:
    try:
        with file as stream:
            if not _bare(file.path).endswith(_JSON_LINES):
                yield stream.read()
                return
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield _item_of(line, options, f"{file.path}, line {number}")
    except UnicodeDecodeError:
        raise ValueError(f"{file.path} is not UTF-8; convert it, for example with iconv") from None


def read_evaluation_set(options: EvaluationSetOptions) -> list[str]:
    """The texts of the items, files in the order of their names, lines in the order of the file.

    Raises FileNotFoundError when nothing matches and ValueError, with file and line, for what can not be read.
    """
    files = sorted(
        fsspec.open_files(options.path, mode="rt", encoding="utf-8", compression="infer"), key=lambda file: file.path
    )
    files = [file for file in files if file.fs.exists(file.path)]
    if not files:
        raise FileNotFoundError(f"evaluation set {options.name}: nothing matches {options.path}; mend its path")
    return [item for file in files for item in _items_of(file, options)]
