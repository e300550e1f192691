"""Evaluation items are found in documents, and nothing else is."""

import gzip
import json

import pyarrow as pa
import pytest
from duplicate_oracle import shingles_of, table_of, words_of
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.assets.deduplication.decontamination import HITS, INDEX, build_index, contaminated
from headwater.assets.deduplication.driver import deduplicate
from headwater.assets.deduplication.evaluation_sets import read_evaluation_set
from headwater.assets.deduplication.options import (
    DecontaminationOptions,
    DeduplicationOptions,
    EvaluationSetOptions,
)

ITEM = [f"word{number}" for number in range(20)]
OPTIONS = DecontaminationOptions()


def _rows(texts, sets, options=OPTIONS):
    hits = contaminated(table_of(texts), build_index(sets, options).table, options)
    assert hits.schema == HITS
    return hits.to_pylist()


def test_thirteen_words_are_found_and_twelve_are_not():
    filler = "nothing to see here"
    texts = [" ".join([filler, *ITEM[3:end], filler]) for end in (16, 15, 3)]
    assert _rows(texts, [("quiz", [" ".join(ITEM)])]) == [
        {"doc_id": "0000", "set": "quiz", "item": 0, "shared": 1, "needed": 1, "ngrams": 8}
    ]


def test_case_and_punctuation_do_not_hide_an_item():
    assert len(_rows(["... ".join(ITEM).upper() + "\n"], [("quiz", [", ".join(ITEM)])])) == 1
    swapped = [ITEM[1], ITEM[0], *ITEM[2:12]]
    assert _rows([" ".join(swapped)], [("quiz", [" ".join(ITEM[:13])])]) == []


def test_short_items_are_matched_whole_and_tiny_ones_left_out():
    index = build_index([("quiz", ["two words", "one two three four five six", ""])], OPTIONS)
    assert index.too_short == 2
    assert index.table.schema == INDEX
    documents = table_of(["zero one TWO three four five six seven", "one two three four five", "two words"])
    assert contaminated(documents, index.table, OPTIONS)["doc_id"].to_pylist() == ["0000"]


def test_enough_sequences_of_one_item_are_needed():
    options = DecontaminationOptions(min_ngrams=3)
    texts = [" ".join(ITEM[:15]), " ".join(ITEM[:14]), " ".join(ITEM[:14]) + " x " + " ".join(ITEM[:14])]
    assert [row["doc_id"] for row in _rows(texts, [("quiz", [" ".join(ITEM)])], options)] == ["0000"]
    two_items = [("quiz", [" ".join(ITEM[:14]) + " a", " ".join(ITEM[:14]) + " b"])]
    assert _rows(texts[1:2], two_items, options) == [], "sequences of two items do not add up"
    assert len(_rows(texts[1:2], [("quiz", [" ".join(ITEM[:13])])], options)) == 1, "an item with fewer needs all"
    share = DecontaminationOptions(min_share=0.5)
    assert [row["shared"] for row in _rows([" ".join(ITEM[:16])], [("quiz", [" ".join(ITEM)])], share)] == [4]
    assert _rows([" ".join(ITEM[:15])], [("quiz", [" ".join(ITEM)])], share) == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text("abc. ", max_size=30), max_size=6),
    st.lists(st.text("abc. ", max_size=20), max_size=5),
    st.integers(1, 2),
)
def test_hits_are_those_of_plain_python(texts, items, least):
    options = DecontaminationOptions(words=3, min_words=2, min_ngrams=least)
    expected = {}
    for number, text in enumerate(texts):
        for item, item_text in enumerate(items):
            length = min(3, len(words_of(item_text)))
            if length < 2:
                continue
            grams = shingles_of(item_text, length)
            shared = len(grams & shingles_of(text, length))
            if shared >= min(least, len(grams)):
                best = expected.get(f"{number:04d}", (0, 0))
                expected[f"{number:04d}"] = max(best, (shared, -item))
    found = {row["doc_id"]: (row["shared"], -row["item"]) for row in _rows(texts, [("quiz", items)], options)}
    assert found == expected


def test_the_decision_names_the_item():
    documents = table_of(["before " + " ".join(ITEM), "something else altogether, five words"])
    ledger = pa.table(
        {
            "doc_id": documents["doc_id"],
            "split": ["train"] * 2,
            "source": ["web"] * 2,
            "date": pa.array([None] * 2, pa.string()),
        }
    )
    index = build_index([("quiz", ["a filler item of some words", " ".join(ITEM)])], OPTIONS).table
    rows = deduplicate(documents, ledger, DeduplicationOptions(), {"web": 0}, index).decisions.to_pylist()
    assert [(row["rule"], row["detail"], row["value"]) for row in rows] == [
        ("contaminated", "quiz item 1", 8.0),
        (None, None, None),
    ]


def test_evaluation_sets_are_read_from_json_lines_and_text(tmp_path):
    lines = [{"question": "Why?", "choices": ["a", "b"]}, {"question": "Who?", "answer": 7}]
    with gzip.open(tmp_path / "quiz.jsonl.gz", "wt") as file:
        file.write("\n".join(map(json.dumps, lines)) + "\n\n")
    (tmp_path / "b.txt").write_text("second")
    (tmp_path / "a.txt").write_text("first")
    fields = ("question", "choices", "answer")
    quiz = EvaluationSetOptions(name="quiz", path=str(tmp_path / "quiz.jsonl.gz"), fields=fields)
    assert read_evaluation_set(quiz) == ["Why?\na\nb", "Who?\n7"]
    assert read_evaluation_set(EvaluationSetOptions(name="t", path=str(tmp_path / "*.txt"))) == ["first", "second"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"text": "x"}\n{"text": \n', "set.jsonl, line 2: not JSON"),
        (b"[1]\n", "set.jsonl, line 1: a list"),
        (b'{"body": "x"}\n', r"none of the fields text is there \(it has body\)"),
        (b'{"text": "\xff"}\n', "set.jsonl is not UTF-8"),
    ],
)
def test_a_bad_line_is_named(tmp_path, content, said):
    (tmp_path / "set.jsonl").write_bytes(content)
    with pytest.raises(ValueError, match=said):
        read_evaluation_set(EvaluationSetOptions(name="quiz", path=str(tmp_path / "set.jsonl")))


@pytest.mark.parametrize("name", ["absent.jsonl", "absent*.jsonl"])
def test_a_path_that_matches_nothing_is_named(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="evaluation set quiz: nothing matches"):
        read_evaluation_set(EvaluationSetOptions(name="quiz", path=str(tmp_path / name)))


def test_names_of_sets_must_differ():
    one = EvaluationSetOptions(name="quiz", path="a.txt")
    with pytest.raises(ValueError, match="more than once: quiz"):
        DecontaminationOptions(sets=(one, one))
