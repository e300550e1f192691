"""From a stage and its records to OpenLineage events: names, facets, and what must never be told.

Names follow the OpenLineage naming convention, ``scheme://authority`` and a path: an object store appears by its bucket
(``s3://bucket``), a local one as ``headwater://<workspace>`` with the store's folder name before the path, because an
absolute path would differ on every machine. Events hold names, versions, counts and code versions; never options,
document text, absolute paths or passwords.
"""

import os
import re
import subprocess
import tomllib
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlsplit

import attr
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    DatasetFacet,
    JobFacet,
    RunFacet,
    dataset_version_dataset,
    documentation_job,
    error_message_run,
    job_type_job,
    output_statistics_output_dataset,
    ownership_job,
    parent_run,
    processing_engine_run,
    schema_dataset,
    source_code_location_job,
    storage_dataset,
    tags_job,
    test_run,
)

import headwater
from headwater.assets.lineage.openlineage import StageRun
from headwater.assets.redaction import redacted
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import CheckRecord, Identity, Record, TableRecord
from headwater.assets.workspace import Workspace

PRODUCER = f"pkg:generic/headwater@{headwater.__version__}"  # a package URL (purl)
# Names the schema of the facets below, schemas/headwater-facets-1-0-0.json, which travels with the package.
FACETS = "urn:headwater:openlineage:facets:1-0-0"
MESSAGE_LENGTH = 1000  # characters of an error that are told


@attr.define
class HeadwaterContentDatasetFacet(DatasetFacet):
    """Which content a data set holds: equal content versions mean equal rows, whatever run or store made them."""

    asset: str
    kind: str
    contentVersion: str
    assetContentVersion: str
    identity: str

    @staticmethod
    def _get_schema() -> str:
        return f"{FACETS}#/$defs/HeadwaterContentDatasetFacet"


@attr.define
class HeadwaterCodeJobFacet(JobFacet):
    """Which code a stage runs: the step's number, the hash of its modules, the libraries that shape content."""

    number: int
    modules: str
    libraries: dict[str, str]
    gitCommit: str | None = None
    gitDirty: bool | None = None

    @staticmethod
    def _get_schema() -> str:
        return f"{FACETS}#/$defs/HeadwaterCodeJobFacet"


@attr.define
class HeadwaterIdentityRunFacet(RunFacet):
    """What the run was to make, what it grew from, and whether an earlier output only came back."""

    identity: str
    restored: bool
    base: str | None = None
    engine: str | None = None
    workers: int | None = None
    seconds: float | None = None

    @staticmethod
    def _get_schema() -> str:
        return f"{FACETS}#/$defs/HeadwaterIdentityRunFacet"


def run_event(run: StageRun, state: str, record: Record | None = None, error: BaseException | None = None) -> RunEvent:
    """The event of a state: START, COMPLETE (with the published record), FAIL or ABORT (with the error, if known)."""
    return RunEvent(
        eventType=RunState(state),
        eventTime=datetime.now(UTC).isoformat(timespec="milliseconds"),
        producer=PRODUCER,
        run=Run(runId=run.run_id, facets=_produced(_run_facets(run, record, error))),
        job=Job(
            namespace=job_namespace(run.workspace), name=run.stage.asset, facets=_produced(_job_facets(run, record))
        ),
        inputs=[*_sources(run), *_inputs(run, with_columns=record is not None)],
        outputs=_outputs(run, record) if record is not None else [],
    )


def job_namespace(workspace: Workspace) -> str:
    """OPENLINEAGE_NAMESPACE as in every integration, else ``headwater://<workspace>``."""
    return os.environ.get("OPENLINEAGE_NAMESPACE") or workspace_namespace(workspace)


def workspace_namespace(workspace: Workspace) -> str:
    """``headwater://<name of the workspace>``: the project's name, or the folder's where there is no project."""
    return f"headwater://{quote(_workspace_name(workspace.root), safe='')}"


def store_namespace(store: Store, workspace: Workspace) -> tuple[str, str]:
    """(namespace, path before an asset's name) of a store's data sets."""
    if store.is_local:
        return workspace_namespace(workspace), Path(store.root).name
    return split_url(str(store.fs.unstrip_protocol(store.root)))


def split_url(url: str) -> tuple[str, str]:
    """(``scheme://authority``, path) of a location, without user, password and query."""
    parts = urlsplit(url)
    authority = parts.netloc.rpartition("@")[2]
    return (f"{parts.scheme}://{authority}" if authority else parts.scheme), parts.path.strip("/")


def public_text(text: str, workspace: Workspace, store: Store) -> str:
    """A message without places, passwords and secrets of the environment, cut to ``MESSAGE_LENGTH`` characters."""
    text = redacted(text)
    for place, name in ((str(store.root), "<store>"), (str(workspace.root), "<workspace>"), (str(Path.home()), "~")):
        text = text.replace(place, name) if len(place) > 1 else text
    text = re.sub(r"(\w+://)[^\s/@'\"]+@", r"\1", text)  # user and password of an address
    text = re.sub(r"(\w+://[^\s?'\"]+)\?[^\s'\"]+", r"\1", text)  # a signature in its query
    text = re.sub(r"(?<![\w/:>~.])(?:/|[A-Za-z]:\\)[^\s'\",;:()]*[/\\]([^\s'\",;:()/\\]+)", r"…/\1", text)
    return text if len(text) <= MESSAGE_LENGTH else text[: MESSAGE_LENGTH - 1] + "…"


def _produced(facets: dict[str, Any]) -> dict[str, Any]:
    for facet in facets.values():
        facet._producer = PRODUCER
    return facets


def _run_facets(run: StageRun, record: Record | None, error: BaseException | None) -> dict[str, Any]:
    identity = run.wanted if record is None else record.identity
    facets: dict[str, Any] = {
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(
            version=headwater.__version__, name="Headwater"
        )
    }
    if identity is not None:
        facets["headwater_identity"] = _identity_facet(run, identity, record)
    if run.parent and _is_uuid(run.parent):
        facets["parent"] = parent_run.ParentRunFacet(
            run=parent_run.Run(runId=run.parent),
            job=parent_run.Job(namespace=job_namespace(run.workspace), name=run.stage.pipeline),
        )
    if error is not None:
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
            message=_message(error, run), programmingLanguage="Python"
        )
    if record is not None and record.checks:
        facets["test"] = test_run.TestRunFacet(tests=[_test(check, run) for check in record.checks])
    return facets


def _identity_facet(run: StageRun, identity: Identity, record: Record | None) -> HeadwaterIdentityRunFacet:
    made = None if record is None or run.restores else record.execution
    return HeadwaterIdentityRunFacet(
        identity=identity.digest(),
        restored=run.restores,
        base=identity.base,
        engine=made.engine if made else None,
        workers=made.workers if made else None,
        seconds=made.seconds if made else None,
    )


def _message(error: BaseException, run: StageRun) -> str:
    """The message of an error of Headwater's own; of any other its type and place, for it may quote a document."""
    if type(error).__module__.startswith("headwater."):
        return public_text(f"{type(error).__name__}: {error}", run.workspace, run.store)
    trace, place = error.__traceback__, ""
    while trace is not None:
        frame = trace.tb_frame
        place = f" in {frame.f_globals.get('__name__', '?')}.{frame.f_code.co_name}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__}{place}. The log of the run says more."


def _test(check: CheckRecord, run: StageRun) -> test_run.TestExecution:
    return test_run.TestExecution(
        name=check.name,
        status="pass" if check.passed else "fail",
        severity="error" if check.blocking else "warn",
        description=public_text(check.description, run.workspace, run.store) or None,
    )


def _job_facets(run: StageRun, record: Record | None) -> dict[str, Any]:
    stage = run.stage
    code = run.wanted.code if run.wanted is not None else stage.code_record()
    made = record.execution if record is not None else None
    facets: dict[str, Any] = {
        "jobType": job_type_job.JobTypeJobFacet(
            processingType="BATCH",
            integration="HEADWATER",
            jobType=stage.kind.upper(),  # and no emissionPattern: schema and client name its fields differently
        ),
        "headwater_code": HeadwaterCodeJobFacet(
            number=code.number,
            modules=code.modules,
            libraries=dict(code.libraries),
            gitCommit=made.git_commit if made else None,
            gitDirty=made.git_dirty if made else None,
        ),
    }
    if stage.description:
        facets["documentation"] = documentation_job.DocumentationJobFacet(stage.description, "text/markdown")
    if stage.owners:
        facets["ownership"] = ownership_job.OwnershipJobFacet([ownership_job.Owner(name) for name in stage.owners])
    if stage.tags:
        tags = [tags_job.TagsJobFacetFields(key, value or "true", "USER") for key, value in stage.tags.items()]
        facets["tags"] = tags_job.TagsJobFacet(tags)
    repository = repository_url(run.workspace.root) if made and made.git_commit else None
    if made and repository:
        facets["sourceCodeLocation"] = source_code_location_job.SourceCodeLocationJobFacet(
            type="git", url=repository, repoUrl=repository, version=made.git_commit
        )
    return facets


def _inputs(run: StageRun, with_columns: bool) -> list[InputDataset]:
    """The tables and files that the run consumes, at the versions it reads."""
    found: list[InputDataset] = []
    if run.wanted is None:
        return found
    assets = run.wanted.options["_inputs"]
    for role, consumed in run.wanted.inputs.items():
        asset = assets.get(role)
        if asset is None or not consumed.identity:  # what lies outside the graph, or was never materialized
            continue
        record = run.store.place(asset).record(consumed.identity)
        if record is not None:
            told = _datasets(run, record, consumed.tables, with_columns)
            found += [InputDataset(*name, facets=facets) for name, facets, _ in told]
    return found


def _outputs(run: StageRun, record: Record) -> list[OutputDataset]:
    return [
        OutputDataset(*name, outputFacets=_produced({"outputStatistics": statistics}), facets=facets)
        for name, facets, statistics in _datasets(run, record)
    ]


def _datasets(
    run: StageRun, record: Record, pinned: Mapping[str, int] = MappingProxyType({}), with_columns: bool = True
) -> Iterator[tuple[tuple[str, str], dict[str, Any], Any]]:
    """((namespace, name), facets, statistics) of every table of a record, and of its files as one data set."""
    namespace, prefix = store_namespace(run.store, run.workspace)
    path = "/".join(part for part in (prefix, record.asset) if part)
    statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet
    for name, table in record.tables.items():
        facets: dict[str, Any] = {
            "version": dataset_version_dataset.DatasetVersionDatasetFacet(str(pinned.get(name, table.version))),
            "storage": storage_dataset.StorageDatasetFacet("lance", "lance"),
            "headwater_content": _content(record, table.content),
        }
        if with_columns:
            facets["schema"] = _columns(table)
        yield (namespace, f"{path}/tables/{name}.lance"), _produced(facets), statistics(rowCount=table.rows)
    if record.files:
        facets = {
            "version": dataset_version_dataset.DatasetVersionDatasetFacet(record.digest),
            "headwater_content": _content(record, record.content_version),
        }
        yield (namespace, f"{path}/files"), _produced(facets), statistics(fileCount=len(record.files))


def _columns(table: TableRecord) -> schema_dataset.SchemaDatasetFacet:
    field = schema_dataset.SchemaDatasetFacetFields
    columns = enumerate(table.columns.items(), start=1)
    return schema_dataset.SchemaDatasetFacet(
        [field(name, kind, ordinal_position=at, fields=None) for at, (name, kind) in columns]
    )


def _content(record: Record, version: str) -> HeadwaterContentDatasetFacet:
    return HeadwaterContentDatasetFacet(record.asset, record.kind, version, record.content_version, record.digest)


def _sources(run: StageRun) -> list[InputDataset]:
    """What lies outside the graph: the files of a corpus's sources, by the part of their path before any wildcard."""
    namespace, found = workspace_namespace(run.workspace), []
    for source in getattr(run.stage.options, "sources", ()):
        path = str(getattr(source, "path", ""))
        fixed = re.split(r"[*?\[{]", path, maxsplit=1)[0]
        fixed = fixed if fixed == path else fixed.rpartition("/")[0]
        if "://" in path:
            found.append(InputDataset(*split_url(fixed)))
        elif path and not Path(path).is_absolute() and ".." not in Path(path).parts:
            found.append(InputDataset(namespace, fixed.strip("/") or "."))
        else:  # an absolute path, or no path at all: known by its name
            found.append(InputDataset(namespace, f"sources/{source.name}"))
    return found


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


@lru_cache
def _workspace_name(root: Path) -> str:
    try:
        name = tomllib.loads((root / "pyproject.toml").read_text()).get("project", {}).get("name")
    except (OSError, ValueError):
        name = None
    return str(name or root.name)


@lru_cache
def repository_url(root: Path) -> str | None:
    """The web address of the workspace's repository, without user and password; None where it has none."""
    command = ["git", "-C", str(root), "config", "--get", "remote.origin.url"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return web_address(done.stdout.strip())


def web_address(remote: str) -> str | None:
    """``https://host/owner/name`` of a git remote given by http(s) or ssh; None for a path."""
    match = re.fullmatch(r"(?:https?://|ssh://)?(?:[^@/\s]+@)?([\w.-]+\.\w+)(?::\d+)?[:/](.+?)(?:\.git)?/?", remote)
    return f"https://{match[1]}/{match[2]}" if match else None
