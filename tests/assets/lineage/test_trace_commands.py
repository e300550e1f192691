"""The commands `trace`, `diff` and `index` as people and machines meet them."""

import json

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from headwater.assets.command_line.main import app

PROJECT = '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "audited"\n'


@pytest.fixture
def headwater(past, monkeypatch, tmp_path):
    """Runs a command in a workspace over the store with a past."""
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADWATER_STORE", past.store.url)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.delenv("HEADWATER_WORKSPACE", raising=False)

    def run(*arguments: str, fails: bool = False) -> str:
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == (1 if fails else 0), result.output + repr(result.exception)
        return result.output

    return run


def lines(output: str) -> dict[str, str]:
    """What a trace says, by the word at the left."""
    found = {}
    for line in output.splitlines():
        name, _, told = line.strip().partition("  ")
        found.setdefault(name, told.strip())
    return found


def test_a_document_from_source_to_evaluation(headwater):
    said = lines(headwater("trace", "document", "notes.jsonl#key=d9"))
    assert said["source"] == "jsonl: notes.jsonl#key=d9"
    assert said["license"] == "MIT"
    assert "words 60" in said["signals"]
    assert (said["curated"], said["deduplicated"]) == ("kept", "kept")
    assert said["checkpoint"] == "tiny"
    assert said["tokens"].endswith(("of notes-train", "of notes-held_out"))
    assert ".tar, bytes " in said["shards"]
    assert said["evaluation"].startswith("exam/evaluation: bits_per_byte")
    dropped = lines(headwater("trace", "document", "notes.jsonl#key=short"))
    assert dropped["curated"].startswith("dropped by length.min_words: 2, threshold 3")
    assert "dropped by curated" in dropped["tokens"]


def test_json_is_for_machines(headwater):
    (story,) = json.loads(headwater("trace", "document", "notes.jsonl#key=d6", "--all", "--json"))
    assert story["sighting"]["current"] is False
    assert {learned["checkpoint"].partition("@")[0] for learned in story["learned"]} == {"tiny"}
    assert len(story["learned"]) == 2
    step = json.loads(headwater("trace", "step", "tiny", "3", "--json"))
    assert (step["step"], len(step["samples"])) == (3, 4)
    facts = json.loads(headwater("trace", "checkpoint", "tiny@previous", "--json"))
    assert (facts["steps"], facts["current"]) == (40, False)
    assert json.loads(headwater("diff", "tiny@previous", "tiny", "--json"))["data"]
    assert json.loads(headwater("trace", "text", "no such passage", "--json"))["found"] == []


def test_a_step_shows_every_example_with_its_documents(headwater):
    output = headwater("trace", "step", "tiny", "3")
    assert "tiny step 3: 4 samples of shards packed/shards" in output
    assert sum("-train " in line for line in output.splitlines()) == 4


def test_a_checkpoint_is_told_and_exported(headwater, tmp_path):
    output = headwater("trace", "checkpoint", "tiny", "--export", str(tmp_path / "export"))
    for heading in ("Made from", "Segments", "By source", "By license", "By split", "Dropped"):
        assert heading in output
    assert "influence" in lines(output)
    rows = pq.read_table(tmp_path / "export" / "documents.parquet").num_rows
    assert f"documents.parquet: {rows} documents." in output.replace("\n", "")


def test_a_difference_is_told(headwater):
    output = headwater("diff", "tiny@previous", "tiny")
    assert "recipe.steps" in output
    assert "40 → 60" in output
    assert "The same documents, options and code." in headwater("diff", "tiny", "tiny")


def test_a_text_is_found_with_and_without_its_index(headwater):
    before = headwater("trace", "text", "two words")
    assert "1 occurrence in 1 document, 0 of them kept for training" in before
    assert "dropped by curated: length.min_words" in before
    built = headwater("index", "text", "notes")
    assert built.startswith("notes: 43 documents indexed in ")
    assert "1 occurrence in 1 document" in headwater("trace", "text", "two words")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("trace", "document", "notes.jsonl#key=nobody"),
            "No kept version of a corpus has a document at 'notes.jsonl#key=nobody'",
        ),
        (("trace", "document", "data/notes.jsonl#key=d9"), "Did you mean 'notes.jsonl#key=d9'? An address begins"),
        (("trace", "document", "notes.jsonl#key=d9", "tiney"), "Did you mean 'tiny'?"),
        (("trace", "step", "tiny", "1000"), "made the steps 0 to 59, not 1,000"),
        (("trace", "checkpoint", "tiny@ff00ff00"), "no version whose identity begins with 'ff00ff00'"),
        (("trace", "text", ""), "give a passage"),
        (("diff", "tiny", "other"), "There is no record of 'other/checkpoint'"),
        (("index", "text", "note"), "Did you mean 'notes'?"),
    ],
)
def test_what_is_wrong_is_said_in_one_message(headwater, arguments, message):
    assert message in headwater(*arguments, fails=True).replace("\n", " ")
