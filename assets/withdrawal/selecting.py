"""Which documents a withdrawal means: by id, by address, or by what their text contains; and what duplicates them.

Ids and addresses are looked up in every version of every corpus's ledger that the store still has, as a checkpoint may
have seen what its corpus lost since. Byte-identical copies always go with a document: their content is the same, so a
promise that it is gone could not be kept without them. Near-duplicates go when that is asked for.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.lineage.history import LineageError, history
from headwater.assets.storage.content import digest_of
from headwater.assets.storage.indexes import find_rows
from headwater.assets.storage.places import Place, Store
from headwater.assets.storage.tables import open_table, scan_batches
from headwater.assets.withdrawal.blocklist import NO_TEXT, RULE, Blocklist

_ORIGIN = ["doc_id", "content_id", "source", "uri", "bytes", "kept", "rule"]
_AT_ONCE = 2000  # values in one condition
_ANY = {"*": ".*", "?": "."}  # what is special in a pattern of addresses; brackets are not


@dataclass(frozen=True)
class Withdrawn:
    """A document to withdraw: where it is known, and why it is meant (asked for, an exact copy, or a near one)."""

    corpus: str
    doc_id: str
    content_id: str
    source: str
    uri: str
    bytes: int
    because: str = "asked"


Selection = dict[tuple[str, str], Withdrawn]  # by corpus and doc_id


def places_with(store: Store, stage: str) -> list[Place]:
    """The assets of a stage, one for each corpus."""
    return [store.place(asset) for asset in store.assets() if asset.endswith(f"/{stage}")]


def table_versions(place: Place, table: str) -> Iterator[tuple[str, int]]:
    """(location, version) of a table as each record has it, the current first, each version once."""
    seen: set[int] = set()
    for record in history(place):
        if table in record.tables and (version := record.tables[table].version) not in seen:
            seen.add(version)
            try:
                open_table(place.table(table), version)
            except FileNotFoundError:  # collected since
                continue
            yield place.table(table), version


def select_ids(store: Store, ids: Sequence[str], blocked: Blocklist) -> Selection:
    """The documents with these ids.

    Raises:
        LineageError: no corpus ever had one of them.
    """
    found = _by_values(store, "doc_id", ids)
    known = {doc_id for _, doc_id in found} | set(blocked.entries["doc_id"].to_pylist())
    missing = [doc_id for doc_id in ids if doc_id not in known]
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise LineageError(
            f"No kept version of a corpus has a document {shown}. `headwater trace document` finds ids by address."
        )
    return found


def select_uris(store: Store, uris: Sequence[str], blocked: Blocklist) -> Selection:
    """The documents at these addresses; a file stands for all of its records.

    Where nothing is at an address as it is spelled, `*` stands for any text in it and `?` for one character.

    Raises:
        LineageError: nothing was ever at one of them.
    """
    listed = set(blocked.entries["uri"].to_pylist())
    found: Selection = {}
    for uri in uris:
        matches = re.compile(f"{re.escape(uri)}(#.*)?", re.DOTALL).fullmatch
        here = _by_uri(store, matches)
        if not here and not any(matches(known) for known in listed) and any(sign in uri for sign in _ANY):
            matches = re.compile("".join(_ANY.get(sign) or re.escape(sign) for sign in uri), re.DOTALL).fullmatch
            here = _by_uri(store, matches)
        if not here and not any(matches(known) for known in listed):
            raise LineageError(
                f"No kept version of a corpus has a document at '{uri}'. `headwater trace document` suggests addresses."
            )
        found |= here
    return found


def select_matching(store: Store, text: str, regex: bool) -> Selection:
    """The documents whose text, as curation repaired it or as it was read, contains a text or matches a pattern.

    Raises:
        LineageError: none does, or the pattern is no regular expression.
    """
    if regex:
        try:
            re.compile(text)
        except re.error as error:
            raise LineageError(f"'{text}' is not a regular expression: {error}.") from error
    ids: set[str] = set()
    for place in [*places_with(store, "signals"), *places_with(store, "raw")]:
        for url, version in table_versions(place, "documents"):
            for batch in scan_batches(url, version, ["doc_id", "text"]):
                hit = (pc.match_substring_regex if regex else pc.match_substring)(batch["text"], text)
                ids.update(batch["doc_id"].filter(pc.fill_null(hit, False)).to_pylist())
    found = _by_values(store, "doc_id", sorted(ids))
    if not found:
        raise LineageError(f"No document contains '{text}'. Case and white space count; --regex takes a pattern.")
    return found


def with_copies(store: Store, chosen: Selection) -> Selection:
    """The selection and every byte-identical copy in any corpus."""
    contents = sorted({item.content_id for item in chosen.values()} - {NO_TEXT})
    copies = _by_values(store, "content_id", contents)
    return chosen | {key: replace(item, because="exact") for key, item in copies.items() if key not in chosen}


def with_duplicates(store: Store, chosen: Selection) -> Selection:
    """The selection and what has a verified edge to it: copies of copies, then what closely resembles any of those.

    Exact edges are followed as far as they go. A near edge is followed once: what resembles a resembling document need
    not resemble the withdrawn one.
    """
    chosen = with_copies(store, chosen)
    for place in places_with(store, "deduplicated"):
        corpus = place.asset.split("/")[0]
        edges = _all_edges(place)
        own = {doc_id for owner, doc_id in chosen if owner == corpus}
        copies = _reached(own, edges["exact"])
        near = _neighbours(copies, edges["near"])
        for because, ids in (("exact", copies - own), ("near", _reached(near, edges["exact"]) - copies)):
            rows = _by_values(store, "doc_id", sorted(ids), corpus)
            chosen |= {key: replace(item, because=because) for key, item in rows.items() if key not in chosen}
    return with_copies(store, chosen)


def not_yet(chosen: Selection, blocked: Blocklist) -> Selection:
    """The selection without what was withdrawn before."""
    listed = set(zip(blocked.entries["corpus"].to_pylist(), blocked.entries["doc_id"].to_pylist(), strict=True))
    return {key: item for key, item in chosen.items() if key not in listed}


def texts_of(store: Store, chosen: Selection) -> Iterator[tuple[Withdrawn, str]]:
    """Every form of the texts that the store still has: as read and as repaired, in any version."""
    for stage in ("raw", "signals"):
        for place in places_with(store, stage):
            corpus = place.asset.split("/")[0]
            left = {
                item.doc_id: item for owner, item in ((key[0], item) for key, item in chosen.items()) if owner == corpus
            }
            for url, version in table_versions(place, "documents"):
                for ids in _slices(sorted(left)):
                    rows = find_rows(url, version, "doc_id", ids, ["doc_id", "text"])
                    for doc_id, text in zip(rows["doc_id"].to_pylist(), rows["text"].to_pylist(), strict=True):
                        yield left.pop(doc_id), text or ""


def withdrawal_id(chosen: Selection, reason: str, by: str, date: str) -> str:
    """A name for a withdrawal: 12 hexadecimal digits."""
    return digest_of([sorted(map(list, chosen)), reason, by, date])[:12]


def _by_values(store: Store, column: str, values: Iterable[str], corpus: str | None = None) -> Selection:
    wanted, found = list(values), Selection()
    for place in places_with(store, "raw"):
        if wanted and corpus in (None, place.asset.split("/")[0]):
            for url, version in table_versions(place, "ledger"):
                for part in _slices(wanted):
                    _add(found, place, find_rows(url, version, column, part, _ORIGIN))
    return found


def _by_uri(store: Store, matches: Any) -> Selection:
    found = Selection()
    for place in places_with(store, "raw"):
        for url, version in table_versions(place, "ledger"):
            for batch in scan_batches(url, version, _ORIGIN, rows=65536):
                mask = pa.array([matches(uri) is not None for uri in batch["uri"].to_pylist()])
                _add(found, place, pa.Table.from_batches([batch]).filter(mask))
    return found


def _add(found: Selection, place: Place, rows: pa.Table) -> None:
    corpus = place.asset.split("/")[0]
    for row in rows.to_pylist():
        if row["rule"] != RULE:
            names = ("doc_id", "content_id", "source", "uri", "bytes")
            found.setdefault((corpus, row["doc_id"]), Withdrawn(corpus, *(row[name] for name in names)))


def _all_edges(place: Place) -> dict[str, list[tuple[str, str]]]:
    """Pairs of each kind of edge, in any version."""
    found: dict[str, set[tuple[str, str]]] = {"exact": set(), "near": set()}
    for url, version in table_versions(place, "edges"):
        for batch in scan_batches(url, version, ["doc_id", "other_id", "kind"], rows=65536):
            for kind, pairs in found.items():
                own = batch.filter(pc.equal(batch["kind"], kind))
                pairs.update(zip(own["doc_id"].to_pylist(), own["other_id"].to_pylist(), strict=True))
    return {kind: sorted(pairs) for kind, pairs in found.items()}


def _neighbours(ids: set[str], pairs: Sequence[tuple[str, str]]) -> set[str]:
    return {b for a, b in pairs if a in ids} | {a for a, b in pairs if b in ids}


def _reached(ids: set[str], pairs: Sequence[tuple[str, str]]) -> set[str]:
    """Everything connected with some documents."""
    found = set(ids)
    while more := _neighbours(found, pairs) - found:
        found |= more
    return found


def _slices(values: Sequence[str]) -> Iterator[list[str]]:
    for first in range(0, len(values), _AT_ONCE):
        yield list(values[first : first + _AT_ONCE])
