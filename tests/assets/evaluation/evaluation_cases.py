"""Held-out documents with known contents, and models whose answers are known."""

import numpy as np

from headwater.assets.evaluation.documents import HeldOutDocument

VOCABULARY = 257  # bytes, and 256 for end-of-text
END = 256


def document(text, doc_id="a", source="web", group=None):
    """A document of a byte tokenizer: its tokens are its bytes."""
    tokens = np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int64)
    return HeldOutDocument(doc_id, source, group or doc_id, text, tokens)


def corpus(count, length=200, source="web", seed=0, groups=None):
    """Documents of random letters, each with its own id."""
    generator = np.random.default_rng(seed)
    texts = ["".join(map(chr, generator.integers(97, 123, length))) for _ in range(count)]
    return [
        document(text, f"{source}-{seed}-{i}", source, f"g{i % groups}" if groups else None)
        for i, text in enumerate(texts)
    ]


def uniform(rows):
    """The model that knows nothing: every token has probability 1 / VOCABULARY."""
    return [np.full(len(row) - 1, -np.log(VOCABULARY)) for row in rows]


def oracle(documents):
    """A model that gives a row high probability when it stands in one of the documents."""
    known = [np.append(document.tokens, END).tobytes() for document in documents]

    def score(rows):
        return [np.full(len(row) - 1, -0.1 if any(row[1:].tobytes() in text for text in known) else -5) for row in rows]

    return score


def noise(seed):
    """A model that answers at random."""
    generator = np.random.default_rng(seed)
    return lambda rows: [-generator.exponential(size=len(row) - 1) for row in rows]
