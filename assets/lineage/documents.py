"""Finds documents by what people have of them: an id, an address at a source, or a file with the text.

The ledger of `raw` has a row for every record a source ever delivered, in the version of that time. An address can
stand for several documents over time, as a document that changes at its source is another document.
"""

import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headwater.assets.corpus.reading import content_id
from headwater.assets.lineage.history import LineageError, did_you_mean, history
from headwater.assets.storage.indexes import equals, find_rows, rows_where
from headwater.assets.storage.places import Place, Store
from headwater.assets.storage.records import Record
from headwater.assets.storage.tables import open_table

ID_LENGTH = 32
_SUGGESTED_FROM = 2000  # addresses looked at for a suggestion


@dataclass(frozen=True)
class Sighting:
    """A document in a corpus: its ledger row, in the newest version of `raw` that had it."""

    doc_id: str
    corpus: str
    raw: Record
    current: bool
    row: dict[str, Any]


def is_doc_id(text: str) -> bool:
    """Whether a text has the form of a document id."""
    return len(text) == ID_LENGTH and set(text) <= set(string.hexdigits.lower())


def find_documents(store: Store, asked: str) -> list[Sighting]:
    """Every document that an id, an address or a text file stands for, by corpus, the newest first.

    Raises:
        LineageError: no corpus ever had it; the message says what to try.
    """
    file = Path(asked)
    if is_doc_id(asked):
        found = list(_in_every_corpus(store, equals("doc_id", [asked]), first_only=True))
        if not found:
            raise LineageError(f"No kept version of a corpus has a document {asked}.")
        return found
    found = list(_in_every_corpus(store, _address(asked)))
    if not found and file.is_file():
        return _with_content(store, file)
    if not found:
        raise LineageError(f"No kept version of a corpus has a document at '{asked}'. {_nearest_address(store, asked)}")
    return found


def _address(uri: str) -> str:
    """An address, or all records of a file that holds many (`file#line=7`)."""
    escaped = uri.replace("'", "''")
    return f"{equals('uri', [uri])} OR starts_with(uri, '{escaped}#')"


def _raw_places(store: Store) -> list[Place]:
    return [store.place(asset) for asset in store.assets() if asset.endswith("/raw")]


def _versions(place: Place, table: str) -> Iterator[Record]:
    """Records of an asset, current first, each version of a table once."""
    seen = set()
    for record in history(place):
        if table in record.tables and (version := record.tables[table].version) not in seen:
            seen.add(version)
            yield record


def _in_every_corpus(store: Store, condition: str, first_only: bool = False) -> Iterator[Sighting]:
    for place in _raw_places(store):
        seen: set[str] = set()
        current = place.record()
        for record in _versions(place, "ledger"):
            for row in _rows(place, record, condition):
                if row["doc_id"] not in seen:
                    seen.add(row["doc_id"])
                    is_current = current is not None and record.digest == current.digest
                    yield Sighting(row["doc_id"], place.asset.split("/")[0], record, is_current, row)
            if seen and first_only:
                break


def _rows(place: Place, record: Record, condition: str) -> list[dict[str, Any]]:
    try:
        return list(rows_where(place.table("ledger"), record.tables["ledger"].version, condition).to_pylist())
    except FileNotFoundError:  # a past version that was cleaned up: newer ones still answer
        return []


def _with_content(store: Store, file: Path) -> list[Sighting]:
    """Documents whose text, as read or as repaired, is exactly that of a file.

    Raises:
        LineageError: there is none.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise LineageError(f"{file} is not UTF-8 text: {error.reason} at byte {error.start}.") from error
    wanted = sorted({content_id(form.encode()) for form in (text, text.rstrip("\n"), text.replace("\r\n", "\n"))})
    found = {(s.corpus, s.doc_id): s for s in _in_every_corpus(store, f"kept AND {equals('content_id', wanted)}")}
    for doc_id in _repaired_as(store, wanted):
        for sighting in _in_every_corpus(store, equals("doc_id", [doc_id]), first_only=True):
            found.setdefault((sighting.corpus, doc_id), sighting)
    if not found:
        raise LineageError(
            f"No document has exactly the text of {file}. `headwater trace text` finds a passage of it in longer ones."
        )
    return list(found.values())


def _repaired_as(store: Store, contents: list[str]) -> list[str]:
    found: dict[str, None] = {}
    for asset in store.assets():
        place = store.place(asset)
        for record in _versions(place, "documents") if asset.endswith("/signals") else ():
            try:
                url, version = place.table("documents"), record.tables["documents"].version
                rows = find_rows(url, version, "content_id", contents, ["doc_id"])
            except FileNotFoundError:
                continue
            found |= dict.fromkeys(rows["doc_id"].to_pylist())
    return list(found)


def _nearest_address(store: Store, asked: str) -> str:
    known: list[str] = []
    name = asked.rsplit("/", 1)[-1].split("#")[0].replace("'", "''")
    for place in _raw_places(store):
        record = place.record()
        if record is not None:
            table = open_table(place.table("ledger"), record.tables["ledger"].version)
            for condition in (f"contains(uri, '{name}')", None):
                rows = table.scanner(columns=["uri"], filter=condition, limit=_SUGGESTED_FROM).to_table()
                known += rows["uri"].to_pylist()
    known = list(dict.fromkeys(known))
    if below := [uri for uri in known if asked.endswith(f"/{uri}")]:
        return f"Did you mean '{max(below, key=len)}'? An address begins below what the source's path fixes."
    return did_you_mean(asked, known, shown=3) if known else "No corpus is materialized."
