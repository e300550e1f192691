"""The held-out documents an evaluation reads: which ones are chosen, and the token row that is scored.

The choice depends on the documents' ids alone, never on the order in which they arrive, so that a refresh which adds or
withdraws a few documents leaves nearly all of the measured text in place and two checkpoints stay comparable.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.integer]


@dataclass(frozen=True)
class HeldOutDocument:
    """One held-out document: its text and the token ids of that text, without any end-of-text token."""

    doc_id: str
    source: str
    group: str
    text: str
    tokens: Tokens

    @property
    def data(self) -> bytes:
        """The text in UTF-8: the bytes that every method, the model included, has to code."""
        return self.text.encode("utf-8")


def hash_rank(doc_id: str, seed: int) -> bytes:
    """Return the sort key of a document in the order that `seed` shuffles all documents into."""
    return hashlib.blake2b(f"{seed}\0{doc_id}".encode(), digest_size=16).digest()


def choose_documents(
    doc_ids: Sequence[str], sources: Sequence[str], sizes: Sequence[int], max_megabytes: float, seed: int
) -> list[int]:
    """Return the positions of the documents to score, ordered by (source, hash rank).

    Of each source the documents are taken in hash order until the next one would exceed the budget. A document larger
    than the whole budget is passed over, or it would end its source's choice wherever it stands.

    Args:
        doc_ids: ids of all held-out documents, in any order.
        sources: the source of each.
        sizes: bytes of each text in UTF-8.
        max_megabytes: budget of one source, in 10^6 bytes.
        seed: which hash order.
    """
    if not len(doc_ids) == len(sources) == len(sizes):
        raise ValueError(f"{len(doc_ids)} ids, {len(sources)} sources and {len(sizes)} sizes: one of each is needed")
    budget = max_megabytes * 1e6
    order = sorted(range(len(doc_ids)), key=lambda row: (sources[row], hash_rank(doc_ids[row], seed), doc_ids[row]))
    chosen: list[int] = []
    used: dict[str, float] = {}
    closed: set[str] = set()
    for row in order:
        source, size = sources[row], sizes[row]
        if source in closed or size > budget:
            continue
        if used.get(source, 0.0) + size > budget:
            closed.add(source)
            continue
        used[source] = used.get(source, 0.0) + size
        chosen.append(row)
    return chosen


def scored_row(tokens: Tokens, end_of_text: int) -> NDArray[np.int64]:
    """Return `end_of_text, tokens..., end_of_text`: the opening one is given, the closing one is coded.

    A decoder has to be told where a document ends, so the closing token's cost belongs to the document.
    """
    row = np.empty(len(tokens) + 2, dtype=np.int64)
    row[0] = row[-1] = end_of_text
    row[1:-1] = tokens
    return row
