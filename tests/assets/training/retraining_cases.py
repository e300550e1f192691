"""What the tests of retraining share: a corpus that grows, and a training that continues on it."""

import shutil
from pathlib import Path

from small_pipelines import Lab, bytes_tokenizer, notes, packed, plant, stages_of, tiny_training

from headwater.assets.running import RunResult, run_stage
from headwater.assets.storage.records import Record
from headwater.assets.training.component import Training

WARMUP, COOLDOWN, ANNEAL, STEPS = 2, 3, 4, 16
TRUNK = STEPS - ANNEAL
INFINITE = {"kind": "infinite", "warmup_steps": WARMUP, "cooldown_steps": COOLDOWN, "anneal_steps": ANNEAL}


def data(lab: Lab, files: int = 1) -> Lab:
    """A corpus of so many files of 20 documents each: a further file only appends."""
    for number in range(files):
        plant(lab, 20, f"notes/{number}.jsonl", first=20 * number)
    return refresh(lab)


def refresh(lab: Lab) -> Lab:
    """Brings everything up to the shards up to date; the tokenizer is the bytes, so it never changes."""
    lab.run(notes(path="notes/*.jsonl"), bytes_tokenizer(vocabulary_size=258), packed())
    return lab


def continued(steps: int = STEPS, when: dict | None = None, recipe: dict | None = None, **options) -> Training:
    """A training on the infinite schedule that goes on after refreshes."""
    how = {"kind": "continue", "steps": 6} | options.pop("how", {})
    retrain = {"when": {"new_tokens_share": 0.05} if when is None else when, "how": how}
    return tiny_training(steps, recipe={"schedule": INFINITE} | (recipe or {}), retrain=retrain, **options)


def train(lab: Lab, training: Training, stage: str = "checkpoint") -> RunResult:
    """Materializes one stage of a training."""
    (chosen,) = [s for s in stages_of(training) if s.stage == stage]
    return run_stage(chosen, lab.store, lab.workspace)


def copied(source: Lab, target: Lab) -> Lab:
    """The workspace and store of one lab in another's place: no path is stored anywhere."""
    shutil.copytree(source.root, target.root, dirs_exist_ok=True)
    shutil.copytree(source.store.root, target.store.root, dirs_exist_ok=True)
    return target


def folder(lab: Lab, record: Record) -> Path:
    return Path(lab.store.place(record.asset).folder(record.digest))


LONG = continued(recipe={"checkpoint_every_steps": 3}, how={"steps": 40})
