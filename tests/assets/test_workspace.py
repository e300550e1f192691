"""A workspace's settings: its own history of runs, also after it was copied or moved, unless somebody chose another."""

import shutil
from pathlib import Path

import pytest
from dotenv import dotenv_values

from headwater.assets.command_line.init import init_workspace
from headwater.assets.workspace import SETTINGS, Workspace


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that `prepare` sets is taken back."""
    for name in ("DAGSTER_HOME", "HEADWATER_WORKSPACE", *SETTINGS):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "it's mine"
    init_workspace(root)
    (root / ".env").write_text(f'DAGSTER_HOME="{root / ".dagster"}"\nMY_SETTING=1\n')
    return root


def home(root: Path) -> Path:
    Workspace(root).prepare()
    return Workspace(root).dagster_home


@pytest.mark.parametrize("bring", [shutil.copytree, shutil.move])
def test_a_copied_or_moved_workspace_has_its_own_history(original, tmp_path, capsys, bring):
    other = tmp_path / "another's"
    bring(original, other)
    assert home(other) == other / ".dagster"
    told = capsys.readouterr().err
    assert str(original / ".dagster") in told
    assert len(told.splitlines()) == 1
    assert dotenv_values(other / ".env") == {"DAGSTER_HOME": str(other / ".dagster"), "MY_SETTING": "1"}
    assert not (original / ".dagster").exists()


def test_it_is_told_once_and_the_original_keeps_its_own(original, capsys, monkeypatch):
    assert home(original) == original / ".dagster"
    monkeypatch.delenv("DAGSTER_HOME")
    assert home(original) == original / ".dagster"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("chosen", ["histories/mine", "histories/.dagster"])
def test_a_home_that_somebody_chose_stays(original, tmp_path, capsys, chosen):
    (tmp_path / "histories").mkdir()
    text = f"DAGSTER_HOME={tmp_path / chosen}\n"
    (original / ".env").write_text(text)
    assert home(original) == tmp_path / chosen
    assert (original / ".env").read_text() == text
    assert capsys.readouterr().err == ""


def test_the_environment_is_obeyed(original, tmp_path, capsys, monkeypatch):
    other = tmp_path / "other"
    shutil.copytree(original, other)
    before = (other / ".env").read_text()
    monkeypatch.setenv("DAGSTER_HOME", str(original / ".dagster"))
    assert home(other) == original / ".dagster"
    assert (other / ".env").read_text() == before
    assert capsys.readouterr().err == ""
