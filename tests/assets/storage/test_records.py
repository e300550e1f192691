"""Records: identity apart from execution, readable by anyone, refused clearly when unknown."""

import json

import pytest
from pydantic import ValidationError

from headwater.assets.storage.places import Store, StoreError
from headwater.assets.storage.records import CodeRecord, Execution, Identity, InputRecord, Record, TableRecord


def identity(**changes):
    given = {
        "asset": "notes/curated",
        "inputs": {"signals": InputRecord(content="c1", identity="i1")},
        "options": {"rules": [{"kind": "length", "min_words": 3}]},
        "code": CodeRecord(number=1, modules="abc", libraries={"ftfy": "6"}),
    }
    return Identity(**(given | changes))


def record(of=None, **changes):
    execution = Execution(
        started="2026-01-01T00:00:00+00:00",
        seconds=1.5,
        engine="ray",
        workers=2,
        headwater="0.1.0",
        python="3.11",
        processor="some",
        threads=2,
    )
    given = {
        "asset": "notes/curated",
        "kind": "Corpus",
        "pipeline": "p",
        "identity": of or identity(),
        "content_version": "v",
        "tables": {
            "decisions": TableRecord(version=1, rows=3, content="x", columns={"doc_id": "string"}, lanes=(0, 0))
        },
        "execution": execution,
    }
    return Record(**(given | changes))


def test_identity_is_inputs_options_and_code():
    base = identity().digest()
    assert identity(inputs={"signals": InputRecord(content="c2", identity="i1")}).digest() != base
    assert identity(options={"rules": []}).digest() != base
    assert identity(code=CodeRecord(number=2, modules="abc", libraries={"ftfy": "6"})).digest() != base
    assert identity(code=CodeRecord(number=1, modules="abd", libraries={"ftfy": "6"})).digest() != base
    assert identity(code=CodeRecord(number=1, modules="abc", libraries={"ftfy": "7"})).digest() != base
    assert identity(asset="other/curated").digest() != base


def test_how_an_input_came_to_be_does_not_count():
    assert identity(inputs={"signals": InputRecord(content="c1", identity="i2")}).digest() == identity().digest()


def test_how_it_ran_does_not_count():
    one = record()
    other = record(execution=one.execution.model_copy(update={"engine": "local", "workers": 64, "seconds": 9.0}))
    assert one.digest == other.digest
    assert other.serves(identity())


@pytest.mark.parametrize("value", [{1, 2}, object(), b"bytes"])
def test_an_option_without_a_fixed_form_is_an_error(value):
    with pytest.raises((TypeError, ValidationError)):
        identity(options={"x": value}).digest()


def test_not_a_number_is_no_option():
    with pytest.raises(ValueError, match="JSON"):
        identity(options={"x": float("nan")}).digest()


def test_another_code_serves_only_when_accepted():
    new = CodeRecord(number=1, modules="edited")
    assert not record().serves(identity(code=new))
    assert record(accepted_code=[new]).serves(identity(code=new))
    assert not record(accepted_code=[new]).serves(identity(code=new, options={}))


def test_a_published_record_is_plain_json_and_reads_back_equal(tmp_path):
    place = Store(str(tmp_path)).place("notes/curated")
    place.publish(record())
    plain = json.loads((tmp_path / "notes/curated/record.json").read_text())
    assert plain["format"] == 2
    assert plain["identity"]["options"] == {"rules": [{"kind": "length", "min_words": 3}]}
    assert plain["tables"]["decisions"]["rows"] == 3
    assert place.record() == record()
    assert place.record(record().digest) == record()
    assert place.record("0" * 32) is None


@pytest.mark.parametrize("broken", [{"format": 3}, {"unknown": 1}, {"asset": None}])
def test_a_record_of_another_release_is_refused_with_the_mend(tmp_path, broken):
    place = Store(str(tmp_path)).place("notes/curated")
    place.publish(record())
    file = tmp_path / "notes/curated/record.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | broken))
    with pytest.raises(StoreError, match=r"notes/curated/record\.json was not written by this release.*Move the store"):
        place.record()


BROKEN = [b'{"format": 2, "asset"', b"\xff\xfe", b"", b"{}", b"null", b"[]", b'{"identity": 3, "format": 1}']


@pytest.mark.parametrize("content", BROKEN)
def test_a_damaged_record_is_named_with_its_mend(tmp_path, content):
    place = Store(str(tmp_path)).place("notes/curated")
    place.publish(record())
    (tmp_path / "notes/curated/record.json").write_bytes(content)
    with pytest.raises(
        StoreError, match=r"notes/curated/record\.json is damaged .*Remove it: its history has its output"
    ):
        place.record()
    (tmp_path / "notes/curated/record.json").unlink()
    assert place.record(record().digest) == record()


@pytest.mark.parametrize("content", BROKEN)
def test_a_damaged_record_of_the_history_is_named_unless_the_current_one_says_the_same(tmp_path, content):
    place = Store(str(tmp_path)).place("notes/curated")
    place.publish(record())
    past = tmp_path / "notes/curated/history" / f"{record().digest}.json"
    past.write_bytes(content)
    assert place.record(record().digest) == record()
    (tmp_path / "notes/curated/record.json").unlink()
    with pytest.raises(
        StoreError, match=rf"notes/curated/history/{past.name} is damaged .*Remove it: what it told is lost"
    ):
        place.record(record().digest)
    past.unlink()
    assert place.record(record().digest) is None


def test_a_folder_in_the_place_of_a_record_is_damage(tmp_path):
    place = Store(str(tmp_path)).place("notes/curated")
    (tmp_path / "notes/curated/record.json").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"notes/curated/record\.json is damaged"):
        place.record()


def test_files_are_replaced_as_a_whole(tmp_path):
    place = Store(str(tmp_path)).place("a/b")
    path = f"{place.root}/x.json"
    place.write_text(path, "old")
    reader = open(path)  # noqa: SIM115
    place.write_text(path, "new and longer")
    assert reader.read() == "old"
    reader.close()
    assert place.read_text(path) == "new and longer"
    assert [p.name for p in (tmp_path / "a/b").iterdir()] == ["x.json"]


def test_the_store_lists_what_has_a_record(tmp_path):
    store = Store(str(tmp_path))
    assert store.assets() == []
    store.place("notes/curated").publish(record())
    store.place("notes/raw").local_folder("i")
    assert store.assets() == ["notes/curated"]


def test_an_object_store_holds_records_too_and_says_what_needs_a_folder():
    store = Store("memory://headwater-test")
    place = store.place("notes/curated")
    place.publish(record())
    assert place.record() == record()
    assert store.assets() == ["notes/curated"]
    with pytest.raises(StoreError, match="HEADWATER_STORE"):
        place.local_folder("i")
