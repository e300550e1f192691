"""The graph as Dagster sees it: from YAML or Python the same assets, with versions, metadata and checks that block."""

import json
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from small_pipelines import Lab, bytes_tokenizer, notes, packed, plant, stages_of, tiny_training

from headwater.assets.command_line.init import init_workspace
from headwater.assets.component import pipeline_definitions
from headwater.assets.dagster_assets import code_version
from headwater.assets.dagster_assets import stages_of as stages_in
from headwater.assets.definitions import load_definitions
from headwater.assets.storage.places import Store
from headwater.assets.workspace import Workspace

COMPONENTS = (notes(), bytes_tokenizer(), packed(), tiny_training(4))


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Workspace:
    """A workspace as `headwater init` writes it, with the small pipeline as its only declaration."""
    root = tmp_path / "lake"
    init_workspace(root)
    (root / "pipelines/my_text_lm/defs.yaml").unlink()
    (root / "pipelines/small").mkdir()
    documents = [
        {
            "type": f"headwater.assets.{type(c).__name__}",
            "attributes": c.options.model_dump(mode="json", exclude_unset=True),
        }
        for c in COMPONENTS
    ]
    (root / "pipelines/small/defs.yaml").write_text(yaml.safe_dump_all(documents, sort_keys=False))
    for name in ("HEADWATER_STORE", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HEADWATER_ENGINE", "local")
    monkeypatch.setenv("HEADWATER_WORKSPACE", str(root))
    monkeypatch.syspath_prepend(str(root))
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "pipelines"}
    yield Workspace(root)
    for name in [name for name in sys.modules if name.split(".")[0] == "pipelines"]:
        del sys.modules[name]
    sys.modules.update(before)


def planted(workspace: Workspace, count: int = 25) -> Lab:
    lab = Lab(workspace.root, Path(workspace.store_url))
    plant(lab, count)
    return lab


def materialize(definitions: dg.Definitions, instance: dg.DagsterInstance, **options) -> dg.ExecuteInProcessResult:
    job = definitions.resolve_implicit_global_asset_job_def()
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    return job.execute_in_process(instance=instance, run_config=quiet, **options)


def events_of(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetMaterialization]:
    found = [event.materialization for event in result.get_asset_materialization_events()]
    return {"/".join(event.asset_key.path): event for event in found}


def test_the_declared_pipeline_runs_in_dagster_with_versions_metadata_and_checks(workspace):
    planted(workspace)
    definitions = load_definitions(workspace)
    assets = [stage.asset for stage in stages_of(*COMPONENTS)]
    with dg.DagsterInstance.ephemeral() as instance:
        result = materialize(definitions, instance)
        assert result.success
        events = events_of(result)
        assert sorted(events) == sorted(assets)
        store = Store(workspace.store_url)
        for stage in stages_in(definitions):
            record, event = store.place(stage.asset).record(), events[stage.asset]
            assert event.tags["dagster/data_version"] == record.content_version
            assert event.tags["dagster/code_version"] == code_version(stage)
            assert record.execution.run == result.run_id
            assert stage.pipeline == "small"
            metadata = {name: value.value for name, value in event.metadata.items()}
            assert metadata["record"] == f"{stage.asset}/record.json"
            assert metadata["reused"] is False
            if record.tables:
                _, table = next(iter(record.tables.items()))
                assert metadata["dagster/row_count"] == table.rows
                schema = metadata["dagster/column_schema"]
                assert {column.name: column.type for column in schema.columns} == table.columns
            for title, text in record.markdown.items():
                assert metadata[title] == text
            for title in record.plots:
                assert "data:image/svg+xml" in metadata[title]
        checks = {("/".join(e.asset_key.path), e.check_name): e.passed for e in result.get_asset_check_evaluations()}
        declared = {(stage.asset, check.name) for stage in stages_of(*COMPONENTS) for check in stage.checks}
        assert set(checks) == declared
        assert all(checks.values())

        again = materialize(definitions, instance)
        assert again.success
        assert {asset for asset, event in events_of(again).items() if event.metadata["reused"].value} == set(assets)
        assert len(again.get_asset_check_evaluations()) == len(declared), "a reused output shows its checks again"


def test_yaml_and_python_are_the_same_graph(workspace):
    from_yaml = load_definitions(workspace)
    in_python = pipeline_definitions("small", *COMPONENTS)
    one, other = ({stage.asset: stage for stage in stages_in(d)} for d in (from_yaml, in_python))
    assert one.keys() == other.keys()
    for asset, stage in one.items():
        assert stage.identity_options == other[asset].identity_options
        assert stage.inputs == other[asset].inputs
        assert code_version(stage) == code_version(other[asset])

    def spec(definitions):
        return {
            spec.key: (spec.group_name, spec.kinds, spec.code_version, {dep.asset_key for dep in spec.deps})
            for spec in definitions.resolve_all_asset_specs()
            if spec.key.path[0] != "headwater"  # store-wide: of no pipeline
        }

    assert spec(from_yaml) == spec(in_python)
    planted(workspace)
    with dg.DagsterInstance.ephemeral() as instance:
        assert materialize(in_python, instance).success
        again = events_of(materialize(from_yaml, instance))
        assert all(event.metadata["reused"].value for event in again.values()), "identities differ"


def test_a_blocking_check_stops_what_is_downstream(workspace):
    lab = planted(workspace)
    strict = notes(curation={"rules": [{"kind": "length", "min_words": 1000}]})
    definitions = pipeline_definitions("small", strict, *COMPONENTS[1:])
    with dg.DagsterInstance.ephemeral() as instance:
        result = materialize(definitions, instance, raise_on_error=False)
        assert not result.success
        assert sorted(events_of(result)) == ["notes/curated", "notes/raw", "notes/signals"]
        failed = [e.check_name for e in result.get_asset_check_evaluations() if not e.passed]
        assert failed == ["keeps_documents"]
        assert lab.store.place("notes/deduplicated").record() is None
        again = materialize(definitions, instance, raise_on_error=False)
        assert not again.success, "a reused output must block as the fresh one did"
        assert sorted(events_of(again)) == ["notes/curated", "notes/raw", "notes/signals"]


def test_an_error_names_what_to_do_and_leaves_the_store_as_it_was(workspace):
    definitions = load_definitions(workspace)  # nothing is planted: the source matches no file
    with dg.DagsterInstance.ephemeral() as instance:
        result = materialize(definitions, instance, raise_on_error=False)
        (failure,) = [event for event in result.all_events if event.is_step_failure]
        error = failure.step_failure_data.error
        assert "matches no file" in json.dumps([error.message, error.cause.message if error.cause else ""])
    assert Store(workspace.store_url).assets() == []


def test_assets_show_owners_tags_kinds_and_descriptions():
    corpus = notes(owners=["team:data"], tags={"domain": "test"}, description="What was found.")
    definitions = pipeline_definitions("small", corpus)
    specs = {"/".join(spec.key.path): spec for spec in definitions.resolve_all_asset_specs()}
    specs.pop("headwater/withdrawals")  # upstream of raw, of no pipeline
    assert all(spec.owners == ["team:data"] for spec in specs.values())
    assert all(spec.tags["domain"] == "test" for spec in specs.values())
    assert specs["notes/raw"].description == "What was found."
    assert "lance" in specs["notes/raw"].kinds
