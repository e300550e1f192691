"""`headwater current`, `promote` and `rollback` of a training about which nothing is decided."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headwater.assets.command_line.init import init_workspace
from headwater.assets.command_line.main import app
from headwater.assets.workspace import SETTINGS

COMMANDS = [["current"], ["promote", "--reason", "r"], ["rollback", "--reason", "r"]]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    init_workspace(tmp_path / "w")
    for name in ("DAGSTER_HOME", "HEADWATER_STORE", "HEADWATER_WORKSPACE", *SETTINGS):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path / "w")
    monkeypatch.setattr(sys, "path", [*sys.path])
    forget_pipelines()  # of another test's workspace
    yield tmp_path / "w"
    forget_pipelines()


def forget_pipelines() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "pipelines"]:
        del sys.modules[name]


def said(*command: str) -> str:
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 1
    return " ".join(result.output.split())


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_training_without_promotion_is_told_how_to_declare_it(workspace: Path, command: list[str]):
    told = said(*command, "my_model")
    assert "my_model has no promotion declared" in told
    assert "`promote: {}`" in told
    assert "Did you mean" not in told


def test_what_is_told_is_what_helps(workspace: Path):
    file = workspace / "pipelines" / "my_text_lm" / "defs.yaml"
    file.write_text(file.read_text().replace("  name: my_model\n", "  name: my_model\n  promote: {}\n"))
    assert "There is no record of 'my_model/current'. Materialize it first." in said("current", "my_model")


def test_a_name_that_is_no_training_is_told_with_those_there_are(workspace: Path):
    assert "No Training is named 'my_text'. There are: my_model." in said("current", "my_text")
