"""What a declaration of automation may say, what it is told when it is wrong, and what Dagster is given."""

from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import jsonschema
import pytest
import yaml
from automated import CHAIN, automated, names

from headwater.assets.automation.component import Automation
from headwater.assets.command_line.editor_schema import declarations_schema
from headwater.assets.validation import validate_workspace
from headwater.assets.workspace import Workspace

HEAD = """\
type: headwater.assets.Corpus
attributes: {name: notes, sources: [{kind: jsonl, path: a.jsonl}]}
---
type: headwater.assets.Fit
attributes: {name: letters, corpus: notes, fit: {kind: byte_level_bpe, vocabulary_size: 320}}
---
type: headwater.assets.Automation
attributes:
  name: keep
"""

WRONG = {
    "nothing": ("  running: true", 8, "attributes", "it automates nothing", ""),
    "unknown corpus": (
        "  watch:\n    - corpus: nots",
        11,
        "attributes.watch[0].corpus",
        "No Corpus is named",
        "'notes'",
    ),
    "not a corpus": (
        "  watch:\n    - corpus: letters",
        11,
        "attributes.watch[0].corpus",
        "a Corpus is needed",
        "notes",
    ),
    "twice": ("  watch: [{corpus: notes}, {corpus: notes}]", 10, "attributes.watch", "'notes' is given twice", ""),
    "never": (
        "  watch: [{corpus: notes, every_seconds: 0}]",
        10,
        "attributes.watch[0].every_seconds",
        "at least 1",
        "",
    ),
    "cron": ("  schedules: [{name: a, cron: at three}]", 10, "attributes.schedules[0].cron", "cron is 'at three'", ""),
    "seconds": (
        "  schedules:\n    - name: a\n      cron: 99 * * * *",
        12,
        "attributes.schedules[0].cron",
        "minute, hour, day of month",
        "",
    ),
    "timezone": (
        '  schedules: [{name: a, cron: "@daily", timezone: Berlin}]',
        10,
        "attributes.schedules[0].timezone",
        "Europe/Berlin",
        "",
    ),
    "unknown asset": (
        '  schedules: [{name: a, cron: "@daily", assets: [notes/row]}]',
        10,
        "attributes.schedules[0].assets[0]",
        "notes has no asset 'row'",
        "'raw'",
    ),
    "unknown component": (
        '  schedules: [{name: a, cron: "@daily", assets: [notes, leters]}]',
        10,
        "attributes.schedules[0].assets[1]",
        "No component is named 'leters'",
        "'letters'",
    ),
    "no assets": ('  schedules: [{name: a, cron: "@daily", assets: [keep]}]', 10, None, "'keep' has no assets", ""),
    "address": ("  alerts: [{kind: webhook, url: example.com}]", 10, "attributes.alerts[0].url", "http://", ""),
    "no command": ("  alerts: [{kind: command, command: []}]", 10, None, "", ""),
    "occasion": (
        "  alerts: [{kind: command, command: [a], when: [failed]}]",
        10,
        "attributes.alerts[0].when[0]",
        "not one of the choices",
        "failure",
    ),
    "too long": (
        "  alerts: [{kind: webhook, url: 'http://a', attempts: 5, timeout_seconds: 20}]",
        10,
        "attributes.alerts[0].timeout_seconds",
        "30 seconds are the most",
        "",
    ),
    "compute": ("  follow_content: true\n  compute: {workers: 2}", 11, "attributes.compute", "Unknown field", ""),
}


def problems(tmp_path: Path, text: str) -> list:
    folder = tmp_path / "pipelines" / "one"
    folder.mkdir(parents=True, exist_ok=True)
    (folder.parent / "__init__.py").touch()
    (folder / "defs.yaml").write_text(text)
    return validate_workspace(Workspace(tmp_path))


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_its_place_and_mend(name: str, tmp_path: Path):
    text, line, field, message, mend = WRONG[name]
    (problem,) = problems(tmp_path, HEAD + text + "\n")
    assert (problem.file, problem.line) == ("pipelines/one/defs.yaml", line), str(problem)
    assert field is None or problem.field == field
    assert message in problem.message
    assert mend in problem.mend


def test_a_pipeline_has_one_automation(tmp_path: Path):
    more = (
        "  follow_content: true\n---\ntype: headwater.assets.Automation\nattributes: {name: b, follow_content: true}\n"
    )
    (problem,) = problems(tmp_path, HEAD + more)
    assert "'keep' automates this pipeline already" in problem.message
    assert problem.line == 12


RIGHT = """\
  watch: [{corpus: notes}]
  schedules: [{name: nightly, cron: "0 3 * * *", timezone: Europe/Berlin, assets: [letters, notes/raw]}]
  alerts:
    - {kind: command, command: [mail]}
    - {kind: webhook, url: "{{ env.ALERT_URL }}", secret_headers: {Authorization: ALERT_TOKEN}, when: [failure]}
"""


def test_what_is_right_passes_here_and_in_editors(tmp_path: Path):
    assert problems(tmp_path, HEAD + RIGHT) == []
    schema = declarations_schema()
    for document in yaml.safe_load_all(HEAD + RIGHT):
        jsonschema.validate(document, schema)
    broken = {"type": "headwater.assets.Automation", "attributes": {"name": "a", "watched": []}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)


def test_switches_start_as_declared():
    for running in (True, False):
        schedules = [{"name": "nightly", "cron": "@daily"}]
        alerts = [{"kind": "command", "command": ["true"]}]
        definitions = automated(
            running=running, watch=[{"corpus": "notes"}], follow_content=True, schedules=schedules, alerts=alerts
        )
        switches = [*(definitions.sensors or ()), *(definitions.schedules or ())]
        assert len(switches) == 4
        assert {switch.default_status.value for switch in switches} == {"RUNNING" if running else "STOPPED"}


@pytest.mark.parametrize(
    ("asked", "upstream", "expected"),
    [
        ("all", True, ["notes/raw", *CHAIN]),
        (["letters"], False, ["letters/tokenizer"]),
        (["letters"], True, ["letters/tokenizer", "notes/curated", "notes/deduplicated", "notes/raw", "notes/signals"]),
        (["packed/shards", "notes/raw"], False, ["notes/raw", "packed/shards"]),
    ],
)
def test_a_schedule_requests_its_assets_at_its_time(asked, upstream: bool, expected: list[str]):
    schedule = {"name": "nightly", "cron": "0 3 * * *", "timezone": "Europe/Berlin"}
    definitions = automated(schedules=[schedule | {"assets": asked, "upstream": upstream}])
    repository = definitions.get_repository_def()
    nightly = repository.get_schedule_def("keep_nightly")
    assert (nightly.cron_schedule, nightly.execution_timezone) == ("0 3 * * *", "Europe/Berlin")
    job = repository.get_job(nightly.job_name)
    assert names(job.asset_layer.executable_asset_keys) == sorted(expected)
    (request,) = nightly.evaluate_tick(
        dg.build_schedule_context(scheduled_execution_time=datetime(2030, 1, 1, 2, tzinfo=UTC))
    ).run_requests
    assert job.tags["headwater/pipeline"] == "small"
    assert request.tags["headwater/cause"] == "schedule nightly"


def test_a_description_is_shown():
    automation = Automation(name="keep", follow_content=True, description="Notes of the day.")
    (sensor,) = automation.definitions("small").sensors
    assert sensor.description == "Notes of the day."
