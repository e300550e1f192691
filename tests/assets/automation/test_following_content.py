"""Downstream follows content: what the condition requests when bytes, options, checks or nothing change."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from automated import CHAIN, automated, names
from small_pipelines import packed, tiny_training

ALL = ["notes/raw", *CHAIN]


class History:
    """Materializations as runs would report them, and what the condition then requests."""

    def __init__(self, instance: dg.DagsterInstance, **options) -> None:
        self.instance, self.cursor, self.options = instance, None, {"follow_content": True} | options
        self.definitions = automated(**self.options)

    def tick(self, now: datetime | None = None) -> list[str]:
        result = dg.evaluate_automation_conditions(
            self.definitions, self.instance, cursor=self.cursor, evaluation_time=now
        )
        self.cursor = result.cursor
        keys = [key for key in self.definitions.resolve_all_asset_keys() if result.get_num_requested(key)]
        return names(keys)

    def materialized(self, *assets: str, version: str) -> None:
        specs = {"/".join(spec.key.path): spec for spec in self.definitions.resolve_all_asset_specs()}
        for asset in assets:
            tags = {"dagster/data_version": version, "dagster/code_version": specs[asset].code_version}
            self.instance.report_runless_asset_event(dg.AssetMaterialization(asset.split("/"), tags=tags))
            for check in self.definitions.get_repository_def().asset_graph.get_check_keys_for_assets(
                {dg.AssetKey(asset.split("/"))}
            ):
                self.checked(asset, check.name, True)

    def checked(self, asset: str, check: str, passed: bool) -> None:
        evaluation = dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(asset.split("/")), check_name=check, passed=passed, metadata={}, blocking=True
        )
        self.instance.report_runless_asset_event(evaluation)


@pytest.fixture
def history():
    with dg.DagsterInstance.ephemeral() as instance:
        told = History(instance)
        told.materialized(*ALL, version="1")
        assert told.tick() == []
        yield told


def test_new_content_requests_all_that_follows_in_one_tick(history: History):
    history.materialized("notes/raw", version="2")
    assert history.tick() == sorted(CHAIN)
    history.materialized(*CHAIN, version="2")
    assert history.tick() == []


def test_the_same_content_again_requests_nothing(history: History):
    history.materialized("notes/raw", version="1")
    assert history.tick() == []


def test_a_change_in_the_middle_moves_only_what_follows(history: History):
    history.materialized("notes/deduplicated", version="2")
    assert history.tick() == ["letters/tokenizer", "packed/shards", "packed/tokens", "tiny/checkpoint"]


def test_what_a_run_has_already_brought_up_to_date_is_not_requested(history: History):
    history.materialized(*ALL, version="2")
    assert history.tick() == []


def test_a_request_is_made_once(history: History):
    history.materialized("notes/raw", version="2")
    assert history.tick()
    assert history.tick() == [], "the run failed, say: nothing is requested until something changes"


def test_an_input_that_failed_a_blocking_check_is_not_built_on(history: History):
    history.materialized("notes/raw", version="2")
    history.checked("notes/raw", "readable", False)
    assert history.tick() == []
    history.checked("notes/raw", "readable", True)
    assert history.tick() == sorted(CHAIN)


def test_changed_options_request_their_asset_and_what_follows(history: History):
    history.definitions = automated(follow_content=True, shards=packed(sequence_length=16))
    assert history.tick() == ["packed/shards", "tiny/checkpoint"]


def test_what_is_missing_is_made_once_its_inputs_are_there():
    with dg.DagsterInstance.ephemeral() as instance:
        told = History(instance, watch=[{"corpus": "notes"}])
        assert told.tick() == [], "raw is the source sensor's"
        told.materialized("notes/raw", version="1")
        assert told.tick() == sorted(CHAIN)


def test_an_unwatched_raw_is_made_when_it_is_missing():
    with dg.DagsterInstance.ephemeral() as instance:
        assert History(instance).tick() == sorted(ALL)


def test_a_checkpoint_that_keeps_times_is_requested_at_them():
    with dg.DagsterInstance.ephemeral() as instance:
        told = History(instance, training=tiny_training(4, retrain={"when": {"cron": "0 3 * * *"}}))
        told.materialized(*ALL, version="1")
        evening = datetime(2030, 1, 1, 22, tzinfo=UTC)
        assert [told.tick(evening + timedelta(hours=hours)) for hours in (0, 4, 6, 8)] == [
            [],
            [],
            ["tiny/checkpoint"],
            [],
        ]


def test_only_pipelines_that_say_so_follow():
    definitions = automated(follow_content=False, alerts=[{"kind": "command", "command": ["true"]}])
    assert all(spec.automation_condition is None for spec in definitions.resolve_all_asset_specs())
    assert [sensor.name for sensor in definitions.sensors] == ["keep_alerts"]
