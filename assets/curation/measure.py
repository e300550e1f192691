"""All signals of a batch: only the groups that the rules need are measured, each kernel at most once."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.curation.lists import read_list
from headwater.assets.curation.options import CurationOptions, count_signals, known_signals, required_signals
from headwater.assets.curation.pii_search import find_pii
from headwater.assets.curation.rule_sets import Words
from headwater.assets.curation.signals.catalog import MEDIA, Signal
from headwater.assets.curation.signals.characters import CHARS, scan_characters
from headwater.assets.curation.signals.code import code_signals
from headwater.assets.curation.signals.compiled import texts_of
from headwater.assets.curation.signals.language import detect_languages
from headwater.assets.curation.signals.lines import LINES, scan_lines
from headwater.assets.curation.signals.lists import count_words, normalise_licence, url_host
from headwater.assets.curation.signals.media import media_signals
from headwater.assets.curation.signals.prose import c4_signals, prose_signals
from headwater.assets.curation.signals.repetition import repetition_signals
from headwater.assets.curation.signals.words import WORDS, scan_words
from headwater.assets.curation.transforms import apply_transforms, one_array
from headwater.assets.curation.user_steps import measure_text

Columns = Mapping[str, Any]
_TYPES = {"int64": pa.int64(), "float64": pa.float64(), "string": pa.string()}


def signal_schema(options: CurationOptions) -> pa.Schema:
    """doc_id and one column per required signal, each with its `description` as metadata."""
    known = known_signals(options)
    fields = [_field(known[name]) for name in required_signals(options)]
    return pa.schema([pa.field("doc_id", pa.string(), nullable=False), *fields])


def _field(signal: Signal) -> pa.Field:
    return pa.field(signal.name, _TYPES[signal.type], metadata={"description": signal.description})


def curate(documents: pa.Table, ledger: pa.Table, options: CurationOptions) -> tuple[pa.Table, pa.Table]:
    """Transform and measure one batch: the row step of the stage `signals`.

    Args:
        documents: rows of the DOCUMENTS schema, or of MEDIA_DOCUMENTS for a modality other than text.
        ledger: the RAW_LEDGER rows of the same documents, in the same order.

    Returns:
        The changed documents, and their signals with `signal_schema(options)`.
    """
    if "arrays" in documents.column_names:  # a caption belongs to its arrays and is not repaired without them
        return documents.drop_columns("arrays"), measure(documents, ledger, options)
    changed, counts = apply_transforms(documents, options)
    return changed, measure(changed, ledger, options, counts)


def measure(
    documents: pa.Table, ledger: pa.Table, options: CurationOptions, counts: pa.Table | None = None
) -> pa.Table:
    """Measure the signals of changed documents.

    Args:
        documents: doc_id and text after `apply_transforms`; a null text counts as empty.
        ledger: the RAW_LEDGER rows of the same documents, in the same order.
        options: the declaration.
        counts: the second result of `apply_transforms`, where the options have transforms; what a transform counted
            cannot be measured on the changed text.

    Returns:
        A table with `signal_schema(options)`, in the same order. A ratio of nothing is null.

    Raises:
        ValueError: rows of documents, ledger and counts do not belong together, or counts are missing.
    """
    _same_rows("ledger", documents, ledger)
    schema = signal_schema(options)
    counted = count_signals(options)
    if counted and counts is None:
        raise ValueError(f"counts of {', '.join(counted)} are missing; pass the second result of apply_transforms")
    columns: dict[str, Any] = {"doc_id": documents["doc_id"]}
    if counts is not None:
        _same_rows("counts", documents, counts)
        columns |= {name: counts[name] for name in counted}
    known = known_signals(options)
    missing = [known[name] for name in schema.names if name not in columns]
    columns |= _measured(documents, ledger, options, {signal.group for signal in missing}, missing)
    return pa.table([_column(columns[field.name], field.type) for field in schema], schema=schema)


def _same_rows(what: str, documents: pa.Table, other: pa.Table) -> None:
    ids, others = documents["doc_id"], other["doc_id"].cast(pa.string())
    if len(ids) != len(others) or not pc.all(pc.equal(ids.cast(pa.string()), others), min_count=0).as_py():
        raise ValueError(f"the {what} must have the documents' rows in the same order: take them by doc_id first")


def _column(values: Any, data_type: pa.DataType) -> pa.Array | pa.ChunkedArray:
    if isinstance(values, np.ndarray):
        # NaN is how numpy says undefined; the stored value is null.
        values = pa.array(values, from_pandas=True)
    elif not isinstance(values, pa.Array | pa.ChunkedArray):
        values = pa.array(values, data_type)
    return values.cast(data_type)


def _measured(
    documents: pa.Table, ledger: pa.Table, options: CurationOptions, groups: set[str], wanted: list[Signal]
) -> Columns:
    text = one_array(documents["text"]).cast(pa.large_string())
    text = pc.fill_null(text, "") if text.null_count else text
    columns = dict(_kernel_groups(text, groups))
    if "origin" in groups:
        columns["url_host"] = _mapped(ledger["url"], url_host)
        columns["license_id"] = _mapped(ledger["license"], normalise_licence)
    if "media" in groups and "arrays" in documents.column_names:
        columns |= media_signals(documents["arrays"], ledger["meta"])
    elif "media" in groups:
        columns |= dict.fromkeys(MEDIA, np.full(documents.num_rows, np.nan))
    if "language" in groups:
        columns["language"], columns["language_confidence"] = detect_languages(text)
    if "pii" in groups:
        kinds = tuple(signal.name.removeprefix("pii_") for signal in wanted if signal.group == "pii")
        columns |= {f"pii_{kind}": found for kind, found in find_pii(text, kinds, redact=False)[1].items()}
    if {"words", "python"} & groups:
        columns |= _text_groups(documents["doc_id"], text, options, wanted)
    return columns


def _kernel_groups(text: pa.Array, groups: set[str]) -> Columns:
    """The groups that compiled kernels and Arrow's own functions measure without Python strings."""
    view = texts_of(text)
    words, repeats = scan_words(view, repetition="repetition" in groups)
    lines, characters = scan_lines(view), scan_characters(view)
    columns: dict[str, Any] = {
        "bytes": np.diff(view.offsets),
        "chars": characters[:, CHARS],
        "words": words[:, WORDS],
        "lines": lines[:, LINES],
    }
    if "prose" in groups:
        columns |= prose_signals(words, lines, characters)
    if "repetition" in groups:
        columns |= repetition_signals(words, repeats, lines)
    if "code" in groups:
        columns |= code_signals(lines, characters, text)
    if "c4" in groups:
        columns |= c4_signals(text)
    return columns


def _mapped(column: pa.ChunkedArray, function: Callable[[str | None], str | None]) -> pa.Array:
    """Apply a function to each distinct value of a column."""
    values = column.to_pylist()
    found = {value: function(value) for value in set(values)}
    return pa.array([found[value] for value in values], pa.string())


def _text_groups(ids: pa.ChunkedArray, texts: pa.Array, options: CurationOptions, wanted: list[Signal]) -> Columns:
    """The groups that read Python strings; texts are converted one at a time."""
    columns: dict[str, list[Any]] = {signal.name: [] for signal in wanted if signal.group in ("words", "python")}
    lists = {
        f"words_{step.name}": step.words + read_list(step.file) for step in options.rules if isinstance(step, Words)
    }
    for doc_id, scalar in zip(ids, texts, strict=True):
        text = scalar.as_py()
        row: dict[str, Any] = {name: count_words(text, words) for name, words in lists.items() if name in columns}
        for step in options.signals:
            row |= measure_text(step.function, step.options, tuple(step.columns), doc_id.as_py(), text)
        for name, values in columns.items():
            values.append(_defined(row[name]))
    return columns


def _defined(value: Any) -> Any:
    return None if isinstance(value, float) and value != value else value
