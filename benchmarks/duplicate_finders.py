"""Near-duplicate removal by other libraries, each as a function from texts to the rows that it drops.

Each goes through the texts in their order, as its own documentation shows, and drops what it takes for a copy of an
earlier one. Signatures have 128 permutations, of word 5-grams or, as in rensa's own introduction, of single words;
semhash gets an encoder that costs little, because a neural one would be all of its time.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

WORDS, PERMUTATIONS = 5, 128
_WORD = re.compile(r"\w+")


def shingles(text: str) -> list[str]:
    """Distinct word 5-grams; a shorter text is one shingle, so that it is compared whole."""
    words = _WORD.findall(text.lower())
    if len(words) < WORDS:
        return [text]
    return list({" ".join(words[at : at + WORDS]) for at in range(len(words) - WORDS + 1)})


def _rensa(tokens: Iterator[list[str]]) -> list[int]:
    from rensa import RMinHashDeduplicator

    index = RMinHashDeduplicator(threshold=0.8, num_perm=PERMUTATIONS, use_lsh=True)
    kept = index.add_pairs((str(row), values) for row, values in enumerate(tokens))
    return [row for row, stays in enumerate(kept) if not stays]


def rensa_words(texts: Sequence[str]) -> list[int]:
    """Signatures of single words compared, threshold 0.8."""
    return _rensa(text.split() for text in texts)


def rensa_shingles(texts: Sequence[str]) -> list[int]:
    """Signatures of word 5-grams compared, threshold 0.8."""
    return _rensa(shingles(text) for text in texts)


def datasketch(texts: Sequence[str]) -> list[int]:
    """Candidates of datasketch's index at 0.7, taken as they are."""
    from datasketch import MinHash, MinHashLSH

    index, dropped = MinHashLSH(threshold=0.7, num_perm=PERMUTATIONS), []
    for row, text in enumerate(texts):
        signature = MinHash(num_perm=PERMUTATIONS)
        signature.update_batch([shingle.encode() for shingle in shingles(text)])
        if index.query(signature):
            dropped.append(row)
        else:
            index.insert(row, signature)
    return dropped


class _Projection:
    """A cheap encoder: logarithms of word counts, projected on 256 random directions."""

    def __init__(self, buckets: int = 1 << 16, width: int = 256) -> None:
        self.directions = np.random.default_rng(0).standard_normal((buckets, width), dtype=np.float32)
        self.rows: dict[str, int] = {}

    def encode(self, inputs: Sequence[str], **_: Any) -> np.ndarray:
        """Vectors of the texts, float32 of shape (len(inputs), 256)."""
        return np.stack([self._vector(text) for text in inputs])

    def _vector(self, text: str) -> np.ndarray:
        counts = Counter(text.split())
        rows = [self.rows.get(word) or self._row(word) for word in counts]
        return np.log1p(np.array(list(counts.values()), dtype=np.float32)) @ self.directions[rows]

    def _row(self, word: str) -> int:
        return self.rows.setdefault(word, crc32(word.encode()) % len(self.directions))


def semhash(texts: Sequence[str]) -> list[int]:
    """Cosine of the cheap encoder's vectors, threshold 0.9."""
    from semhash import SemHash

    records = [{"row": str(row), "text": text} for row, text in enumerate(texts)]
    index = SemHash.from_records(records, columns=["text"], model=_Projection())
    selected = {int(record["row"]) for record in index.self_deduplicate(threshold=0.9).selected}
    return [row for row in range(len(texts)) if row not in selected]


def datatrove(texts: Sequence[str]) -> list[int]:
    """MinHash with 14 buckets of 8 hashes of word 5-grams: datatrove's four steps, one task each, in this process."""
    from datatrove.data import Document
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.utils.hashing import HashConfig

    def documents() -> Iterator[Document]:
        return (Document(text=text, id=str(row)) for row, text in enumerate(texts))

    # Its own xxhash function hands over a str, which xxhash 4 refuses; of what it offers, sha1 is left.
    hashes = HashConfig(hash_fc="sha1")
    config = MinhashConfig(n_grams=WORDS, num_buckets=14, hashes_per_bucket=8, hash_config=hashes)
    with tempfile.TemporaryDirectory() as name:
        signatures, buckets, remove = (str(Path(name) / step) for step in ("signatures", "buckets", "remove"))
        MinhashDedupSignature(signatures, config).run(documents(), 0, 1)
        for bucket in range(config.num_buckets):
            MinhashDedupBuckets(signatures, buckets, config=config).run(None, bucket, config.num_buckets)
        MinhashDedupCluster(buckets, remove, config=config).run(None, 0, 1)
        kept = {int(document.id) for document in MinhashDedupFilter(remove).run(documents(), 0, 1)}
    return [row for row in range(len(texts)) if row not in kept]
