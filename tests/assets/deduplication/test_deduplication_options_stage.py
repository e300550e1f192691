"""The stage with passages, and with its estimate: refreshed as a full run would decide, and told on its page."""

import os
import random

import pytest
from small_pipelines import Lab, notes, prose, reworded

from headwater.assets.corpus.component import Corpus

PASSAGES = {"min_words": 12, "max_share": 0.4}


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch):
    monkeypatch.setenv("HEADWATER_ENGINE", "local")


def corpus(**deduplication) -> Corpus:
    return notes(
        path="files/*.jsonl",
        held_out={"share": 0.15, "group": "document"},
        deduplication={"max_lost_share": 1.0} | deduplication,
        compute={"partition_megabytes": 0.002},
    )


def write(lab: Lab, name: str, texts: dict[int, str], stamp: int) -> None:
    path = lab.write_jsonl(f"files/{name}.jsonl", [{"id": str(n), "text": text} for n, text in texts.items()])
    os.utime(path, (stamp, stamp))


def pieced(number: int) -> str:
    """Half of the texts are pieced together from the others."""
    if number % 2 == 0:
        return prose(number, 60)
    rng = random.Random(number)
    parts = [prose(2 * rng.randrange(20), 60).split()[:30] for _ in range(number % 3)]
    return " ".join([*prose(number, 40).split(), *(word for part in parts for word in part)])


def rows(lab: Lab, table: str) -> list[dict]:
    found = lab.table("notes/deduplicated", table).to_pylist()
    return sorted(found, key=lambda row: (row["doc_id"], row.get("other_id", ""), row.get("start", 0)))


def test_passages_are_decided_in_a_refresh_as_in_a_full_run(tmp_path):
    declared = corpus(passages=PASSAGES, estimate=None)
    lab, fresh = (Lab(tmp_path / "work", tmp_path / store) for store in ("store", "fresh"))
    write(lab, "a", {n: pieced(n) for n in range(6)}, 1_000_000_000)
    write(lab, "b", {n: pieced(n) for n in range(6, 40)}, 1_000_000_000)
    lab.run(declared)
    dropped = [row for row in rows(lab, "decisions") if row["rule"] == "repeated_passages"]
    assert dropped
    evidence = {row["doc_id"] for row in rows(lab, "repeated")}
    assert evidence == {row["doc_id"] for row in dropped}
    (lab.root / "files" / "a.jsonl").unlink()  # some sources of passages go
    write(lab, "c", {n: pieced(n) for n in range(50, 60)}, 1_000_000_001)
    lab.run(declared)
    assert lab.record("notes/deduplicated").metrics["documents_signed"] == 10
    fresh.run(declared)
    for table in ("decisions", "passages", "repeated", "edges"):
        assert rows(lab, table) == rows(fresh, table), table
    contents = [one.record("notes/deduplicated").content_version for one in (lab, fresh)]
    assert contents[0] == contents[1]


def test_the_estimate_is_told_kept_and_renewed(tmp_path):
    declared = corpus(estimate={"max_share": 0.3, "documents": 60, "renew_after": 0.1})
    lab = Lab(tmp_path / "work", tmp_path / "store")
    texts = {n: prose(n, 120) for n in range(200)}
    copies = {1000 + n: reworded(texts[n], n, 2) for n in range(20)}
    write(lab, "a", texts | copies, 1_000_000_000)
    lab.run(declared)
    first = lab.record("notes/deduplicated")
    assert first.metrics["estimated_precision"] == 1.0
    assert 0.2 < first.metrics["estimated_recall_low"] < first.metrics["estimated_recall"] <= 1.0
    assert first.metrics["estimated_false_matches"] < 0.1
    assert "20 % of words" in first.markdown["estimated precision and recall"]
    assert [check.name for check in first.checks] == ["lost_share", "fit_drift", "estimated_quality"]
    assert not first.checks[1].blocking
    write(lab, "b", {n: prose(n, 120) for n in range(300, 310)}, 1_000_000_001)
    lab.run(declared)
    kept = lab.record("notes/deduplicated")
    assert kept.metrics["estimated_changes"] == 10
    told = [{k: v for k, v in r.metrics.items() if k.startswith("estimated_r")} for r in (first, kept)]
    assert told[0] == told[1]
    assert kept.checks[2] == first.checks[2]
    assert "told from 220 documents; there are 230 now" in kept.checks[1].description
    write(lab, "c", {n: prose(n, 120) for n in range(400, 450)}, 1_000_000_002)
    lab.run(declared)
    assert lab.record("notes/deduplicated").metrics["estimated_changes"] == 0


def test_a_corpus_may_do_without_an_estimate(tmp_path):
    lab = Lab(tmp_path / "work", tmp_path / "store")
    write(lab, "a", {n: prose(n, 120) for n in range(10)}, 1_000_000_000)
    declared = corpus(estimate=None)
    lab.run(declared)
    record = lab.record("notes/deduplicated")
    assert [check.name for check in record.checks] == ["lost_share", "fit_drift"]
    assert not any(name.startswith("estimated") for name in record.metrics)


def test_other_candidates_in_the_same_store_are_a_full_run(tmp_path):
    """The tables have other columns then, and the earlier versions keep theirs."""
    lab = Lab(tmp_path / "work", tmp_path / "store")
    texts = {n: prose(n, 120) for n in range(12)}
    write(lab, "a", texts | {100: texts[0], 101: reworded(texts[1], 1, 3)}, 1_000_000_000)
    by_shingles = {"near": {"kind": "minhash"}, "verifier": {"kind": "jaccard"}}
    kept, widths = [], []
    for declared in ({}, by_shingles, {"near": None}, {"near": {"bands": 12}}, {}):
        lab.run(corpus(estimate=None, **declared))
        record = lab.record("notes/deduplicated")
        kept.append(record.metrics["kept"])
        widths.append(len(record.tables["signatures"].columns))
    assert kept == [12, 12, 13, 12, 12]
    assert widths == [27, 23, 2, 15, 27]
    write(lab, "b", {200: reworded(texts[2], 2, 3)}, 1_000_000_001)
    lab.run(corpus(estimate=None))
    assert lab.record("notes/deduplicated").metrics["documents_signed"] == 1
    assert lab.record("notes/deduplicated").metrics["kept"] == 12
