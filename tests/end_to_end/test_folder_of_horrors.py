"""A folder as the world leaves it: each fault costs its own record, is explained, and nothing is lost."""

import gzip
import json
import random
from collections import Counter
from pathlib import Path

import pytest
from small_pipelines import Lab, notes, prose, reworded

from headwater.assets.corpus.component import Corpus
from headwater.assets.corpus.sources.records import SourceError

GOOD = 700


class Planted:
    """What was planted, line by line: the rule that must drop it, or None."""

    def __init__(self, root: Path) -> None:
        self.root, self.lines = root, {}

    def write(self, name: str, lines: list[tuple[bytes, str | None]], end: bytes = b"\n") -> bytes:
        for number, (_, rule) in enumerate(lines, start=1):
            self.lines[f"{name}#line={number}"] = rule
        data = b"\n".join(line for line, _ in lines) + end
        if not name.endswith(".gz"):
            (self.root / name).write_bytes(data)
        return data

    @property
    def rules(self) -> Counter:
        return Counter(self.lines.values())


def line(text: str, year: int = 2020) -> bytes:
    return json.dumps({"text": text, "date": str(year)}, ensure_ascii=False).encode()


def plant_horrors(root: Path, megabytes: int) -> Planted:
    planted, rng = Planted(root), random.Random(0)
    texts = [prose(n, 50) for n in range(GOOD)]
    planted.write("a_good.jsonl", [(line(text), None) for text in texts])
    copies = [(line(rng.choice(texts).upper(), 2021), "exact_duplicate") for _ in range(120)]
    near = [(line(reworded(rng.choice(texts), n, changes=1), 2021), "near_duplicate") for n in range(100)]
    planted.write("b_copies.jsonl", copies + near)
    broken = [
        *[(b'{"text": "caf\xe9 and more words \xff"}', "not_utf8")] * 7,
        *[(b"", "empty"), (b"   \t", "empty"), (line(""), "empty"), (line(" \n "), "empty")] * 3,
        *[(b"[1, 2]", "not_an_object"), (b'"only a text"', "not_an_object"), (b"17", "not_an_object")] * 2,
        *[(b'{"text": "cut', "not_json"), (b"not json at all", "not_json"), (b'{"text": "a"} {', "not_json")],
        *[(b'{"body": "elsewhere"}', "missing_text"), (b'{"text": null}', "missing_text")],
        (b'{"text": "a lone surrogate \\ud800 in it"}', "not_utf8"),
        (b"[" * 100_000, "not_json"),
        (line("two words"), "length.min_words"),
    ]
    rng.shuffle(broken)
    planted.write("c_broken.jsonl", broken)
    whole = [(line(prose(5000 + n, 50)), None) for n in range(200)]
    compressed = gzip.compress(planted.write("d_cut.jsonl.gz", whole), mtime=0)
    (root / "d_cut.jsonl.gz").write_bytes(compressed[: len(compressed) // 2])
    (root / "e_not_gzip.jsonl.gz").write_bytes(b"this is no gzip file\n")
    (root / "f_empty.jsonl").write_bytes(b"")
    (root / "g_empty.jsonl.gz").write_bytes(gzip.compress(b""))
    huge = " ".join([prose(9999, 5000)] * (megabytes * 1_000_000 // len(prose(9999, 5000)) + 1))
    planted.write("h_huge.jsonl", [(line(prose(7000, 50)), None), (line(huge), "big"), (line(prose(7001, 50)), None)])
    planted.write("i_no_end.jsonl", [(line(prose(7002, 50)), None)], end=b"")
    return planted


def check_horrors(lab: Lab, megabytes: int, too_large: bool) -> None:
    planted = plant_horrors(lab.root, megabytes)
    limits = {"max_document_megabytes": 1 if too_large else 64}
    source = {"date_field": "date"}  # the earlier of two duplicates is kept
    lab.run(notes(path="*.jsonl*", source=source, held_out={"share": 0.0}, limits=limits, max_unreadable_share=0.2))
    ledger = lab.table("notes/raw", "ledger").to_pylist()
    decisions = lab.table("notes/deduplicated", "decisions").to_pylist()
    assert [row["doc_id"] for row in ledger] == [row["doc_id"] for row in decisions]
    assert len({row["doc_id"] for row in ledger}) == len(ledger)
    found = {row["uri"]: decision for row, decision in zip(ledger, decisions, strict=True)}
    assert len(found) == len(ledger)

    cut = {uri for uri in planted.lines if uri.startswith("d_cut")}
    read = {uri for uri in cut if uri in found and found[uri]["kept"]}
    (fault,) = [uri for uri in found if uri.startswith("d_cut") and uri not in read]
    assert 0 < len(read) < len(cut)
    assert found[fault]["rule"] == "truncated"
    assert fault == f"d_cut.jsonl.gz#line={len(read) + 1}"
    (other,) = [uri for uri in found if uri.startswith("e_not_gzip")]
    assert found[other]["rule"] == "truncated"
    assert not any(uri.startswith(("f_empty", "g_empty")) for uri in found)

    expected = {uri: rule for uri, rule in planted.lines.items() if uri not in cut}
    expected["h_huge.jsonl#line=2"] = "too_large" if too_large else None
    assert {uri: found[uri]["rule"] for uri in expected} == expected
    assert set(found) == set(expected) | read | {fault, other}
    for uri, decision in found.items():
        if not decision["kept"] and decision["stage"] == "raw":
            name, number = uri.split("#line=") if "#" in uri else (uri, "")
            assert name in decision["detail"], decision
            assert number == "" or f"line {int(number):,}" in decision["detail"], decision
    metrics = lab.record("notes/raw").metrics
    kept = sum(row["kept"] for row in ledger)
    assert metrics["records"] == len(ledger) == metrics["documents"] + metrics["left_out"]
    assert metrics["documents"] == kept
    reasons = {check.name: check for check in lab.record("notes/raw").checks}["readable"].metadata["reasons"]
    raw_rules = Counter(row["rule"] for row in ledger if not row["kept"])
    assert reasons == {rule: count for rule, count in raw_rules.items() if rule != "empty"}


def test_every_fault_costs_its_own_record_and_is_explained(lab):
    check_horrors(lab, megabytes=5, too_large=False)


def test_what_is_larger_than_the_limit_is_dropped_unread(lab):
    check_horrors(lab, megabytes=2, too_large=True)


@pytest.mark.slow
def test_a_document_of_50_megabytes_is_one_document_like_others(lab):
    check_horrors(lab, megabytes=50, too_large=False)
    documents = lab.table("notes/signals", "documents")
    assert max(len(text.encode()) for text in documents["text"].to_pylist()) > 45_000_000


def test_too_many_faults_fail_a_blocking_check(lab):
    (lab.root / "notes.jsonl").write_bytes(line(prose(1)) + b"\n" + b"no json\n" * 9)
    lab.run(notes(max_unreadable_share=0.5), until="raw")
    check = {check.name: check for check in lab.record("notes/raw").checks}["readable"]
    assert not check.passed
    assert check.blocking
    assert "90.00%" in check.description


def test_a_source_that_is_not_there_is_one_clear_error(lab):
    with pytest.raises(SourceError, match=r"jsonl: path 'nothing/\*\.jsonl' matches no file"):
        lab.run(notes(path="nothing/*.jsonl"))
    assert lab.store.assets() == []


def test_a_folder_in_which_nothing_can_be_read_fails_a_check_and_raises_nothing(lab):
    (lab.root / "notes.jsonl").write_bytes(b"\n\n")
    corpus: Corpus = notes()
    lab.run(corpus)
    checks = {check.name: check.passed for check in lab.record("notes/raw").checks}
    assert not checks["has_documents"]
    assert lab.record("notes/deduplicated").metrics["kept"] == 0
