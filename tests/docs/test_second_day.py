"""The tutorial's second day, as its page tells it: nobody but a real daemon materializes what arrives and what goes."""

import os
import socket
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from tutorial_steps import Command, Shell, Step, missing_line, steps_of

from headwater.assets.lineage.history import history, promoted
from headwater.assets.storage.places import Store

PAGE = Path(__file__).parents[2] / "docs" / "tutorial-second-day.md"
STEPS = steps_of(PAGE.read_text(encoding="utf-8"))


def free_port() -> int:
    """A port that nobody listens on, and whose successor is free, too: that one shows reports."""
    for _ in range(100):
        with socket.socket() as one, socket.socket() as next_one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                next_one.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port
    pytest.skip("no two free ports beside each other")


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A folder of one's own, without the environment's stores; what runs in the background ends with the test."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HEADWATER_", "DAGSTER_"))}
    own = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "220",
        "HEADWATER_ENGINE": "local",
        "OMP_NUM_THREADS": "1",
    }
    shell = Shell(tmp_path, inherited | own)
    yield shell
    shell.close()


def on_port(step: Step, port: int) -> Step:
    """The step with the UI on another port than its usual one, where somebody may have a UI already."""
    if isinstance(step, Command) and step.command.startswith("headwater ui"):
        return Command(step.command.replace("headwater ui", f"headwater ui --port {port}", 1), step.expected)
    return step


def follow(shell: Shell, port: int) -> dict[str, list[str]]:
    """Runs the page; returns what each command printed, once for each time."""
    printed: dict[str, list[str]] = {}
    for step in STEPS:
        output = shell.run(on_port(step, port))
        if isinstance(step, Command):
            missing = missing_line(output, step.expected)
            assert missing is None, f"$ {step.command}\nshows no line like\n  {missing}\nbut\n{output}"
            printed.setdefault(step.command, []).append(output)
    return printed


def steps_in(trace: str) -> str:
    """The line of a trace with the training steps."""
    return next(line for line in trace.splitlines() if line.startswith("steps "))


def runs_of(workspace: Path) -> list[dg.DagsterRun]:
    """All runs in Dagster's history, the earliest first."""
    with dg.DagsterInstance.from_config(str(workspace / ".dagster")) as instance:
        return list(instance.get_runs())[::-1]


def test_the_page_starts_a_daemon_before_anything_arrives():
    commands = [step.command for step in STEPS if isinstance(step, Command)]
    assert commands.index("headwater ui > ui.log 2>&1 &") < commands.index("mv tuesday documents/tuesday")
    by_hand = [command for command in commands if command.startswith("headwater materialize")]
    assert by_hand == ["headwater materialize my_text_lm", "headwater materialize my_text_lm"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_second_day(shell: Shell):
    port = free_port()
    printed = follow(shell, port)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/server_info", timeout=30) as answer:
        assert answer.status == 200
    assert (shell.folder / "my_model.html").stat().st_size > 10_000
    assert len(list((shell.folder / "documents/tuesday").rglob("*.py"))) == 100
    store = Store(str(shell.folder / "store"))
    checkpoints = history(store.place("my_model/checkpoint"))
    assert len(checkpoints) == 3, "the first, the daemon's and the one without what was withdrawn"
    newest = max(checkpoints, key=lambda record: record.execution.started)
    assert promoted(store, store.place("my_model/current").record()).digest == newest.digest
    before, after = map(steps_in, printed["headwater trace document tuesday/atlas/queue.py"])
    assert before == after
    runs = runs_of(shell.folder)
    watched = [run for run in runs if run.tags.get("dagster/sensor_name") == "keep_watches_my_text"]
    assert [run.tags["headwater/cause"] for run in watched] == ["100 new files", "documents were withdrawn"]
    told = [run for run in runs if run.asset_selection == {dg.AssetKey(["my_model", "current"])}]
    assert len(told) == 2, "going back and forth is in Dagster's history, so that what follows keeps up"
