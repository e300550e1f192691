"""Words are counted as the library's expression cuts them, in tables that grow, whatever the batches."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, pre_tokenizers

from headwater.assets.fitting import word_counts
from headwater.assets.fitting.bpe.patterns import PATTERNS
from headwater.assets.fitting.word_counts import WordCounter

PIECES = ["it's ", "x1y22", "  \n\n", "水源は", "é", "🌊", "a" * 17, "b" * 16, "=" * 40, "0" * 5, "\u00a0", "'S1"]
TEXT = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=6)), max_size=20).map("".join)


def counted(counter: WordCounter) -> dict[bytes, int]:
    letters, starts, counts = counter.counted()
    words = [letters[start:stop].tobytes() for start, stop in pairwise(starts)]
    assert len(set(words)) == len(words)
    return dict(zip(words, counts.tolist(), strict=True))


def expected(pattern: str, texts: list[str]) -> dict[bytes, int]:
    split = pre_tokenizers.Split(Regex(PATTERNS[pattern]), behavior="isolated")
    return dict(Counter(word.encode() for text in texts for word, _ in split.pre_tokenize_str(text)))


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=60, deadline=None)
@given(batches=st.lists(st.lists(TEXT, max_size=4), max_size=3))
def test_words_are_those_of_the_library(pattern, batches):
    counter = WordCounter(pattern)
    for batch in batches:
        counter.add(pa.array(batch, pa.large_string()), 1_000_000)
    assert counted(counter) == expected(pattern, [text for batch in batches for text in batch])


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(TEXT, min_size=1, max_size=4), most=st.integers(0, 30))
def test_only_whole_characters_of_the_beginning_count(texts, most):
    counter = WordCounter("gpt2")
    counter.add(pa.array(["left out", *texts], pa.large_string()).slice(1), most)
    assert counted(counter) == expected("gpt2", [text.encode()[:most].decode(errors="ignore") for text in texts])


def test_tables_grow_and_keep_every_count(monkeypatch):
    monkeypatch.setattr(word_counts, "_ROWS", 16)
    monkeypatch.setattr(word_counts, "_LETTERS", 8)
    numbers = [f"{word:x}".translate(str.maketrans("0123456789", "ghijklmnop")) for word in range(3000)]
    texts = [f" {word} {word * 9} " for word in numbers]
    counter = WordCounter("digits_of_three")
    for first in range(0, len(texts), 70):
        counter.add(pa.chunked_array([pa.array(texts[first : first + 70])]), 1_000_000)
    assert counted(counter) == expected("digits_of_three", texts)


def test_bytes_between_the_texts_are_not_looked_at():
    data = np.frombuffer(b"aa bb|cc dd", np.uint8)
    counter = WordCounter("gpt2")
    counter.add_bytes(data, np.array([0, 6]), np.array([5, 8]))
    assert counted(counter) == {b"aa": 1, b" bb": 1, b"cc": 1}
