"""The fit: counts of documents by word and phrase against plain Python, what is common, and what is boilerplate."""

import io
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from duplicate_oracle import ledger_of, random_text, table_of
from hypothesis import given, settings
from hypothesis import strategies as st
from slow_alignment import (
    boilerplate,
    class_of,
    features_of,
    fit_with,
    hashes_of,
    is_common,
    phrases_of,
    slow_counts,
    strings,
    word_slot,
)

from headwater.assets.deduplication.driver import deduplicate
from headwater.assets.deduplication.fit import (
    FIT,
    Fit,
    FitMaker,
    fit_documents,
    fit_of,
    mark_phrases,
    phrase_slots,
    sampled,
)
from headwater.assets.deduplication.normalise import power
from headwater.assets.deduplication.options import DeduplicationOptions, FitOptions

VOCABULARY = ["a", "b", "B", "cc", "é", "深", "度学", "ไทย", "dd", "x1"]
TEXT = st.lists(st.sampled_from(VOCABULARY), max_size=14).map(" ".join)
LIKE_ANOTHER = st.builds(
    lambda start, end: f"{start} {end}", st.sampled_from(["a b cc dd x1 a cc b", "", "深度学"]), TEXT
)
TEXTS = st.lists(TEXT | LIKE_ANOTHER, max_size=14)
SMALL = FitOptions(words=2, bytes_of_each=25, min_documents=3, documents=40)


def _made(batches: list[list[str]], options: FitOptions, documents: int = 1000) -> pa.Table:
    maker = FitMaker(options)
    for batch in batches:
        maker.add(strings(batch))
    return maker.table(documents)


def _expected(texts: list[str], options: FitOptions, documents: int = 1000) -> list[dict]:
    sample, words, phrases = slow_counts(texts, options)
    rows = [("corpus", 0, documents), ("corpus", 0, sample)]
    rows += sorted(("word", slot, count) for slot, count in words.items() if count >= max(0.003 * sample, 2))
    least = max(options.min_share * sample, options.min_documents)
    rows += sorted(("phrase", slot, count) for slot, count in phrases.items() if count >= least)
    return [dict(zip(FIT.names, row, strict=True)) for row in rows]


def _same(one: Fit, two: Fit) -> bool:
    tables = np.array_equal(one.classes, two.classes) and np.array_equal(one.phrases, two.phrases)
    return tables and one[2:] == two[2:]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(TEXTS, st.sampled_from([1, 2, 3]), st.sampled_from([7, 25, 400]))
def test_the_table_tells_in_how_many_documents_words_and_phrases_are(texts, length, size):
    options = SMALL.model_copy(update={"words": length, "bytes_of_each": size})
    table = _made([texts], options)
    assert table.schema == FIT
    assert table.to_pylist() == _expected(texts, options)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(st.lists(TEXTS, max_size=4))
def test_batches_change_nothing_and_the_same_words_count_once(batches):
    texts = [text for batch in batches for text in batch][:20]
    again = [text.upper().replace(" ", " - ") for text in texts]
    whole = _made([texts], SMALL.model_copy(update={"bytes_of_each": 400}))
    parts = _made([[text] for text in texts] + [[], again], SMALL.model_copy(update={"bytes_of_each": 400}))
    assert parts.equals(whole)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(TEXTS)
def test_the_fit_has_the_classes_and_phrases_of_its_table(texts):
    fit = fit_of(_made([texts], SMALL, 77), SMALL)
    sample, words, phrases = slow_counts(texts, SMALL)
    assert (fit.length, fit.documents) == (2, 77)
    classes = {slot: class_of(count, sample) for slot, count in words.items()}
    common = {phrase for phrase, count in phrases.items() if count >= SMALL.min_documents}
    assert _same(fit, fit_with(classes, common, 2, 77))
    of_feature: Counter = Counter()
    for text in {hashes_of(text.encode()[:25].decode(errors="ignore")) for text in texts}:
        of_feature.update({feature for at in range(len(text)) for feature in features_of(text, at)})
    for feature, count in of_feature.items():
        assert fit.classes[word_slot(feature)] >= class_of(count, sample), "no word may count as rarer than it is"


@pytest.mark.parametrize("sample", [20, 100, 1000])
def test_a_word_reaches_a_share_with_just_so_many_documents(sample):
    """Documents of one word each, beside the marks whose shares are asked for."""
    marks = {f"mark{count}": count for count in (1, 2, 3, 29, 30, 99, 100, 299, 300) if count <= sample}
    texts = [" ".join([f"w{at}", *(m for m, count in marks.items() if at < count)]) for at in range(sample)]
    options = FitOptions()
    fit = fit_of(fit_documents(table_of(texts), options), options)
    found = {count: int(fit.classes[word_slot(hashes_of(mark)[0])]) for mark, count in marks.items()}
    expected = {
        20: {1: 0, 2: 3, 3: 3},
        100: {1: 0, 2: 1, 3: 2, 29: 3, 30: 4, 99: 4, 100: 4},
        1000: {1: 0, 2: 0, 3: 1, 29: 1, 30: 2, 99: 2, 100: 3, 299: 3, 300: 4},
    }
    assert found == expected[sample]


def test_a_rare_word_that_shares_a_slot_counts_as_the_common_one():
    slots: dict[int, str] = {}
    for number in range(20_000):
        word = f"v{number}"
        if other := slots.get(word_slot(hashes_of(word)[0])):
            break
        slots[word_slot(hashes_of(word)[0])] = word
    assert other is not None
    assert hashes_of(word) != hashes_of(other)
    texts = [f"t{at} {other}" for at in range(5)] + [f"t{at}" for at in range(5, 9)] + [word]
    fit = fit_of(fit_documents(table_of(texts), FitOptions()), FitOptions())
    assert fit.classes[word_slot(hashes_of(word)[0])] == class_of(6, 10) == 4
    assert fit.classes[word_slot(hashes_of("t7")[0])] == 0


def test_a_table_written_and_read_gives_the_same_fit():
    rng = np.random.default_rng(0)
    licence = " ".join(random_text(rng, 30))
    texts = [f"{licence} {' '.join(random_text(rng, 40, 300))}" for _ in range(12)]
    table = fit_documents(table_of(texts), FitOptions())
    assert set(table["kind"].to_pylist()) == {"corpus", "word", "phrase"}
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    assert _same(fit_of(pq.read_table(buffer), FitOptions()), fit_of(table, FitOptions()))


def _share_of_common(fit: Fit, text: str) -> float:
    return float(np.mean([is_common(fit, phrase) for phrase in phrases_of(hashes_of(text), fit.length)]))


def test_phrases_of_six_documents_are_common_but_not_those_of_five():
    rng = np.random.default_rng(1)
    five, six = (" ".join(random_text(rng, 25)) for _ in range(2))
    texts = [f"{' '.join(random_text(rng, 80))} {six} {five if at < 5 else ''}" for at in range(6)]
    fit = fit_of(fit_documents(table_of(texts), FitOptions()), FitOptions())
    assert _share_of_common(fit, six) == 1.0
    assert _share_of_common(fit, five) == 0.0
    more = FitOptions(min_share=0.2)
    others = [" ".join(random_text(rng, 20)) for _ in range(25)]
    assert _share_of_common(fit_of(fit_documents(table_of(texts + others), more), more), six) == 0.0


def test_near_copies_do_not_make_boilerplate_of_each_other():
    rng = np.random.default_rng(2)
    body, licence = (" ".join(random_text(rng, size)) for size in (100, 40))
    copies = [f"{licence} {body} {' '.join(random_text(rng, 10))}" for _ in range(20)]
    others = [f"{licence} {' '.join(random_text(rng, 60))}" for _ in range(5)]
    fit = fit_of(fit_documents(table_of(others + copies), FitOptions()), FitOptions())
    assert _share_of_common(fit, body) == 0.0
    assert _share_of_common(fit, licence) == 1.0


def test_seven_known_phrases_of_ten_make_a_near_copy_and_six_do_not():
    """A phrase is of two words here, and common in two documents."""
    options = FitOptions(words=2, min_documents=2)
    for known, phrases in ((7, 0), (6, 6)):
        first = " ".join("abcdefgh"[: known + 1])
        table = _made([[first, f"{first} {' '.join('stuvwxyz'[: 10 - known])}"]], options)
        assert table["kind"].to_pylist().count("phrase") == phrases


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(VOCABULARY), max_size=30).map(" ".join), st.integers(1, 4), st.data())
def test_runs_of_common_phrases_longer_than_one_are_boilerplate(text, length, data):
    words = hashes_of(text)
    phrases = phrases_of(words, length)
    rare = data.draw(st.sets(st.sampled_from(phrases), max_size=3)) if phrases else set()
    fit = fit_with({}, set(phrases) - rare, length)
    hashes, slots = np.array(words, dtype=np.uint64), np.zeros(len(words), dtype=np.int64)
    assert phrase_slots(hashes, len(words), length, power(length), slots) == len(phrases)
    assert slots[: len(phrases)].tolist() == phrases
    marks = np.full(len(words) + 1, 7, dtype=np.uint8)
    mark_phrases(hashes, len(words), slots, fit.phrases, length, marks)
    assert marks.tolist() == [*map(int, boilerplate(words, fit)), 7]


def test_one_common_phrase_alone_is_no_boilerplate():
    words = hashes_of("a b c d e f g")
    phrases = phrases_of(words, 3)
    assert boilerplate(words, fit_with({}, [phrases[1]], 3)) == [False] * 7
    assert boilerplate(words, fit_with({}, phrases[1:3], 3)) == [False, True, True, True, True, False, False]


def test_ideographs_make_boilerplate_when_they_are_more_than_twice_as_many():
    for count, is_marked in ((6, False), (7, True)):
        words = hashes_of("深度学习很有趣"[:count])
        assert boilerplate(words, fit_with({}, phrases_of(words, 3), 3)) == [is_marked] * count
        slots, marks = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.uint8)
        hashes = np.array(words, dtype=np.uint64)
        phrase_slots(hashes, count, 3, power(3), slots)
        mark_phrases(hashes, count, slots, np.full(1 << 20, 255, dtype=np.uint8), 3, marks)
        assert marks.tolist() == [is_marked] * count


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.sets(st.text("abcdé", max_size=6), max_size=30), st.integers(1, 30), st.randoms(use_true_random=False))
def test_the_sample_depends_on_ids_and_only_the_last_ones_give_way(ids, size, random):
    options = FitOptions(documents=size)
    names = sorted(ids)
    rows = sampled(pa.array(names, pa.string()), options)
    chosen = {names[row] for row in rows}
    assert len(rows) == len(chosen) == min(size, len(names))
    random.shuffle(names)
    assert {names[row] for row in sampled(pa.array(names, pa.string()), options)} == chosen
    part = names[: len(names) // 2]
    assert chosen & set(part) <= {part[row] for row in sampled(pa.array(part, pa.string()), options)}


def test_the_sample_is_spread_over_the_ids():
    ids = pa.array([f"{number:06d}" for number in range(10_000)], pa.string())
    rows = sampled(ids, FitOptions(documents=2500))
    tenths = np.bincount(rows // 1000, minlength=10)
    assert abs(tenths - 250).max() < 5 * np.sqrt(250 * 0.75)


def _framed(rng: np.random.Generator, frame: str, words: int) -> str:
    return f"{frame} {' '.join(random_text(rng, words, 60))}"


def _pages() -> list[str]:
    """Three long and three short pages in one frame, and other texts of the same words."""
    rng = np.random.default_rng(3)
    frame = " ".join(f"frame{number}" for number in range(40))
    pages = [_framed(rng, frame, words) for words in (60, 60, 60, 8, 8, 8)]
    return pages + [" ".join(random_text(rng, 40, 60)) for _ in range(80)]


def test_the_order_of_rows_does_not_change_the_fit():
    documents = table_of(_pages())
    turned = documents.take(list(range(len(documents)))[::-1])
    one, two = (fit_of(fit_documents(table, FitOptions()), FitOptions()) for table in (documents, turned))
    assert _same(one, two)


def test_the_order_of_rows_does_not_change_decisions_by_way_of_the_fit():
    documents, ledger = table_of(_pages()), ledger_of(86)
    back = list(range(86))[::-1]
    options = DeduplicationOptions()
    straight = deduplicate(documents, ledger, options, {"web": 0}).decisions
    turned = deduplicate(documents.take(back), ledger.take(back), options, {"web": 0}).decisions
    assert straight["kept"].to_pylist() == turned["kept"].to_pylist()[::-1]
