"""Running one stage: decide whether it is needed, compute it, publish it by one record.

Nothing here knows Dagster; the asset layer, the command line and the tests all call :func:`run_stage`.
"""

import hashlib
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

import headwater
from headwater.assets.compute.executor import Executor, executor_for
from headwater.assets.compute.progress import Progress
from headwater.assets.stages import Outcome, Stage, import_object
from headwater.assets.storage.attempts import Attempt, Part, clear_attempts, combined, part_name
from headwater.assets.storage.content import ContentSum, digest_of
from headwater.assets.storage.places import Place, Store
from headwater.assets.storage.records import Execution, Identity, InputRecord, Record, TableRecord
from headwater.assets.storage.tables import commit_parts, version_exists, write_part
from headwater.assets.workspace import Workspace

# A partition's function yields batches per table; the name "figures" is kept for what it counted.
Partition = Callable[[Any], Iterator[tuple[str, Any]]]
FLUSH_BYTES = 64 << 20


class StageError(Exception):
    """A stage cannot run; the message says which and what to do."""


class RunResult(NamedTuple):
    """The record of a stage and whether it was there already."""

    record: Record
    reused: bool


@dataclass(frozen=True)
class WritePartition:
    """Runs a partition's function where it is sent (a worker process) and writes its batches as fragments."""

    function: Partition
    urls: dict[str, str]
    schemas: dict[str, pa.Schema]

    def __call__(self, item: Any) -> Part:
        """Computes one partition; memory is bounded by ``FLUSH_BYTES`` per table and one batch."""
        part = Part()
        held: dict[str, list[pa.RecordBatch]] = {name: [] for name in self.urls}
        for name, value in self.function(item):
            if name == "figures":
                part.figures = value
                continue
            held[name].append(value)
            if sum(batch.nbytes for batch in held[name]) > FLUSH_BYTES:
                self._flush(part, name, held)
        for name in self.urls:
            self._flush(part, name, held)
        return part

    def _flush(self, part: Part, name: str, held: dict[str, list[pa.RecordBatch]]) -> None:
        fragments, content = write_part(self.urls[name], self.schemas[name], held[name])
        part.fragments.setdefault(name, []).extend(fragments)
        part.content[name] = part.content.get(name, ContentSum()).plus(content)
        held[name] = []


@dataclass
class StageContext:
    """What a stage's function may use: its options, its inputs' records, its place, and the means to compute."""

    stage: Stage
    store: Store
    workspace: Workspace
    identity: str
    inputs: dict[str, Record]
    executor: Executor
    log: Callable[[str], None] | None = None
    place: Place = field(init=False)

    def __post_init__(self) -> None:
        self.place = self.store.place(self.stage.asset)

    @property
    def folder(self) -> Path:
        """The local folder for this output's files; the same again when a killed run continues."""
        return self.place.local_folder(self.identity)

    def progress(self, total: float, unit: str, label: str | None = None, start: float = 0) -> Progress:
        """A bar for a long step, named by the asset; ``start`` units were done by an earlier run."""
        return Progress(label or self.stage.asset, total=total, unit=unit, log=self.log, start=start)

    def upstream(self, record: Record, role: str) -> Record:
        """The record that ``record`` had consumed in a role, as it was then."""
        stage_input = record.identity.inputs[role]
        asset = record.identity.options["_inputs"][role]
        found = self.store.place(asset).record(stage_input.identity)
        if found is None:
            raise StageError(f"The history of {asset} lacks what {record.asset} was made from; materialize it again.")
        return found

    def table_url(self, record: Record, table: str) -> tuple[str, int]:
        """(location, version) of a table that a record published."""
        return self.store.place(record.asset).table(table), record.tables[table].version

    def run_partitions(
        self,
        step: str,
        function: Partition,
        items: Sequence[Any],
        schemas: Mapping[str, pa.Schema],
        covers: Sequence[Any],
        sizes: Sequence[float] | None = None,
        unit: str = "parts",
    ) -> tuple[dict[str, TableRecord], list[dict[str, Any]]]:
        """Runs a function over partitions, taking over those an interrupted run finished, and commits the tables.

        Args:
            step: name of the step within the stage, for its journal.
            function: item → yields (table, batch), and ("figures", dict) at most once.
            items: the partitions, whose order is the order of the tables' rows.
            covers: what each item covers (files, rows) as JSON values: a finished part is known again by it.
            sizes: progress units of each item (default: one each).

        Returns:
            The committed tables, and the figures of every partition in order.
        """
        attempt = Attempt(self.place, self.identity, step)
        names, earlier = [part_name(n, cover) for n, cover in enumerate(covers)], attempt.finished()
        parts = {n: earlier[name] for n, name in enumerate(names) if name in earlier}
        left = [n for n in range(len(items)) if n not in parts]
        size = list(sizes) if sizes is not None else [1.0] * len(items)
        write = WritePartition(function, {name: self.place.table(name) for name in schemas}, dict(schemas))
        with self.progress(sum(size), unit, start=sum(size[n] for n in parts)) as bar:
            for index, part in self.executor.map(write, [items[n] for n in left]):
                attempt.finish(names[left[index]], part)
                parts[left[index]] = part
                bar.advance(size[left[index]])
        ordered = [parts[n] for n in range(len(items))]
        tables = {name: self._commit(name, schema, ordered) for name, schema in schemas.items()}
        return tables, [part.figures for part in ordered]

    def write_table(self, name: str, rows: pa.Table) -> TableRecord:
        """Writes a table computed in this process."""
        fragments, content = write_part(self.place.table(name), rows.schema, rows.to_batches())
        return self._commit(name, rows.schema, [Part({name: fragments}, {name: content})])

    def _commit(self, name: str, schema: pa.Schema, parts: list[Part]) -> TableRecord:
        fragments, content = combined(parts, name)
        version = commit_parts(self.place.table(name), schema, fragments)
        columns = {item.name: str(item.type) for item in schema}
        return TableRecord(version=version, rows=content.rows, content=content.hex(), columns=columns)


def wanted_identity(
    stage: Stage, store: Store, workspace: Workspace, coming: Mapping[str, Record] | None = None
) -> Identity:
    """What determines the stage's content now, or would with the records that are ``coming`` for some assets.

    Raises:
        StageError: an input was never materialized.
    """
    inputs = {}
    for role, asset in stage.inputs.items():
        record = (coming or {}).get(asset) or store.place(asset).record()
        if record is None:
            raise StageError(f"{stage.asset} needs {asset}, which was never materialized. Materialize it first.")
        inputs[role] = InputRecord(content=record.content_version, identity=record.digest)
    if stage.outside:
        digest = import_object(stage.outside)(stage, workspace)
        inputs["outside"] = InputRecord(content=digest, identity=digest)
    options = stage.identity_options | {"_inputs": dict(stage.inputs)}
    return Identity(asset=stage.asset, inputs=inputs, options=options, code=stage.code_record())


def run_stage(
    stage: Stage,
    store: Store,
    workspace: Workspace,
    log: Callable[[str], None] | None = None,
    run: str | None = None,
) -> RunResult:
    """Materializes a stage, or finds that its output is there already.

    Raises:
        StageError: an input is missing.
        StoreError: another run writes this asset.
    """
    place = store.place(stage.asset)
    with place.lease():
        wanted = wanted_identity(stage, store, workspace)
        current = place.record()
        if current is not None and current.serves(wanted):
            if not place.lost(current):
                return RunResult(current, reused=True)
            place.discard(wanted.digest())
        earlier = earlier_output(place, wanted)
        if earlier is not None:
            place.publish(earlier)  # back at an earlier declaration: its output is still there
            return RunResult(earlier, reused=True)
        record = _compute(stage, store, workspace, wanted, log, run)
        place.publish(record)
        clear_attempts(place)
        return RunResult(record, reused=False)


def earlier_output(place: Place, wanted: Identity) -> Record | None:
    """The record of a past run of the same identity, if all its files and table versions still exist."""
    record = place.record(wanted.digest())
    if record is None or place.lost(record):
        return None
    whole = all(version_exists(place.table(name), table.version) for name, table in record.tables.items())
    return record if whole else None


def _compute(
    stage: Stage,
    store: Store,
    workspace: Workspace,
    wanted: Identity,
    log: Callable[[str], None] | None,
    run: str | None,
) -> Record:
    inputs = {role: _consumed(store, asset, wanted.inputs[role]) for role, asset in stage.inputs.items()}
    executor = executor_for(stage.compute)
    context = StageContext(stage, store, workspace, wanted.digest(), inputs, executor, log)
    started, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    outcome = stage.load()(context)
    plots = _store_plots(context, outcome.plots)
    return Record(
        asset=stage.asset,
        kind=stage.kind,
        pipeline=stage.pipeline,
        identity=wanted,
        content_version=outcome.content or content_version(outcome),
        tables=outcome.tables,
        files=outcome.files,
        metrics=outcome.metrics,
        checks=outcome.checks,
        markdown=outcome.markdown,
        plots=plots,
        execution=_execution(executor, workspace, started, time.perf_counter() - clock, run),
    )


def content_version(outcome: Outcome) -> str:
    """The content of everything an outcome publishes."""
    return digest_of([{name: table.content for name, table in outcome.tables.items()}, outcome.files])


def _consumed(store: Store, asset: str, wanted: InputRecord) -> Record:
    record = store.place(asset).record(wanted.identity)
    if record is None:
        raise StageError(f"The history of {asset} lacks its current record; materialize it again.")
    return record


def _store_plots(context: StageContext, plots: Mapping[str, str]) -> dict[str, str]:
    stored = {}
    for title, svg in plots.items():
        name = f"plots/{title.lower().replace(' ', '_')}.svg"
        context.place.write_text(f"{context.place.folder(context.identity)}/{name}", svg)
        stored[title] = name
    return stored


def _execution(executor: Executor, workspace: Workspace, started: str, seconds: float, run: str | None) -> Execution:
    commit, dirty = _git_state(workspace.root)
    return Execution(
        started=started,
        seconds=round(seconds, 3),
        engine=executor.name,
        workers=executor.workers,
        headwater=headwater.__version__,
        python=sys.version.split()[0],
        processor=_processor(),
        threads=os.cpu_count() or 1,
        git_commit=commit,
        git_dirty=dirty,
        lock=_lock_hash(workspace.root),
        run=run,
    )


@cache
def _git_state(root: Path) -> tuple[str | None, bool | None]:
    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=20)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = git("rev-parse", "HEAD")
    status = git("status", "--porcelain") if commit else None
    return commit, None if status is None else bool(status)


@cache
def _lock_hash(root: Path) -> str | None:
    file = root / "constraints.txt"
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
