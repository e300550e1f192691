"""Changes to the text before it is measured, and what they count.

Repair and redaction scan whole batches and make Python strings of the few parts that may change; C4's line filters and
one's own functions get text after text. A changed text gets a new `content_id`; `doc_id` stays.
"""

import hashlib
import re
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.curation.options import (
    C4Lines,
    CurationOptions,
    PythonTransform,
    RedactPii,
    Transform,
    UnicodeRepair,
    count_signals,
)
from headwater.assets.curation.pii_search import find_pii
from headwater.assets.curation.unicode_repair import repair
from headwater.assets.curation.user_steps import transform_text
from headwater.assets.schemas import DOCUMENTS

Column: TypeAlias = pa.ChunkedArray | pa.Array
Counts = dict[str, np.ndarray]
Change = Callable[[str, str], tuple[str, int]]  # (doc_id, text) -> (new text, what was counted)

_TERMINAL = (".", "?", "!", '"', "'", "”", "’")
_CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
POLICY_PHRASES = (
    "terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies",
)  # fmt: skip


def content_id_of(text: str) -> str:
    """The identity of a text: blake2b-128 of its UTF-8, as 32 hexadecimal digits."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def apply_transforms(batch: pa.RecordBatch | pa.Table, options: CurationOptions) -> tuple[pa.Table, pa.Table]:
    """Apply the declared transforms, in order.

    Args:
        batch: rows of the DOCUMENTS schema, in any order and of any number.
        options: the declaration.

    Returns:
        The documents with their new texts and content_ids, in the same order; and a table of doc_id and the int64
        columns of `count_signals(options)`. A null text stays null and counts nothing.

    Raises:
        StepError: a user's function cannot be imported or fails.
    """
    texts, content_ids = one_array(batch.column("text")).cast(pa.large_string()), one_array(batch.column("content_id"))
    before = texts
    counts = {name: np.zeros(len(texts), np.int64) for name in count_signals(options)}
    for at, transform in enumerate(options.transforms):
        texts, counted = _apply(at, transform, texts, batch.column("doc_id"))
        counts |= counted
    changed = _differing(before, texts)
    fresh = pa.array([content_id_of(text) for text in texts.filter(changed).to_pylist()], pa.string())
    content_ids = pc.replace_with_mask(content_ids.cast(pa.string()), changed, fresh)
    documents = pa.table([one_array(batch.column("doc_id")), content_ids, texts], schema=DOCUMENTS)
    return documents, pa.table({"doc_id": documents["doc_id"], **counts})


def one_array(column: Column) -> pa.Array:
    """A column as one array; nothing is copied where it is one chunk."""
    if isinstance(column, pa.ChunkedArray):
        chunks = column.chunks or [pa.array([], column.type)]
        return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)
    return column


def _differing(before: pa.Array, after: pa.Array) -> pa.Array:
    if before is after:
        return pa.array(np.zeros(len(after), np.bool_))
    return pc.fill_null(pc.not_equal(before, after), False)


def _apply(at: int, transform: Transform, texts: pa.Array, ids: Column) -> tuple[pa.Array, Counts]:
    """The texts after one transform, and what it counted, int64[texts] each."""
    if isinstance(transform, UnicodeRepair):
        texts, repaired = repair(texts, transform)
        return texts, {"repaired": repaired.astype(np.int64)}
    if isinstance(transform, RedactPii):
        texts, found = find_pii(texts, transform.kinds, redact=transform.action == "redact")
        return texts, {f"pii_{kind}": number for kind, number in found.items()}
    if isinstance(transform, C4Lines):
        return _change_rows(ids, texts, partial(_keep_lines, transform), "c4_lines_removed")
    return _change_rows(ids, texts, partial(_call_user, transform), f"changed_{at}")


def _change_rows(ids: Column, texts: pa.Array, change: Change, counter: str) -> tuple[pa.Array, Counts]:
    """Change every text by a Python function; a column in which nothing changed is returned as it is."""
    counts = np.zeros(len(texts), np.int64)
    rows, changed = [], []
    for row in np.flatnonzero(pc.is_valid(texts).to_numpy(zero_copy_only=False)).tolist():
        old = texts[row].as_py()
        new, counts[row] = change(ids[row].as_py(), old)
        if new != old:
            rows.append(row)
            changed.append(new)
    if rows:
        mask = np.zeros(len(texts), np.bool_)
        mask[rows] = True
        texts = pc.replace_with_mask(texts, pa.array(mask), pa.array(changed, pa.large_string()))
    return texts, {counter: counts}


def _keep_lines(options: C4Lines, doc_id: str, text: str) -> tuple[str, int]:
    lines = text.split("\n")
    kept = [kept for line in lines if (kept := _kept_line(line.strip(), options)) is not None]
    return "\n".join(kept), len(lines) - len(kept)


def _kept_line(line: str, options: C4Lines) -> str | None:
    """The line as C4 keeps it, or None."""
    words, lower = line.split(), line.lower()
    if options.citations:
        line = _CITATION.sub("", line).strip()
    removed = (
        any(len(word) > options.max_word_length for word in words)
        or (options.terminal_punctuation and (not line.endswith(_TERMINAL) or line.endswith("...")))
        or len(words) < options.min_words
        or (options.javascript and "javascript" in lower)
        or (options.policy and any(phrase in lower for phrase in POLICY_PHRASES))
    )
    return None if removed else line


def _call_user(options: PythonTransform, doc_id: str, text: str) -> tuple[str, int]:
    changed = transform_text(options.function, options.options, doc_id, text)
    return changed, int(changed != text)
