"""What a stage's function works with: its inputs' records, its place in the store, and the means to compute.

A stage gives functions over partitions; what they yield is written where they run, journaled part by part, and
committed at the end. A stage that finds an earlier output of the same recipe (``StageContext.base``) computes only
what is new and says which rows of the earlier tables go.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from headwater.assets.compute.cost import Cost, Meter, megabytes_per_second
from headwater.assets.compute.executor import Executor
from headwater.assets.compute.progress import Progress, quantity
from headwater.assets.stages import Stage
from headwater.assets.storage.attempts import Attempt, Part, combined, part_name
from headwater.assets.storage.changes import Changes, changes, staying
from headwater.assets.storage.content import ContentSum, content_of, digest_of
from headwater.assets.storage.places import Place, Store
from headwater.assets.storage.records import Record, StepRecord, TableRecord, pinned
from headwater.assets.storage.refreshing import Revision, refresh_parts
from headwater.assets.storage.tables import Positions, commit_parts, content_at, write_part
from headwater.assets.workspace import Workspace

# A partition's function yields batches per table; the name "figures" is kept for what it counted.
Partition = Callable[[Any], Iterator[tuple[str, Any]]]
FLUSH_BYTES = 64 << 20
Keeping = Mapping[str, Positions] | Callable[[list[dict[str, Any]]], Mapping[str, Positions]]


class StageError(Exception):
    """A stage cannot run; the message says which and what to do."""


@dataclass(frozen=True)
class WritePartition:
    """Runs a partition's function where it is sent (a worker process) and writes its batches as fragments."""

    function: Partition
    urls: dict[str, str]
    schemas: dict[str, pa.Schema]

    def __call__(self, item: Any) -> Part:
        """Computes one partition; memory is bounded by ``FLUSH_BYTES`` per table and one batch."""
        part, meter = Part(), Meter()
        held: dict[str, list[pa.RecordBatch]] = {name: [] for name in self.urls}
        with meter.running():
            for name, value in self.function(item):
                if name == "figures":
                    part.figures = value
                    continue
                held[name].append(value)
                meter.count(name, value)
                if sum(batch.nbytes for batch in held[name]) > FLUSH_BYTES:
                    self._flush(part, name, held)
            for name in self.urls:
                self._flush(part, name, held)
        part.cost = meter.cost
        return part

    def _flush(self, part: Part, name: str, held: dict[str, list[pa.RecordBatch]]) -> None:
        fragments, content = write_part(self.urls[name], self.schemas[name], held[name])
        part.fragments.setdefault(name, []).extend(fragments)
        part.content[name] = part.content.get(name, ContentSum()).plus(content)
        held[name] = []


class Rebuild(Exception):
    """An earlier output cannot be built on after all; the stage is computed in full instead."""


@dataclass
class StageContext:
    """What a stage's function may use: its options, its inputs' records, its place, and the means to compute.

    ``base`` is the earlier output of the same options and code that this run may build on; None asks for a full run.
    ``found`` is what the stage's own look outside the graph had found when the identity was made.
    """

    stage: Stage
    store: Store
    workspace: Workspace
    identity: str
    inputs: dict[str, Record]
    executor: Executor
    log: Callable[[str], None] | None = None
    base: Record | None = None
    found: Any = None
    steps: list[StepRecord] = field(default_factory=list)  # what the steps of this run did and cost
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
        """The record that ``record`` had consumed in a role, as it was then, with the table versions it read."""
        return consumed_record(self.store, record, role)

    def earlier(self, role: str) -> Record:
        """The record that ``base`` had consumed in a role.

        Raises:
            Rebuild: the history no longer has it.
        """
        if self.base is None:
            raise Rebuild(f"{self.stage.asset} has no earlier output.")
        try:
            return self.upstream(self.base, role)
        except StageError as error:
            raise Rebuild(str(error)) from error

    def changes(self, role: str, table: str) -> Changes:
        """What changed in an input's table since ``base`` consumed it.

        Raises:
            Rebuild: that version is no longer there.
        """
        return self.changes_between(self.earlier(role), self.inputs[role], table)

    def changes_between(self, older: Record, newer: Record, table: str) -> Changes:
        """What changed in a table between two records of one asset.

        Raises:
            Rebuild: one of the versions is no longer there.
        """
        url, version = self.table_url(newer, table)
        try:
            return changes(url, older.tables[table].version, version)
        except FileNotFoundError as error:
            raise Rebuild(str(error)) from error

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
        keeping: Keeping | None = None,
        on_gpu: bool = False,
    ) -> tuple[dict[str, TableRecord], list[dict[str, Any]]]:
        """Runs a function over partitions, taking over those an interrupted run finished, and commits the tables.

        Args:
            step: name of the step within the stage, for its journal.
            function: item → yields (table, batch), and ("figures", dict) at most once.
            items: the partitions, whose order is the order of the tables' rows.
            covers: what each item covers (files, rows) as JSON values: a finished part is known again by it.
            sizes: progress units of each item (default: one each).
            keeping: tables that go on from ``base``: its rows but those at these positions, then the new ones. Where
                only the partitions can tell which rows go: a function of their figures.
            on_gpu: whether the function uses the GPUs that ``compute`` declares; else none is reserved for it.

        Returns:
            The committed tables, and the figures of every partition in order.
        """
        attempt = Attempt(self.place, self._attempt, step)
        names, earlier = [part_name(n, cover) for n, cover in enumerate(covers)], attempt.finished()
        parts = {n: earlier[name] for n, name in enumerate(names) if name in earlier}
        left = [n for n in range(len(items)) if n not in parts]
        size = list(sizes) if sizes is not None else [1.0] * len(items)
        write = WritePartition(function, {name: self.place.table(name) for name in schemas}, dict(schemas))
        done, begun = Cost(), time.perf_counter()
        with self.progress(sum(size), unit, start=sum(size[n] for n in parts)) as bar:
            for index, part in self.executor.map(write, [items[n] for n in left], bar.advance_nothing, on_gpu):
                if len(items) > 1:  # one alone is committed next: noting it first would spare a run little
                    attempt.finish(names[left[index]], part)
                parts[left[index]] = part
                done = done.plus(part.cost)
                bar.advance(size[left[index]], note=_pace(done, time.perf_counter() - begun, unit))
        self._note_step(step, left, len(items), done, time.perf_counter() - begun)
        ordered = [parts[n] for n in range(len(items))]
        figures = [part.figures for part in ordered]
        removed = keeping(figures) if callable(keeping) else keeping or {}
        tables = {name: self._commit(name, schema, ordered, removed.get(name)) for name, schema in schemas.items()}
        return tables, figures

    def _note_step(self, step: str, left: list[int], parts: int, cost: Cost, seconds: float) -> None:
        self.steps.append(
            StepRecord(
                step=step,
                parts=len(left),
                taken_over=parts - len(left),
                rows=cost.rows,
                megabytes=round(cost.text_bytes / 1e6, 3),
                seconds=round(seconds, 3),
                cpu_seconds=round(cost.cpu, 3),
                peak_megabytes=round(cost.peak / 1e6),
            )
        )

    def write_table(self, name: str, rows: pa.Table, content: ContentSum | None = None) -> TableRecord:
        """Writes a table computed in this process; ``content`` spares hashing the rows where it is known."""
        return self._commit(name, rows.schema, [self._part(name, rows, content)])

    def write_pieces(self, name: str, schema: pa.Schema, pieces: Iterable[pa.Table]) -> TableRecord:
        """Writes a table that this process computes piece by piece, of which memory holds one."""
        return self._commit(name, schema, [self._part(name, rows) for rows in pieces])

    def update_table(
        self, name: str, removed: Positions, rows: pa.Table, revision: Revision | None = None
    ) -> TableRecord:
        """The table of ``base`` without the rows at some positions, and with further rows at its end.

        ``revision`` gives rows that stay other values; its places are counted without the rows that go.
        """
        return self._commit(name, rows.schema, [self._part(name, rows)], removed, revision)

    @property
    def _attempt(self) -> str:
        """What finished parts belong to: positions in them mean these versions of the inputs and of the base."""
        pins = {role: {n: t.version for n, t in record.tables.items()} for role, record in self.inputs.items()}
        base = {n: t.version for n, t in self.base.tables.items()} if self.base else None
        return digest_of([self.identity, pins, base])

    def _part(self, name: str, rows: pa.Table, content: ContentSum | None = None) -> Part:
        fragments, content = write_part(self.place.table(name), rows.schema, rows.to_batches(), content)
        return Part({name: fragments}, {name: content})

    def _commit(
        self,
        name: str,
        schema: pa.Schema,
        parts: list[Part],
        removed: Positions | None = None,
        revision: Revision | None = None,
    ) -> TableRecord:
        url, (fragments, content) = self.place.table(name), combined(parts, name)
        columns = {item.name: str(item.type) for item in schema}
        if removed is None or self.base is None:
            return TableRecord.of(commit_parts(url, schema, fragments), content, columns)
        before = self.base.tables[name]
        lost = removed
        if revision is not None and len(revision.places):
            lost = np.concatenate([removed, staying(before.rows, removed)[revision.places]])
            content = content.plus(content_of(revision.rows.combine_chunks()))
        content = before.sum.minus(content_at(url, before.version, lost)).plus(content)
        return TableRecord.of(refresh_parts(url, before.version, removed, fragments, revision), content, columns)


def _pace(done: Cost, seconds: float, unit: str) -> str:
    """The throughput that a bar does not show by itself: of text beside one of documents, and the other way round."""
    if unit == "MB":
        return f"{quantity(done.rows / max(seconds, 1e-9))} rows/s" if done.rows else ""
    megabytes = megabytes_per_second(done, seconds)
    return f"{quantity(megabytes)} MB/s" if megabytes else ""


def consumed_record(store: Store, record: Record, role: str) -> Record:
    """The record that ``record`` had consumed in a role, as it was then, with the table versions it read.

    Raises:
        StageError: the history of that asset lacks it.
    """
    stage_input = record.identity.inputs[role]
    asset = record.identity.options["_inputs"][role]
    found = store.place(asset).record(stage_input.identity)
    if found is None:
        raise StageError(f"The history of {asset} lacks what {record.asset} was made from; materialize it again.")
    return pinned(found, stage_input.tables)
