"""Stages as Dagster assets: keys, groups, checks, versions, and metadata that people can read on the asset's page."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from headwater.assets.markdown import markdown_table
from headwater.assets.plots import as_markdown_image
from headwater.assets.stages import Stage
from headwater.assets.storage.content import digest_of
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import CheckRecord, Record, StepRecord
from headwater.assets.withdrawal.blocklist import ASSET as WITHDRAWALS
from headwater.assets.workspace import find_workspace

if TYPE_CHECKING:
    from headwater.assets.running import RunResult

REPORTS_URL = "HEADWATER_REPORTS_URL"  # address of a web server that shows reports; `headwater ui` sets it

# Set by the command line, which shows progress itself; elsewhere progress goes to Dagster's log.
announce: "Callable[[RunResult], None] | None" = None


def asset_of(stage: Stage) -> dg.AssetsDefinition:
    """The Dagster asset of a stage."""

    def materialize(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        from headwater.assets.running import run_stage  # loads Lance, which loading declarations does not need

        workspace = find_workspace()
        store = Store(workspace.store_url)
        log = context.log.info if announce is None else None
        result = run_stage(stage, store, workspace, log=log, run=context.run_id)
        if announce is not None:
            announce(result)
        if result.held:
            context.log.info(f"{stage.asset}: kept as it is although its inputs changed: {result.held}")
        elif result.reused:
            context.log.info(f"{stage.asset}: reused, nothing it depends on has changed.")
        return materialization(stage, store, result, report=_report(store, result.record, context.log.warning))

    materialize.__name__ = stage.asset.replace("/", "__")
    materialize.stage = stage  # type: ignore[attr-defined]  # how stages_of finds it again
    return dg.asset(
        key=dg.AssetKey(stage.asset.split("/")),
        deps=[dg.AssetKey(asset.split("/")) for asset in [*stage.inputs.values(), *_store_wide(stage)]],
        group_name=stage.pipeline,
        kinds=set(stage.kinds),
        owners=list(stage.owners),
        tags=dict(stage.tags),
        description=stage.description,
        code_version=code_version(stage),
        check_specs=[_check_spec(stage, check.name, check.description, check.blocking) for check in stage.checks],
        pool=stage.compute.pool,
        metadata={"headwater/kind": stage.kind},
    )(materialize)


def stages_of(definitions: dg.Definitions) -> list[Stage]:
    """The stages behind all Headwater assets of some definitions, from YAML or from Python."""
    found = []
    for asset in definitions.get_repository_def().assets_defs_by_key.values():
        stage = stage_behind(asset)
        if stage is not None:
            found.append(stage)
    return found


def stage_of(repository: dg.RepositoryDefinition, asset: str) -> Stage:
    """The stage behind one asset of a loaded code location.

    Raises:
        KeyError: no Headwater asset has that name.
    """
    found = repository.assets_defs_by_key.get(dg.AssetKey(asset.split("/")))
    stage = None if found is None else stage_behind(found)
    if stage is None:
        raise KeyError(f"No asset of this code location is named '{asset}'.")
    return stage


def stage_behind(asset: dg.AssetsDefinition) -> Stage | None:
    """The stage that an asset was made of; None for assets of other libraries."""
    if not asset.is_executable:  # the withdrawals: shown, never run
        return None
    function = getattr(getattr(asset.node_def, "compute_fn", None), "decorated_fn", None)
    stage = getattr(function, "stage", None)
    return stage if isinstance(stage, Stage) else None


def code_version(stage: Stage) -> str:
    """What Dagster compares to mark an asset as stale: options and code."""
    return digest_of([stage.identity_options, stage.code_record().model_dump()])[:16]


def materialization(stage: Stage, store: Store, result: "RunResult", report: str | None = None) -> dg.MaterializeResult:
    """What Dagster shows of a record; ``report`` is the place of a checkpoint's report within the store."""
    from headwater.assets.withdrawal.status import standing_checks  # loads Lance

    record = result.record
    metadata = page(store, record) | {"reused": result.reused} | ({"held": result.held} if result.held else {})
    return dg.MaterializeResult(
        metadata=(_report_link(record, report) if report else {}) | metadata,
        data_version=dg.DataVersion(record.content_version),
        check_results=[_check_result(stage, check) for check in [*record.checks, *standing_checks(store, record)]],
    )


def _store_wide(stage: Stage) -> list[str]:
    """What a stage reads of the whole store: `raw` leaves out what was withdrawn."""
    return [WITHDRAWALS] if stage.stage == "raw" else []


def _report(store: Store, record: Record, warn: Callable[[str], None]) -> str | None:
    """Keeps the checkpoint reports that a publication concerns up to date; a report never fails the run."""
    if record.kind not in ("Training", "Evaluation"):
        return None
    try:
        from headwater.assets.lineage.report import keep_reports_current  # loads what declarations do not need

        return keep_reports_current(store, record)
    except Exception as error:
        warn(f"The report of {record.asset} could not be written: {error} `headwater report` tries again.")
        return None


def _report_link(record: Record, report: str) -> dict[str, Any]:
    """Where the report lies, and a link that opens it where a web server shows reports (`headwater ui` does)."""
    link: dict[str, Any] = {"report": dg.MetadataValue.path(report)}
    if base := os.environ.get(REPORTS_URL):
        link["report, as of now"] = dg.MetadataValue.url(f"{base.rstrip('/')}/{record.asset}@{record.digest}")
    return link


def page(store: Store, record: Record) -> dict[str, Any]:
    """The metadata of an asset's page."""
    metadata: dict[str, Any] = {}
    if record.tables:
        name, table = next(iter(record.tables.items()))
        metadata["dagster/row_count"] = table.rows
        metadata["dagster/column_schema"] = _column_schema(table.columns)
        metadata["tables"] = dg.MetadataValue.md(_tables_markdown(record))
        metadata["store"] = dg.MetadataValue.path(f"{record.asset}/tables/{name}.lance")
    metadata |= {title: dg.MetadataValue.md(text) for title, text in record.markdown.items()}
    metadata |= {title: dg.MetadataValue.md(text) for title, text in _plots(store, record)}
    metadata |= {name: value for name, value in record.metrics.items() if isinstance(value, int | float | str)}
    metadata["seconds"] = record.execution.seconds
    metadata |= _throughput(record.execution.steps)
    metadata["engine"] = f"{record.execution.engine}, {record.execution.workers} workers"
    metadata["record"] = dg.MetadataValue.path(f"{record.asset}/record.json")
    return metadata


def _throughput(steps: Sequence[StepRecord]) -> dict[str, Any]:
    """Each step's throughput as a table; of the one that took longest also as numbers, which the page can plot."""
    if not steps:
        return {}
    rows = [_step_cells(step) for step in steps]
    header = [
        "step",
        "parts",
        "taken over",
        "rows",
        "rows/s",
        "MB/s of text",
        "seconds",
        "CPU s",
        "peak MB of a worker",
    ]
    longest = max(steps, key=lambda step: step.seconds)
    told: dict[str, Any] = {"steps": dg.MetadataValue.md(markdown_table(header, rows))}
    if longest.rows and longest.seconds:
        told["rows per second"] = round(longest.rows / longest.seconds, 1)
    if longest.megabytes and longest.seconds:
        told["MB per second"] = round(longest.megabytes / longest.seconds, 3)
    return told


def _step_cells(step: StepRecord) -> list[str]:
    seconds = max(step.seconds, 1e-3)
    rate = f"{step.rows / seconds:,.0f}" if step.rows else ""
    text = f"{step.megabytes / seconds:,.2f}" if step.megabytes else ""
    counts = [f"{count:,}" for count in (step.parts, step.taken_over, step.rows)]
    return [
        step.step,
        *counts,
        rate,
        text,
        f"{step.seconds:.1f}",
        f"{step.cpu_seconds:.1f}",
        f"{step.peak_megabytes:,}",
    ]


def _plots(store: Store, record: Record) -> Iterable[tuple[str, str]]:
    place = store.place(record.asset)
    for title, name in record.plots.items():
        svg = place.read_text(f"{place.folder(record.digest)}/{name}")
        if svg:
            yield title, as_markdown_image(svg, title)


def _column_schema(columns: dict[str, str]) -> dg.TableSchema:
    return dg.TableSchema(columns=[dg.TableColumn(name, kind) for name, kind in columns.items()])


def _tables_markdown(record: Record) -> str:
    rows = [f"| {name} | {table.rows:,} | {table.version} |" for name, table in record.tables.items()]
    return "\n".join(["| table | rows | version |", "|---|---:|---:|", *rows])


def _check_spec(stage: Stage, name: str, description: str, blocking: bool) -> dg.AssetCheckSpec:
    key = dg.AssetKey(stage.asset.split("/"))
    return dg.AssetCheckSpec(name, asset=key, description=description, blocking=blocking)


def _check_result(stage: Stage, check: CheckRecord) -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(
        check_name=check.name,
        passed=check.passed,
        severity=severity,
        description=check.description,
        metadata={name: _metadata(value) for name, value in check.metadata.items()},
    )


def _metadata(value: Any) -> Any:
    return value if isinstance(value, int | float | str) else dg.MetadataValue.json(value)
