"""A refresh of raw, signals and curated equals a full run over the same files, and touches only what changed."""

import os
import random
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_pipelines import Lab, notes, prose

from headwater.assets.context import consumed_record
from headwater.assets.corpus.component import Corpus
from headwater.assets.storage.changes import changes
from headwater.assets.storage.refreshing import refresh_parts
from headwater.assets.storage.tables import commit_parts, read_table, write_part

STAGES = {
    "notes/raw": ("ledger", "documents"),
    "notes/signals": ("signals", "documents"),
    "notes/curated": ("decisions",),
}


def corpus() -> Corpus:
    return notes(path="files/*.jsonl", compute={"partition_megabytes": 0.002})


def line(number: int) -> dict[str, str]:
    """A document; every seventh is too short for the rules, and every eleventh cannot be read."""
    if number % 11 == 0:
        return {"words": "no text"}
    return {"text": prose(number, 3 if number % 7 == 0 else 40)}


def rows(lab: Lab, asset: str, table: str) -> list[dict]:
    return sorted(lab.table(asset, table).to_pylist(), key=lambda row: row["doc_id"])


def assert_as_a_full_run(lab: Lab, fresh: Lab) -> None:
    fresh.run(corpus(), until="curated")
    for asset, tables in STAGES.items():
        for table in tables:
            assert rows(lab, asset, table) == rows(fresh, asset, table), (asset, table)
        ours, theirs = lab.record(asset), fresh.record(asset)
        assert ours.content_version == theirs.content_version, asset
        assert ours.counts == theirs.counts, asset
        assert {name: ours.tables[name].content for name in tables} == {n: theirs.tables[n].content for n in tables}


def ids(table: pa.Table) -> list[str]:
    return table["doc_id"].to_pylist()


def assert_aligned(lab: Lab) -> None:
    """Decisions stand in the order of the ledger they were made from, signals and texts in that of its readable ones.

    That ledger may be an earlier version: where `raw` comes back to content it had, in another order, nothing below
    it runs.
    """
    ledger = lab.table("notes/raw", "ledger", ["doc_id", "kept"])
    readable = ids(ledger.filter(ledger["kept"]))
    assert ids(lab.table("notes/raw", "documents", ["doc_id"])) == readable
    version = consumed_record(lab.store, lab.record("notes/signals"), "raw").tables["ledger"].version
    pinned = read_table(lab.store.place("notes/raw").table("ledger"), version, ["doc_id", "kept"])
    assert ids(lab.table("notes/curated", "decisions", ["doc_id"])) == ids(pinned)
    for table in ("documents", "signals"):
        assert ids(lab.table("notes/signals", table, ["doc_id"])) == ids(pinned.filter(pinned["kept"]))
    chunks = lab.table("notes/raw", "chunks")
    assert sum(chunks["records"].to_pylist()) == ledger.num_rows
    assert sum(chunks["documents"].to_pylist()) == len(readable)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), steps=st.integers(1, 4))
def test_any_sequence_of_refreshes_equals_one_full_run(tmp_path_factory, seed, steps):
    root: Path = tmp_path_factory.mktemp("refresh")
    rng, lab = random.Random(seed), Lab(root / "work", root / "store")
    files = {f"files/part{n}.jsonl": list(range(10 * n + 1, 10 * n + 1 + rng.randint(1, 8))) for n in range(4)}
    stamp = 1_000_000_000
    for step in range(steps + 1):
        for name, numbers in files.items():
            path = lab.write_jsonl(name, [line(number) for number in numbers])
            stamp += 1
            os.utime(path, (stamp, stamp))
        lab.run(corpus(), until="curated")
        assert_aligned(lab)
        change = rng.choice(["add file", "drop file", "append", "shrink", "edit", "touch"])
        name = rng.choice(sorted(files))
        if change == "add file":
            files[f"files/new{step}.jsonl"] = [1000 + 10 * step + n for n in range(rng.randint(1, 5))]
        elif change == "drop file" and len(files) > 1:
            (lab.root / name).unlink()
            del files[name]
        elif change == "append":
            files[name] = [*files[name], 2000 + step]
        elif change == "shrink" and len(files[name]) > 1:
            files[name] = files[name][:-1]
        elif change == "edit":
            files[name] = [3000 + step, *files[name][1:]]
    for name, numbers in files.items():
        lab.write_jsonl(name, [line(number) for number in numbers])
    lab.run(corpus(), until="curated")
    assert_aligned(lab)
    assert_as_a_full_run(lab, Lab(root / "work", root / "fresh"))


@pytest.fixture
def filled(lab: Lab) -> Lab:
    for part in range(4):
        lab.write_jsonl(f"files/part{part}.jsonl", [line(100 * part + n) for n in range(1, 30)])
    lab.run(corpus(), until="curated")
    return lab


def test_only_what_is_new_is_read_and_measured(filled):
    filled.write_jsonl("files/part9.jsonl", [line(903), line(904), line(905)])
    results = filled.run(corpus(), until="curated")
    raw, signals = results["notes/raw"].record, results["notes/signals"].record
    assert (raw.metrics["files_read"], raw.metrics["documents_added"], raw.metrics["documents_removed"]) == (1, 3, 0)
    assert signals.metrics["documents_measured"] == 3


def test_a_touched_file_changes_nothing_below_raw(filled):
    os.utime(filled.root / "files/part1.jsonl", (1, 1))
    results = filled.run(corpus(), until="curated")
    assert not results["notes/raw"].reused
    assert results["notes/raw"].record.metrics["files_changed"] == 1
    assert results["notes/raw"].record.metrics["documents_added"] == 0
    assert results["notes/signals"].reused
    assert results["notes/curated"].reused


def test_nothing_new_opens_no_table(filled, monkeypatch):
    def refuse(*arguments, **named):
        raise AssertionError(f"{arguments} was opened")

    monkeypatch.setattr(lance, "dataset", refuse)
    assert all(result.reused for result in filled.run(corpus(), until="curated").values())


def test_rows_that_stay_keep_their_place_and_their_files(filled):
    before = filled.record("notes/signals").tables["documents"]
    path = filled.root / "files/part0.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[2:]))
    filled.run(corpus(), until="curated")
    after = filled.record("notes/signals").tables["documents"]
    url = filled.store.place("notes/signals").table("documents")
    found = changes(url, before.version, after.version)
    ours = read_table(url, before.version, ["doc_id"])["doc_id"].to_pylist()
    now = read_table(url, after.version, ["doc_id"])["doc_id"].to_pylist()
    assert now[: found.kept] == [d for n, d in enumerate(ours) if n not in set(found.removed.tolist())]
    assert found.added == after.rows - found.kept
    assert len(ours) - len(found.removed) == found.kept


def test_a_file_name_with_the_sign_of_a_key_is_told_apart(lab):
    lab.write_jsonl("files/a.jsonl", [line(1), line(2)])
    lab.write_jsonl("files/a.jsonl#line=1.jsonl", [line(3), line(4)])
    lab.run(corpus(), until="curated")
    (lab.root / "files/a.jsonl#line=1.jsonl").unlink()
    lab.run(corpus(), until="curated")
    uris = lab.table("notes/raw", "ledger", ["uri"])["uri"].to_pylist()
    assert uris == ["a.jsonl#line=1", "a.jsonl#line=2"]


@pytest.mark.parametrize("seed", range(5))
def test_changes_of_a_table_as_a_list_comparison_tells_them(tmp_path, seed):
    rng, url = random.Random(seed), str(tmp_path / "t.lance")
    schema = pa.schema([("doc_id", pa.string()), ("x", pa.int64())])

    def part(ids: list[int]) -> list[str]:
        rows = pa.table({"doc_id": [str(i) for i in ids], "x": ids}, schema=schema)
        return write_part(url, schema, rows.to_batches())[0]

    model = list(range(20))
    versions = [(commit_parts(url, schema, part(model[:7]) + part(model[7:])), list(model))]
    for step in range(4):
        removed = sorted(rng.sample(range(len(model)), rng.randint(0, 5)))
        added = [100 * (step + 1) + n for n in range(rng.randint(0, 3))]
        model = [x for n, x in enumerate(model) if n not in removed] + added
        base = versions[-1][0]
        if rng.random() < 0.5:  # a dead attempt on the same base
            refresh_parts(url, base, np.array([0]), part([-1, -2]))
        version = refresh_parts(url, base, np.array(removed, dtype=np.int64), part(added) if added else [])
        versions.append((version, list(model)))
    for version, expected in versions:
        assert read_table(url, version)["x"].to_pylist() == expected
    for older, old in versions:
        for newer, new in versions:
            if newer < older:
                continue
            found = changes(url, older, newer)
            left = [x for n, x in enumerate(old) if n not in set(found.removed.tolist())]
            assert new[: found.kept] == left
            assert found.added == len(new) - found.kept
            assert set(left) == set(old) & set(new)


def test_a_record_that_stays_unreadable_says_why_today(lab):
    path = lab.root / "files/odd.jsonl"
    lab.write_jsonl("files/a.jsonl", [line(1)])
    path.write_text("not json\n")
    lab.run(corpus(), until="curated")
    path.write_text('[1, 2]\n{"other": 1}\n')
    lab.run(corpus(), until="curated")
    assert_as_a_full_run(lab, Lab(lab.root, Path(lab.store.root).parent / "fresh"))
    rules = {row["uri"]: row["rule"] for row in rows(lab, "notes/raw", "ledger")}
    assert rules["odd.jsonl#line=1"] == "not_an_object"
