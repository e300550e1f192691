"""The outlook: what would be computed again and why, without computing anything."""

import os

import pytest
from small_pipelines import bytes_tokenizer, notes, packed, plant, prose, stages_of
from small_stages import counting_stage

from headwater.assets.lineage.plan import changed_values, differences, plan
from headwater.assets.running import run_stage
from headwater.assets.storage.records import CodeRecord, Identity, InputRecord


def outlook(lab, *components):
    return {p.asset: p for p in plan(stages_of(*components), lab.store, lab.workspace)}


def actions(found):
    return [planned.action for planned in found.values()]


@pytest.fixture
def done(lab):
    plant(lab, 20)
    lab.run(notes(), bytes_tokenizer(), packed())
    return lab


def test_everything_is_computed_in_an_empty_store_and_nothing_is_touched(lab):
    plant(lab, 3)
    found = outlook(lab, notes(), bytes_tokenizer())
    assert actions(found) == ["compute"] * 5
    assert found["notes/raw"].reasons == ["never materialized"]
    assert found["notes/signals"].reasons == ["never materialized", "waits for notes/raw"]
    assert lab.store.assets() == []


def test_nothing_is_to_do_when_nothing_changed(done):
    found = outlook(done, notes(), bytes_tokenizer(), packed())
    assert actions(found) == ["reuse"] * 7
    assert all(planned.last.digest == done.record(asset).digest for asset, planned in found.items())


def test_a_changed_option_is_named_with_its_old_and_new_value(done):
    changed = notes(curation={"rules": [{"kind": "length", "min_words": 9, "min_bytes": None}]})
    found = outlook(done, changed, bytes_tokenizer(), packed())
    assert actions(found) == ["reuse", "reuse", "compute", "maybe", "maybe", "maybe", "maybe"]
    assert found["notes/curated"].reasons == ["option rules[0].min_words: 3 → 9"]
    assert found["notes/deduplicated"].reasons == ["only if the content of notes/curated changes"]


def test_a_source_that_changed_or_was_touched_is_named(done):
    os.utime(done.root / "notes.jsonl", (1, 1))
    found = outlook(done, notes())
    assert found["notes/raw"].action == "compute"
    assert found["notes/raw"].reasons == ["what lies outside (files, lists) changed"]
    assert found["notes/signals"].action == "maybe"
    done.run(notes(), until="raw")
    assert actions(outlook(done, notes())) == ["reuse"] * 4


def test_an_input_with_other_content_is_named(done):
    with (done.root / "notes.jsonl").open("a") as file:
        file.write('{"text": "' + prose(77) + '"}\n')
    done.run(notes(), until="raw")
    found = outlook(done, notes())
    assert found["notes/raw"].action == "reuse"
    assert (found["notes/signals"].action, found["notes/signals"].reasons) == ("compute", ["input raw changed"])


def test_what_a_plan_says_is_what_a_run_does(done):
    changed = notes(deduplication={"verifier": {"threshold": 0.9}})
    found = outlook(done, changed, bytes_tokenizer(), packed())
    results = done.run(changed, bytes_tokenizer(), packed())
    for asset, planned in found.items():
        if planned.action != "maybe":
            assert results[asset].reused == (planned.action == "reuse"), asset
    assert found["notes/deduplicated"].reasons == ["option verifier.threshold: 0.62 → 0.9"]


def test_a_limit_of_a_check_is_told_as_one(done):
    found = outlook(done, notes(deduplication={"max_lost_share": 0.4}), bytes_tokenizer(), packed())
    assert found["notes/deduplicated"].action == "compute"
    assert found["notes/deduplicated"].reasons == [
        "option max_lost_share: 0.5 → 0.4",
        "a limit of its checks: the rest is built on what is there",
    ]


def test_code_steps_edits_and_libraries_are_told_apart():
    def identity(**code):
        given = {"number": 1, "modules": "a", "libraries": {"ftfy": "6.1"}} | code
        return Identity(asset="a/b", inputs={}, options={}, code=CodeRecord(**given))

    assert differences(identity(), identity()) == []
    assert differences(identity(), identity(number=2, modules="b")) == ["code: step 1 → 2"]
    (edited,) = differences(identity(), identity(modules="b"))
    assert "modules were edited" in edited
    assert "headwater accept" in edited
    assert differences(identity(), identity(libraries={"ftfy": "6.2"})) == ["library ftfy: 6.1 → 6.2"]
    assert differences(identity(), identity(libraries={})) == ["library ftfy: 6.1 → None"]


def test_inputs_that_come_and_go_are_differences():
    def identity(**inputs):
        found = {role: InputRecord(content=c, identity="i") for role, c in inputs.items()}
        return Identity(asset="a/b", inputs=found, options={}, code=CodeRecord(number=1, modules="a"))

    assert differences(identity(x="1"), identity(x="1", y="2")) == ["input y changed"]
    assert differences(identity(x="1", outside="o"), identity(x="2", outside="o")) == ["input x changed"]


def test_code_accepted_as_equivalent_is_reused(lab):
    record = run_stage(counting_stage(), lab.store, lab.workspace).record
    edited = counting_stage(code=2)
    (before,) = plan([edited], lab.store, lab.workspace)
    assert (before.action, before.reasons) == ("compute", ["code: step 1 → 2"])
    accepted = record.model_copy(update={"accepted_code": [edited.code_record()]})
    lab.store.place("numbers/squares").publish(accepted)
    (after,) = plan([edited], lab.store, lab.workspace)
    assert after.action == "reuse"


def test_paths_of_changed_values():
    before = {"a": {"b": [1, {"c": 2}]}, "gone": 1, "list": [1]}
    after = {"a": {"b": [1, {"c": 3}]}, "new": None, "list": [1, 2]}
    assert changed_values(before, after) == [("a.b[1].c", 2, 3), ("gone", 1, None), ("list", [1], [1, 2])]
    assert changed_values(before, before) == []


def test_back_at_an_earlier_declaration_its_outputs_come_back_and_the_plan_says_so(done):
    before = {asset: done.record(asset).content_version for asset in ("notes/curated", "packed/shards")}
    strict = notes(curation={"rules": [{"kind": "length", "min_words": 61, "min_bytes": None}]})
    done.run(strict, until="curated")
    found = outlook(done, notes(), bytes_tokenizer(), packed())
    assert found["notes/curated"].action == "restore"
    assert found["notes/curated"].reasons[-1] == "its earlier output is still there"
    assert [p.action for p in found.values() if p.asset not in ("notes/curated",)] == ["reuse"] * 6
    results = done.run(notes(), bytes_tokenizer(), packed())
    assert all(result.reused for result in results.values())
    assert {asset: done.record(asset).content_version for asset in before} == before


def test_a_tokenizer_that_waits_for_a_refit_is_said_to_stay(done):
    plant(done, 21)
    done.run(notes())
    found = outlook(done, notes(), bytes_tokenizer(), packed())
    assert actions(found) == ["reuse"] * 5 + ["compute", "maybe"]
    assert "refit" in found["letters/tokenizer"].reasons[0]
    results = done.run(bytes_tokenizer(), packed())
    assert [result.reused for result in results.values()] == [True, False, False]
