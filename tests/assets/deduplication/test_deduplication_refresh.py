"""On real tables: a refreshed corpus has the decisions, edges and index that a fresh store gives in one run."""

import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_pipelines import Lab, notes, prose, reworded

from headwater.assets.corpus.component import Corpus
from headwater.assets.deduplication import stored
from headwater.assets.storage.changes import changes
from headwater.assets.storage.content import content_of

ITEM = prose(900, 20)


_BY_SHINGLES = {"kind": "minhash", "words": 3, "permutations": 32, "bands": 16, "rows": 2, "bucket_width": 3}


def corpus(
    min_words: int = 3,
    threshold: float = 0.6,
    near: dict | None = None,
    max_lost_share: float = 1.0,
    transforms: list | None = None,
) -> Corpus:
    curation = {} if transforms is None else {"transforms": transforms}
    return notes(
        path="files/*.jsonl",
        source={"date_field": "date"},
        curation=curation | {"rules": [{"kind": "length", "min_words": min_words, "min_bytes": None}]},
        held_out={"share": 0.15, "group": "document"},
        deduplication={
            "near": near or _BY_SHINGLES,
            "verifier": {"kind": "jaccard", "words": 3, "threshold": threshold},
            "decontamination": {"sets": [{"name": "quiz", "path": "quiz.jsonl"}]},
            "max_lost_share": max_lost_share,
            "estimate": None,
        },
        compute={"partition_megabytes": 0.001},
    )


def record(number: int) -> dict[str, str]:
    """Families of five that resemble each other, with copies among them; some short, some with the evaluation item."""
    rng = random.Random(number)
    text = prose(number // 5, 40)
    text = [text, text.upper(), reworded(text, number, 2), reworded(text, number, 6), text + " " + ITEM][number % 5]
    if number % 13 == 0:
        text = " ".join(text.split()[:6])
    return {"text": text, "date": rng.choice(["2019-01-01", "2020-01-01", "2021-01-01"])} | {"id": str(number)}


def write(lab: Lab, files: dict[str, list[int]], stamp: int) -> None:
    (lab.root / "quiz.jsonl").write_text(json.dumps({"text": ITEM}) + "\n")
    for path in (lab.root / "files").glob("*.jsonl"):
        path.unlink()
    for name, numbers in files.items():
        path = lab.write_jsonl(f"files/{name}.jsonl", [record(number) for number in numbers])
        os.utime(path, (stamp, stamp))


def assert_as_a_full_run(lab: Lab, fresh: Lab, declared: Corpus) -> None:
    fresh.run(declared)
    for table in ("decisions", "edges", "signatures", "hits"):
        ours, theirs = (_rows(one, table) for one in (lab, fresh))
        assert ours == theirs, table
        version = lab.record("notes/deduplicated").tables[table]
        assert version.content == content_of(lab.table("notes/deduplicated", table)).hex()
    ours, theirs = (one.record("notes/deduplicated") for one in (lab, fresh))
    assert ours.content_version == theirs.content_version
    for name in ("documents_in", "kept", "dropped", "edges", "comparisons_left_out"):
        assert ours.metrics[name] == theirs.metrics[name], name
    assert ours.checks == theirs.checks
    assert ours.counts == theirs.counts
    assert ours.markdown["lost by source"] == theirs.markdown["lost by source"]
    ids = lab.table("notes/raw", "ledger", ["doc_id"])["doc_id"]
    assert lab.table("notes/deduplicated", "decisions", ["doc_id"])["doc_id"].to_pylist() == ids.to_pylist()


def _rows(lab: Lab, table: str) -> list[dict]:
    rows = lab.table("notes/deduplicated", table).to_pylist()
    return sorted(rows, key=lambda row: (row["doc_id"], row.get("other_id", "")))


FILES = {"a": [0, 5, 7, 10, 11, 15, 16], "b": [1, 2, 3, 4, 6, 8, 9, 12, 13, 14, 17, 18, 26], "c": [30, 31, 33, 39]}


@pytest.fixture(autouse=True, scope="module")
def _in_this_process():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADWATER_ENGINE", "local")
        yield


@pytest.fixture
def lab(tmp_path) -> Lab:
    """A small corpus, deduplicated once."""
    made = Lab(tmp_path / "workspace", tmp_path / "store")
    write(made, FILES, 1_000_000_000)
    made.run(corpus())
    return made


def _fresh(lab: Lab) -> Lab:
    return Lab(lab.root, lab.root.parent / "fresh")


@pytest.mark.parametrize("small", [stored.SMALL_BYTES, -1], ids=["index in memory", "index where it lies"])
@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000))
def test_any_sequence_of_refreshes_equals_one_run_in_a_fresh_store(tmp_path_factory, small, seed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "SMALL_BYTES", small)
        _refresh_and_compare(tmp_path_factory, seed)


def _refresh_and_compare(tmp_path_factory, seed):
    root: Path = tmp_path_factory.mktemp("deduplication")
    rng, lab = random.Random(seed), Lab(root / "work", root / "store")
    files = {name: rng.sample(range(40), rng.randint(1, 10)) for name in "abc"}
    for step in range(3):
        write(lab, files, 1_000_000_000 + step)
        lab.run(corpus())
        if step == 2 or rng.random() < 0.3:
            assert_as_a_full_run(lab, Lab(root / "work", root / f"fresh{step}"), corpus())
        name = rng.choice(sorted(files))
        change = rng.choice(["new", "drop", "edit", "swap"])
        if change == "new" or len(files) == 1:
            files[f"n{step}"] = rng.sample(range(40), rng.randint(1, 6))
        elif change == "drop":
            del files[name]
        elif change == "edit":
            files[name] = [*files[name][1:], rng.randrange(40)]
        else:
            files[name], files["z"] = files[name][::2] or [0], files[name][1::2] or [1]


def test_only_new_documents_are_signed_and_only_new_pairs_verified(lab):
    before = lab.record("notes/deduplicated")
    write(lab, FILES | {"d": [32, 34, 50]}, 1_000_000_000)
    after = lab.run(corpus())["notes/deduplicated"].record
    assert after.metrics["documents_signed"] == 3
    assert 0 < after.metrics["pairs_verified"] < before.metrics["pairs_verified"]
    assert after.metrics["edges_added"] > 0
    signatures = lab.store.place("notes/deduplicated").table("signatures")
    change = changes(signatures, *(record.tables["signatures"].version for record in (before, after)))
    assert (len(change.removed), change.kept, change.added) == (0, before.tables["signatures"].rows, 3)
    assert_as_a_full_run(lab, _fresh(lab), corpus())


def test_removed_representatives_let_the_next_ones_stay(lab):
    write(lab, {name: numbers for name, numbers in FILES.items() if name != "a"}, 1_000_000_000)
    metrics = lab.run(corpus())["notes/deduplicated"].record.metrics
    assert metrics["documents_signed"] == metrics["pairs_verified"] == 0
    assert min(metrics[name] for name in ("edges_removed", "decisions_changed")) > 0
    assert_as_a_full_run(lab, _fresh(lab), corpus())


def test_documents_that_curation_lets_through_again_arrive_and_others_go(lab):
    short = [number for numbers in FILES.values() for number in numbers if number % 13 == 0]
    lab.run(corpus(min_words=10))
    write(lab, FILES | {"d": [51]}, 1_000_000_000)
    record = lab.run(corpus(min_words=5))["notes/deduplicated"].record
    assert record.metrics["documents_signed"] == len(short) + 1
    assert_as_a_full_run(lab, _fresh(lab), corpus(min_words=5))
    write(lab, FILES | {"e": [52]}, 1_000_000_000)
    record = lab.run(corpus(min_words=5))["notes/deduplicated"].record
    assert record.metrics["documents_signed"] == 1
    assert_as_a_full_run(lab, Lab(lab.root, lab.root.parent / "again"), corpus(min_words=5))


@pytest.mark.parametrize("change", ["threshold", "evaluation set"])
def test_another_threshold_or_evaluation_set_is_a_full_run(lab, change):
    write(lab, FILES | {"d": [50]}, 1_000_000_000)
    if change == "evaluation set":
        (lab.root / "quiz.jsonl").write_text(json.dumps({"text": prose(901, 20)}) + "\n")
    declared = corpus(threshold=0.9 if change == "threshold" else 0.6)
    record = lab.run(declared)["notes/deduplicated"].record
    assert record.metrics["documents_signed"] == record.metrics["documents_in"]
    assert_as_a_full_run(lab, _fresh(lab), declared)


def test_another_limit_of_a_check_is_checked_on_what_is_there(lab):
    before = lab.record("notes/deduplicated")
    assert [check.passed for check in before.checks if check.name == "lost_share"] == [True]
    stricter = corpus(max_lost_share=0.1)
    after = lab.run(stricter)["notes/deduplicated"].record
    assert after.metrics["documents_signed"] == after.metrics["pairs_verified"] == 0
    assert [check.passed for check in after.checks if check.name == "lost_share"] == [False]
    assert after.content_version == before.content_version
    assert_as_a_full_run(lab, _fresh(lab), stricter)


def test_texts_that_are_repaired_in_another_way_are_followed_row_by_row(tmp_path):
    made = Lab(tmp_path / "work", tmp_path / "store")
    write(made, {}, 0)
    words = ["plain", "sch\u00c3\u00b6n", "\u00c3\u00bcber"]
    texts = [f"{prose(number // 2, 30)} {words[number % 3]}" for number in range(12)]
    made.write_jsonl("files/a.jsonl", [{"text": text, "id": str(n)} for n, text in enumerate(texts)])
    as_read, repaired = corpus(transforms=[]), corpus(transforms=[{"kind": "unicode_repair"}])
    made.run(as_read)
    before = made.table("notes/deduplicated", "decisions")["content_id"].to_pylist()
    record = made.run(repaired)["notes/deduplicated"].record
    assert record.metrics["documents_signed"] == 8  # those with a letter that was repaired
    after = made.table("notes/deduplicated", "decisions")["content_id"].to_pylist()
    assert sum(one != two for one, two in zip(before, after, strict=True)) == 8
    assert after == made.table("notes/curated", "decisions")["content_id"].to_pylist()
    assert_as_a_full_run(made, _fresh(made), repaired)
