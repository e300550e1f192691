"""Running stages: what is reused, what is computed again, and what an identity consists of."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest
from small_pipelines import Lab, bytes_tokenizer, notes, packed, plant, prose, stages_of, tiny_training
from small_stages import counting_stage

from headwater.assets import running
from headwater.assets.evaluation.component import Evaluation
from headwater.assets.lineage.plan import plan
from headwater.assets.running import StageError, run_stage
from headwater.assets.stages import import_object, in_order
from headwater.assets.storage import tables

CORPUS = ["notes/raw", "notes/signals", "notes/curated", "notes/deduplicated"]
REST = ["letters/tokenizer", "packed/tokens", "packed/shards"]


def reused(results) -> list[str]:
    return [asset for asset, result in results.items() if result.reused]


def through_shards(corpus=None, **shards):
    return [corpus or notes(), bytes_tokenizer(), packed(**shards)]


def test_nothing_is_read_when_nothing_changed(lab, monkeypatch):
    plant(lab, 20)
    first = lab.run(*through_shards())
    assert reused(first) == []

    def refuse(*_, **__):
        raise AssertionError("payload was read")

    monkeypatch.setattr(tables.lance, "dataset", refuse)
    monkeypatch.setattr(running, "_compute", refuse)
    monkeypatch.setattr("headwater.assets.corpus.reading.read_file", refuse)
    second = lab.run(*through_shards())
    assert reused(second) == CORPUS + REST
    assert [r.record for r in second.values()] == [r.record for r in first.values()]


def test_a_changed_threshold_reads_no_text(lab, monkeypatch):
    texts = plant(lab, 20)
    lab.run(notes())
    columns = []

    def spy(url, version, start, count, names):
        columns.extend(names)
        return tables.take_rows(url, version, start, count, names)

    monkeypatch.setattr("headwater.assets.curation.stage.take_rows", spy)
    strict = notes(curation={"rules": [{"kind": "length", "min_words": 3, "min_bytes": len(texts[0].encode()) + 1}]})
    results = lab.run(strict, until="curated")
    assert reused(results) == ["notes/raw", "notes/signals"]
    assert columns
    assert "text" not in columns
    assert results["notes/curated"].record.metrics["dropped"] > 0


def test_equal_content_ends_the_recomputation(lab):
    plant(lab, 20)
    lab.run(*through_shards())
    assert reused(lab.run(*through_shards(notes(max_unreadable_share=0.5)))) == CORPUS[1:] + REST
    lax = notes(curation={"rules": [{"kind": "length", "min_words": 2}]})
    assert reused(lab.run(*through_shards(lax)))[-4:] == ["notes/deduplicated", *REST]


def test_a_touched_source_is_read_again_and_nothing_else(lab):
    plant(lab, 20)
    before = lab.run(*through_shards())
    os.utime(lab.root / "notes.jsonl", (1, 1))
    after = lab.run(*through_shards())
    assert reused(after) == CORPUS[1:] + REST
    assert after["notes/raw"].record.content_version == before["notes/raw"].record.content_version
    assert reused(lab.run(*through_shards())) == CORPUS + REST


def test_a_changed_source_reaches_everything_but_a_tokenizer_that_waits_for_a_refit(lab):
    plant(lab, 20)
    before = lab.run(*through_shards())
    with (lab.root / "notes.jsonl").open("a") as file:
        file.write('{"id": "new", "text": "' + prose(999) + '"}\n')
    after = lab.run(*through_shards())
    assert reused(after) == ["letters/tokenizer"]
    assert "refit" in (after["letters/tokenizer"].held or "")
    assert after["packed/tokens"].record.metrics["documents"] == before["packed/tokens"].record.metrics["documents"] + 1


@pytest.mark.parametrize(
    ("changed", "column"),
    [
        ({"held_out": {"share": 0.6, "group": "document"}}, "split"),
        ({"source": {"license": "MIT"}}, "license"),
        ({"source": {"date": "2024-01-01"}}, "date"),
    ],
)
def test_what_the_ledger_says_of_documents_reaches_the_end_of_the_corpus(lab, changed, column):
    """The texts and all signals are the same; splits, licences and dates still count."""
    plant(lab, 20)
    before = lab.run(notes())
    first = lab.table("notes/raw", "ledger", [column])
    after = lab.run(notes(**changed))
    assert lab.table("notes/raw", "ledger", [column]) != first
    assert reused(after) == []
    versions = [results["notes/deduplicated"].record.content_version for results in (before, after)]
    assert versions[0] != versions[1]


def test_another_split_changes_what_is_trained_on(lab):
    plant(lab, 30)
    lab.run(*through_shards())
    old = lab.table("packed/tokens", "spans").select(["doc_id", "stream"]).to_pylist()
    lab.run(*through_shards(notes(held_out={"share": 0.2, "seed": 1, "group": "document"})))
    new = lab.table("packed/tokens", "spans").select(["doc_id", "stream"]).to_pylist()
    assert sorted(r["doc_id"] for r in old) == sorted(r["doc_id"] for r in new)
    assert {(r["doc_id"], r["stream"]) for r in old} != {(r["doc_id"], r["stream"]) for r in new}


def test_the_order_of_sources_decides_between_duplicates(lab):
    text = prose(1)
    lab.write_jsonl("a.jsonl", [{"text": text}])
    lab.write_jsonl("b.jsonl", [{"text": text}])
    sources = [{"kind": "jsonl", "name": name, "path": f"{name}.jsonl"} for name in ("a", "b")]

    def kept_source(ordered):
        from headwater.assets.corpus.component import Corpus

        lab.run(Corpus(name="both", sources=ordered, held_out={"share": 0.0}, curation={"rules": []}))
        ledger = lab.table("both/raw", "ledger", ["doc_id", "source"]).to_pylist()
        kept = {r["doc_id"] for r in lab.table("both/deduplicated", "decisions").to_pylist() if r["kept"]}
        return [row["source"] for row in ledger if row["doc_id"] in kept]

    assert kept_source(sources) == ["a"]
    assert kept_source(sources[::-1]) == ["b"]


def test_changed_mixture_weights_train_again(lab):
    plant(lab, 20)
    plant(lab, 20, "more.jsonl", first=500)
    corpora = [notes(), notes("more", "more.jsonl"), bytes_tokenizer()]

    def weights(a, b):
        return packed([{"name": "notes", "weight": a}, {"name": "more", "weight": b}])

    first = lab.run(*corpora, weights(3, 1), tiny_training(2))
    second = lab.run(*corpora, weights(1, 3), tiny_training(2))
    assert not second["tiny/checkpoint"].reused
    shares = [r["tiny/checkpoint"].record.metrics["segments"][0]["streams"] for r in (first, second)]
    assert [s["weight"] for s in shares[0]] == [3, 1]
    assert [s["weight"] for s in shares[1]] == [1, 3]


def test_a_change_and_its_withdrawal_give_the_first_result_again(lab):
    plant(lab, 20)
    first = lab.run(*through_shards())
    lab.run(*through_shards(notes(held_out={"share": 0.5, "group": "document"})))
    third = lab.run(*through_shards())
    assert [r.record for r in third.values()] == [r.record for r in first.values()]
    assert reused(third) == CORPUS + REST, "the first output is still there"
    assert lab.record("packed/shards") == first["packed/shards"].record


def test_an_earlier_output_whose_tables_are_gone_does_not_come_back(lab):
    plant(lab, 20)
    lab.run(notes())
    lab.run(notes(held_out={"share": 0.5, "group": "document"}))
    shutil.rmtree(lab.store.place("notes/signals").table("signals"))
    results = lab.run(notes())
    assert "notes/raw" in reused(results)
    assert "notes/signals" not in reused(results)
    assert lab.table("notes/signals", "signals").num_rows == 20


def test_an_input_that_is_missing_is_named(lab):
    plant(lab, 5)
    curated = stages_of(notes())[2]
    with pytest.raises(StageError, match=r"notes/curated needs notes/signals, which was never materialized"):
        run_stage(curated, lab.store, lab.workspace)
    assert lab.store.assets() == []


@pytest.mark.parametrize(
    ("asset", "pattern"),
    [
        ("notes/signals", "tables/signals.lance"),
        ("letters/tokenizer", "files/*/tokenizer.json"),
        ("packed/shards", "files/*/*-train-000001.tar"),
        ("tiny/checkpoint", "files/*/seed_0/state/step-*/model.safetensors"),
    ],
)
def test_an_output_that_was_removed_is_made_again_and_not_reused(lab, asset, pattern):
    plant(lab, 20)
    components = [*through_shards(), tiny_training(3)]
    first = lab.run(*components)
    (path,) = Path(lab.store.place(asset).root).glob(pattern)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    (planned,) = [p for p in plan(stages_of(*components), lab.store, lab.workspace) if p.action == "compute"]
    assert planned.asset == asset
    assert planned.reasons[0].startswith("its output was removed: ")
    second = lab.run(*components)
    assert [name for name, result in second.items() if not result.reused] == [asset]
    assert [r.record.content_version for r in second.values()] == [r.record.content_version for r in first.values()]
    assert second[asset].record.files == first[asset].record.files
    assert reused(lab.run(*components)) == list(second)


def test_a_lost_history_is_named(lab):
    plant(lab, 5)
    lab.run(notes())
    for path in Path(lab.store.place("notes/signals").root, "history").iterdir():
        path.unlink()
    with pytest.raises(StageError, match=r"history of notes/signals lacks its current record; materialize it again"):
        lab.run(notes(curation={"rules": [{"kind": "length", "min_words": 5}]}))


def test_neither_the_store_nor_the_workspace_is_part_of_anything_stored(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADWATER_ENGINE", "local")
    labs = [
        Lab(tmp_path / "one", tmp_path / "s1"),
        Lab(tmp_path / "deep" / "er" / "two", tmp_path / "elsewhere" / "s2"),
    ]
    found = []
    for lab in labs:
        plant(lab, 30)
        os.utime(lab.root / "notes.jsonl", (1, 1))
        found.append(lab.run(*through_shards(), tiny_training(2)))
    for one, other in zip(*(f.values() for f in found), strict=True):
        assert one.record.digest == other.record.digest
        assert one.record.content_version == other.record.content_version
        assert one.record.files == other.record.files
    texts = [p for lab in labs for p in Path(lab.store.root).rglob("*") if p.suffix in (".json", ".jsonl", ".svg")]
    assert len(texts) > 30
    for path in texts:
        assert str(tmp_path) not in path.read_text(), f"{path} holds an absolute path"


def test_a_moved_store_is_reused(lab, tmp_path):
    plant(lab, 10)
    lab.run(notes())
    moved = tmp_path / "moved"
    Path(lab.store.root).rename(moved)
    assert reused(Lab(lab.root, moved).run(notes())) == CORPUS


def test_compute_is_no_part_of_an_identity(lab):
    plant(lab, 10)
    lab.run(notes())
    other = notes(compute={"workers": 7, "partition_megabytes": 0.001, "retries": 0}, description="told otherwise")
    assert reused(lab.run(other)) == CORPUS


def test_partition_sizes_do_not_change_rows(lab, tmp_path):
    for n in range(4):
        plant(lab, 10, f"part{n}.jsonl", first=100 * n)
    lab.run(notes(path="part*.jsonl"), bytes_tokenizer())
    other = Lab(lab.root, tmp_path / "other")
    other.run(notes(path="part*.jsonl", compute={"partition_megabytes": 0.001}), bytes_tokenizer())
    assert len(other.table("notes/raw", "chunks")) == 4 > len(lab.table("notes/raw", "chunks"))
    for asset, table in (("notes/raw", "ledger"), ("notes/signals", "signals"), ("notes/deduplicated", "decisions")):
        assert lab.table(asset, table) == other.table(asset, table)
    assert lab.record("letters/tokenizer").files == other.record("letters/tokenizer").files


def test_what_ran_and_where_is_recorded_beside_the_identity(lab):
    result = run_stage(counting_stage(), lab.store, lab.workspace, run="run-7")
    execution = result.record.execution
    assert (execution.engine, execution.workers, execution.run) == ("local", 1, "run-7")
    assert execution.git_commit is None, "the workspace is no git repository"


def test_an_accepted_code_version_is_reused(lab):
    run_stage(counting_stage(), lab.store, lab.workspace)
    edited = counting_stage(code=2)
    record = lab.record("numbers/squares")
    assert not run_stage(counting_stage(numbers=6), lab.store, lab.workspace).reused
    run_stage(counting_stage(), lab.store, lab.workspace)
    place = lab.store.place("numbers/squares")
    place.publish(record.model_copy(update={"accepted_code": [edited.code_record()]}))
    assert run_stage(edited, lab.store, lab.workspace).reused
    assert not run_stage(counting_stage(code=3), lab.store, lab.workspace).reused


def test_stages_come_inputs_first_and_a_circle_is_refused():
    first = counting_stage(name="a")
    second = counting_stage(name="b", inputs={"x": "a/squares"})
    third = counting_stage(name="c", inputs={"x": "b/squares", "y": "elsewhere/raw"})
    assert [s.name for s in in_order([third, second, first])] == ["a", "b", "c"]
    circle = counting_stage(name="a", inputs={"x": "c/squares"})
    with pytest.raises(ValueError, match="depends on itself"):
        in_order([circle, second, third])


def test_a_missing_function_is_named():
    with pytest.raises(ImportError, match="small_stages has no 'nothing'"):
        import_object("small_stages:nothing")


SHAPES_CONTENT = {
    "notes/raw": ["corpus.reading", "corpus.sources.jsonl", "schemas"],
    "notes/signals": [
        "curation.measure",
        "curation.transforms",
        "curation.pii",
        "curation.user_steps",
        "curation.lists",
    ],
    "notes/curated": ["curation.decide", "curation.rules", "curation.rule_sets", "curation.lists", "curation.licences"],
    "notes/deduplicated": ["deduplication.decide", "deduplication.order", "deduplication.decontamination"],
    "letters/tokenizer": ["fitting.byte_level_bpe", "fitting.sample", "fitting.tokenizers"],
    "packed/tokens": ["tokenization.encoding", "tokenization.long_documents", "fitting.tokenizers"],
    "packed/shards": ["sharding.packing", "sharding.shards"],
    "tiny/checkpoint": ["training.replicate", "sharding.order", "sharding.packing", "sharding.reader"],
    "quality/evaluation": ["evaluation.baselines", "evaluation.cloze"],
}
MODELS = {
    "tiny/checkpoint": ["trainer.trainer", "objectives.next_token", "backbones.decoder", "hugging_face"],
    "quality/evaluation": ["backbones.decoder", "scoring", "generation"],
}


def test_the_code_that_shapes_content_counts():
    """Editing one of these modules must compute the stage again."""
    evaluation = Evaluation(name="quality", training="tiny", held_out="packed")
    for stage in stages_of(*through_shards(), tiny_training(), evaluation):
        counted = (stage.function.partition(":")[0], *stage.modules)
        shaping = [f"headwater.assets.{name}" for name in SHAPES_CONTENT[stage.asset]]
        shaping += [f"headwater.models.{name}" for name in MODELS.get(stage.asset, [])]
        assert all(importlib.util.find_spec(module) for module in shaping)
        left_out = [m for m in shaping if not any(m == own or m.startswith(f"{own}.") for own in counted)]
        assert left_out == [], f"{stage.asset} does not see edits of {left_out}"
