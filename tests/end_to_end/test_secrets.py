"""A secret planted in the environment and in an address is looked for in all that a run leaves, well done or failed."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from fault_stages import faulty_stage
from small_pipelines import Lab, bytes_tokenizer, notes, packed, plant

from headwater.assets.compute.executor import stop_ray
from headwater.assets.corpus.sources.records import SourceError
from headwater.assets.dagster_assets import asset_of
from headwater.assets.running import run_stage

PASSWORD = "Tr0ub4dor-und-3"
KEY = "AKIA-7777-planted"
SECRETS = (PASSWORD, KEY)


@pytest.fixture
def planted(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A laboratory whose environment holds secrets, with a Dagster home of its own."""
    monkeypatch.setenv("SCALE_TEST_PASSWORD", PASSWORD)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    monkeypatch.setenv("HEADWATER_WORKSPACE", str(lab.root))
    monkeypatch.setenv("HEADWATER_STORE", lab.store.url)
    monkeypatch.delenv("OPENLINEAGE_DISABLED", raising=False)
    (tmp_path / "dagster").mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.setenv("HEADWATER_PROGRESS", "plain")
    return lab


def run_in_dagster(stages: Any) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.get() as instance:
        return dg.materialize([asset_of(stage) for stage in stages], instance=instance, raise_on_error=False)


def files_that_tell(folder: Path) -> list[str]:
    """Files below a folder that hold one of the secrets."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            found += [f"{path.relative_to(folder)}: {secret}" for secret in SECRETS if secret.encode() in data]
    return found


def told_in(tmp_path: Path, caught: Any, logs: pytest.LogCaptureFixture) -> list[str]:
    """Where in the store, Dagster's history, the terminal and the log a secret stands."""
    spoken = caught.readouterr()
    places = {"stdout": spoken.out, "stderr": spoken.err, "log": logs.text}
    found = [f"{name}: {secret}" for name, text in places.items() for secret in SECRETS if secret in text]
    return found + files_that_tell(tmp_path / "store") + files_that_tell(tmp_path / "dagster")


def test_a_run_that_succeeds_tells_no_secret(planted, tmp_path, capfd, caplog):
    caplog.set_level(logging.INFO)
    plant(planted, 30)
    step = {"kind": "python", "function": "small_stages:shout", "options": {"word": f"x{KEY}"}, "version": "1"}
    components = [notes(curation={"transforms": [step], "rules": []}), bytes_tokenizer(), packed()]
    result = run_in_dagster([stage for component in components for stage in component.stages("small")])
    assert result.success
    assert (tmp_path / "store" / "openlineage" / "events.ndjson").stat().st_size > 0
    assert told_in(tmp_path, capfd, caplog) == []


def test_an_address_with_a_password_that_cannot_be_read_tells_none(planted, tmp_path, capfd, caplog):
    caplog.set_level(logging.INFO)
    address = f"http://reader:{PASSWORD}@127.0.0.1:9/dump/*.jsonl?token={KEY}"
    raw = notes(path=address).stages("small")[0]
    with pytest.raises(SourceError) as caught:
        run_stage(raw, planted.store, planted.workspace)
    seen: BaseException | None = caught.value
    while seen is not None:
        assert not any(secret in f"{seen!r} {seen}" for secret in SECRETS)
        seen = seen.__cause__ or seen.__context__
    assert not run_in_dagster([raw]).success
    events = (tmp_path / "store" / "openlineage" / "events.ndjson").read_text()
    assert '"FAIL"' in events
    assert told_in(tmp_path, capfd, caplog) == []


def test_a_partition_that_fails_with_a_secret_in_its_message_tells_none(planted, tmp_path, capfd, caplog):
    caplog.set_level(logging.INFO)
    assert not run_in_dagster([faulty_stage("error", tmp_path)]).success
    assert told_in(tmp_path, capfd, caplog) == []


@pytest.fixture
def ray_logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the Ray of a test leaves its logs; it is started and ended by the test."""
    stop_ray()
    for name in ("HEADWATER_ENGINE", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    yield Path("/tmp/ray/session_latest").parent
    stop_ray()


@pytest.mark.slow
def test_workers_and_the_logs_of_ray_tell_none(planted, tmp_path, capfd, caplog, ray_logs):
    caplog.set_level(logging.INFO)
    assert not run_in_dagster([faulty_stage("error", tmp_path)]).success
    session = (ray_logs / "session_latest").resolve()
    assert files_that_tell(session / "logs") == []
    assert told_in(tmp_path, capfd, caplog) == []
