"""Documents become token rows: a leading end-of-text token, then the ids of the text.

Every row begins with the end-of-text token, so that the concatenation of rows is a stream from which the documents can
be told apart again; and as no text spells a special token, that token in a stream is always a boundary.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.fitting.bpe.encoder import CompiledEncoder, compiled_encoder
from headwater.assets.fitting.tokenizers import FittedTokenizer
from headwater.assets.tokenization.long_documents import can_be_cut, cut

# Characters given to the encoder at once: its own records take some hundred bytes a character.
_CHUNK = 1 << 20
_PROBED, _PROBED_CHARACTERS = 32, 1_000  # texts, and of each so much, that both encoders are compared on


def token_type(vocabulary_size: int) -> np.dtype:
    """The smallest of uint16 and uint32 that holds every id."""
    return np.dtype(np.uint16 if vocabulary_size <= 1 << 16 else np.uint32)


def tokens_schema(vocabulary_size: int) -> pa.Schema:
    """Columns of a token table: `doc_id`, `tokens` (end-of-text token first), `bytes` of the text in UTF-8."""
    return pa.schema(
        [
            pa.field("doc_id", pa.string(), nullable=False),
            pa.field("tokens", pa.large_list(pa.from_numpy_dtype(token_type(vocabulary_size))), nullable=False),
            pa.field("bytes", pa.int64(), nullable=False),
        ]
    )


def encode_batch(tokenizer: FittedTokenizer, documents: pa.Table) -> pa.Table:
    """Encode the columns `doc_id` and `text`; rows keep their order. The result does not depend on the batch split.

    Raises ValueError naming the document when a text is missing or spells a special token.
    """
    texts = documents.column("text")
    if texts.null_count:
        row = pc.index(texts.is_null(), True).as_py()
        raise ValueError(f"document {documents.column('doc_id')[row]} has no text: drop it before tokenization")
    values, offsets = _encoded(tokenizer, texts)
    _refuse_special_ids(tokenizer, values, offsets, documents)
    columns = [
        documents.column("doc_id").combine_chunks().cast(pa.string()),
        pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(values)),
        pc.binary_length(texts).combine_chunks().cast(pa.int64()),
    ]
    return pa.table(columns, schema=tokens_schema(tokenizer.vocabulary_size))


def token_count(tokenizer: FittedTokenizer, texts: pa.ChunkedArray) -> int:
    """How many tokens the texts have, without end-of-text tokens, whatever they spell."""
    return len(_encoded(tokenizer, texts)[0]) - len(texts)


def _encoded(tokenizer: FittedTokenizer, texts: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """(ids of all texts, each led by the end-of-text token; where each begins)."""
    kind, encoder = token_type(tokenizer.vocabulary_size), _agreeing_encoder(tokenizer, texts)
    return _encode_all(tokenizer, texts, kind) if encoder is None else _compiled(encoder, tokenizer, texts, kind)


def _agreeing_encoder(tokenizer: FittedTokenizer, texts: pa.ChunkedArray) -> CompiledEncoder | None:
    """The compiled encoder, where there is one for this tokenizer and it has given the library's ids so far.

    In each process they are compared on the beginning of the first texts; where they differ, the library encodes.
    """
    encoder, state = _encoders(tokenizer.json)
    if encoder is not None and not state and len(texts):
        probe = pa.chunked_array([pc.utf8_slice_codeunits(texts.slice(0, _PROBED), 0, _PROBED_CHARACTERS)])
        kind = token_type(tokenizer.vocabulary_size)
        pairs = (_encode_all(tokenizer, probe, kind), _compiled(encoder, tokenizer, probe, kind))
        state.append(all(np.array_equal(theirs, ours) for theirs, ours in zip(*pairs, strict=True)))
    return encoder if state and state[0] else None


@lru_cache(maxsize=4)
def _encoders(tokenizer_json: str) -> tuple[CompiledEncoder | None, list[bool]]:
    """The encoder of a tokenizer, and whether it agreed with the library, once that was looked at."""
    return compiled_encoder(tokenizer_json), []


def _compiled(
    encoder: CompiledEncoder, tokenizer: FittedTokenizer, texts: pa.ChunkedArray, kind: np.dtype
) -> tuple[np.ndarray, np.ndarray]:
    parts, lengths = [np.empty(0, kind)], [np.zeros(1, np.int64)]
    for chunk in texts.chunks:
        array = chunk.cast(pa.large_string())
        offsets = np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + len(array) + 1]
        data = np.frombuffer(array.buffers()[2] or b"", np.uint8)
        values, starts = encoder.encode(data, offsets, tokenizer.end_of_text_id, kind)
        parts.append(values)
        lengths.append(np.diff(starts))
    # Most batches are of one chunk, whose ids are taken over as they are.
    return parts[1] if len(parts) == 2 else np.concatenate(parts), np.cumsum(np.concatenate(lengths))


def _encode_all(tokenizer: FittedTokenizer, texts: pa.ChunkedArray, kind: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """(ids of all texts by the library, where each begins). Short texts go to it together, long ones in parts."""
    rows: list[np.ndarray] = [np.empty(0, kind)]
    waiting: list[str] = []
    size = 0
    with _one_thread():
        for scalar in texts:
            text = scalar.as_py()
            waiting.append(text)
            size += len(text)
            if size >= _CHUNK:
                rows.extend(_encode_some(tokenizer, waiting, kind))
                waiting, size = [], 0
        rows.extend(_encode_some(tokenizer, waiting, kind))
    return np.concatenate(rows), np.cumsum([len(row) for row in rows])


def _encode_some(tokenizer: FittedTokenizer, texts: Sequence[str], kind: np.dtype) -> Iterator[np.ndarray]:
    """Token rows of texts of which the last one alone may be long."""
    head = [tokenizer.end_of_text_id]
    short = [text for text in texts if len(text) <= _CHUNK]
    for encoding in tokenizer.plain.encode_batch_fast(short, add_special_tokens=False):
        yield np.array(head + encoding.ids, dtype=kind)
    for text in texts[len(short) :]:
        parts = cut(text, _CHUNK) if _can_be_cut(tokenizer.json) else iter([text])
        encoded = [np.array(_encode_one(tokenizer, part), dtype=kind) for part in parts]
        yield np.concatenate([np.array(head, dtype=kind), *encoded])


def _encode_one(tokenizer: FittedTokenizer, text: str) -> list[int]:
    return tokenizer.plain.encode_batch_fast([text], add_special_tokens=False)[0].ids


@lru_cache(maxsize=8)
def _can_be_cut(tokenizer_json: str) -> bool:
    return can_be_cut(tokenizer_json)


@contextmanager
def _one_thread() -> Iterator[None]:
    """The encoder's own threads off: the workers that call it run side by side already."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _refuse_special_ids(
    tokenizer: FittedTokenizer, values: np.ndarray, offsets: np.ndarray, documents: pa.Table
) -> None:
    """The end-of-text token stands at the head of each row and nowhere else: lineage rests on that."""
    found = np.flatnonzero(values == tokenizer.end_of_text_id)
    if len(found) == len(offsets) - 1:
        return
    inside = np.setdiff1d(found, offsets[:-1])
    row = int(np.searchsorted(offsets, inside[0], side="right")) - 1
    raise ValueError(
        f"document {documents.column('doc_id')[row]}: its text spells the token {tokenizer.end_of_text!r} at token "
        f"{int(inside[0] - offsets[row])}: choose an end-of-text token that this tokenizer cannot form from text"
    )
