"""OpenLineage events: what is told of a run, of a failed one, of one that was killed, and what is never told."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pyarrow as pa
import pytest
from openlineage.client.serde import Serde
from openlineage_schema import problems_of
from small_pipelines import Lab, bytes_tokenizer, notes, packed, plant, stages_of, tiny_training

from headwater.assets.lineage import openlineage, openlineage_delivery
from headwater.assets.lineage.openlineage_events import public_text, split_url, store_namespace, web_address
from headwater.assets.running import run_stage
from headwater.assets.storage.places import Store
from headwater.assets.workspace import Workspace


@pytest.fixture(autouse=True)
def no_configuration(monkeypatch, tmp_path):
    """Whatever the machine configures is out of sight; warnings count anew."""
    for name in list(os.environ):
        if name.startswith("OPENLINEAGE"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(openlineage, "_warned", set())


def events_of(lab) -> list[dict]:
    file = Path(lab.store.root) / "openlineage" / "events.ndjson"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def states(events) -> list[tuple[str, str]]:
    return [(event["job"]["name"], event["eventType"]) for event in events]


def notes_of_running(lab) -> list[Path]:
    return list((Path(lab.store.root) / "openlineage" / "running").glob("*"))


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A whole pipeline, and the events of its runs."""
    root = tmp_path_factory.mktemp("told")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADWATER_ENGINE", "local")
        patch.setenv("HOME", str(root))
        patch.delenv("OPENLINEAGE_DISABLED", raising=False)
        lab = Lab(root / "workspace", root / "store")
        plant(lab, 24)
        lab.run(notes(owners=["team:data"]), bytes_tokenizer(), packed(), tiny_training(2))
        return lab, events_of(lab)


def test_every_run_starts_and_completes_once_with_its_inputs_and_outputs(told):
    lab, events = told
    assets = [stage.asset for stage in stages_of(notes(), bytes_tokenizer(), packed(), tiny_training(2))]
    assert states(events) == [(asset, state) for asset in assets for state in ("START", "COMPLETE")]
    assert not notes_of_running(lab)
    for start, end in zip(events[::2], events[1::2], strict=True):
        record = lab.record(end["job"]["name"])
        assert start["run"]["runId"] == end["run"]["runId"]
        told_rows = {
            item["name"].split("/tables/")[1].removesuffix(".lance"): item["outputFacets"]["outputStatistics"][
                "rowCount"
            ]
            for item in end["outputs"]
            if "/tables/" in item["name"]
        }
        assert told_rows == {name: table.rows for name, table in record.tables.items()}
        consumed = {item["facets"]["headwater_content"]["asset"] for item in end["inputs"] if item.get("facets")}
        known = {asset for asset in record.identity.options["_inputs"].values() if asset in lab.store.assets()}
        assert consumed == known
        assert end["run"]["facets"]["headwater_identity"]["identity"] == record.digest
        assert {test["name"] for test in end["run"]["facets"].get("test", {"tests": []})["tests"]} == {
            check.name for check in record.checks
        }


def test_versions_and_columns_are_those_of_the_record(told):
    lab, events = told
    curated = next(e for e in events if e["job"]["name"] == "notes/curated" and e["eventType"] == "COMPLETE")
    record, signals = lab.record("notes/curated"), lab.record("notes/signals")
    (output,) = [item for item in curated["outputs"] if item["name"].endswith("/decisions.lance")]
    assert output["namespace"] == "headwater://workspace"
    assert output["name"] == "store/notes/curated/tables/decisions.lance"
    facets = output["facets"]
    assert facets["version"]["datasetVersion"] == str(record.tables["decisions"].version)
    assert {f["name"]: f["type"] for f in facets["schema"]["fields"]} == record.tables["decisions"].columns
    assert facets["headwater_content"]["contentVersion"] == record.tables["decisions"].content
    read = {item["name"].rsplit("/", 1)[1]: item for item in curated["inputs"]}["signals.lance"]
    assert read["facets"]["version"]["datasetVersion"] == str(signals.tables["signals"].version)
    raw = next(e for e in events if e["job"]["name"] == "notes/raw")
    assert {"namespace": "headwater://workspace", "name": "notes.jsonl"}.items() <= raw["inputs"][0].items()
    assert raw["job"]["facets"]["ownership"]["owners"] == [{"name": "team:data"}]
    assert raw["job"]["facets"]["jobType"]["processingType"] == "BATCH"
    assert raw["job"]["facets"]["jobType"]["integration"] == "HEADWATER"


def test_every_event_follows_the_schema(told):
    _, events = told
    assert [problem for event in events for problem in problems_of(event)] == []


def test_the_schema_is_not_satisfied_by_anything(told):
    _, events = told
    broken = json.loads(json.dumps(events[1]))
    broken["run"]["runId"] = "first"
    broken["eventType"] = "DONE"
    broken["job"]["facets"]["headwater_code"]["number"] = "1"
    del broken["outputs"][0]["facets"]["version"]["datasetVersion"]
    broken["outputs"][0]["facets"]["schema"]["fields"][0]["ordinal_position"] = "first"
    assert len(problems_of(broken)) == 5


def test_nothing_is_told_of_a_reused_output_and_a_restored_one_is_marked(lab):
    plant(lab, 8)
    lab.run(notes(), until="curated")
    events = events_of(lab)
    lab.run(notes(), until="curated")
    assert len(events_of(lab)) == len(events)
    before = lab.record("notes/curated")
    stricter = notes(curation={"rules": [{"kind": "length", "min_words": 50, "min_bytes": None}]})
    lab.run(stricter, until="curated")
    lab.run(notes(), until="curated")
    assert lab.record("notes/curated") == before
    restored = [e for e in events_of(lab)[len(events) :] if e["run"]["facets"]["headwater_identity"]["restored"]]
    assert states(restored) == [("notes/curated", "START"), ("notes/curated", "COMPLETE")]
    assert restored[1]["run"]["facets"]["headwater_identity"]["identity"] == before.digest
    assert "seconds" not in restored[1]["run"]["facets"]["headwater_identity"]
    assert problems_of(restored[1]) == []


def test_a_dagster_run_is_the_parent(lab):
    plant(lab, 4)
    parent = "0192f3a4-0000-7000-8000-000000000001"
    stage = stages_of(notes())[0]
    run_stage(stage, lab.store, lab.workspace, run=parent)
    for event in events_of(lab):
        assert event["run"]["facets"]["parent"]["run"]["runId"] == parent
        assert event["run"]["facets"]["parent"]["job"]["name"] == "small"
        assert problems_of(event) == []


def test_a_run_that_cannot_begin_is_told_without_places_and_secrets(lab, monkeypatch):
    monkeypatch.setenv("MY_SECRET_KEY", "hunter2-hunter2")
    missing = notes("gone", str(lab.root / "hunter2-hunter2" / "nowhere.jsonl"))
    with pytest.raises(Exception, match="nowhere"):
        lab.run(missing, until="raw")
    start, fail = events_of(lab)
    assert (start["eventType"], fail["eventType"]) == ("START", "FAIL")
    message = fail["run"]["facets"]["errorMessage"]["message"]
    assert message.startswith("SourceError: ")
    assert "nowhere.jsonl" in message
    assert "hunter2" not in json.dumps([start, fail])
    assert str(lab.root) not in json.dumps([start, fail])
    assert problems_of(start) + problems_of(fail) == []


def test_lines_are_what_the_client_itself_writes(lab, monkeypatch):
    written = []
    write = openlineage_delivery.as_json
    monkeypatch.setattr(openlineage_delivery, "as_json", lambda event: written.append(event) or write(event))
    plant(lab, 4)
    lab.run(notes(owners=["team:data"]), until="curated")
    with pytest.raises(Exception, match="nowhere"):
        lab.run(notes("gone", "nowhere.jsonl"), until="raw")
    assert [write(event) for event in written] == [Serde.to_json(event) for event in written]
    assert {event.eventType.value for event in written} == {"START", "COMPLETE", "FAIL"}


def test_a_tag_that_is_no_text_is_written_as_the_client_does(lab):
    (lab.root / "openlineage.yml").write_text("tags: {job: {released: 2026-01-01}}\n")
    plant(lab, 2)
    run_stage(stages_of(notes())[0], lab.store, lab.workspace)
    assert states(events_of(lab)) == [("notes/raw", "START"), ("notes/raw", "COMPLETE")]
    assert "2026-01-01" in json.dumps(events_of(lab))


def test_an_error_that_may_quote_a_document_is_told_by_its_type_and_place(lab, monkeypatch):
    plant(lab, 2)
    monkeypatch.setattr("headwater.assets.running._refresh_or_compute", _fails(lab))
    with pytest.raises(openlineage_delivery.queue.Empty):
        run_stage(stages_of(notes())[0], lab.store, lab.workspace)
    start, fail = events_of(lab)
    assert (start["eventType"], fail["eventType"]) == ("START", "FAIL")
    message = fail["run"]["facets"]["errorMessage"]["message"]
    assert message.startswith("Empty in ")
    assert "a document's text" not in message
    assert fail["run"]["runId"] == start["run"]["runId"]
    assert problems_of(fail) == []
    assert not notes_of_running(lab)


def _fails(lab):
    def compute(*arguments):
        raise openlineage_delivery.queue.Empty("a document's text")

    return compute


def test_ones_own_errors_are_told_with_their_message(lab, monkeypatch):
    from headwater.assets.context import StageError

    def compute(*arguments):
        raise StageError(f"{lab.root}/a.jsonl, line 3: no text")

    monkeypatch.setattr("headwater.assets.running._refresh_or_compute", compute)
    plant(lab, 2)
    with pytest.raises(StageError):
        run_stage(stages_of(notes())[0], lab.store, lab.workspace)
    message = events_of(lab)[-1]["run"]["facets"]["errorMessage"]["message"]
    assert message == "StageError: <workspace>/a.jsonl, line 3: no text"


def test_an_interrupted_run_is_aborted(lab, monkeypatch):
    def compute(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("headwater.assets.running._refresh_or_compute", compute)
    plant(lab, 2)
    with pytest.raises(KeyboardInterrupt):
        run_stage(stages_of(notes())[0], lab.store, lab.workspace)
    assert [event["eventType"] for event in events_of(lab)] == ["START", "ABORT"]


KILLED = """
    import os, signal, sys
    sys.path.insert(0, {tests!r})
    from pathlib import Path
    from small_pipelines import Lab, notes, stages_of
    from headwater.assets import running
    from headwater.assets.lineage import openlineage
    def dies(*arguments, **named):
        os.kill(os.getpid(), signal.SIGKILL)
    {where} = dies
    lab = Lab(Path({workspace!r}), Path({store!r}))
    running.run_stage(stages_of(notes())[0], lab.store, lab.workspace)
"""


def killed(lab, where: str) -> None:
    """Runs notes/raw in a process that is killed where a function of the runner is called."""
    places = {"tests": str(Path(__file__).parents[2]), "workspace": str(lab.root), "store": str(lab.store.root)}
    code = textwrap.dedent(KILLED.format(where=where, **places))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def test_a_killed_run_is_aborted_by_the_next_which_completes(lab):
    plant(lab, 4)
    killed(lab, "running._refresh_or_compute")
    (start,) = events_of(lab)
    assert start["eventType"] == "START"
    run_stage(stages_of(notes())[0], lab.store, lab.workspace)
    events = events_of(lab)
    assert [event["eventType"] for event in events] == ["START", "ABORT", "START", "COMPLETE"]
    assert events[1]["run"]["runId"] == start["run"]["runId"] != events[2]["run"]["runId"]
    assert [problem for event in events for problem in problems_of(event)] == []
    assert not notes_of_running(lab)


def test_a_run_killed_after_it_published_is_completed_by_the_next(lab):
    plant(lab, 4)
    killed(lab, "openlineage._complete")
    record = lab.record("notes/raw")
    (start,) = events_of(lab)
    file = Path(lab.store.root) / "openlineage" / "events.ndjson"
    with file.open("a") as events:
        events.write('{"cut sho')  # as a kill in mid-write leaves it
    assert run_stage(stages_of(notes())[0], lab.store, lab.workspace).reused
    _start, cut, last = file.read_text().splitlines()
    assert cut == '{"cut sho'
    told = json.loads(last)
    assert (told["eventType"], told["run"]["runId"]) == ("COMPLETE", start["run"]["runId"])
    assert told["run"]["facets"]["headwater_identity"]["identity"] == record.digest
    assert told["outputs"]
    assert problems_of(told) == []
    assert not notes_of_running(lab)


def test_it_can_be_switched_off(lab, monkeypatch):
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    plant(lab, 2)
    lab.run(notes(), until="raw")
    assert not (Path(lab.store.root) / "openlineage").exists()


def test_a_refused_connection_is_one_warning_and_fails_nothing(lab, monkeypatch, caplog):
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as unused:
        port = unused.server_port
    transport = {"type": "http", "url": f"http://user:password@127.0.0.1:{port}", "retry": {"total": 0}}
    (lab.root / "openlineage.yml").write_text(json.dumps({"transport": transport}))
    plant(lab, 4)
    lab.run(notes(), until="signals")
    openlineage_delivery.delivery_for(lab.store, lab.workspace).close(30)
    warnings = [r.getMessage() for r in caplog.records if r.name == openlineage.__name__]
    assert len(warnings) == 1
    assert "ConnectionError" in warnings[0]
    assert "password" not in warnings[0]
    assert events_of(lab) == []


def test_a_configured_collector_gets_the_events_in_order(lab, monkeypatch):
    received = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(201)
            self.end_headers()

        def log_message(self, format, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "production")
        plant(lab, 4)
        lab.run(notes(), until="signals")
        openlineage_delivery.delivery_for(lab.store, lab.workspace).close(30)
        server.shutdown()
    assert states(received) == [(f"notes/{stage}", s) for stage in ("raw", "signals") for s in ("START", "COMPLETE")]
    assert {event["job"]["namespace"] for event in received} == {"production"}
    assert {item["namespace"] for event in received for item in event["outputs"]} == {"headwater://workspace"}


def test_an_object_store_gets_a_file_for_each_event(tmp_path):
    workspace = Workspace(tmp_path)
    store = Store("memory://bucket/prefix")
    delivery = openlineage_delivery.delivery_for(store, workspace)
    start = openlineage.StageRun(stages_of(notes())[0], store, workspace, _identity(), _RUN, "", None, False)
    openlineage._send(start, "START")
    delivery.close(30)
    (name,) = store.fs.glob(f"{store.root}/openlineage/events/*")
    assert json.loads(store.fs.cat_file(name))["run"]["runId"] == _RUN


_RUN = "0192f3a4-0000-7000-8000-000000000002"


def _identity():
    from headwater.assets.storage.records import CodeRecord, Identity

    return Identity(asset="notes/raw", inputs={}, options={"_inputs": {}}, code=CodeRecord(number=1, modules="x"))


def test_no_event_holds_a_place_of_this_machine(told):
    lab, _ = told
    text = (Path(lab.store.root) / "openlineage" / "events.ndjson").read_text()
    assert str(lab.root) not in text
    assert str(lab.store.root) not in text
    assert os.uname().nodename not in text
    for document in lab.table("notes/raw", "documents")["text"].to_pylist():
        assert document[:40] not in text


def test_names_follow_the_convention(tmp_path):
    workspace = Workspace(tmp_path / "my work")
    assert store_namespace(Store(str(tmp_path / "store")), workspace) == ("headwater://my%20work", "store")
    assert split_url("s3://bucket/a/b/") == ("s3://bucket", "a/b")
    assert split_url("ftp://me:word@host:21/a?sig=1") == ("ftp://host:21", "a")
    (tmp_path / "named").mkdir()
    (tmp_path / "named" / "pyproject.toml").write_text('[project]\nname = "corpora"\n')
    assert store_namespace(Store(str(tmp_path / "s")), Workspace(tmp_path / "named")) == ("headwater://corpora", "s")


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("https://me:token@code.example.org/team/data.git", "https://code.example.org/team/data"),
        ("git@code.example.org:team/data.git", "https://code.example.org/team/data"),
        ("ssh://git@code.example.org:22/team/data", "https://code.example.org/team/data"),
        ("/srv/git/data.git", None),
        ("../data", None),
        ("", None),
    ],
)
def test_a_remote_becomes_a_web_address_without_its_password(remote, address):
    assert web_address(remote) == address


def test_public_text(tmp_path, monkeypatch):
    monkeypatch.setenv("API_TOKEN", "abcdef123456")
    store, workspace = Store(str(tmp_path / "ws" / "store")), Workspace(tmp_path / "ws")
    told = public_text(
        f"{tmp_path}/ws/store/a/b and {tmp_path}/ws/x; /etc/secret/file, s3://me:pw@b/k?X-Sig=1 abcdef123456 a/b/c",
        workspace,
        store,
    )
    assert told == "<store>/a/b and <workspace>/x; …/file, s3://b/k *** a/b/c"
    assert len(public_text("x" * 5000, workspace, store)) == 1000


def test_lines_of_two_writers_never_mix(tmp_path):
    from openlineage.client.transport.file import FileConfig

    path = tmp_path / "deep" / "events.ndjson"
    files = [openlineage_delivery.EventFile(FileConfig(str(path), append=True)) for _ in range(2)]
    event = {"text": "x" * 20000}
    threads = [Thread(target=lambda f=f: [f.emit(event) for _ in range(40)]) for f in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [json.loads(line) for line in path.read_text().splitlines()] == [event] * 80


def test_telling_does_not_touch_content(lab, monkeypatch):
    plant(lab, 6)
    lab.run(notes(), until="curated")
    with_events = lab.record("notes/curated").content_version
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    quiet = Store(str(lab.root.parent / "quiet"))
    for stage in stages_of(notes())[:3]:
        run_stage(stage, quiet, lab.workspace)
    record = quiet.place("notes/curated").record()
    assert record is not None
    assert record.content_version == with_events
    assert isinstance(lab.table("notes/curated", "decisions"), pa.Table)
