"""`headwater materialize` as its user meets it: what it says when something is wrong."""

import os
import signal
import subprocess
import sys

import pytest

from headwater.assets.command_line.init import init_workspace

CORPUS = """\
type: headwater.assets.Corpus
attributes:
  name: letters
  sources: [{{kind: jsonl, path: "{path}", text_field: {field}}}]
  compute: {{engine: local}}
"""


@pytest.fixture
def workspace(tmp_path):
    root = tmp_path / "w"
    init_workspace(root)
    (root / "pipelines" / "my_text_lm" / "defs.yaml").unlink()
    (root / "none.jsonl").write_text("")
    (root / "some.jsonl").write_text('{"body": "some words"}\n')
    return root


MAIN = ["-m", "headwater.assets.command_line.main"]
KILLED = """
import os, signal
from headwater.assets.command_line import main, materialize
materialize._line = lambda result: os.kill(os.getpid(), signal.SIGKILL)
main.app()
"""


def materialize(root, path, field="text", how=MAIN):
    (root / "pipelines" / "my_text_lm" / "defs.yaml").write_text(CORPUS.format(path=path, field=field))
    hidden = ("HEADWATER_STORE", "HEADWATER_WORKSPACE", "DAGSTER_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    command = [sys.executable, *how, "materialize", "letters/raw"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    return done


def test_a_failed_check_of_the_last_run_does_not_hide_what_is_wrong_now(workspace):
    blocked = materialize(workspace, "none.jsonl")
    assert blocked.returncode == 1
    assert "letters/raw: the check has_documents blocks what follows: 0 of 0 records gave a document" in blocked.stderr
    missing = materialize(workspace, "gone.jsonl")
    assert missing.returncode == 1
    assert "path 'gone.jsonl' matches no file" in missing.stderr
    assert "has_documents" not in missing.stderr


def test_a_wrong_field_is_named_by_the_check(workspace):
    done = materialize(workspace, "some.jsonl", field="boddy")
    assert done.returncode == 1
    assert "0 of 1 records gave a document" in done.stderr
    assert "boddy" in done.stderr


def test_a_killed_run_is_ended_by_the_next_one(workspace):
    killed = materialize(workspace, "some.jsonl", field="body", how=["-c", KILLED])
    assert killed.returncode == -signal.SIGKILL
    done = materialize(workspace, "some.jsonl", field="body")
    assert done.returncode == 0, done.stderr
    assert "is marked as failed: its process is gone." in done.stderr
    again = materialize(workspace, "some.jsonl", field="body")
    assert "is marked as failed" not in again.stderr
