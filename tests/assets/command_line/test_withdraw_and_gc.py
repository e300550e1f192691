"""`headwater withdraw` and `headwater gc`: what they refuse, what they show first, and what Dagster is told."""

from pathlib import Path

import dagster as dg
import pytest
from small_pipelines import Lab, bytes_tokenizer, notes, packed, plant, tiny_training
from typer.testing import CliRunner

from headwater.assets.command_line.gc import days
from headwater.assets.command_line.init import init_workspace
from headwater.assets.command_line.main import app
from headwater.assets.withdrawal.blocklist import read_blocklist


def headwater(*words: str, status: int = 0, answer: str | None = None) -> str:
    result = CliRunner().invoke(app, list(words), input=answer)
    assert result.exit_code == status, result.output + repr(result.exception)
    return result.output


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A workspace with a trained pipeline, declared nowhere: the commands look at the store."""
    root = tmp_path / "lake"
    init_workspace(root)
    monkeypatch.chdir(root)
    monkeypatch.setenv("HEADWATER_ENGINE", "local")
    monkeypatch.setenv("HEADWATER_WORKSPACE", str(root))
    monkeypatch.setenv("HEADWATER_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    (tmp_path / "dagster").mkdir()
    lab = Lab(root, tmp_path / "store")
    plant(lab, 20)
    lab.run(notes(), bytes_tokenizer(), packed(), tiny_training(4))
    return lab


def test_withdrawing_asks_first_and_tells_dagster(workspace: Lab, tmp_path: Path) -> None:
    spans = workspace.table("packed/tokens", "spans").to_pylist()
    doc_id = next(row["doc_id"] for row in spans if row["stream"] == "notes-train")
    named = ("--ids", doc_id, "--reason", "asked", "--by", "legal")
    shown = headwater("withdraw", *named, "--dry-run")
    assert doc_id in shown
    assert "nothing was withdrawn" in shown
    assert "To train without them: tiny" in shown
    headwater("withdraw", *named, status=1, answer="n\n")
    assert len(read_blocklist(workspace.store)) == 0
    (tmp_path / "ids.txt").write_text(f"{doc_id}\n\n{doc_id}\n")
    done = headwater("withdraw", "--ids", f"@{tmp_path}/ids.txt", *named[2:], answer="y\n")
    assert "Withdrawn: 1 document" in done
    assert "withdrawn before" in headwater("withdraw", *named, "--yes")
    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["headwater", "withdrawals"]))
        assert event.asset_materialization.metadata["documents"].value == 1
        key = dg.AssetCheckKey(dg.AssetKey(["tiny", "checkpoint"]), "withdrawn_documents")
        (check,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=5)
        assert not check.event.dagster_event.asset_check_evaluation_data.passed
    assert "PRESENT" in headwater("withdraw", "--verify", status=1)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--ids", "0123"], "--reason and --by"),
        (["--reason", "r", "--by", "b"], "--ids, --uris or --match"),
        (["--ids", "1", "--uris", "2", "--reason", "r", "--by", "b"], "one of the three"),
        (["--ids", "0123", "--reason", "r", "--by", "b"], "has a document 0123"),
        (["--uris", "no/such", "--dry-run"], "no/such"),
        (["--ids", "@missing.txt", "--dry-run"], "missing.txt cannot be read"),
        (["--verify", "--ids", "1"], "leave out"),
        (["--match", "(", "--regex", "--dry-run"], "regular expression"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    words: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init_workspace(tmp_path / "lake")
    monkeypatch.chdir(tmp_path / "lake")
    for name in ("HEADWATER_STORE", "DAGSTER_HOME", "HEADWATER_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    assert says in headwater("withdraw", *words, status=1)


def test_collecting_shows_first(workspace: Lab) -> None:
    plant(workspace, 20, first=3)
    workspace.run(notes(), bytes_tokenizer(), packed(), until="signals")
    before = sorted(Path(workspace.store.root).rglob("*.json"))
    assert "Nothing to free." in headwater("gc") or "Would free" in headwater("gc")
    assert "Would free" in headwater("gc", "--keep", "0", "--older-than", "0d")
    assert sorted(Path(workspace.store.root).rglob("*.json")) == before
    assert "Freed" in headwater("gc", "--keep", "0", "--older-than", "0d", "--yes")
    assert "Nothing to free." in headwater("gc", "--keep", "0", "--older-than", "0d")
    assert "is no time" in headwater("gc", "--older-than", "soon", status=1)


@pytest.mark.parametrize(("text", "expected"), [("30d", 30), ("2w", 14), ("12h", 0.5), ("7", 7)])
def test_times(text: str, expected: float) -> None:
    assert days(text) == expected
