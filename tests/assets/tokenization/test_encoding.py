"""Token rows equal Hugging Face's encoding of each document, whatever the batch, the length and the text."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from headwater.assets.fitting.bpe import encoder as encoder_module
from headwater.assets.fitting.bpe.encoder import compiled_encoder
from headwater.assets.fitting.byte_level_bpe import PATTERNS, fit_byte_level_bpe
from headwater.assets.fitting.options import ByteLevelBpeOptions
from headwater.assets.fitting.tokenizers import FittedTokenizer, check_tokenizer
from headwater.assets.tokenization import encoding
from headwater.assets.tokenization.encoding import encode_batch, tokens_schema
from headwater.assets.tokenization.long_documents import can_be_cut, cut

SPECIAL = "<|endoftext|>"
WORDS = [
    "it's ",
    "Don'T",
    "x1y22",
    "  \n\n",
    "\r\n",
    " .\n",
    "水源は",
    "\t",
    "é",
    "e\u0301",
    "🌊",
    "a.b",
    "!?",
    " ",
    "0" * 5,
]
WORDS += [SPECIAL, "\u00a0", "\u2003z", "ſ", "'", "'s", "'S1", "\x00", "\x1c", "\u180e "]
FITTED = {
    pattern: fit_byte_level_bpe(WORDS * 5, ByteLevelBpeOptions(vocabulary_size=330, pattern=pattern))
    for pattern in PATTERNS
}
TEXT = st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=6)), max_size=30).map("".join)


def documents(texts):
    return pa.table({"doc_id": [f"{i:032x}" for i in range(len(texts))], "text": pa.array(texts, pa.large_string())})


def reference(fitted: FittedTokenizer, text: str) -> list[int]:
    """Hugging Face's own encoder, made from the same file without any added token."""
    content = json.loads(fitted.json)
    content["added_tokens"] = []
    for token in (fitted.end_of_text, fitted.pad):
        del content["model"]["vocab"][token]
    return Tokenizer.from_str(json.dumps(content)).encode(text).ids


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=40, deadline=None)
@given(texts=st.lists(TEXT, max_size=5))
def test_rows_equal_hugging_face(pattern, texts):
    fitted = FITTED[pattern]
    table = encode_batch(fitted, documents(texts))
    assert table.schema == tokens_schema(fitted.vocabulary_size)
    assert table.column("tokens").to_pylist() == [[0, *reference(fitted, text)] for text in texts]
    assert table.column("bytes").to_pylist() == [len(text.encode()) for text in texts]


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=150, deadline=None)
@given(text=TEXT, size=st.integers(1, 12))
def test_cutting_a_long_text_changes_no_id(pattern, text, size):
    fitted = FITTED[pattern]
    parts = list(cut(text, size))
    assert "".join(parts) == text
    assert [i for part in parts for i in fitted.encode(part)] == fitted.encode(text)


def test_long_documents_are_cut_and_equal(monkeypatch):
    texts = ["short", "".join(WORDS) * 40, "", "x" * 500, "end " + SPECIAL]
    whole = encode_batch(FITTED["gpt2"], documents(texts))
    given = []
    original = encoding._encode_one
    monkeypatch.setattr(encoding, "_CHUNK", 64)
    monkeypatch.setattr(encoding, "_agreeing_encoder", lambda tokenizer, texts: None)
    monkeypatch.setattr(encoding, "_encode_one", lambda t, part: given.append(part) or original(t, part))
    assert encode_batch(FITTED["gpt2"], documents(texts)).equals(whole)
    assert max(len(part) for part in given if "x" * 500 not in part) < 150
    assert "x" * 500 in given  # no boundary: encoded whole


def test_the_compiled_encoder_is_used_where_it_agrees_and_left_where_it_differs(monkeypatch):
    fitted, texts = FITTED["digits_of_three"], documents(["some words, 12345 of them\n\n", "  and another's"])
    expected = [[0, *reference(fitted, text)] for text in texts["text"].to_pylist()]
    encoding._encoders.cache_clear()
    assert encoding._agreeing_encoder(fitted, texts["text"]) is not None

    class Liar:
        def encode(self, data, offsets, lead, kind):
            return np.full(len(offsets) - 1, lead, kind), np.arange(len(offsets))

    encoding._encoders.cache_clear()
    monkeypatch.setattr(encoding, "compiled_encoder", lambda tokenizer: Liar())
    assert encoding._agreeing_encoder(fitted, texts["text"]) is None
    assert encode_batch(fitted, texts)["tokens"].to_pylist() == expected
    encoding._encoders.cache_clear()


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("size", [1, 127, 128, 129, 300, 5000])
def test_long_words_equal_hugging_face(pattern, size):
    texts = [letters * (size // len(letters) + 1) for letters in ("a", "ab", "é漢", "=", "\t", "theword")]
    rows = encode_batch(FITTED[pattern], documents(texts))["tokens"].to_pylist()
    assert rows == [[0, *reference(FITTED[pattern], text)] for text in texts]


def test_one_encoder_writes_narrow_and_wide_ids():
    fitted = FITTED["digits_of_three"]
    encoder, data = compiled_encoder(fitted.json), "".join(WORDS * 3).encode()
    offsets = np.array([0, len(data)])
    expected = [0, *reference(fitted, data.decode())]
    for kind in (np.uint16, np.uint32, np.uint16):
        ids, starts = encoder.encode(np.frombuffer(data, np.uint8), offsets, 0, np.dtype(kind))
        assert (ids.dtype, ids.tolist(), starts.tolist()) == (kind, expected, [0, len(expected)])


def test_a_table_that_grows_and_is_emptied_gives_the_same_ids(monkeypatch):
    monkeypatch.setattr(encoder_module, "_WORDS", 1 << 13)
    fitted = FITTED["gpt2"]
    words = [f"{number:o}".translate(str.maketrans("01234567", "thewordé")) for number in range(9000)]
    texts = [" ".join(words[first : first + 300] + words[: first // 3]) for first in range(0, 9000, 300)]
    encoding._encoders.cache_clear()
    rows = encode_batch(fitted, documents(texts))["tokens"].to_pylist()
    encoding._encoders.cache_clear()
    assert rows == [[0, *reference(fitted, text)] for text in texts]


def test_tokens_are_counted_whatever_a_text_spells():
    tokenizer = Tokenizer(models.WordLevel({"stop": 0, "<unk>": 1}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fitted = FittedTokenizer(tokenizer.to_str(), "<unk>", 1, "<unk>", 1, frozenset({1}), 2)
    assert encoding.token_count(fitted, pa.chunked_array([["stop", "stop other", ""]])) == 3
    assert encoding.token_count(FITTED["gpt2"], pa.chunked_array([], pa.large_string())) == 0


def test_batches_and_order_do_not_matter():
    texts = ["".join(WORDS[i:]) for i in range(len(WORDS))]
    table = documents(texts)
    parts = [encode_batch(FITTED["gpt2"], table.slice(i, 4)) for i in range(0, len(texts), 4)]
    assert pa.concat_tables(parts).equals(encode_batch(FITTED["gpt2"], table))


def test_tokenizers_that_must_not_be_cut_are_recognised():
    assert all(can_be_cut(fitted.json) for fitted in FITTED.values())
    other = Tokenizer(models.BPE())
    other.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert can_be_cut(other.to_str())
    other.add_tokens(["a\nb"])
    assert not can_be_cut(other.to_str())
    for pre_tokenizer in (pre_tokenizers.ByteLevel(add_prefix_space=True), pre_tokenizers.Metaspace(), None):
        other = Tokenizer(models.BPE())
        if pre_tokenizer is not None:
            other.pre_tokenizer = pre_tokenizer
        assert not can_be_cut(other.to_str())


def test_wide_vocabularies_take_wide_tokens():
    assert tokens_schema(65_536).field("tokens").type == pa.large_list(pa.uint16())
    assert tokens_schema(65_537).field("tokens").type == pa.large_list(pa.uint32())


def test_a_missing_text_is_named():
    with pytest.raises(ValueError, match=r"document 0{31}1 has no text"):
        encode_batch(FITTED["gpt2"], documents(["a", None]))


def test_a_text_that_still_reaches_the_special_is_named():
    """A word-level model can know a special token under a longer text than its name, which no probe finds."""
    tokenizer = Tokenizer(models.WordLevel({"stop": 0, "<unk>": 1}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fitted = FittedTokenizer(tokenizer.to_str(), "<unk>", 1, "<unk>", 1, frozenset({1}), 2)
    with pytest.raises(ValueError, match=r"document 0{31}1: its text spells the token '<unk>' at token 2"):
        encode_batch(fitted, documents(["stop", "stop other"]))


def test_check_accepts_what_it_wrote():
    fitted = FITTED["gpt2"]
    assert check_tokenizer(fitted.json, fitted.end_of_text, fitted.pad, "again") == fitted
