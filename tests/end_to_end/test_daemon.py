"""With no hand on it: a daemon beside a watched folder. Files become shards, many a checkpoint, and faults alerts.

The daemon runs as in production: a process of its own that loads the workspace, evaluates sensors and launches runs.
Everything is waited for with a deadline by looking at the store, as a person would.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from small_pipelines import Lab, bytes_tokenizer, notes, packed, plant, prose, tiny_training

from headwater.assets.automation.component import Automation
from headwater.assets.command_line.init import init_workspace
from headwater.assets.storage.records import Record
from headwater.assets.workspace import DAGSTER_YAML

APPEND = "import sys; open('told.jsonl', 'a').write(sys.stdin.read())"
DEADLINE = 240  # seconds for one step of the story, on a busy machine


class Daemon:
    """`dagster-daemon` over a workspace, with its log at hand."""

    def __init__(self, root: Path) -> None:
        self.root, self.log = root, root / "daemon.log"
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HEADWATER_", "DAGSTER_"))}
        own = {"DAGSTER_HOME": str(root / ".dagster"), "DAGSTER_DISABLE_TELEMETRY": "yes", "HEADWATER_ENGINE": "local"}
        own |= {"HEADWATER_WORKSPACE": str(root), "OMP_NUM_THREADS": "1", "NO_PROXY": "127.0.0.1"}
        program = str(Path(sys.executable).with_name("dagster-daemon"))
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [program, "run", "-w", "workspace.yaml"],
                cwd=root,
                env=inherited | own,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def until(self, what: str, holds: Callable[[], Any]) -> Any:
        """Waits for something and returns it; fails with the end of the log when it does not come."""
        ends = time.monotonic() + DEADLINE
        while time.monotonic() < ends:
            if self.process.poll() is not None:
                break
            if found := holds():
                return found
            time.sleep(0.5)
        pytest.fail(f"not seen: {what}\n{self.log.read_text(errors='replace')[-6000:]}")

    def stop(self) -> None:
        """Ends the daemon, its code server and its runs."""
        self.process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):  # where the parent ignores SIGTERM, so does the daemon
            self.process.wait(10)
        self.kill()

    def kill(self) -> None:
        """What a power failure does to the daemon, its code server and its runs: they are one session."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Posts(ThreadingHTTPServer):
    """Keeps what is posted to it."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Nothing."""

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def posts() -> Iterator[Posts]:
    server = Posts()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def declare(root: Path, posts: Posts) -> None:
    """A workspace over `inbox/` that retrains once a third more tokens are there, with everything automated."""
    init_workspace(root)
    (root / "pipelines/my_text_lm/defs.yaml").unlink()
    (root / "inbox").mkdir()
    alerts = [
        {"kind": "command", "command": [sys.executable, "-c", APPEND]},
        {"kind": "webhook", "url": f"http://127.0.0.1:{posts.server_address[1]}/hook"},
    ]
    watched = {"corpus": "notes", "every_seconds": 2, "retry_minutes": 0.1}
    components = (
        notes(path="inbox/*.jsonl", max_unreadable_share=0.1),
        bytes_tokenizer(),
        packed(),
        tiny_training(8, retrain={"when": {"new_tokens_share": 0.34}, "how": "scratch"}),
        Automation(name="keep", watch=[watched], follow_content=True, alerts=alerts),
    )
    documents = [
        {
            "type": f"headwater.assets.{type(component).__name__}",
            "attributes": component.options.model_dump(mode="json", exclude_unset=True),
        }
        for component in components
    ]
    (root / "pipelines/small").mkdir()
    (root / "pipelines/small/defs.yaml").write_text(yaml.safe_dump_all(documents, sort_keys=False))
    (root / ".dagster").mkdir()
    (root / ".dagster/dagster.yaml").write_text(DAGSTER_YAML)


def tars(record: Record) -> dict[str, str]:
    """The shards of a record with their hashes."""
    return {name: sha for name, sha in record.files.items() if name.endswith(".tar")}


class Story:
    """The workspace, seen from outside while the daemon works."""

    def __init__(self, root: Path) -> None:
        self.lab, self.daemon = Lab(root, root / "store"), Daemon(root)

    def record(self, asset: str) -> Record | None:
        return self.lab.store.place(asset).record()

    def drop(self, name: str, first: int, count: int, spoilt: int = 0) -> None:
        """A file arrives whole, as `mv` or an upload would bring it: notes, and lines that are none."""
        plant(self.lab, count, f"outside/{name}", first)
        file = self.lab.root / "outside" / name
        file.write_text(file.read_text() + "{no JSON\n" * spoilt)
        file.rename(self.lab.root / "inbox" / name)

    def arrived(self, first: int, count: int) -> bool:
        """Whether shards were packed from tokens that hold these documents."""
        shards, tokens = self.record("packed/shards"), self.record("packed/tokens")
        if shards is None or tokens is None or shards.identity.inputs["tokens"].content != tokens.content_version:
            return False
        wanted = {prose(first + n) for n in range(count)}
        texts = self.lab.table("notes/raw", "documents")
        ids = {
            i for i, text in zip(texts["doc_id"].to_pylist(), texts["text"].to_pylist(), strict=True) if text in wanted
        }
        return len(ids) == count and ids <= set(self.lab.table("packed/tokens", "spans")["doc_id"].to_pylist())

    def current(self, asset: str, of: str, role: str) -> bool:
        """Whether an asset was made from the present output of another."""
        own, other = self.record(asset), self.record(of)
        return bool(own and other and own.identity.inputs[role].content == other.content_version)

    def runs(self) -> list[dg.DagsterRun]:
        """All runs, the latest first."""
        os.environ["DAGSTER_HOME"] = str(self.lab.root / ".dagster")
        with dg.DagsterInstance.get() as instance:
            return list(instance.get_runs())

    def settled(self) -> list[dg.DagsterRun]:
        """All runs, once none is in progress."""
        runs = self.runs()
        return runs if all(run.is_finished for run in runs) else []


@pytest.fixture
def story(tmp_path: Path, posts: Posts, monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
    monkeypatch.setenv("DAGSTER_HOME", "")
    declare(tmp_path / "lake", posts)
    told = Story(tmp_path / "lake")
    try:
        yield told
    finally:
        told.daemon.stop()


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_files_become_shards_then_a_checkpoint_and_faults_alerts(story: Story, posts: Posts):
    daemon = story.daemon
    story.drop("first.jsonl", 0, 40)
    daemon.until("a first checkpoint", lambda: story.record("tiny/checkpoint") and story.settled())
    first = story.record("tiny/checkpoint")
    shards = story.record("packed/shards")

    story.drop("few.jsonl", 100, 6)
    daemon.until("the new notes in a shard", lambda: story.arrived(100, 6) and story.settled())
    grown = story.record("packed/shards")
    assert tars(shards).items() < tars(grown).items(), "new shards stand beside the old ones, whose bytes stay"
    assert story.record("tiny/checkpoint").digest == first.digest, "below the threshold nothing is trained"

    story.drop("many.jsonl", 200, 30)
    daemon.until("a new checkpoint", lambda: story.record("tiny/checkpoint").digest != first.digest and story.settled())
    assert story.arrived(200, 30)
    assert story.current("tiny/checkpoint", "packed/shards", "shards")
    assert posts.bodies == []

    before = story.record("packed/shards").digest
    story.drop("spoilt.jsonl", 300, 2, spoilt=60)
    daemon.until("an alert", lambda: posts.bodies and (story.lab.root / "told.jsonl").exists() and story.settled())
    (alert,) = posts.bodies
    assert (alert["event"], alert["asset"], alert["check"]) == ("blocking_check", "notes/raw", "readable")
    assert json.loads((story.lab.root / "told.jsonl").read_text()) == alert
    assert story.record("packed/shards").digest == before, "nothing is built on what a check blocks"

    (story.lab.root / "inbox/spoilt.jsonl").unlink()
    daemon.until("the way back", lambda: story.current("notes/signals", "notes/raw", "raw") and story.settled())
    assert len(posts.bodies) == 1
    runs = story.settled()
    assert {run.tags.get("dagster/sensor_name") for run in runs} <= {"keep_watches_notes", "keep_follows_content"}
    causes = [run.tags["headwater/cause"] for run in runs if run.tags["dagster/sensor_name"] == "keep_watches_notes"]
    assert causes == ["1 deleted file", "1 new file", "1 new file", "1 new file", "1 new file"]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_machine_that_goes_down_in_a_run_goes_on_where_it_was(story: Story, posts: Posts):
    story.drop("first.jsonl", 0, 40)
    story.daemon.until("a run in its course", lambda: story.record("notes/raw"))
    story.daemon.kill()
    (broken,) = story.runs()
    assert broken.status == dg.DagsterRunStatus.STARTED, "nobody was left to say that it ended"

    story.daemon = Daemon(story.lab.root)
    story.daemon.until("a checkpoint all the same", lambda: story.record("tiny/checkpoint") and story.settled())
    assert story.arrived(0, 40)
    assert {run.run_id: run for run in story.runs()}[broken.run_id].status == dg.DagsterRunStatus.FAILURE
    (alert,) = story.daemon.until("an alert", lambda: posts.bodies)
    assert (alert["event"], alert["run"]) == ("failure", broken.run_id)
    assert "its process is gone" in alert["text"].lower()
