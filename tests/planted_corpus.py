"""A corpus whose tables are written row by row, so that a test says exactly what arrives, goes and is decided.

The tables and records are those that the real stages publish: `raw` (ledger, chunks), `signals` (documents) and
`deduplicated` (decisions), aligned by position; a change deletes rows and appends others in all of them alike.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from headwater.assets.corpus.stage import CHUNKS
from headwater.assets.schemas import DECISIONS, DOCUMENTS, RAW_LEDGER
from headwater.assets.storage.content import ContentSum, digest_of
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import CodeRecord, Execution, Identity, InputRecord, Record, TableRecord
from headwater.assets.storage.refreshing import refresh_parts
from headwater.assets.storage.tables import commit_parts, write_part

EXECUTION = Execution(
    started="2030-01-01T00:00:00+00:00",
    seconds=0,
    engine="local",
    workers=1,
    headwater="0",
    python="3",
    processor="test",
    threads=1,
)


@dataclass(frozen=True)
class Planted:
    """One record of the source: a document, or (without a text) something unreadable."""

    doc_id: str
    text: str | None
    split: str = "train"
    kept: bool = True

    def ledger(self) -> dict:
        size = len((self.text or "").encode())
        return {
            "doc_id": self.doc_id,
            "content_id": digest_of(self.text),
            "source": "planted",
            "uri": self.doc_id,
            "group": self.doc_id,
            "split": self.split,
            "modality": "text",
            "format": "prose",
            "bytes": size,
            "kept": self.text is not None,
        }


@dataclass
class PlantedCorpus:
    """The corpus `name` of a store; :meth:`change` publishes its next version."""

    store: Store
    name: str = "notes"
    rows: list[Planted] = field(default_factory=list)
    versions: dict[str, int] = field(default_factory=dict)
    text_recipe: int = 0

    def change(self, gone: set[str] = frozenset(), new: list[Planted] = (), flipped: set[str] = frozenset()) -> None:
        """Deletes rows, appends rows and turns decisions about, in place; then publishes."""
        removed = np.array([n for n, row in enumerate(self.rows) if row.doc_id in gone], dtype=np.int64)
        readable = np.cumsum([row.text is not None for row in self.rows]) - 1
        texts = np.array([readable[n] for n in removed if self.rows[n].text is not None], dtype=np.int64)
        stayed = [row for row in self.rows if row.doc_id not in gone]
        self.rows = [replace(row, kept=row.kept != (row.doc_id in flipped)) for row in [*stayed, *new]]
        self._write("raw", "ledger", RAW_LEDGER, [row.ledger() for row in new], removed)
        self._write("signals", "documents", DOCUMENTS, _documents(new), texts)
        self._publish()

    def rebuild(self, rows: list[Planted]) -> None:
        """Writes all tables anew, in another order perhaps, by another recipe of the texts."""
        self.rows, self.versions, self.text_recipe = list(rows), {}, self.text_recipe + 1
        self._write("raw", "ledger", RAW_LEDGER, [row.ledger() for row in rows], None)
        self._write("signals", "documents", DOCUMENTS, _documents(rows), None)
        self._publish()

    def _publish(self) -> None:
        readable = [row for row in self.rows if row.text is not None]
        chunk = [{"chunk": 0, "documents": len(readable), "records": len(self.rows)}]
        decisions = [{"doc_id": row.doc_id, "kept": row.kept} for row in self.rows]
        self._write("raw", "chunks", CHUNKS, chunk, None)
        self._write("deduplicated", "decisions", DECISIONS, decisions, None)
        raw = self._record("raw", {}, ["ledger", "chunks"], {"held_out": {}})
        signals = self._record("signals", {"raw": raw}, ["documents"], {"recipe": self.text_recipe})
        self._record("deduplicated", {"signals": signals}, ["decisions"], {})

    def _write(self, stage: str, table: str, schema: pa.Schema, rows: list[dict], removed: np.ndarray | None) -> None:
        url = self.store.place(f"{self.name}/{stage}").table(table)
        parts, _ = write_part(url, schema, pa.Table.from_pylist(rows, schema=schema).to_batches())
        if removed is None or table not in self.versions:
            self.versions[table] = commit_parts(url, schema, parts)
        else:
            self.versions[table] = refresh_parts(url, self.versions[table], removed, parts)

    def _record(self, stage: str, inputs: dict[str, Record], tables: list[str], options: dict) -> Record:
        asset = f"{self.name}/{stage}"
        consumed = {
            role: InputRecord(
                content=record.content_version,
                identity=record.digest,
                tables={name: table.version for name, table in record.tables.items()},
            )
            for role, record in inputs.items()
        }
        content = digest_of([stage, self.text_recipe, [[r.doc_id, r.text, r.split, r.kept] for r in self.rows]])
        consumed = consumed or {"outside": InputRecord(content=content, identity=content)}
        sources = {role: record.asset for role, record in inputs.items()}
        identity = Identity(
            asset=asset, inputs=consumed, options=options | {"_inputs": sources}, code=CodeRecord(number=1, modules="")
        )
        record = Record(
            asset=asset,
            kind="Corpus",
            pipeline="small",
            identity=identity,
            content_version=content,
            tables={name: TableRecord.of(self.versions[name], ContentSum(), {}) for name in tables},
            execution=EXECUTION,
        )
        self.store.place(asset).publish(record)
        return record


def _documents(rows: list[Planted]) -> list[dict]:
    return [
        {"doc_id": row.doc_id, "content_id": digest_of(row.text), "text": row.text}
        for row in rows
        if row.text is not None
    ]
