"""What the labelled sets promise: edits of the stated size, disjoint pairs, the same set for the same seed."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from labelled_duplicates import (  # noqa: E402
    DUPLICATES,
    jaccard,
    labelled,
    licence_headers,
    similarities,
)
from real_texts import KINDS  # noqa: E402

from headwater.assets.deduplication.edits import HARD, part_replaced, reordered, reworded  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def own_sources():
    """This repository's own files as a further kind of text: a small one."""
    KINDS["own"] = lambda: [path.read_text() for path in sorted((ROOT / "assets").rglob("*.py"))]
    yield
    del KINDS["own"]


@pytest.fixture(scope="module")
def found():
    return labelled(3, "own", 20)


def test_every_edit_has_pairs_of_different_documents(found):
    ids = found.pairs["doc_id"].to_pylist() + found.pairs["other_id"].to_pylist()
    assert len(ids) == len(set(ids)) == len(found.documents)
    assert found.documents["doc_id"].to_pylist() == sorted(ids)
    labels = {pair["edit"]: pair["duplicate"] for pair in found.pairs.to_pylist()}
    assert labels == dict.fromkeys(DUPLICATES, True) | dict.fromkeys(("hard 35", "template", "table"), False)


def test_pairs_are_as_alike_as_the_peers_were_tried_on(found):
    measured = {edit: mean for edit, (_, mean) in similarities(found).items()}
    stated = {"1 %": 0.93, "5 %": 0.69, "10 %": 0.50, "20 %": 0.27, "hard 35": 0.47}
    assert all(abs(measured[edit] - mean) < 0.08 for edit, mean in stated.items())
    assert 0.8 < measured["reorder"] < 0.95
    assert measured["table"] < 0.05


def test_a_seed_gives_one_set_and_another_seed_another():
    assert labelled(1, "own", 5) == labelled(1, "own", 5)
    assert labelled(1, "own", 5).documents["text"] != labelled(2, "own", 5).documents["text"]


def test_documents_of_different_pairs_are_unlike(found):
    family = {pair[side]: at for at, pair in enumerate(found.pairs.to_pylist()) for side in ("doc_id", "other_id")}
    rows = found.documents.to_pylist()[:60]
    for at, one in enumerate(rows):
        for two in rows[:at]:
            if family[one["doc_id"]] != family[two["doc_id"]]:
                assert jaccard(one["text"], two["text"]) < 0.45


def test_a_share_of_the_words_changes():
    words = [f"w{number}" for number in range(4000)]
    new = reworded(" ".join(words), 0.1, ["other"], np.random.default_rng(0)).split()
    assert 0.08 < 1 - len(set(new) & set(words)) / 4000 < 0.12
    assert 0.04 < new.count("other") / 4000 < 0.06
    assert [word for word in new if word != "other"] == [word for word in words if word in set(new)]


def test_japanese_and_chinese_are_cut_into_short_words():
    text = "日本語の文書を処理する。" * 50
    new = reworded(text, 0.2, ["〇〇"], np.random.default_rng(0))
    assert 0.03 < new.count("〇〇") * 2 / len(text) < 0.3


def test_reordering_keeps_every_line():
    lines = [f"line {number} of some words" for number in range(100)]
    new = reordered("\n".join(lines), np.random.default_rng(0))
    assert new.split("\n") != lines
    assert sorted(filter(None, new.split("\n"))) == sorted(lines)


@pytest.mark.parametrize("length", [60, 600])
def test_a_block_of_another_document_takes_the_place_of_one(length):
    own, other = " ".join(f"a{n}" for n in range(300)), " ".join(f"b{n}" for n in range(length))
    new = part_replaced(own, other, np.random.default_rng(0)).split()
    assert len(new) == 300
    assert re.fullmatch(r"a*b+a*", "".join(word[0] for word in new))
    assert sum(word[0] == "b" for word in new) == round(HARD * 300)


def test_licence_headers_are_real_and_unlike():
    headers = licence_headers()
    assert len(headers) > 4
    assert all(re.search("licen[sc]e|redistribut", header, re.IGNORECASE) for header in headers)
    assert max(jaccard(one, two) for one in headers for two in headers if one != two) < 0.4
