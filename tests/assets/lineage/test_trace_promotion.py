"""Traces where a newer checkpoint was refused: the promoted one is the answer, the candidate is told apart."""

import json
from collections.abc import Callable

import pytest
from small_pipelines import Lab, bytes_tokenizer, notes, packed, plant, stages_of, tiny_training
from typer.testing import CliRunner

from headwater.assets.command_line.main import app
from headwater.assets.evaluation.component import Evaluation
from headwater.assets.running import run_stage

GOOD = {"optimizer": {"kind": "adamw", "learning_rate": 1e-2}}
BROKEN = {"optimizer": {"kind": "adamw", "learning_rate": 1e-4}}
PROJECT = '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "audited"\n'
LATE = "later.jsonl#key=d40"


def _train(lab: Lab, recipe: dict, steps: int) -> None:
    training = tiny_training(steps, recipe=recipe, promote={})
    measures = {"cloze": None, "generation": None, "baselines": []}
    exam = Evaluation(name="exam", training="tiny/current", held_out="packed", measures=measures)
    for stage in stages_of(training, exam):
        run_stage(stage, lab.store, lab.workspace)


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A promoted checkpoint; then a document came, and a worse checkpoint that saw it was refused."""
    folder = tmp_path_factory.mktemp("refused")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADWATER_ENGINE", "local")
        lab = Lab(folder / "workspace", folder / "store")
        corpus = notes(path="notes/*.jsonl", held_out={"share": 0.1}, source={"id_field": "id"})
        data = corpus, bytes_tokenizer(vocabulary_size=258), packed()
        plant(lab, 40, "notes/first.jsonl")
        lab.run(*data)
        _train(lab, GOOD, 30)
        plant(lab, 12, "notes/later.jsonl", first=40)
        lab.run(*data)
        _train(lab, BROKEN, 60)
    return lab


@pytest.fixture
def trace(refused: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path) -> Callable[..., dict]:
    """What `headwater trace … --json` says."""
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADWATER_STORE", refused.store.url)
    monkeypatch.delenv("HEADWATER_WORKSPACE", raising=False)

    def run(*words: str):
        result = CliRunner().invoke(app, ["trace", *words, "--json"])
        assert result.exit_code == 0, result.output + repr(result.exception)
        return json.loads(result.output)

    return run


def test_the_checkpoint_of_a_training_is_the_promoted_one(refused: Lab, trace: Callable[..., dict]) -> None:
    decision = refused.record("tiny/current").metrics
    assert decision["checkpoint"] != decision["candidate"], "the candidate was to be refused"
    asked = [trace("checkpoint", name) for name in ("tiny", "tiny@latest")]
    assert [facts["version"] for facts in asked] == [decision["checkpoint"], decision["candidate"]]
    assert [facts["steps"] for facts in asked] == [30, 60]
    assert [facts["current"] for facts in asked] == [True, False]


def test_a_document_is_told_of_by_both_and_each_says_what_it_saw(refused: Lab, trace: Callable[..., dict]) -> None:
    decision = refused.record("tiny/current").metrics
    (story,) = trace("document", LATE)
    promoted, candidate = story["learned"]
    assert [learned["version"] for learned in story["learned"]] == [decision["checkpoint"], decision["candidate"]]
    assert (promoted["checkpoint"], promoted["current"]) == ("tiny", True)
    assert (candidate["checkpoint"], candidate["current"]) == (f"tiny@{decision['candidate'][:8]}", False)
    assert promoted["trace"] is None
    assert "is in no corpus of packed/tokens" in promoted["absent"]
    assert candidate["trace"]["steps"], "the candidate read the document at no step"
    assert [report["asset"] for report in promoted["evaluations"]] == ["exam/evaluation"]
    assert candidate["evaluations"] == [], "an evaluation follows what is current"


def test_the_candidate_alone_can_be_asked(trace: Callable[..., dict]) -> None:
    (story,) = trace("document", LATE, "tiny@latest")
    assert [learned["current"] for learned in story["learned"]] == [False]
    step = trace("step", "tiny@latest", str(story["learned"][0]["trace"]["steps"][0]))
    assert LATE in json.dumps(step)
