"""Source sensors: a listing that differs requests one run, one that does not requests none and opens no file."""

import dagster as dg
import pytest
from automated import CHAIN, automated, context_of, names, sensor_of
from fsspec.implementations.local import LocalFileSystem
from small_pipelines import Lab, notes, plant

from headwater.assets.automation import watching
from headwater.assets.automation.arrivals import Arrivals, compare
from headwater.assets.corpus.reading import SourceError

WATCH = [{"corpus": "notes", "every_seconds": 7}]


class Watcher:
    """The sensor of `notes`, with its cursor kept from tick to tick."""

    def __init__(self, lab: Lab, instance: dg.DagsterInstance, **watched) -> None:
        self.lab, self.instance, self.cursor = lab, instance, None
        self.definitions = automated(watch=[{"corpus": "notes"} | watched], follow_content=True)
        self.sensor = sensor_of(self.definitions, "keep_watches_notes")

    def tick(self) -> dg.RunRequest | str:
        """What the sensor requests, or why it does not."""
        context = context_of(self.definitions, self.instance, self.cursor)
        result = self.sensor(context)
        self.cursor = context.cursor
        return result.skip_message if isinstance(result, dg.SkipReason) else result

    def run_raw(self, told: bool = True) -> None:
        """Materializes raw; Dagster hears of it unless the process ended just before."""
        self.lab.run(notes(path="inbox/*.jsonl"), until="raw")
        if told:
            tags = {"dagster/data_version": self.lab.record("notes/raw").content_version}
            self.instance.report_runless_asset_event(dg.AssetMaterialization(["notes", "raw"], tags=tags))


@pytest.fixture
def watcher(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HEADWATER_WORKSPACE", str(lab.root))
    monkeypatch.setenv("HEADWATER_STORE", lab.store.url)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Watcher(lab, instance)


def test_it_waits_for_the_first_files(watcher: Watcher):
    assert "Waiting for the first files: jsonl: path 'inbox/*.jsonl' matches no file" in watcher.tick()


def test_what_arrives_is_requested_once_and_what_stays_never(watcher: Watcher):
    plant(watcher.lab, 3, "inbox/a.jsonl")
    request = watcher.tick()
    assert request.tags["headwater/cause"] == "1 new file"
    assert watcher.definitions.get_repository_def().get_job("keep_watches_notes").tags["headwater/pipeline"] == "small"
    assert "The sources changed. This was requested; its run was not launched." in watcher.tick()
    watcher.run_raw()
    assert watcher.tick().startswith("No change since 2")


def test_an_output_that_dagster_has_not_heard_of_is_run_once_more(watcher: Watcher):
    plant(watcher.lab, 3, "inbox/a.jsonl")
    first = watcher.tick()
    watcher.run_raw(told=False)
    again = watcher.tick()
    assert again.tags["headwater/cause"] == "Dagster's history lacks the present output."
    assert again.run_key != first.run_key
    assert "This was requested" in watcher.tick()
    watcher.run_raw()
    assert watcher.tick().startswith("No change since 2")


def test_every_change_is_a_request_of_its_own_also_on_the_way_back(watcher: Watcher):
    keys = []
    for count in (3, 4, 3, 4):
        plant(watcher.lab, count, "inbox/a.jsonl")
        keys.append(watcher.tick().run_key)
        watcher.run_raw()
        assert "No change" in watcher.tick()
    assert len(set(keys)) == 4


def test_no_change_opens_no_file(watcher: Watcher, monkeypatch: pytest.MonkeyPatch):
    plant(watcher.lab, 3, "inbox/a.jsonl")
    watcher.run_raw()
    opened, listed = [], []
    original = LocalFileSystem._open
    glob = LocalFileSystem.glob
    monkeypatch.setattr(
        LocalFileSystem, "_open", lambda fs, path, *a, **k: (opened.append(path), original(fs, path, *a, **k))[1]
    )
    monkeypatch.setattr(LocalFileSystem, "glob", lambda fs, path, **k: (listed.append(path), glob(fs, path, **k))[1])
    assert "No change" in watcher.tick()
    assert not [path for path in opened if "inbox" in path]
    assert len([path for path in listed if "inbox" in path]) == 1


def test_sources_that_vanish_fail_one_run_that_says_so(watcher: Watcher):
    plant(watcher.lab, 3, "inbox/a.jsonl")
    watcher.tick()
    watcher.run_raw()
    moved = (watcher.lab.root / "inbox/a.jsonl").rename(watcher.lab.root / "a.jsonl")
    request = watcher.tick()
    assert request.tags["headwater/cause"].startswith("not listed: jsonl: path 'inbox/*.jsonl' matches no file")
    with pytest.raises(SourceError, match="matches no file"):
        watcher.run_raw()
    assert watcher.tick().startswith("The sources cannot be listed: jsonl: path 'inbox/*.jsonl' matches no file")
    moved.rename(watcher.lab.root / "inbox/a.jsonl")
    assert "No change" in watcher.tick()
    plant(watcher.lab, 4, "inbox/b.jsonl")
    assert watcher.tick().tags["headwater/cause"] == "1 new file"


@pytest.mark.parametrize("tagged", [True, False])
def test_a_run_in_progress_is_waited_for(watcher: Watcher, tagged: bool):
    plant(watcher.lab, 3, "inbox/a.jsonl")
    job = watcher.definitions.resolve_implicit_global_asset_job_def()
    which = (
        {"tags": {"headwater/pipeline": "small"}}
        if tagged
        else {"asset_selection": {dg.AssetKey(["packed", "tokens"])}}
    )
    run = watcher.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, **which)
    assert f"Run {run.run_id[:8]} is writing these assets" in watcher.tick()
    watcher.instance.report_run_failed(run)
    assert isinstance(watcher.tick(), dg.RunRequest)


def test_runs_of_assets_that_a_request_does_not_cover_are_not_waited_for(lab: Lab, watcher: Watcher):
    plant(lab, 3, "inbox/a.jsonl")
    watcher.definitions = automated(watch=WATCH, follow_content=False)
    watcher.sensor = sensor_of(watcher.definitions, "keep_watches_notes")
    job = watcher.definitions.resolve_implicit_global_asset_job_def()
    watcher.instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.STARTED, asset_selection={dg.AssetKey(["tiny", "checkpoint"])}
    )
    assert isinstance(watcher.tick(), dg.RunRequest)


def test_a_failed_run_is_requested_again_after_a_while(watcher: Watcher, monkeypatch: pytest.MonkeyPatch):
    clock = [1_000_000.0]
    monkeypatch.setattr(watching.time, "time", lambda: clock[0])
    plant(watcher.lab, 3, "inbox/a.jsonl")
    request = watcher.tick()
    job = watcher.definitions.resolve_implicit_global_asset_job_def()
    run = watcher.instance.create_run_for_job(job, tags={"dagster/run_key": request.run_key})
    watcher.instance.report_run_failed(run)
    assert f"its run {run.run_id[:8]} ended with FAILURE. Next attempt in 60 minutes." in watcher.tick()
    clock[0] += 3601
    assert watcher.tick().run_key != request.run_key


def test_a_run_that_broke_after_raw_is_requested_again(watcher: Watcher, monkeypatch: pytest.MonkeyPatch):
    clock = [1_000_000.0]
    monkeypatch.setattr(watching.time, "time", lambda: clock[0])
    plant(watcher.lab, 3, "inbox/a.jsonl")
    keys = [watcher.tick().run_key]
    watcher.run_raw()
    job = watcher.definitions.resolve_implicit_global_asset_job_def()
    run = watcher.instance.create_run_for_job(job, tags={"dagster/run_key": keys[0]})
    watcher.instance.report_run_failed(run)
    assert watcher.tick().startswith("The last run broke on its way. This was requested; its run")
    clock[0] += 3601
    keys.append(watcher.tick().run_key)
    assert len(set(keys)) == 2
    watcher.instance.create_run_for_job(job, tags={"dagster/run_key": keys[1]}, status=dg.DagsterRunStatus.SUCCESS)
    assert watcher.tick().startswith("No change since 2")


def test_without_retries_only_files_request_again(lab: Lab, watcher: Watcher, monkeypatch: pytest.MonkeyPatch):
    clock = [1_000_000.0]
    monkeypatch.setattr(watching.time, "time", lambda: clock[0])
    stubborn = Watcher(lab, watcher.instance, retry_minutes=None)
    plant(lab, 3, "inbox/a.jsonl")
    stubborn.tick()
    clock[0] += 1e6
    assert "requested again once files change" in stubborn.tick()
    plant(lab, 4, "inbox/a.jsonl")
    assert isinstance(stubborn.tick(), dg.RunRequest)


def test_files_that_are_still_being_copied_are_waited_for(lab: Lab, watcher: Watcher, monkeypatch: pytest.MonkeyPatch):
    clock = [1_000_000.0]
    monkeypatch.setattr(watching.time, "time", lambda: clock[0])
    patient = Watcher(lab, watcher.instance, quiet_seconds=20)
    for count in (3, 4):  # the file grows, and the waiting begins anew
        plant(lab, count, "inbox/a.jsonl")
        assert "Waiting until they stay as they are for 20 s" in patient.tick()
        clock[0] += 15
    clock[0] += 5
    assert isinstance(patient.tick(), dg.RunRequest)


def test_what_a_run_covers_depends_on_whether_content_is_followed(lab: Lab):
    for follow, expected in ((True, ["notes/raw", *CHAIN]), (False, ["notes/raw"])):
        definitions = automated(watch=WATCH, follow_content=follow)
        sensor = sensor_of(definitions, "keep_watches_notes")
        job = definitions.get_repository_def().get_job(sensor.job_name)
        assert names(job.asset_layer.executable_asset_keys) == sorted(expected)
        assert sensor.minimum_interval_seconds == 7


def test_listings_are_compared_by_size_and_time():
    before = {("s", "a"): (1, "t"), ("s", "b"): (2, "t"), ("s", "c"): (3, "t")}
    found = {("s", "a"): (1, "t"), ("s", "b"): (2, "u"), ("s", "d"): (3, "t"), ("z", "c"): (3, "t")}
    assert compare(found, before) == Arrivals(new=2, changed=1, deleted=1)
    assert str(compare(found, before)) == "2 new, 1 changed, 1 deleted files"
    assert not any(compare(before, before))
