"""The whole spine on a small cap of the default corpus: in Ray's worker processes and in this one, the same rows."""

import os
from pathlib import Path

import pytest
from small_pipelines import Lab, prose, stages_of, tiny_training

from headwater.assets.compute.executor import stop_ray
from headwater.assets.corpus.component import Corpus
from headwater.assets.evaluation.component import Evaluation
from headwater.assets.fitting.component import Fit
from headwater.assets.running import run_stage
from headwater.assets.sharding.component import Shards
from headwater.assets.storage.tables import read_table

ASSETS = [
    "installed_packages/raw",
    "installed_packages/signals",
    "installed_packages/curated",
    "installed_packages/deduplicated",
    "letters/tokenizer",
    "packed/tokens",
    "packed/shards",
    "tiny/checkpoint",
    "quality/evaluation",
]


def spine(log: Path, source: dict, **measures):
    compute = {"workers": 2, "partition_megabytes": 0.2}
    signal = {
        "kind": "python",
        "function": "small_stages:process_log",
        "columns": {"vowels": "vowels in the text"},
        "options": {"log": str(log)},
        "version": "1",
    }
    bits = {"max_megabytes_per_source": 0.05, "resamples": 50}
    return [
        Corpus(
            name="installed_packages",
            sources=[source],
            held_out={"share": 0.2, "group": "file"},
            curation={"signals": [signal]},
            compute=compute,
        ),
        Fit(name="letters", corpus="installed_packages", fit={"kind": "byte_level_bpe", "vocabulary_size": 512}),
        Shards(
            name="packed",
            corpora=["installed_packages"],
            tokenizer="letters",
            sequence_length=64,
            block_samples=16,
            shard_megabytes=0.1,
            compute=compute,
        ),
        tiny_training(20, recipe={"batch_size": 8}),
        Evaluation(
            name="quality",
            training="tiny",
            held_out="packed",
            measures={"bits_per_byte": bits, "cloze": None, "generation": None} | measures,
        ),
    ]


def processes(log: Path) -> set[int]:
    return {int(line) for line in log.read_text().split()} if log.exists() else set()


def rows_of(lab: Lab, asset: str) -> dict[str, list]:
    record = lab.record(asset)
    place = lab.store.place(asset)
    return {name: read_table(place.table(name), table.version).to_pylist() for name, table in record.tables.items()}


@pytest.fixture
def both(tmp_path, monkeypatch):
    """The same workspace with two stores, filled by Ray's workers and by this process."""
    monkeypatch.setenv("HEADWATER_ENGINE", "local")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def run(components):
        labs = {engine: Lab(tmp_path / "workspace", tmp_path / engine) for engine in ("ray", "local")}
        monkeypatch.delenv("HEADWATER_ENGINE")
        labs["ray"].run(*components)
        stop_ray()
        used = processes(tmp_path / "log")
        (tmp_path / "log").unlink()
        monkeypatch.setenv("HEADWATER_ENGINE", "local")
        labs["local"].run(*components)
        return labs["ray"], labs["local"], used, processes(tmp_path / "log")

    yield run
    stop_ray()


def test_ray_and_this_process_give_the_same_rows_at_every_stage(both, tmp_path):
    source = {"kind": "installed_packages", "max_megabytes": 1.0}
    components = spine(tmp_path / "log", source)
    ray, local, used, own = both(components)
    assert [stage.asset for stage in stages_of(*components)] == ASSETS
    assert used, "the user's step never ran"
    assert os.getpid() not in used, "Ray's work ran in this process"
    assert own == {os.getpid()}
    for asset in ASSETS:
        theirs, ours = ray.record(asset), local.record(asset)
        assert theirs.digest == ours.digest
        assert theirs.content_version == ours.content_version, asset
        assert rows_of(ray, asset) == rows_of(local, asset), asset
        assert theirs.files == ours.files, asset
        assert theirs.checks == ours.checks, asset
        assert (theirs.execution.engine, ours.execution.engine) == ("ray", "local")
    record = local.record("packed/tokens")
    assert record.metrics["documents"] > 20
    assert record.metrics["held_out_tokens"] > 0
    assert local.record("quality/evaluation").metrics["bits_per_byte"] > 0
    assert all(run_stage(stage, ray.store, ray.workspace).reused for stage in stages_of(*components))


def test_an_evaluation_is_new_when_its_findings_are(lab, tmp_path):
    lab.write_jsonl("notes.jsonl", [{"text": prose(n, 80)} for n in range(40)])
    components = spine(tmp_path / "log", {"kind": "jsonl", "path": "notes.jsonl"})
    components[0] = Corpus(
        name="installed_packages",
        sources=[{"kind": "jsonl", "path": "notes.jsonl"}],
        held_out={"share": 0.3, "group": "document"},
        curation={"rules": []},
    )
    components[2] = Shards(name="packed", corpora=["installed_packages"], tokenizer="letters", sequence_length=64)
    first = lab.run(*components)["quality/evaluation"].record
    assert first.files.keys() == {"seed_0/report.json"}
    components[3] = tiny_training(5, recipe={"batch_size": 8})
    second = lab.run(*components)["quality/evaluation"].record
    assert first.metrics["bits_per_byte"] != second.metrics["bits_per_byte"]
    assert first.content_version != second.content_version
