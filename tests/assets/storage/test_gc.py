"""Collection: past outputs go as declared, dead attempts go, and whatever a record needs stays readable."""

import contextlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import lance
import pytest
from small_pipelines import Lab, bytes_tokenizer, notes, packed, plant, prose, stages_of

from headwater.assets.lineage.text import build_indexes
from headwater.assets.running import run_stage
from headwater.assets.storage.gc import collect, plan_gc, released
from headwater.assets.storage.gc_kept import LEDGERS, all_records, asset_places, consumed
from headwater.assets.storage.gc_options import Retention, declared_retention
from headwater.assets.storage.indexes import rows_with_text
from headwater.assets.storage.tables import open_table, read_table

NOTHING_PAST = Retention(keep=0, older_than_days=0, attempt_hours=0)
LATER = datetime.now(UTC) + timedelta(hours=2)  # whenever the suite comes to these tests


def rounds(lab: Lab, count: int) -> None:
    """Runs a pipeline to its shards over sources that lose their first and gain a new document each time."""
    for number in range(count):
        plant(lab, 30, first=number)
        lab.run(notes(), bytes_tokenizer(), packed())


def size(lab: Lab) -> int:
    return sum(path.stat().st_size for path in Path(lab.store.root).rglob("*") if path.is_file())


def contents(lab: Lab) -> dict[str, list[dict[str, object]]]:
    """Every row of every current table."""
    found = {}
    for place in asset_places(lab.store):
        record = place.record()
        for name, table in record.tables.items() if record else ():
            found[f"{place.asset}/{name}"] = read_table(place.table(name), table.version).to_pylist()
    return found


def test_what_is_current_and_what_it_was_made_from_stays(lab: Lab) -> None:
    rounds(lab, 3)
    before, full = contents(lab), size(lab)
    plan = plan_gc(lab.store, NOTHING_PAST, now=LATER)
    assert size(lab) == full
    freed = collect(lab.store, NOTHING_PAST, now=LATER)
    assert freed.rows() == plan.rows()
    assert full - size(lab) == pytest.approx(plan.bytes, rel=0.02)  # less what notes and guards take
    assert contents(lab) == before
    for name, record in all_records(asset_places(lab.store)).items():
        assert name == (record.asset, record.digest)
        for asset, identity, versions in consumed(record):
            assert lab.store.place(asset).record(identity) is not None
            for table, version in versions.items():
                assert open_table(lab.store.place(asset).table(table), version).count_rows() >= 0
    again = plan_gc(lab.store, NOTHING_PAST, now=LATER)
    assert again.rows() == []
    assert all(result.reused for result in lab.run(notes(), bytes_tokenizer(), packed()).values())


def test_past_outputs_stay_as_declared(lab: Lab) -> None:
    rounds(lab, 4)
    place = lab.store.place("packed/shards")
    current = place.record()
    past = sorted(
        (r for _, r in all_records([place]).items() if r != current),
        key=lambda r: (r.execution.started, r.digest),
        reverse=True,
    )
    assert len(past) == 3
    collect(lab.store, Retention(keep=1, older_than_days=0), now=LATER)
    assert place.record(past[0].digest) is not None
    assert not place.lost(past[0])
    assert place.record(past[2].digest) is None
    assert not Path(place.folder(past[2].digest)).exists()
    assert plan_gc(lab.store, Retention(keep=0, older_than_days=1), now=LATER).rows() == []


def test_dead_attempts_are_reclaimed_and_interrupted_ones_can_go_on(lab: Lab) -> None:
    plant(lab, 20)
    lab.run(notes(), until="raw")
    place = lab.store.place("notes/raw")
    before = contents(lab)
    # What runs leave that die: fragments without a version, a version without a record, half a file, parts.
    table = open_table(place.table("documents"), place.record().tables["documents"].version)
    rows = table.to_table()
    orphan = lance.fragment.write_fragments(rows, place.table("documents"), schema=rows.schema)
    wanted = lance.fragment.write_fragments(rows, place.table("documents"), schema=rows.schema)
    lance.write_dataset(rows, place.table("documents"), mode="append")
    (Path(place.root) / ".record.json.abc").write_text("{")
    unfinished = Path(place.local_folder(place.record().digest)) / "seed_0" / ".state_7" / "model.safetensors"
    unfinished.parent.mkdir(parents=True)
    unfinished.write_text("half")
    part = {"fragments": {"documents": [json.dumps(wanted[0].to_json())]}, "content": {}, "figures": {}}
    place.write_text(f"{place.root}/pending/0123/read/000000-0.json", json.dumps(part))
    data = Path(place.table("documents")) / "data"

    collect(lab.store, Retention(keep=0, older_than_days=0, attempt_hours=1))
    left = {path.name for path in data.iterdir()}
    assert orphan[0].files[0].path not in left
    assert wanted[0].files[0].path in left
    assert not (Path(place.root) / ".record.json.abc").exists()
    assert not unfinished.exists()
    assert contents(lab) == before
    assert lance.dataset(place.table("documents")).count_rows() == rows.num_rows

    collect(lab.store, NOTHING_PAST, now=LATER)
    assert wanted[0].files[0].path not in {path.name for path in data.iterdir()}
    assert not (Path(place.root) / "pending").exists()
    assert contents(lab) == before
    assert plan_gc(lab.store, NOTHING_PAST, now=LATER).rows() == []


def test_a_version_number_is_never_given_twice(lab: Lab) -> None:
    plant(lab, 20)
    lab.run(notes(), until="raw")
    place = lab.store.place("notes/raw")
    rows = open_table(place.table("documents"), place.record().tables["documents"].version).to_table()
    dead = lance.write_dataset(rows, place.table("documents"), mode="append").version
    collect(lab.store, NOTHING_PAST, now=LATER)
    assert lance.dataset(place.table("documents")).version > dead


def test_an_asset_that_is_being_written_is_left_alone_with_what_it_reads(lab: Lab) -> None:
    rounds(lab, 2)
    with lab.store.place("notes/curated").lease():
        plan = collect(lab.store, NOTHING_PAST, now=LATER)
    assert set(plan.skipped) == {"notes/curated", "notes/signals"} | set(
        lab.record("notes/curated").identity.options["_inputs"].values()
    )
    assert not any(asset in plan.skipped for asset, _, _ in plan.rows())
    assert len(all_records([lab.store.place("notes/raw")])) >= 2  # what the kept records of signals were made from
    with lab.store.place("new/asset").lease():  # never published, not declared: it may read anything
        assert plan_gc(lab.store, NOTHING_PAST, now=LATER).assets == []
        assert plan_gc(lab.store, NOTHING_PAST, {"new/asset": ["notes/raw"]}, LATER).assets != []


def test_older_checkpoints_keep_their_ledgers(lab: Lab) -> None:
    rounds(lab, 1)
    shards = lab.store.place("packed/shards").record()
    trained = lab.store.place("tiny/checkpoint")
    options = {"_inputs": {"shards": "packed/shards"}}
    identity = shards.identity.model_copy(update={"asset": "tiny/checkpoint", "options": options})
    consumed_shards = {
        "shards": shards.identity.inputs["tokens"].model_copy(
            update={"content": shards.content_version, "identity": shards.digest, "tables": {}}
        )
    }
    identity = identity.model_copy(update={"inputs": consumed_shards})
    segments = [{"shards": shards.digest}]
    trained.publish(
        shards.model_copy(
            update={
                "asset": "tiny/checkpoint",
                "identity": identity,
                "tables": {},
                "files": {},
                "metrics": {"segments": segments},
            }
        )
    )
    plant(lab, 30, first=1)
    lab.run(notes(), bytes_tokenizer(), packed())
    later = lab.store.place("packed/shards").record()
    newer = identity.model_copy(update={"options": options | {"steps": 2}})
    newer = newer.model_copy(
        update={"inputs": {"shards": newer.inputs["shards"].model_copy(update={"identity": later.digest})}}
    )
    trained.publish(
        later.model_copy(
            update={
                "asset": "tiny/checkpoint",
                "identity": newer,
                "tables": {},
                "files": {},
                "metrics": {"segments": [{"shards": later.digest}]},
            }
        )
    )
    collect(lab.store, NOTHING_PAST, now=LATER)
    place = lab.store.place("packed/shards")
    past = place.record(shards.digest)
    assert past is not None
    assert place.lost(past)
    said = released(place, past)
    assert said is not None
    assert said["why"] == ["retention"]
    assert released(place, later) is None
    assert (Path(place.folder(shards.digest)) / "index.json").exists()
    for asset, identity_digest, versions in consumed(past):
        record = lab.store.place(asset).record(identity_digest)
        assert record is not None
        for table, version in versions.items():
            if table in LEDGERS:
                rows = open_table(lab.store.place(asset).table(table), version).count_rows()
                assert rows > 0 or table == "holes"


def test_a_collection_may_be_interrupted_anywhere(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds(lab, 3)
    before = contents(lab)
    removed, limit = 0, 0
    original = type(lab.store.fs).rm_file

    def counted(self, path):
        nonlocal removed
        removed += 1
        if removed > limit:
            raise KeyboardInterrupt
        original(self, path)

    monkeypatch.setattr(type(lab.store.fs), "rm_file", counted)
    for limit in (0, 1, 7, 29, 10_000):  # noqa: B007
        removed = 0
        with contextlib.suppress(KeyboardInterrupt):
            collect(lab.store, NOTHING_PAST, now=LATER)
        assert contents(lab) == before
    assert plan_gc(lab.store, NOTHING_PAST, now=LATER).rows() == []
    assert all(result.reused for result in lab.run(notes(), bytes_tokenizer(), packed()).values())


def test_a_refresh_goes_on_after_a_collection(lab: Lab) -> None:
    rounds(lab, 2)
    collect(lab.store, NOTHING_PAST, now=LATER)
    lab.write_jsonl("notes.jsonl", [{"id": f"d{n}", "text": prose(n)} for n in (*range(5, 31), 77)])
    lab.run(notes(), bytes_tokenizer(), packed())
    refreshed = contents(lab)["notes/raw/documents"]
    other = Lab(lab.root, Path(lab.store.root).parent / "other")
    for stage in stages_of(notes()):
        run_stage(stage, other.store, other.workspace)
    fresh = contents(other)["notes/raw/documents"]
    assert sorted(map(str, refreshed)) == sorted(map(str, fresh))


def test_an_index_of_texts_stays_while_it_covers_what_stays(lab: Lab) -> None:
    plant(lab, 20)
    lab.run(notes(), until="signals")
    ((_, built),) = build_indexes(lab.store)
    collect(lab.store, NOTHING_PAST, now=LATER)
    place = lab.store.place("notes/signals")
    assert open_table(place.table("documents"), built.version).list_indices()
    plant(lab, 20, first=1)
    lab.run(notes(), until="signals")
    collect(lab.store, NOTHING_PAST, now=LATER)
    some = prose(7)[5:40]
    assert len(list(rows_with_text(place.table("documents"), lab.record("notes/signals").tables["documents"].version,
                                   some, ["doc_id"], built.version))) >= 1  # fmt: skip


def test_long_refreshed_tables_are_put_together_and_refreshes_go_on(lab: Lab) -> None:
    pipeline = (notes(path="notes*.jsonl"), bytes_tokenizer(), packed())
    for number in range(8):
        plant(lab, 20 if number == 0 else 4, f"notes{number}.jsonl", first=100 * number)
        lab.run(*pipeline)
    before = contents(lab)
    place = lab.store.place("notes/raw")
    few = Retention(keep=0, older_than_days=0, attempt_hours=0, merge_fragments=3)
    plan = collect(lab.store, few, now=LATER)
    assert ("notes/raw", "documents", 8, 1) in plan.merged
    version = place.record().tables["documents"].version
    assert contents(lab) == before
    assert lab.record("notes/signals").identity.inputs["raw"].tables["documents"] == version
    assert all(result.reused for result in lab.run(*pipeline).values())
    assert collect(lab.store, few, now=LATER).merged == []
    plant(lab, 4, "notes8.jsonl", first=800)
    (lab.root / "notes3.jsonl").unlink()
    lab.run(*pipeline)
    assert len(open_table(place.table("documents"), version).get_fragments()) == 1
    version = place.record().tables["documents"].version
    files = [
        fragment.data_files()[0].path for fragment in open_table(place.table("documents"), version).get_fragments()
    ]
    assert len(files) == 2  # the refresh built on what was put together
    seeds = [*range(20), *(100 * n + k for n in range(1, 9) if n != 3 for k in range(4))]
    assert sorted(row["text"] for row in contents(lab)["notes/signals/documents"]) == sorted(map(prose, seeds))


def test_retention_is_declared_in_the_workspace(tmp_path: Path) -> None:
    assert declared_retention(tmp_path) == Retention(keep=5, older_than_days=30, attempt_hours=24)
    (tmp_path / "pyproject.toml").write_text("[tool.headwater.retention]\nkeep = 2\n")
    assert declared_retention(tmp_path).keep == 2
