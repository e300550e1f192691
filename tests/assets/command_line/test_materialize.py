"""`headwater materialize` as its user meets it: what it says when something is wrong."""

import os
import signal
import subprocess
import sys

import pytest

from headwater.assets.command_line.init import init_workspace
from headwater.assets.command_line.loading import _hint

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
    return headwater(root, "materialize", "letters/raw", how=how)


def headwater(root, *arguments, how=MAIN):
    hidden = ("HEADWATER_STORE", "HEADWATER_WORKSPACE", "DAGSTER_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    command = [sys.executable, *how, *arguments]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    return done


def test_several_names_are_one_run_and_a_component_of_one_asset_is_shown_by_its_name(workspace):
    fit = "---\ntype: headwater.assets.Fit\nattributes: {name: pieces, corpus: letters, compute: {engine: local}}\n"
    file = workspace / "pipelines" / "my_text_lm" / "defs.yaml"
    file.write_text(CORPUS.format(path="some.jsonl", field="body") + fit)
    done = headwater(workspace, "materialize", "letters/raw", "letters/signals")
    assert done.returncode == 0
    assert "letters/raw letters/signals: 2 assets" in done.stderr
    planned = headwater(workspace, "plan", "pieces", "letters/raw").stdout.splitlines()
    assets = [line.split()[0] for line in planned if "✎" in line or "=" in line]
    assert assets == ["letters/raw", "pieces/tokenizer"]
    assert "There is no record of 'pieces/tokenizer'" in headwater(workspace, "show", "pieces").stderr
    assert "'letters' has several assets; name one: letters/raw, " in headwater(workspace, "show", "letters").stderr


def test_a_name_that_is_like_no_other_is_answered_with_a_few_that_are_there():
    known = [f"corpus_{number}/raw" for number in range(40)]
    said = _hint("zzzz", known)
    assert said.startswith("There are: corpus_0/raw, ")
    assert said.count("/raw") == 12
    assert said.endswith(" and 28 more (`headwater show` lists all assets).")
    assert _hint("zzzz", known[:3]) == "There are: corpus_0/raw, corpus_1/raw, corpus_2/raw."
    assert _hint("corpus_77/raw", known).startswith("Did you mean 'corpus_")


def test_python_that_cannot_be_read_is_named_by_file_and_line(workspace):
    (workspace / "own_parts.py").write_text("x = 1\ndef broken(:\n")
    text = CORPUS.format(path="some.jsonl", field="body")
    step = '  curation: {transforms: [{kind: python, function: "own_parts:broken", version: one}]}\n'
    (workspace / "pipelines" / "my_text_lm" / "defs.yaml").write_text(text + step)
    done = headwater(workspace, "materialize", "letters")
    assert done.returncode == 1
    assert "own_parts.py" in done.stderr
    assert "line 2" in done.stderr or "own_parts.py:2" in done.stderr


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
