"""Alerts: what a run that ended is worth telling, and that it arrives: at a program, at a server that answers late."""

import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dagster as dg
import pytest
from automated import context_of, sensor_of
from small_pipelines import Lab

from headwater.assets.automation import delivery
from headwater.assets.automation.component import Automation
from headwater.assets.automation.declaration import CommandAlert, WebhookAlert
from headwater.assets.automation.delivery import DeliveryError, deliver
from headwater.assets.automation.events import AlertEvent

EVENT = AlertEvent(
    "failure", "small: it broke", "small", "notes/raw", "", "run-1", "small", 12.5, {"reasons": {"a": 1}}
)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Server:
    """Answers with the given statuses, then with 200, and keeps what was posted."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.posted: list[dict] = []
        self.headers: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                outer.headers.append(dict(self.headers))
                self.send_response(outer.statuses.pop(0) if outer.statuses else 200)
                self.send_header("Location", f"http://127.0.0.1:{self.server.server_address[1]}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """Nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/hooks/s3cret-path"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(delivery, "PAUSE_SECONDS", 0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    own = Server()
    thread = threading.Thread(target=own.http.serve_forever)
    thread.start()
    yield own
    own.http.shutdown()
    own.http.server_close()
    thread.join()


def test_a_webhook_is_posted_the_event_with_its_secret_header(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path
):
    monkeypatch.setenv("ALERT_TOKEN", "Bearer t0p")
    alert = WebhookAlert(url=server.url, headers={"X-Team": "data"}, secret_headers={"Authorization": "ALERT_TOKEN"})
    deliver(EVENT, alert, tmp_path)
    (posted,) = server.posted
    assert posted == EVENT.as_json()
    assert next(iter(posted)) == "text"
    assert server.headers[0]["Authorization"] == "Bearer t0p"
    assert server.headers[0]["X-Team"] == "data"
    assert server.headers[0]["Content-Type"] == "application/json"


def test_a_server_that_recovers_is_tried_again(server: Server, tmp_path: Path):
    server.statuses = [503, 429]
    deliver(EVENT, WebhookAlert(url=server.url, attempts=3), tmp_path)
    assert len(server.posted) == 3


@pytest.mark.parametrize(
    ("statuses", "attempts", "told", "tries"),
    [
        ([500] * 9, 3, "too many 500 error responses", 3),
        ([404], 3, "it answered 404 Not Found", 1),
        ([302], 3, "it answered 302 Found", 1),
    ],
)
def test_a_refusal_is_told_without_the_address(server: Server, tmp_path, statuses, attempts, told, tries):
    server.statuses = statuses
    with pytest.raises(DeliveryError, match=told) as error:
        deliver(EVENT, WebhookAlert(url=server.url, attempts=attempts), tmp_path)
    assert len(server.posted) == tries
    assert "s3cret" not in str(error.value)


def test_a_server_that_is_not_there_is_told_without_the_address(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(delivery, "PAUSE_SECONDS", 0)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(DeliveryError, match="Connection refused") as error:
        deliver(EVENT, WebhookAlert(url="http://127.0.0.1:9/hooks/s3cret-path"), tmp_path)
    assert "s3cret" not in str(error.value)


def test_a_secret_that_is_not_set_is_named(server: Server, tmp_path, monkeypatch):
    monkeypatch.delenv("ALERT_TOKEN", raising=False)
    with pytest.raises(DeliveryError, match="ALERT_TOKEN"):
        deliver(EVENT, WebhookAlert(url=server.url, secret_headers={"Authorization": "ALERT_TOKEN"}), tmp_path)
    assert not server.posted


WRITE = """
import json, os, sys
told = {name: value for name, value in os.environ.items() if name.startswith("HEADWATER_ALERT_")}
json.dump({"event": json.load(sys.stdin), "environment": told}, open("told.json", "w"))
"""


def test_a_command_is_given_the_event_and_its_environment(tmp_path: Path):
    deliver(EVENT, CommandAlert(command=[sys.executable, "-c", WRITE]), tmp_path)
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["event"] == EVENT.as_json()
    assert told["environment"] == {
        "HEADWATER_ALERT_EVENT": "failure",
        "HEADWATER_ALERT_TEXT": "small: it broke",
        "HEADWATER_ALERT_PIPELINE": "small",
        "HEADWATER_ALERT_ASSET": "notes/raw",
        "HEADWATER_ALERT_CHECK": "",
        "HEADWATER_ALERT_RUN": "run-1",
    }


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["no-such-program"], "cannot be started: No such file"),
        ([sys.executable, "-c", "import sys; print('no disk'); sys.exit(3)"], "exit status 3: no disk"),
        ([sys.executable, "-c", "input(); input()", "$(touch shell)"], "exit status 1"),
        ([sys.executable, "-c", "import threading; threading.Event().wait()"], "longer than 0.5 s"),
    ],
)
def test_a_command_that_fails_is_told(tmp_path: Path, command: list[str], told: str):
    with pytest.raises(DeliveryError, match=told):
        deliver(EVENT, CommandAlert(command=command, timeout_seconds=0.5 if "wait" in command[-1] else 20), tmp_path)
    assert not list(tmp_path.iterdir())


@dg.asset(
    group_name="small",
    check_specs=[
        dg.AssetCheckSpec("promotion", asset="current"),
        dg.AssetCheckSpec("drift", asset="current"),
        dg.AssetCheckSpec("readable", asset="current", blocking=True),
    ],
)
def current(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Fails as its tags ask for."""
    tags = context.run.tags
    if "error" in tags:
        raise OSError("the disk is full")
    warn, error = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR
    outcomes = [("promotion", warn), ("drift", warn), ("readable", error)]
    return dg.MaterializeResult(
        metadata={"reused": "reused" in tags},
        check_results=[
            dg.AssetCheckResult(
                check_name=name, passed=name not in tags, severity=level, description=f"why {name}", metadata={"of": 3}
            )
            for name, level in outcomes
        ],
    )


@dg.asset(group_name="other")
def elsewhere() -> None:
    """Belongs to another pipeline."""
    raise OSError("not ours")


class Pipeline:
    """A pipeline whose alerts go to a file, with its alert sensor kept from tick to tick."""

    def __init__(self, lab: Lab, instance: dg.DagsterInstance, *alerts: dict) -> None:
        self.instance, self.cursor, self.told = instance, None, lab.root / "told.jsonl"
        append = f"import sys; open({str(self.told)!r}, 'a').write(sys.stdin.read())"
        command = {"kind": "command", "command": [sys.executable, "-c", append]}
        automation = Automation(name="keep", alerts=[command | alert for alert in alerts] or [command])
        own = dg.Definitions(assets=[current, elsewhere])
        self.definitions = dg.Definitions.merge(automation.definitions("small"), own)

    def run(self, *tags: str, asset: str = "current") -> str:
        job = self.definitions.resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(asset)],
            tags=dict.fromkeys(tags, "yes"),
            run_config=QUIET,
            raise_on_error=False,
        )
        return result.run_id

    def tick(self) -> str:
        context = context_of(self.definitions, self.instance, self.cursor)
        result = sensor_of(self.definitions, "keep_alerts")(context)
        self.cursor = context.cursor
        return result.skip_message

    def events(self) -> list[tuple[str, str, str]]:
        lines = self.told.read_text().splitlines() if self.told.exists() else []
        self.told.unlink(missing_ok=True)
        return [(told["event"], told["check"], told["run"]) for told in map(json.loads, lines)]


@pytest.fixture
def pipeline(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    monkeypatch.setenv("HEADWATER_WORKSPACE", str(lab.root))
    with dg.DagsterInstance.ephemeral() as instance:
        yield Pipeline(lab, instance)


def test_the_past_is_left_alone_and_every_run_after_it_read_once(pipeline: Pipeline):
    pipeline.run("error")
    assert pipeline.tick() == "Runs that end from now on are looked at."
    assert pipeline.tick() == "No run ended since the last look."
    failed = [pipeline.run("error"), pipeline.run("error")]
    pipeline.run()
    assert pipeline.tick() == "3 runs ended; 2 alerts sent."
    assert pipeline.events() == [("failure", "", run) for run in failed]
    assert pipeline.tick() == "No run ended since the last look."
    assert pipeline.events() == []


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ((), []),
        (("error",), [("failure", "")]),
        (("readable",), [("blocking_check", "readable")]),
        (("readable", "reused"), [("blocking_check", "readable")]),
        (("promotion",), [("blocked_promotion", "promotion")]),
        (("promotion", "reused"), []),
        (("drift",), [("warning", "drift")]),
        (("drift", "reused"), []),
        (("promotion", "readable"), [("blocked_promotion", "promotion"), ("blocking_check", "readable")]),
    ],
)
def test_what_a_run_is_worth_telling(lab: Lab, pipeline: Pipeline, tags, expected):
    told = Pipeline(lab, pipeline.instance, {"when": ["failure", "blocking_check", "blocked_promotion", "warning"]})
    told.tick()
    run = told.run(*tags)
    told.tick()
    assert told.events() == [(event, check, run) for event, check in expected]


def test_an_event_says_what_where_and_why(pipeline: Pipeline):
    pipeline.tick()
    for tag in ("error", "promotion"):
        pipeline.run(tag)
    pipeline.tick()
    failure, promotion = map(json.loads, pipeline.told.read_text().splitlines())
    assert failure["text"] == "small: current failed: OSError: the disk is full"
    assert failure["asset"] == "current"
    assert failure["pipeline"] == "small"
    expected = "small: current: the check promotion kept the new checkpoint from becoming current: why promotion"
    assert promotion["text"] == expected
    assert promotion["details"] == {"of": 3}


def test_each_alert_hears_only_of_its_occasions_and_its_pipeline(lab: Lab, pipeline: Pipeline):
    told = Pipeline(lab, pipeline.instance, {"when": ["blocked_promotion"]}, {"when": ["blocked_promotion", "failure"]})
    told.tick()
    promotion, failure = told.run("promotion"), told.run("error")
    told.run(asset="elsewhere")
    assert told.tick() == "3 runs ended; 3 alerts sent."
    events = [(event, run) for event, _, run in told.events()]
    assert sorted(events) == sorted([("blocked_promotion", promotion)] * 2 + [("failure", failure)])


def test_a_run_whose_process_died_is_told(pipeline: Pipeline):
    pipeline.tick()
    job = pipeline.definitions.resolve_implicit_global_asset_job_def()
    run = pipeline.instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.STARTED, asset_selection={dg.AssetKey("current")}
    )
    pipeline.instance.report_run_failed(run, "its process is gone")
    pipeline.tick()
    assert "its process is gone" in pipeline.told.read_text()
    assert pipeline.events() == [("failure", "", run.run_id)]


def test_an_alert_that_fails_is_said_and_stops_nothing(lab: Lab, pipeline: Pipeline):
    told = Pipeline(lab, pipeline.instance, {"command": ["no-such-program"]}, {})
    told.tick()
    run = told.run("error")
    summary = told.tick()
    assert summary.startswith("1 run ended; 1 alert sent, 1 not delivered: the command no-such-program: it cannot be")
    assert told.events() == [("failure", "", run)]


def test_a_tick_that_takes_long_goes_on_in_the_next(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch):
    from headwater.assets.automation import alerting

    pipeline.tick()
    runs = [pipeline.run("readable", "promotion") for _ in range(2)]
    monkeypatch.setattr(alerting, "TICK_SECONDS", -1)
    ticks = [pipeline.tick() for _ in range(7)]
    assert ticks[-1] == "No run ended since the last look."
    assert sorted(run for _, _, run in pipeline.events()) == sorted(runs * 2)
