"""Small pipelines on real components: documents are planted, stages run, tables are read back.

Everything goes through `run_stage` with a store and a workspace in temporary folders, as the command line does it.
"""

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from headwater.assets.component import StageComponent
from headwater.assets.corpus.component import Corpus
from headwater.assets.fitting.component import Fit
from headwater.assets.running import RunResult, run_stage
from headwater.assets.sharding.component import Shards
from headwater.assets.stages import Stage, in_order
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import Record
from headwater.assets.storage.tables import read_table
from headwater.assets.training.component import Training
from headwater.assets.workspace import Workspace

_SYLLABLES = [c + v for c in "bdfglmnprstvwz" for v in "ao"]
WORDS = [a + b for a in _SYLLABLES for b in _SYLLABLES]


class Lab:
    """A workspace and a store; runs the stages of components and remembers nothing itself."""

    def __init__(self, workspace: Path, store: Path) -> None:
        workspace.mkdir(parents=True, exist_ok=True)
        self.workspace = Workspace(workspace)
        self.root = workspace
        self.store = Store(str(store))

    def run(self, *components: StageComponent, until: str | None = None) -> dict[str, RunResult]:
        """Runs all stages in order, up to and with the asset or stage `until`."""
        results = {}
        for stage in stages_of(*components):
            results[stage.asset] = run_stage(stage, self.store, self.workspace)
            if until in (stage.asset, stage.stage):
                break
        return results

    def record(self, asset: str) -> Record:
        record = self.store.place(asset).record()
        assert record is not None, f"{asset} has no record"
        return record

    def table(self, asset: str, name: str, columns: list[str] | None = None) -> pa.Table:
        version = self.record(asset).tables[name].version
        return read_table(self.store.place(asset).table(name), version, columns)

    def write_jsonl(self, name: str, documents: Iterable[dict[str, Any]]) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents))
        return path


def stages_of(*components: StageComponent) -> list[Stage]:
    return in_order([stage for component in components for stage in component.stages("small")])


def prose(seed: int, words: int = 60) -> str:
    """Sentences that no other seed repeats (never the same run of five words twice, for all practical purposes)."""
    rng = random.Random(seed)
    sentences, left = [], words
    while left > 0:
        length = min(rng.randint(6, 12), left)
        sentences.append(" ".join(rng.choices(WORDS, k=length)).capitalize() + ".")
        left -= length
    return " ".join(sentences)


def reworded(text: str, seed: int = 0, changes: int = 1) -> str:
    """A near-duplicate: some words replaced."""
    rng, words = random.Random(seed), text.split()
    for place in rng.sample(range(len(words)), changes):
        words[place] = "changed"
    return " ".join(words)


def notes(name: str = "notes", path: str = "notes.jsonl", **options: Any) -> Corpus:
    """A corpus over JSON lines that keeps whatever has three words."""
    curation = options.pop("curation", {"rules": [{"kind": "length", "min_words": 3, "min_bytes": None}]})
    source = {"kind": "jsonl", "path": path} | options.pop("source", {})
    given = {"held_out": {"share": 0.2, "group": "document"}, "max_unreadable_share": 1.0} | options
    return Corpus(name=name, sources=[source], curation=curation, **given)


def bytes_tokenizer(corpus: str = "notes", vocabulary_size: int = 320) -> Fit:
    return Fit(name="letters", corpus=corpus, fit={"kind": "byte_level_bpe", "vocabulary_size": vocabulary_size})


def packed(corpora: Sequence[Any] = ("notes",), **options: Any) -> Shards:
    given = {"sequence_length": 32, "block_samples": 8, "shard_megabytes": 0.001} | options
    return Shards(name="packed", corpora=list(corpora), tokenizer="letters", **given)


def tiny_training(steps: int = 12, seeds: Sequence[int] = (0,), **options: Any) -> Training:
    recipe = {
        "steps": steps,
        "batch_size": 4,
        "optimizer": {"kind": "adamw", "learning_rate": 3e-3},
        "schedule": {"kind": "constant"},
        "precision": "float32",
        "checkpoint_every_seconds": None,
    } | options.pop("recipe", {})
    backbone = {"kind": "decoder", "width": 32, "layers": 1, "heads": 2}
    given = {"backbone": backbone, "tracking": []} | options
    return Training(name="tiny", shards="packed", seeds=list(seeds), recipe=recipe, **given)


def plant(lab: Lab, count: int = 40, path: str = "notes.jsonl", first: int = 0, words: int = 60) -> list[str]:
    """Writes `count` different documents; returns their texts."""
    texts = [prose(first + number, words) for number in range(count)]
    lab.write_jsonl(path, [{"id": f"d{first + n}", "text": text} for n, text in enumerate(texts)])
    return texts
