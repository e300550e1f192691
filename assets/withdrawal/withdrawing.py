"""Appending to the table of withdrawals, published by a record like every other output.

Beside the ids, the table `fingerprints` keeps salted hashes of pieces of the withdrawn texts, so that their absence can
be proved when the texts are gone (see :mod:`headwater.assets.withdrawal.fingerprints`).
"""

import os
import platform
import secrets
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

import headwater
from headwater.assets.markdown import markdown_table
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import CodeRecord, Execution, Identity, Record, TableRecord
from headwater.assets.storage.refreshing import refresh_parts
from headwater.assets.storage.tables import commit_parts, read_table, write_part
from headwater.assets.withdrawal.blocklist import ASSET, TABLE, WITHDRAWALS, withdrawals_of
from headwater.assets.withdrawal.fingerprints import Hashes, fingerprints
from headwater.assets.withdrawal.selecting import Selection, texts_of, withdrawal_id

FINGERPRINTS = "fingerprints"
FINGERPRINT_ROWS = pa.schema(
    [
        pa.field("withdrawal", pa.string(), nullable=False),
        pa.field("corpus", pa.string(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("hashes", pa.large_list(pa.uint64()), nullable=False),
    ]
)


def withdraw(store: Store, chosen: Selection, reason: str, by: str, scope: str, with_duplicates: bool) -> Record:
    """Adds documents to the withdrawals; from then on no refresh delivers them.

    Args:
        chosen: documents that were not withdrawn before.
        scope: how they were asked for: ids, uris or match.

    Raises:
        StoreError: another withdrawal is being written.
    """
    place = store.place(ASSET)
    with place.lease():
        current = place.record()
        date = datetime.now(UTC).isoformat(timespec="seconds")
        name = withdrawal_id(chosen, reason, by, date)
        salt = current.metrics["fingerprints"]["salt"] if current else secrets.token_hex(16)
        rows = [
            {
                "withdrawal": name,
                "corpus": item.corpus,
                "doc_id": item.doc_id,
                "content_id": item.content_id,
                "source": item.source,
                "uri": item.uri,
                "reason": reason,
                "by": by,
                "date": date,
                "with_duplicates": with_duplicates,
                "scope": scope,
                "because": item.because,
            }
            for item in chosen.values()
        ]
        marks = list(_fingerprint_rows(store, chosen, name, bytes.fromhex(salt)))
        tables = {
            TABLE: _append(store, TABLE, pa.Table.from_pylist(rows, schema=WITHDRAWALS), current),
            FINGERPRINTS: _append(store, FINGERPRINTS, pa.Table.from_pylist(marks, schema=FINGERPRINT_ROWS), current),
        }
        record = _record(store, tables, current, name, salt, date)
        place.publish(record)
    return record


def _fingerprint_rows(store: Store, chosen: Selection, name: str, salt: bytes) -> Iterator[dict[str, object]]:
    found: dict[tuple[str, str], list[Hashes]] = {}
    for item, text in texts_of(store, chosen):
        found.setdefault((item.corpus, item.doc_id), []).append(fingerprints(text, salt))
    for (corpus, doc_id), hashes in sorted(found.items()):
        yield {"withdrawal": name, "corpus": corpus, "doc_id": doc_id, "hashes": np.unique(np.concatenate(hashes))}


def _append(store: Store, name: str, rows: pa.Table, current: Record | None) -> TableRecord:
    url = store.place(ASSET).table(name)
    fragments, content = write_part(url, rows.schema, rows.to_batches())
    columns = {field.name: str(field.type) for field in rows.schema}
    if current is None:
        return TableRecord.of(commit_parts(url, rows.schema, fragments), content, columns)
    before = current.tables[name]
    version = refresh_parts(url, before.version, np.empty(0, dtype=np.int64), fragments)
    return TableRecord.of(version, before.sum.plus(content), columns)


def _record(
    store: Store, tables: dict[str, TableRecord], current: Record | None, name: str, salt: str, date: str
) -> Record:
    record = Record(
        asset=ASSET,
        kind="Withdrawals",
        pipeline="headwater",
        identity=Identity(
            asset=ASSET,
            inputs={},
            options={"withdrawal": name},
            code=CodeRecord(number=1, modules=""),
            base=current.content_version if current else None,
        ),
        content_version=tables[TABLE].content,
        tables=tables,
        execution=Execution(
            started=date,
            seconds=0.0,
            engine="local",
            workers=1,
            headwater=headwater.__version__,
            python=sys.version.split()[0],
            processor=platform.machine(),
            threads=os.cpu_count() or 1,
        ),
    )
    entries = withdrawals_of(store, record)
    record.markdown["withdrawals"] = _history(entries)
    record.metrics = {
        "documents": entries.num_rows,
        "withdrawals": len(set(entries["withdrawal"].to_pylist())),
        "fingerprints": {"salt": salt},
    }
    return record


def _history(entries: pa.Table) -> str:
    rows: dict[str, list[object]] = {}
    for entry in entries.to_pylist():
        row = rows.setdefault(
            entry["withdrawal"], [*(entry[n] for n in ("withdrawal", "date", "by", "reason", "scope")), 0]
        )
        row[-1] += 1  # type: ignore[operator]
    return markdown_table(["withdrawal", "date", "by", "reason", "asked by", "documents"], list(rows.values()))


def read_fingerprints(store: Store) -> tuple[bytes, pa.Table]:
    """(salt, rows of FINGERPRINT_ROWS) of all withdrawals; nothing where there are none."""
    record = store.place(ASSET).record()
    if record is None:
        return b"", FINGERPRINT_ROWS.empty_table()
    rows = read_table(store.place(ASSET).table(FINGERPRINTS), record.tables[FINGERPRINTS].version)
    return bytes.fromhex(record.metrics["fingerprints"]["salt"]), rows
