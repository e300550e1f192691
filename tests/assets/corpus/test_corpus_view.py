"""A corpus on real tables: views are joins, and every record has its row at every stage."""

import json
import random
from collections import Counter

import pandas as pd
import pyarrow as pa
import pytest
from small_pipelines import Lab, notes, plant, prose, reworded, stages_of

from headwater.assets.compute.executor import LocalExecutor
from headwater.assets.context import StageContext
from headwater.assets.corpus.component import Corpus
from headwater.assets.corpus.view import kept_ledger, open_corpus, texts_of
from headwater.assets.curation.user_steps import StepError
from headwater.assets.deduplication.driver import deduplicate
from headwater.assets.deduplication.options import DeduplicationOptions

STAGES = ("curated", "deduplicated")


def mixed(lab: Lab, files: int = 4) -> int:
    """Files with good lines, broken ones, copies and near copies; returns the number of lines."""
    rng, count = random.Random(0), 0
    for number in range(files):
        lines = []
        for at in range(25):
            text = prose(rng.randrange(60), 40)
            kind = rng.randrange(8)
            if kind == 0:
                lines.append(b"")
            elif kind == 1:
                lines.append(b'{"text": "\xff\xfe"}')
            elif kind == 2:
                lines.append(json.dumps({"text": "short"}).encode())
            elif kind == 3:
                lines.append(json.dumps({"text": reworded(text, at)}).encode())
            else:
                lines.append(json.dumps({"text": text, "date": f"20{rng.randint(10, 24)}"}).encode())
        (lab.root / f"part{number}.jsonl").write_bytes(b"\n".join(lines) + b"\n")
        count += len(lines)
    return count


def corpus(**changes) -> Corpus:
    source = {"date_field": "date"}
    given = {"path": "part*.jsonl", "source": source, "compute": {"partition_megabytes": 0.001}}
    return notes(**(given | changes))


@pytest.fixture
def filled(lab):
    lab.lines = mixed(lab)
    lab.run(corpus())
    return lab


def context_of(lab: Lab, stage) -> StageContext:
    inputs = {role: lab.record(asset) for role, asset in stage.inputs.items()}
    return StageContext(stage, lab.store, lab.workspace, "0" * 32, inputs, LocalExecutor())


def joined(lab: Lab, stage: str) -> pd.DataFrame:
    """The kept documents by a plain join on doc_id."""
    ledger = lab.table("notes/raw", "ledger", ["doc_id", "source", "split", "uri", "kept"]).to_pandas()
    ledger = ledger[ledger["kept"]].drop(columns="kept")
    texts = lab.table("notes/signals", "documents", ["doc_id", "text"]).to_pandas()
    found = ledger.merge(texts, on="doc_id", validate="one_to_one")
    if stage != "signals":
        decisions = lab.table(f"notes/{stage}", "decisions", ["doc_id", "kept"]).to_pandas()
        found = found.merge(decisions, on="doc_id", validate="one_to_one")
        found = found[found["kept"]].drop(columns="kept")
    return found.reset_index(drop=True)


@pytest.mark.parametrize("stage", ["signals", *STAGES])
def test_a_view_equals_a_plain_join(filled, stage):
    context = context_of(filled, stages_of(corpus())[3])
    view, rows = open_corpus(context, filled.record(f"notes/{stage}"))
    assert len(rows) >= 4
    seen = pa.concat_tables([view.kept(chunk, ("source", "split", "uri")) for chunk in rows]).to_pandas()
    expected = joined(filled, stage)
    pd.testing.assert_frame_equal(seen[expected.columns], expected)
    assert 0 < len(expected) < filled.lines
    without_text = pa.concat_tables([view.kept(chunk, ("uri",), text=False) for chunk in rows])
    assert without_text.column_names == ["doc_id", "uri"]
    assert kept_ledger(view, ["split"]).to_pandas()["split"].tolist() == expected["split"].tolist()
    some = set(expected["doc_id"][::5])
    texts = dict(zip(expected["doc_id"], expected["text"], strict=True))
    assert dict(texts_of(view, rows, some)) == {doc_id: texts[doc_id] for doc_id in some}
    assert list(texts_of(view, rows, {"unknown"})) == []


def test_every_record_has_one_row_at_every_stage_and_drops_are_explained(filled):
    ledger = filled.table("notes/raw", "ledger")
    ids = ledger["doc_id"].to_pylist()
    assert len(ids) == len(set(ids)) == filled.lines
    kept = {"raw": {r["doc_id"] for r in ledger.to_pylist() if r["kept"]}}
    for stage in STAGES:
        decisions = filled.table(f"notes/{stage}", "decisions").to_pylist()
        assert [row["doc_id"] for row in decisions] == ids
        for row in decisions:
            assert (row["rule"] is None) == row["kept"]
            assert (row["stage"] is None) == row["kept"]
            assert row["content_id"]
        kept[stage] = {row["doc_id"] for row in decisions if row["kept"]}
    assert kept["raw"] > kept["curated"] > kept["deduplicated"] > set()
    before = {row["doc_id"]: row for row in filled.table("notes/curated", "decisions").to_pylist()}
    for row in filled.table("notes/deduplicated", "decisions").to_pylist():
        if not before[row["doc_id"]]["kept"]:
            assert row == before[row["doc_id"]], "an earlier drop lost its reason"
    reasons = {row["doc_id"]: row for row in ledger.to_pylist() if not row["kept"]}
    for doc_id, row in reasons.items():
        assert before[doc_id]["rule"] == row["rule"]
        assert before[doc_id]["stage"] == "raw"
    signals = filled.table("notes/signals", "signals")["doc_id"].to_pylist()
    assert signals == [doc_id for doc_id in ids if doc_id in kept["raw"]]


def test_counts_on_the_pages_are_those_of_the_tables(filled):
    decisions = filled.table("notes/deduplicated", "decisions").to_pylist()
    metrics = filled.record("notes/deduplicated").metrics
    assert metrics["kept"] == sum(row["kept"] for row in decisions)
    assert metrics["dropped"] == sum(row["stage"] == "deduplicated" for row in decisions)
    assert metrics["documents_in"] == filled.record("notes/curated").metrics["kept"]
    raw = filled.record("notes/raw").metrics
    assert raw["records"] == filled.lines == raw["documents"] + raw["left_out"]
    rules = Counter(row["rule"] for row in filled.table("notes/raw", "ledger").to_pylist() if not row["kept"])
    assert raw["unreadable"] == rules["not_utf8"]
    assert set(rules) == {"empty", "not_utf8"}


def test_deduplication_over_tables_equals_deduplication_in_memory(filled):
    options = DeduplicationOptions()
    ledger = filled.table("notes/raw", "ledger")
    curated = filled.table("notes/curated", "decisions")
    ledger = ledger.filter(curated["kept"])
    documents = filled.table("notes/signals", "documents", ["doc_id", "text"]).to_pandas().set_index("doc_id")
    texts = documents.loc[ledger["doc_id"].to_pylist()].reset_index()
    table = pa.table({"doc_id": texts["doc_id"], "text": pa.array(texts["text"], pa.large_string())})
    columns = ledger.select(["doc_id", "source", "split", "date", "bytes", "uri"])
    expected = deduplicate(table, columns, options, {"jsonl": 0})
    found = {row["doc_id"]: row for row in filled.table("notes/deduplicated", "decisions").to_pylist()}
    for row in expected.decisions.to_pylist():
        assert {name: found[row["doc_id"]][name] for name in row} == row
    rules = Counter(row["rule"] for row in expected.decisions.to_pylist())
    assert {"exact_duplicate", "near_duplicate"} <= set(rules)

    def ordered(edges):
        return edges.to_pandas().sort_values(["doc_id", "other_id"]).reset_index(drop=True)

    pd.testing.assert_frame_equal(ordered(filled.table("notes/deduplicated", "edges")), ordered(expected.edges))


def shingles(text: str) -> set[tuple[str, ...]]:
    words = "".join(c if c.isalnum() else " " for c in text.lower()).split()
    return {tuple(words[n : n + 5]) for n in range(len(words) - 4)}


def test_no_training_document_resembles_a_held_out_one(lab):
    rng, texts = random.Random(1), []
    for number in range(40):
        text = prose(number, 40)
        texts += [text, reworded(text, number), text][: rng.randint(1, 3)]
    lab.write_jsonl("notes.jsonl", [{"text": text} for text in texts])
    lab.run(notes(held_out={"share": 0.4, "group": "document"}))
    ledger = lab.table("notes/raw", "ledger").to_pylist()
    decisions = lab.table("notes/deduplicated", "decisions").to_pylist()
    documents = dict(
        zip(*(lab.table("notes/raw", "documents")[c].to_pylist() for c in ("doc_id", "text")), strict=True)
    )
    near, kept = 0, []
    held_out = [shingles(documents[row["doc_id"]]) for row in ledger if row["split"] == "held_out"]
    for row, decision in zip(ledger, decisions, strict=True):
        if row["split"] == "held_out":
            continue
        own = shingles(documents[row["doc_id"]])
        similar = max(len(own & other) / len(own | other) for other in held_out)
        if decision["kept"]:
            assert similar < 0.7
            kept.append(row["doc_id"])
        elif decision["rule"] == "near_held_out":
            assert similar >= 0.7
            near += 1
        else:
            assert similar < 0.7, "nearness to held-out data is decided first"
    assert near > 3
    assert kept


def test_training_documents_with_evaluation_items_are_dropped(lab):
    texts = [prose(n, 60) for n in range(20)]
    item = prose(1000, 30)
    texts[4] += " " + item
    texts[9] = item.upper().replace(".", " !") + " " + texts[9]
    lab.write_jsonl("notes.jsonl", [{"text": text} for text in texts])
    lab.write_jsonl("exam.jsonl", [{"question": item}, {"question": "too short"}])
    sets = {"decontamination": {"sets": [{"name": "exam", "path": "exam.jsonl", "fields": ["question"]}]}}
    declared = notes(deduplication=sets, held_out={"share": 0.0})
    lab.run(declared)
    decisions = lab.table("notes/deduplicated", "decisions").to_pylist()
    assert [n for n, row in enumerate(decisions) if row["rule"] == "contaminated"] == [4, 9]
    assert all("exam" in decisions[n]["detail"] for n in (4, 9))
    assert lab.record("notes/deduplicated").metrics["short_items"] == 1
    lab.write_jsonl("exam.jsonl", [{"question": texts[0]}])
    results = lab.run(declared)
    assert [asset for asset, result in results.items() if not result.reused] == ["notes/deduplicated"]
    decisions = lab.table("notes/deduplicated", "decisions").to_pylist()
    assert [n for n, row in enumerate(decisions) if row["rule"] == "contaminated"] == [0]


def test_personal_data_never_reaches_the_tokens_text(lab):
    texts = [prose(n, 30) for n in range(5)]
    texts[2] += " Write to jane.doe@example-mail.com soon."
    lab.write_jsonl("notes.jsonl", [{"text": text} for text in texts])
    lab.run(notes(curation={"transforms": [{"kind": "redact_pii"}], "rules": []}))
    documents = lab.table("notes/signals", "documents")["text"].to_pylist()
    assert documents[:2] + documents[3:] == texts[:2] + texts[3:]
    assert "jane.doe" not in documents[2]
    assert "<EMAIL>" in documents[2]
    assert lab.table("notes/signals", "signals")["pii_email"].to_pylist() == [0, 0, 1, 0, 0]
    raw = lab.table("notes/raw", "documents")
    assert raw["text"].to_pylist() == texts
    signals = lab.table("notes/signals", "documents")
    changed = [a != b for a, b in zip(raw["content_id"].to_pylist(), signals["content_id"].to_pylist(), strict=True)]
    assert changed == [False, False, True, False, False]
    assert raw["doc_id"] == signals["doc_id"]


def test_ones_own_steps_by_import_path(lab):
    texts = plant(lab, 6)
    step = {"kind": "python", "function": "small_stages:shout", "options": {"word": "bada"}, "version": "1"}
    signals = [
        {"kind": "python", "function": "small_stages:process_signals", "columns": {"process": "pid"}, "version": "1"}
    ]
    rule = {"kind": "rule", "name": "own", "signal": "process", "max": 0}

    def declared(**changes):
        return notes(curation={"transforms": [step | changes], "signals": signals, "rules": [rule]})

    lab.run(declared(), until="curated")
    assert lab.table("notes/signals", "documents")["text"].to_pylist() == [t.replace("bada", "BADA") for t in texts]
    assert {row["rule"] for row in lab.table("notes/curated", "decisions").to_pylist()} == {"own"}
    checks = {check.name: check for check in lab.record("notes/curated").checks}
    assert not checks["keeps_documents"].passed
    assert checks["keeps_documents"].blocking
    assert lab.run(declared(), until="curated")["notes/signals"].reused
    assert not lab.run(declared(version="2"), until="curated")["notes/signals"].reused
    with pytest.raises(StepError, match=r"small_stages:fail_on failed on document [0-9a-f]{32} \(KeyError"):
        lab.run(declared(function="small_stages:fail_on"), until="signals")


def test_lists_in_files_are_found_from_the_workspace_and_count(lab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    texts = [prose(n) for n in range(6)]
    texts[2] += " Terrible thing."
    lab.write_jsonl("notes.jsonl", [{"text": t, "url": f"http://site{n}.example/x"} for n, t in enumerate(texts)])
    (lab.root / "blocked.txt").write_text("site1.example\n")
    (lab.root / "bad.txt").write_text("terrible\n")
    rules = [{"kind": "url_list", "deny_file": "blocked.txt"}, {"kind": "words", "file": "bad.txt"}]
    declared = notes(source={"url_field": "url"}, curation={"rules": rules})

    def dropped():
        return [n for n, row in enumerate(lab.table("notes/curated", "decisions").to_pylist()) if not row["kept"]]

    lab.run(declared)
    assert dropped() == [1, 2]
    (lab.root / "blocked.txt").write_text("site1.example\nsite4.example\n")
    results = lab.run(declared)
    assert [asset for asset, result in results.items() if result.reused] == ["notes/raw", "notes/signals"]
    assert dropped() == [1, 2, 4]
    (lab.root / "bad.txt").write_text("# none\nharmless\n")
    assert not lab.run(declared)["notes/signals"].reused
    assert dropped() == [1, 4]
