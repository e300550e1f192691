"""The merges learned by the kernels are those of Hugging Face's trainer: the whole tokenizer.json is compared."""

import json
import sysconfig
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headwater.assets.fitting import byte_level_bpe, merge_learning
from headwater.assets.fitting.bpe.patterns import PATTERNS
from headwater.assets.fitting.byte_level_bpe import _learned, fit_by_library, fit_byte_level_bpe
from headwater.assets.fitting.merge_learning import learn_merges
from headwater.assets.fitting.options import ByteLevelBpeOptions
from headwater.assets.fitting.word_counts import CountedWords

# The first article of the Universal Declaration of Human Rights.
LANGUAGES = {
    "english": "All human beings are born free and equal in dignity and rights. They are endowed with reason and "
    "conscience and should act towards one another in a spirit of brotherhood.",
    "german": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen "
    "begabt und sollen einander im Geist der Brüderlichkeit begegnen.",
    "russian": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью "
    "и должны поступать в отношении друг друга в духе братства.",
    "greek": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. Είναι προικισμένοι "
    "με λογική και συνείδηση, και οφείλουν να συμπεριφέρονται μεταξύ τους με πνεύμα αδελφοσύνης.",
    "chinese": "人人生而自由,在尊严和权利上一律平等。他们赋有理性和良心,并应以兄弟关系的精神相对待。",
    "japanese": "すべての人間は、生れながらにして自由であり、かつ、尊厳と権利とについて平等である。"
    "人間は、理性と良心とを授けられており、互いに同胞の精神をもって行動しなければならない。",
    "arabic": "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميرًا وعليهم أن يعامل بعضهم "
    "بعضًا بروح الإخاء.",
    "hindi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है।",
}
CODE = [
    (Path(sysconfig.get_path("stdlib")) / name).read_text()
    for name in ("ast.py", "argparse.py", "datetime.py", "json/decoder.py", "typing.py")
]
SPECIALS = [("<|endoftext|>", "<|pad|>"), ("ab", "<p>"), ("a", "b"), ("Ġa", "aab", "é")]
PIECES = [
    "a",
    "b",
    "ab",
    "ba",
    "aab",
    "abc",
    "c",
    " ",
    "  ",
    "\n",
    "é",
    "水源",
    "1",
    "22",
    "=",
    "====",
    "<|pad|>",
    "🌊",
]
BYTES = [bytes([byte]) for byte in range(256)]


def both(texts, **options):
    """(ours, theirs), as tokenizer.json."""
    declared = ByteLevelBpeOptions(**options)
    batch = pa.array(texts, pa.large_string())
    return _learned([batch], declared).to_str(), fit_by_library([batch], declared).to_str()


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("texts", [CODE, list(LANGUAGES.values()) * 2, CODE[:2] + list(LANGUAGES.values())])
def test_real_texts_give_the_same_tokenizer(pattern, texts):
    ours, theirs = both(texts, pattern=pattern, vocabulary_size=4000)
    assert ours == theirs
    assert len(json.loads(ours)["model"]["merges"]) > 300


@settings(max_examples=200, deadline=None)
@given(
    texts=st.lists(st.lists(st.sampled_from(PIECES), max_size=40).map("".join), max_size=12),
    pattern=st.sampled_from(list(PATTERNS)),
    size=st.sampled_from([262, 270, 300, 1000]),
    frequency=st.sampled_from([1, 2, 3]),
    specials=st.sampled_from(SPECIALS),
    megabytes=st.sampled_from([1.0, 1e-5]),
)
@example(["b" * 40, "b" * 37], "gpt2", 1000, 1, SPECIALS[0], 1.0)
@example(["abab" * 9, "ab" * 5], "gpt2", 1000, 1, SPECIALS[3], 1.0)
def test_small_texts_full_of_ties_give_the_same_tokenizer(texts, pattern, size, frequency, specials, megabytes):
    ours, theirs = both(
        texts,
        pattern=pattern,
        vocabulary_size=size,
        min_frequency=frequency,
        special_tokens=specials,
        document_megabytes=megabytes,
    )
    assert ours == theirs


@settings(max_examples=100, deadline=None)
@given(words=st.lists(st.text("abcd", min_size=3, max_size=30), min_size=1, max_size=40))
def test_each_token_is_made_by_one_merge(words):
    ours, theirs = both([" ".join(words)], vocabulary_size=1000, min_frequency=1)
    assert ours == theirs
    merges = learn_merges(counted_words(Counter(words)), BYTES, 1000, 1)
    assert merges[:, 2].tolist() == list(range(256, 256 + len(merges)))
    assert len(np.unique(merges[:, :2], axis=0)) == len(merges)


def counted_words(counted: dict[str, int]) -> CountedWords:
    encoded = [word.encode() for word in counted]
    starts = np.cumsum([0, *map(len, encoded)])
    return CountedWords(np.frombuffer(b"".join(encoded), np.uint8), starts, np.array(list(counted.values()), np.int64))


@pytest.mark.parametrize("texts", [[], [""], ["", "a", " "]])
def test_texts_without_a_pair_give_the_bytes_alone(texts):
    ours, theirs = both(texts, vocabulary_size=300)
    assert ours == theirs
    assert fit_byte_level_bpe(texts, ByteLevelBpeOptions(vocabulary_size=300)).json == theirs


def test_a_vocabulary_that_is_full_from_the_start_learns_nothing():
    assert learn_merges(counted_words({"aaaa": 9}), BYTES, 100, 1).shape == (0, 3)
    assert learn_merges(counted_words({"aaaa": 9}), BYTES, 257, 1).tolist() == [[97, 97, 256]]


def test_arrays_that_begin_too_small_are_made_larger(monkeypatch):
    expected = both(CODE[:1], vocabulary_size=700)[1]
    original = merge_learning._Learner.__init__

    def begin_small(self, *arguments):
        original(self, *arguments)
        self._pairs = np.full(1 << 13, -1, np.int64)
        self._queue, self._notes = np.empty((1 << 12, 4), np.int64), np.empty((1, 4), np.int32)

    monkeypatch.setattr(merge_learning._Learner, "__init__", begin_small)
    assert both(CODE[:1], vocabulary_size=700)[0] == expected


def test_neither_order_nor_batches_nor_kind_of_texts_matter():
    options = ByteLevelBpeOptions(vocabulary_size=900)
    texts = CODE + list(LANGUAGES.values())
    expected = fit_byte_level_bpe(texts, options).json
    assert fit_byte_level_bpe(iter(texts[::-1]), options).json == expected
    assert fit_byte_level_bpe([pa.array([text]) for text in texts], options).json == expected
    chunked = pa.chunked_array([pa.array(texts[:3], pa.large_string()), pa.array(texts[3:], pa.large_string())])
    assert fit_byte_level_bpe([chunked.slice(0, 2), chunked.slice(2)], options).json == expected


def test_where_the_library_differs_it_is_followed(monkeypatch):
    options = ByteLevelBpeOptions(vocabulary_size=500)
    expected = fit_byte_level_bpe(CODE[:1], options).json
    monkeypatch.setattr(byte_level_bpe, "learn_merges", lambda *_: np.empty((0, 3), np.int32))
    assert fit_byte_level_bpe(CODE[:1], options).json == expected


def test_a_sample_too_large_for_the_kernel_is_refused_with_the_mend(monkeypatch):
    monkeypatch.setattr(byte_level_bpe, "can_be_learned", lambda words: False)
    monkeypatch.setattr(byte_level_bpe, "_agree", lambda texts, options: True)
    with pytest.raises(ValueError, match="lower `sample_megabytes`"):
        fit_byte_level_bpe(CODE[:1], ByteLevelBpeOptions(vocabulary_size=500))
