"""A store that an older release wrote: refused with the command that migrates it, and whole afterwards."""

import json
from pathlib import Path

import pytest
from small_pipelines import Lab, notes, prose

from headwater.assets.storage.migration import migrate, outdated
from headwater.assets.storage.places import StoreError


def age(path: Path) -> None:
    """Writes a record as format 1 had it."""
    data = json.loads(path.read_text())
    data["format"] = 1
    for table in data["tables"].values():
        del table["lanes"]
    for consumed in data["identity"]["inputs"].values():
        del consumed["tables"]
    del data["identity"]["base"]
    path.write_text(json.dumps(data, indent=2))


@pytest.fixture
def old(lab: Lab) -> tuple[Lab, dict]:
    lab.write_jsonl("notes.jsonl", [{"text": prose(n)} for n in range(6)])
    lab.run(notes(), until="curated")
    present = {asset: lab.record(asset) for asset in lab.store.assets()}
    for path in Path(lab.store.root).rglob("*.json"):
        if path.name == "record.json" or path.parent.name == "history":
            age(path)
    return lab, present


def test_an_old_record_is_refused_with_the_command_that_migrates_it(old):
    lab, _ = old
    with pytest.raises(StoreError, match=r"notes/raw/record\.json was written by an older release.*headwater migrate"):
        lab.run(notes())


def test_migrated_records_are_what_this_release_would_have_written(old):
    lab, present = old
    found = outdated(lab.store)
    assert len(found) == 2 * len(present)
    for place, path in found:
        migrate(place, path)
    assert {asset: lab.record(asset) for asset in lab.store.assets()} == present
    assert outdated(lab.store) == []
    assert all(result.reused for result in lab.run(notes(), until="curated").values())


def test_a_migrated_store_is_refreshed_and_not_computed_anew(old):
    lab, _ = old
    for place, path in outdated(lab.store):
        migrate(place, path)
    lines = [{"text": prose(n)} for n in range(8)]
    lab.write_jsonl("notes.jsonl", lines)
    assert lab.run(notes(), until="curated")["notes/signals"].record.metrics["documents_measured"] == 2


def test_a_table_that_was_changed_by_something_else_is_not_migrated(old):
    lab, _ = old
    place, path = next(item for item in outdated(lab.store) if item[0].asset == "notes/curated")
    data = json.loads(Path(path).read_text())
    data["tables"]["decisions"]["content"] = "0" * 32
    Path(path).write_text(json.dumps(data))
    with pytest.raises(StoreError, match="notes/curated: the table decisions does not hold what its record names"):
        migrate(place, path)


def test_a_stopped_migration_goes_on(old):
    lab, present = old
    for place, path in outdated(lab.store)[:3]:
        migrate(place, path)
    for place, path in outdated(lab.store):
        migrate(place, path)
    assert {asset: lab.record(asset) for asset in lab.store.assets()} == present
