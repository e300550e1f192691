import gzip
import lzma
import math
import shutil
import subprocess
from collections import Counter

import numpy as np
import pytest
from evaluation_cases import END, VOCABULARY, corpus, document
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.evaluation.baselines import (
    compressed_bits,
    gzip_size,
    measure_baseline,
    stream_bits_per_byte,
    token_counts,
    unigram_bits,
    xz_size,
)
from headwater.assets.evaluation.options import GzipBaseline, UnigramBaseline, XzBaseline

TEXT = (gzip.__doc__ + lzma.__doc__ + (subprocess.__doc__ or "")) * 5


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 256), max_size=60), st.text(max_size=20), st.sampled_from([0.5, 1.0, 3.0]))
def test_unigram_against_the_definition(stream, text, smoothing):
    counts = token_counts([np.array(stream, dtype=np.int64)], VOCABULARY)
    bits = unigram_bits([document(text)], counts, smoothing, END).bits[0]
    frequencies = Counter(stream)
    expected = 0.0
    for token in [*text.encode(), END]:
        probability = (frequencies[token] + smoothing) / (len(stream) + smoothing * VOCABULARY)
        expected -= math.log2(probability)
    assert bits == pytest.approx(expected)


def test_unigram_reaches_the_entropy_of_the_text_it_was_fitted_on():
    held_out = document("aab" * 10_000)
    counts = token_counts([held_out.tokens, np.array([END])], VOCABULARY)
    bits = unigram_bits([held_out], counts, 1e-9, END)
    entropy = -(2 / 3 * math.log2(2 / 3) + 1 / 3 * math.log2(1 / 3))
    assert bits.total == pytest.approx(entropy, abs=1e-3)


def test_counts_add_up_over_chunks_and_foreign_tokens_are_refused():
    stream = np.random.default_rng(0).integers(0, 50, 1000)
    parts = token_counts([stream[:10], stream[10:10], stream[10:]], 50)
    assert parts.tolist() == np.bincount(stream, minlength=50).tolist()
    with pytest.raises(ValueError, match=r"token 50 is outside the vocabulary of 50.*re-encode"):
        token_counts([np.array([3, 50])], 50)
    with pytest.raises(ValueError, match="token -1"):
        token_counts([np.array([-1, 3])], 50)


@pytest.mark.parametrize("data", [b"", b"x", TEXT.encode(), np.random.default_rng(0).bytes(70_000)])
def test_sizes_equal_the_library_at_its_own_settings(data):
    assert gzip_size(data) == len(gzip.compress(data, 9))
    assert gzip_size(data, 1) == len(gzip.compress(data, 1))
    assert xz_size(data) == len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))


@pytest.mark.skipif(shutil.which("xz") is None, reason="needs the xz command")
def test_the_size_equals_the_xz_command():
    done = subprocess.run(["xz", "-9e", "-T1", "-c"], input=TEXT.encode(), capture_output=True, check=True)
    assert xz_size(TEXT.encode()) == len(done.stdout)


def test_a_stream_ends_every_document_with_a_nul_and_is_divided_by_the_texts_alone():
    documents = [document("ab", "1"), document("cde", "2"), document("", "3")]
    seen = []
    assert stream_bits_per_byte(documents, lambda data: seen.append(data) or 10) == 8 * 10 / 5
    assert seen == [b"ab\0cde\0\0"]
    assert stream_bits_per_byte([document("")], len) is None


def test_documents_alone_cost_their_own_compressed_size():
    documents = corpus(5)
    done = []
    bits = compressed_bits(documents, gzip_size, done.append)
    assert bits.bits.tolist() == [8.0 * len(gzip.compress(document.data, 9)) for document in documents]
    assert done == [200] * 5


@pytest.mark.parametrize(("baseline", "size"), [(GzipBaseline(), gzip_size), (XzBaseline(), xz_size)])
def test_a_compressor_is_measured_on_each_source_and_on_all(baseline, size):
    documents = [document(TEXT, "1", "a"), document(TEXT, "2", "a"), document(TEXT[::-1], "3", "b")]
    _, results = measure_baseline(baseline, documents, np.zeros(VOCABULARY, dtype=np.int64), END)
    assert set(results) == {"a", "b", None}
    together = results["a"]
    assert together.stream == pytest.approx(8 * size((TEXT + "\0" + TEXT + "\0").encode()) / (2 * len(TEXT)))
    assert together.per_document == pytest.approx(8 * size(TEXT.encode()) / len(TEXT))
    assert together.bits_per_byte == min(together.stream, together.per_document)


def test_unigram_results_weigh_sources_by_their_bytes():
    documents = [document("aaaa", "1", "a"), document("bbbbbbbb", "2", "b")]
    counts = token_counts([documents[0].tokens], VOCABULARY)
    bits, results = measure_baseline(UnigramBaseline(), documents, counts, END)
    expected = (results["a"].bits_per_byte * 4 + results["b"].bits_per_byte * 8) / 12
    assert results[None].bits_per_byte == pytest.approx(expected)
    assert bits.total == results[None].bits_per_byte
    assert results["a"].bits_per_byte < results["b"].bits_per_byte


def test_with_one_source_all_is_that_source():
    _, results = measure_baseline(GzipBaseline(), corpus(3), np.zeros(VOCABULARY, dtype=np.int64), END)
    assert results[None] == results["web"]
    _, nothing = measure_baseline(GzipBaseline(), [], np.zeros(VOCABULARY, dtype=np.int64), END)
    assert nothing[None].bits_per_byte is None
