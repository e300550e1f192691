"""Bits per byte: the length, in bits, of the code that the model gives to held-out text, per byte of that text.

Unlike perplexity it compares models with different tokenizers, and models with compressors. A document costs the sum of
`-log2 p` over its tokens and over the end-of-text token that closes it; the denominator is its UTF-8 length. Documents
of one package or site resemble each other, so intervals come from resampling whole groups, not documents.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from headwater.assets.evaluation.documents import HeldOutDocument, scored_row
from headwater.assets.evaluation.intervals import cluster_bootstrap
from headwater.assets.evaluation.options import BitsPerByteOptions
from headwater.assets.evaluation.report import Interval, SourceResult, finite

Score = Callable[[list[np.ndarray]], list[np.ndarray]]
"""Token rows that begin with end-of-text → natural-log probabilities of tokens 1..n-1 of each, given what precedes."""


@dataclass(frozen=True)
class DocumentBits:
    """What one method spent on each document: parallel arrays, one entry for each."""

    doc_ids: list[str]
    sources: list[str]
    groups: list[str]
    bytes: NDArray[np.int64]  # UTF-8 length of the text
    tokens: NDArray[np.int64]  # coded tokens, the closing end-of-text included
    bits: NDArray[np.float64]

    def of_source(self, source: str | None) -> "DocumentBits":
        """Return the rows of one source; None returns every row."""
        if source is None:
            return self
        rows = [row for row, name in enumerate(self.sources) if name == source]
        return DocumentBits(
            [self.doc_ids[row] for row in rows],
            [self.sources[row] for row in rows],
            [self.groups[row] for row in rows],
            self.bytes[rows],
            self.tokens[rows],
            self.bits[rows],
        )

    def with_bits(self, bits: NDArray[np.float64]) -> "DocumentBits":
        """Return the same documents as another method codes them."""
        return replace(self, bits=bits)

    @property
    def source_names(self) -> list[str]:
        """The sources, sorted."""
        return sorted(set(self.sources))

    @property
    def total(self) -> float | None:
        """Bits per byte over all rows, or None when a cost is not finite or there is no byte."""
        return ratio(self.bits, self.bytes)

    @property
    def not_finite(self) -> list[str]:
        """Ids of the documents whose cost is infinite or not a number."""
        return [self.doc_ids[row] for row in np.flatnonzero(~np.isfinite(self.bits))]


def ratio(bits: NDArray[np.float64], size: NDArray[np.int64]) -> float | None:
    """Return `sum(bits) / sum(size)`, or None when that is no finite number."""
    total = int(size.sum())
    return finite(math.fsum(bits.tolist()) / total) if total and np.isfinite(bits).all() else None


def score_documents(
    documents: Sequence[HeldOutDocument],
    end_of_text: int,
    score: Score,
    tokens_per_call: int = 65_536,
    advance: Callable[[int], None] | None = None,
) -> DocumentBits:
    """Ask the model for the cost of every document.

    Args:
        documents: what to score.
        end_of_text: the id that opens and closes each token row.
        score: the model; see `Score`.
        tokens_per_call: documents handed over at once hold about this many tokens; it bounds memory, not the result.
        advance: called with the UTF-8 bytes just scored, for a progress bar.

    Raises:
        ValueError: `score` returned another number of rows or of log-probabilities than was asked for.
    """
    bits: list[float] = []
    for batch in _batches(documents, tokens_per_call):
        rows: list[np.ndarray] = [scored_row(document.tokens, end_of_text) for document in batch]
        bits.extend(_costs(batch, rows, score(rows)))
        if advance is not None:
            advance(sum(len(document.data) for document in batch))
    return describe(documents).with_bits(np.array(bits, dtype=np.float64))


def describe(documents: Sequence[HeldOutDocument]) -> DocumentBits:
    """Return the documents' ids, sources, groups and sizes with costs of zero, for a method to fill in."""
    return DocumentBits(
        [document.doc_id for document in documents],
        [document.source for document in documents],
        [document.group for document in documents],
        np.array([len(document.data) for document in documents], dtype=np.int64),
        np.array([len(document.tokens) + 1 for document in documents], dtype=np.int64),
        np.zeros(len(documents)),
    )


def _batches(documents: Sequence[HeldOutDocument], tokens_per_call: int) -> Iterator[list[HeldOutDocument]]:
    batch: list[HeldOutDocument] = []
    size = 0
    for document in documents:
        if batch and size + len(document.tokens) > tokens_per_call:
            yield batch
            batch, size = [], 0
        batch.append(document)
        size += len(document.tokens)
    if batch:
        yield batch


def _costs(batch: Sequence[HeldOutDocument], rows: Sequence[np.ndarray], scores: Sequence[np.ndarray]) -> list[float]:
    if len(scores) != len(rows):
        raise ValueError(f"the scoring function was given {len(rows)} documents and returned {len(scores)} rows")
    costs = []
    for document, row, log_probabilities in zip(batch, rows, scores, strict=True):
        values = np.asarray(log_probabilities, dtype=np.float64)
        if values.shape != (len(row) - 1,):
            raise ValueError(
                f"document {document.doc_id}: {len(row) - 1} log-probabilities are needed, the scoring function "
                f"returned shape {values.shape}"
            )
        costs.append(-float(values.sum()) / math.log(2))
    return costs


def summarise(scores: DocumentBits, source: str | None, options: BitsPerByteOptions) -> SourceResult:
    """Return the figures of one source (None: of all), without baselines.

    The interval is the bootstrap's over groups, see `intervals.cluster_bootstrap`; None for fewer than two groups.
    """
    rows = scores.of_source(source)
    value = rows.total
    return SourceResult(
        source="all" if source is None else source,
        documents=len(rows.doc_ids),
        groups=len(set(rows.groups)),
        bytes=int(rows.bytes.sum()),
        tokens=int(rows.tokens.sum()),
        bits_per_byte=value,
        interval=None if value is None else _interval(rows, rows.bits, options),
        perplexity=_perplexity(rows),
    )


def gain(
    scores: DocumentBits, baseline: DocumentBits, options: BitsPerByteOptions
) -> tuple[float | None, Interval | None]:
    """Return how many bits per byte the model saves over a baseline on the same documents, with its paired interval."""
    if scores.doc_ids != baseline.doc_ids:
        raise ValueError("a gain needs both methods' costs for the same documents in the same order")
    saved = baseline.bits - scores.bits
    value = ratio(saved, scores.bytes)
    return value, None if value is None else _interval(scores, saved, options)


def _interval(rows: DocumentBits, bits: NDArray[np.float64], options: BitsPerByteOptions) -> Interval | None:
    bounds = cluster_bootstrap(bits, rows.bytes, rows.groups, options.resamples, options.confidence, options.seed)
    return None if bounds is None else Interval(low=bounds[0], high=bounds[1])


def _perplexity(rows: DocumentBits) -> float | None:
    bits_per_token = ratio(rows.bits, rows.tokens)
    # Above 2^1000 the power overflows; such a model is reported by its bits per byte alone.
    return None if bits_per_token is None or bits_per_token > 1000 else float(2.0**bits_per_token)
