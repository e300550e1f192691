"""What the tutorial says happens when its commands are run, in its order."""

import os
import sys
from itertools import takewhile
from pathlib import Path

import pytest
from tutorial_steps import ChangeFile, Command, Shell, Step, WriteFile, missing_line, steps_of

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
STEPS = steps_of(TUTORIAL.read_text(encoding="utf-8"))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A folder of one's own, and the commands of this environment; wide enough that no table is folded."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HEADWATER_", "DAGSTER_"))}
    own = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "160",
        "HEADWATER_ENGINE": "local",
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
    }
    return Shell(tmp_path, inherited | own)


def run_all(shell: Shell, steps: list[Step]) -> None:
    for step in steps:
        output = shell.run(step)
        if isinstance(step, Command):
            missing = missing_line(output, step.expected)
            assert missing is None, f"$ {step.command}\nshows no line like\n  {missing}\nbut\n{output}"


def is_quick(step: Step) -> bool:
    return not (isinstance(step, Command) and step.command.startswith(("headwater try", "headwater materialize")))


def test_steps_are_found():
    kinds = {type(step) for step in STEPS}
    assert kinds == {WriteFile, ChangeFile, Command}
    assert sum(isinstance(step, Command) for step in STEPS) >= 15


def test_a_line_that_is_not_shown_is_reported():
    assert missing_line("a 12 b\nc", ("a 7 b", "...", "c")) is None
    assert missing_line("a 12 b\nc", ("c", "a 7 b")) == "a 7 b"
    assert missing_line("kept 3, dropped", ("kept ... lost",)) == "kept ... lost"


def test_the_first_steps(shell: Shell):
    run_all(shell, list(takewhile(is_quick, STEPS)))
    assert (shell.folder / "pipelines/my_text_lm/defs.yaml").is_file()
    assert not (shell.folder / "store").exists()


@pytest.mark.slow
def test_the_whole_tutorial(shell: Shell):
    pytest.importorskip("transformers")
    run_all(shell, STEPS)
    assert (shell.folder / "exported/model.safetensors").is_file()
