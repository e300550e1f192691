"""What a checkpoint is made of and how two differ, against counts made from the tables by hand."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headwater.assets.command_line.trace import plain
from headwater.assets.context import StageError
from headwater.assets.lineage.checkpoint import describe_checkpoint, export_documents, seen_documents
from headwater.assets.lineage.diff import compare, export_difference, label_documents
from headwater.assets.lineage.history import LineageError, history, select
from headwater.assets.lineage.steps import trace_step
from headwater.assets.lineage.story import tell
from headwater.assets.lineage.trace import trace_document
from headwater.assets.storage.places import Store


def kept(past):
    """Kept documents of both corpora with their ledger rows."""
    found = {}
    for corpus in ("notes", "more"):
        decided = {row["doc_id"]: row["kept"] for row in past.table(f"{corpus}/deduplicated", "decisions").to_pylist()}
        ledger = past.table(f"{corpus}/raw", "ledger").to_pylist()
        found |= {row["doc_id"]: row | {"corpus": corpus} for row in ledger if decided[row["doc_id"]]}
    return found


def test_counts_agree_with_the_tables(past):
    facts = describe_checkpoint(past.store, select(past.store, "tiny"))
    spans = {row["doc_id"]: row for row in past.table("packed/tokens", "spans").to_pylist()}
    documents = kept(past)
    assert set(spans) == set(documents)
    for dimension, column in (("license", "license"), ("split", "split"), ("source", "source")):
        counts = {c.value: c for c in facts.counts if c.dimension == dimension}
        expected = {}
        for doc_id, row in documents.items():
            expected.setdefault(row[column] or "unknown", []).append(spans[doc_id])
        assert {value: c.documents for value, c in counts.items()} == {v: len(rows) for v, rows in expected.items()}
        for value, rows in expected.items():
            assert counts[value].tokens == sum(row["length"] for row in rows)
            assert counts[value].bytes == sum(row["bytes"] for row in rows)
    held_out = next(c for c in facts.counts if (c.dimension, c.value) == ("split", "held_out"))
    assert (held_out.documents_seen, held_out.tokens_seen) == (0, 0)
    dropped = {(d.corpus, d.stage, d.rule): d.documents for d in facts.dropped}
    assert dropped["notes", "curated", "length.min_words"] == 1
    assert sum(dropped.values()) == 3


def test_everything_that_it_is_made_from_is_named_in_its_version(past):
    record = select(past.store, "tiny")
    facts = describe_checkpoint(past.store, record)
    made = {item.asset: item for item in reversed(facts.made)}
    for asset in ("packed/shards", "packed/tokens", "letters/tokenizer", "notes/raw", "more/deduplicated"):
        assert asset in made
        assert not made[asset].missing
    own = facts.made[0]
    assert (own.asset, own.version, own.content) == ("tiny/checkpoint", record.digest, record.content_version)
    assert own.options["recipe"]["steps"] == 60
    assert own.code["libraries"].keys() >= {"torch"}
    assert own.execution["python"]
    assert facts.influences == ("letters/tokenizer",)
    assert [measured.asset for measured in facts.evaluations] == ["exam/evaluation"]
    (segment,) = facts.segments
    assert (segment.first_step, segment.stop_step, segment.batch_size, segment.sequence_length) == (0, 60, 4, 32)
    assert {share["stream"]: share["weight"] for share in segment.streams} == {"notes-train": 3.0, "more-train": 1.0}
    json.dumps(plain(facts))


def test_a_past_checkpoint_is_described_as_it_was(past):
    facts = describe_checkpoint(past.store, select(past.store, "tiny@previous"))
    assert not facts.current
    assert facts.steps == 40
    assert "notes/raw" in {item.asset for item in facts.made if not item.current}
    documents = sum(c.documents for c in facts.counts if c.dimension == "split")
    assert documents == 40 + 12


def test_the_export_has_every_document_that_a_step_saw(past, tmp_path):
    record = select(past.store, "tiny")
    path, rows = export_documents(past.store, record, tmp_path / "export")
    table = pq.read_table(path).to_pylist()
    assert len(table) == rows
    documents = kept(past)
    traces = {doc_id: trace_document(past.store, record, doc_id) for doc_id in documents}
    assert {row["doc_id"] for row in table} == {doc_id for doc_id, trace in traces.items() if trace.steps}
    for row in table:
        trace, origin = traces[row["doc_id"]], documents[row["doc_id"]]
        assert (row["first_step"], row["last_step"]) == (trace.steps[0], trace.steps[-1])
        assert (row["stream"], row["start"], row["length"]) == (trace.stream, trace.start, trace.length)
        assert all(row[name] == origin[name] for name in ("corpus", "source", "uri", "license", "split"))
        assert row["times_seen"] == pytest.approx(row["tokens_seen"] / row["length"])
    with pytest.raises(StageError, match="is there already"):
        export_documents(past.store, record, tmp_path / "export")


def test_two_checkpoints_differ_by_what_changed(past):
    found = compare(past.store, select(past.store, "tiny@previous"), select(past.store, "tiny"))
    by_change = {}
    for change in found.data:
        for example in change.examples:
            by_change.setdefault(change.change, {})[example.uri] = example
    old_seen = set(seen_documents(past.store, select(past.store, "tiny@previous"))["uri"].to_pylist())
    new_seen = set(seen_documents(past.store, select(past.store, "tiny"))["uri"].to_pylist())
    changed = "notes.jsonl#key=d5"
    assert set(by_change["added"]) <= new_seen - old_seen
    assert set(by_change["removed"]) <= old_seen - new_seen
    assert (changed in by_change.get("changed", {})) == (changed in old_seen & new_seen)
    assert ("checkpoint", "recipe.steps", 40, 60) in [(c.asset, c.path, c.old, c.new) for c in found.options]
    assert not found.code
    assert not found.nothing
    assert {"final_loss", "steps"} <= {c.path for c in found.metrics if c.asset == "checkpoint"}
    assert "bits_per_byte" in {c.path for c in found.metrics if c.asset == "exam/evaluation"}
    assert {"notes/raw", "checkpoint"} <= {c.asset for c in found.versions}
    json.dumps(plain(found))


def test_a_checkpoint_does_not_differ_from_itself(past):
    record = select(past.store, "tiny")
    found = compare(past.store, record, record)
    assert found.nothing
    assert (found.versions, found.metrics) == ((), ())
    assert {change.change for change in found.data} == {"kept"}


def test_documents_are_paired_by_text_then_by_address(tmp_path):
    columns = ["doc_id", "content_id", "corpus", "source", "uri", "license", "language"]

    def table(*rows):
        made = [dict(zip(columns, [i, content, "c", "s", uri, None, None], strict=True)) for i, content, uri in rows]
        figures = {"length": 5, "first_step": 0, "last_step": 1, "times_seen": 1.0}
        schema = pa.schema([(name, pa.string()) for name in columns] + [("length", pa.int64())])
        schema = pa.schema(
            [*schema, ("first_step", pa.int64()), ("last_step", pa.int64()), ("times_seen", pa.float64())]
        )
        return pa.Table.from_pylist([row | figures for row in made], schema=schema)

    before = table(("1", "A", "a"), ("2", "B", "b"), ("3", "C", "c"), ("4", "D", "d"), ("5", "E", None))
    after = table(("1", "A", "a"), ("12", "B", "z"), ("13", "X", "c"), ("16", "F", "f"), ("17", "G", None))
    rows = {row["doc_id"]: (row["change"], row["was_id"]) for row in label_documents(before, after).to_pylist()}
    assert rows == {
        "1": ("kept", None),
        "12": ("moved", "2"),
        "13": ("changed", "3"),
        "16": ("added", None),
        "17": ("added", None),
        "4": ("removed", None),
        "5": ("removed", None),
    }


def test_the_difference_is_exported(past, tmp_path):
    records = select(past.store, "tiny@previous"), select(past.store, "tiny")
    path, rows = export_difference(past.store, *records, tmp_path)
    table = pq.read_table(path)
    assert table.num_rows == rows
    assert set(table["change"].to_pylist()) >= {"added", "removed", "kept"}


def test_a_missing_history_is_said(past):
    record = select(past.store, "tiny")
    segments = [segment | {"shards": "f" * 32} for segment in record.metrics["segments"]]
    lost = record.model_copy(update={"metrics": record.metrics | {"segments": segments}})
    with pytest.raises(LineageError, match="The history of packed/shards lacks version ffffffff"):
        describe_checkpoint(past.store, lost)
    with pytest.raises(LineageError, match="says nothing of training steps"):
        describe_checkpoint(past.store, past.record("packed/shards"))


def test_versions_that_retention_removed_are_said(past, tmp_path):
    shutil.copytree(past.store.root, tmp_path / "store")
    store = Store(str(tmp_path / "store"))
    record = select(store, "tiny@previous")
    (tokens,) = (r for r in history(store.place("packed/tokens"))[1:] if "spans" in r.tables)
    gone = tokens.tables["spans"].model_copy(update={"version": 9999})
    lost = tokens.model_copy(update={"tables": tokens.tables | {"spans": gone}})
    place = store.place("packed/tokens")
    place.write_text(f"{place.root}/history/{tokens.digest}.json", lost.model_dump_json())
    pinned = store.place("packed/shards")
    for path in (tmp_path / "store/packed/shards/history").glob("*.json"):
        stored = json.loads(path.read_text())
        if stored["identity"]["inputs"]["tokens"]["identity"] == tokens.digest:
            stored["identity"]["inputs"]["tokens"]["tables"] = {}
            pinned.write_text(str(path), json.dumps(stored))
    for ask in (describe_checkpoint, seen_documents):
        with pytest.raises(LineageError, match="removed by retention or a withdrawal"):
            ask(store, record)
    with pytest.raises(LineageError, match="removed by retention or a withdrawal"):
        trace_step(store, record, 0)
    stories = tell(store, "notes.jsonl#key=d9", past=True)
    told = {one.checkpoint.partition("@")[2] != "": one.absent for one in stories[0].learned}
    assert "were cleaned up" in told[True]
    assert describe_checkpoint(store, select(store, "tiny")).current


def test_an_empty_store_knows_nothing(tmp_path):
    with pytest.raises(LineageError, match="Nothing of that kind was materialized yet"):
        select(Store(str(tmp_path)), "tiny")
