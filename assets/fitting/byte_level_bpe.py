"""Fits a byte-level byte-pair encoding on a sample that depends on the documents alone.

Which documents teach the merges is decided by a keyed hash of their ids: whatever the order of arrival or the number of
workers, the same corpus gives the same sample and, as the trainer breaks ties by token number, the same tokenizer.
Sennrich et al. 2016 (arXiv 1508.07909) for the merges, Radford et al. 2019 (GPT-2, section 2.2) for the bytes.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from headwater.assets.fitting.options import ByteLevelBpeOptions
from headwater.assets.fitting.tokenizers import FittedTokenizer, check_tokenizer

DocIds: TypeAlias = Sequence[str] | pa.ChunkedArray

_MEGABYTE = 1_000_000
_AT_ONCE = 1 << 16
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# What a word is, by the name a declaration gives it. Each pattern cuts a whole text into adjoining pieces.
PATTERNS: dict[str, str] = {
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "digits_of_three": _WORDS % "{1,3}",
    "single_digits": _WORDS % "",
}


def sample_order(doc_ids: DocIds, seed: int) -> np.ndarray:
    """Rows in the order in which their documents enter a sample: by a keyed hash of the id (int64 row numbers)."""
    key = seed.to_bytes(8, "little")
    hashes = np.fromiter((_keyed_hash(doc_id, key) for doc_id in _each(doc_ids)), dtype=np.uint64, count=len(doc_ids))
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    # The id breaks the tie of two equal hashes, so that the order never depends on the rows' own order.
    for first in np.flatnonzero((ordered[1:] == ordered[:-1]) & (np.r_[True, ordered[1:-1] != ordered[:-2]])):
        last = int(np.searchsorted(ordered, ordered[first], side="right"))
        order[first:last] = sorted(order[first:last], key=lambda row: str(doc_ids[row]))
    return order


def _keyed_hash(doc_id: str, key: bytes) -> int:
    return int.from_bytes(blake2b(doc_id.encode(), digest_size=8, key=key).digest(), "big")


def _each(doc_ids: DocIds) -> Iterator[str]:
    """The ids one by one, never all of them as Python's texts."""
    if not isinstance(doc_ids, pa.ChunkedArray):
        yield from doc_ids
        return
    for first in range(0, len(doc_ids), _AT_ONCE):
        yield from doc_ids.slice(first, _AT_ONCE).to_pylist()


def draw_sample(doc_ids: DocIds, sizes: np.ndarray, options: ByteLevelBpeOptions) -> np.ndarray:
    """Rows of the sample in its order: as many documents as it takes to reach `sample_megabytes`.

    `sizes` are bytes of UTF-8 per row; a document counts with `document_megabytes` at most, as it is cut there.
    """
    order = sample_order(doc_ids, options.seed)
    counted = np.minimum(np.asarray(sizes, dtype=np.int64)[order], int(options.document_megabytes * _MEGABYTE))
    before = np.cumsum(counted) - counted
    return order[before < options.sample_megabytes * _MEGABYTE]


def fit_byte_level_bpe(texts: Iterable[str], options: ByteLevelBpeOptions) -> FittedTokenizer:
    """Learn the merges from `texts` (the documents of `draw_sample`, in its order).

    A small sample gives fewer entries than `vocabulary_size`. Raises ValueError when a special token is also a word
    that the sample would learn.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERNS[options.pattern]), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=options.vocabulary_size,
        min_frequency=options.min_frequency,
        special_tokens=list(options.special_tokens),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_beginnings(texts, int(options.document_megabytes * _MEGABYTE)), trainer)
    return check_tokenizer(tokenizer.to_str(), options.end_of_text, options.pad, "the fitted tokenizer")


def _beginnings(texts: Iterable[str], size: int) -> Iterator[str]:
    for text in texts:
        # A character is at least one byte: most texts are known to fit without being encoded.
        if len(text) * 4 <= size:
            yield text
        else:
            yield text[:size].encode()[:size].decode(errors="ignore")
