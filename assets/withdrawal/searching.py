"""Looking for withdrawn text in everything that a store holds besides tables and shards: reports, records, logs, plots.

Also used to blank what is found. A file is read as the text it means: strings of JSON as they are spelled, character
references of HTML resolved. What is cut is the line; where a piece runs over lines, the whole string.
"""

import html
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from headwater.assets.storage.places import Store
from headwater.assets.storage.tables import scan_batches
from headwater.assets.withdrawal.blocklist import read_blocklist
from headwater.assets.withdrawal.fingerprints import Hashes, found_in
from headwater.assets.withdrawal.withdrawing import read_fingerprints

CUT = "[withdrawn]"
_NO_TEXT = (".lance", ".tar", ".safetensors", ".pt", ".bin", ".npy", ".npz", ".arrow", ".txn", ".manifest")
_LINES = (".jsonl", ".ndjson")
_MARKUP = (".html", ".svg", ".md")


@dataclass(frozen=True)
class Search:
    """The fingerprints looked for, sorted, and the salt they were made with."""

    salt: bytes
    wanted: Hashes

    def hits(self, text: str) -> Hashes:
        """Which of them a text holds."""
        return found_in(text, self.salt, self.wanted)

    def holds(self, text: str) -> bool:
        """Whether a text holds any of them."""
        return len(self.hits(text)) > 0


class Sharing(NamedTuple):
    """How much a document that stays has in common with withdrawn ones."""

    pieces: int  # fingerprints
    whole: frozenset[str]  # ids of withdrawn documents of which it holds every fingerprint


def everything_withdrawn(store: Store) -> tuple[Search, set[str]]:
    """A search for all withdrawn texts, and the ids of the documents."""
    salt, rows = read_fingerprints(store)
    hashes = [np.asarray(row, dtype=np.uint64) for row in rows["hashes"].to_pylist()]
    wanted = np.unique(np.concatenate(hashes)) if hashes else np.empty(0, dtype=np.uint64)
    return Search(salt, wanted), set(read_blocklist(store).entries["doc_id"].to_pylist())


def what_tells(store: Store) -> tuple[Search, dict[str, Sharing]]:
    """A search for what tells a withdrawn text from those that stay, and which of these share how much with it.

    A licence or a quotation that other documents hold too is no evidence of the withdrawn one.
    """
    search, ids = everything_withdrawn(store)
    shared: list[Hashes] = [np.empty(0, dtype=np.uint64)]
    sharing: dict[str, Sharing] = {}
    texts = _by_least(store)
    for asset in store.assets() if len(search.wanted) else []:
        place = store.place(asset)
        record = place.record()
        if record is None or "documents" not in record.tables or asset.split("/")[0] == "headwater":
            continue
        for batch in scan_batches(place.table("documents"), record.tables["documents"].version, ["doc_id", "text"]):
            if not search.holds("\n".join(text or "" for text in batch["text"].to_pylist())):
                continue
            for doc_id, text in zip(batch["doc_id"].to_pylist(), batch["text"].to_pylist(), strict=True):
                if doc_id not in ids and len(hits := search.hits(text or "")):
                    shared.append(hits)
                    before = sharing.get(doc_id, Sharing(0, frozenset()))
                    sharing[doc_id] = Sharing(max(before.pieces, len(hits)), before.whole | _whole(texts, hits))
    return Search(search.salt, np.setdiff1d(search.wanted, np.concatenate(shared))), sharing


def _by_least(store: Store) -> dict[int, list[tuple[str, Hashes]]]:
    """The least fingerprint of each withdrawn text → its document and all its fingerprints."""
    found: dict[int, list[tuple[str, Hashes]]] = {}
    _, rows = read_fingerprints(store)
    for doc_id, row in zip(rows["doc_id"].to_pylist(), rows["hashes"].to_pylist(), strict=True):
        if row:
            found.setdefault(row[0], []).append((doc_id, np.asarray(row, dtype=np.uint64)))
    return found


def _whole(texts: dict[int, list[tuple[str, Hashes]]], hits: Hashes) -> frozenset[str]:
    """The withdrawn documents all of whose fingerprints are among those found in a text."""
    begun = [item for least in hits.tolist() for item in texts.get(least, ())]
    return frozenset(doc_id for doc_id, own in begun if len(own) <= len(hits) and np.isin(own, hits).all())


def text_files(store: Store) -> Iterator[tuple[str, str]]:
    """(path within the store, text) of every file that is neither a table nor a shard nor numbers."""
    prefix = store.fs._strip_protocol(store.root).rstrip("/") + "/"
    for path in sorted(store.fs.find(store.root)):
        name = path.removeprefix(prefix)
        if ".lance/" in name or name.endswith(_NO_TEXT):
            continue
        yield name, store.fs.cat_file(path).decode("utf-8", "replace")


def other_files(store: Store) -> int:
    """How many files of numbers there are beside tables and shards: weights and the state of optimizers."""
    names = store.fs.find(store.root)
    return sum(name.endswith(_NO_TEXT) and not name.endswith(".tar") and ".lance/" not in name for name in names)


def meaning(name: str, text: str) -> str:
    """What a file says: strings of JSON and references of markup resolved, beside the text as it is."""
    if name.endswith((".json", *_LINES)):
        return "\n".join([text, *(found for value in _documents(text) for found in _strings(value))])
    return f"{text}\n{html.unescape(text)}" if name.endswith(_MARKUP) else text


def without(name: str, text: str, search: Search) -> str:
    """The file's text with everything found in it cut."""
    if name.endswith(_LINES):
        return "\n".join(_without_json(line, search) for line in text.split("\n"))
    if name.endswith(".json"):
        return _without_json(text, search)
    cut = _cut_lines(text, search)
    return cut if not search.holds(meaning(name, cut)) else CUT


def _without_json(text: str, search: Search) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        return _cut_lines(text, search)
    return json.dumps(_cut_value(value, search), indent=2 if "\n" in text else None, ensure_ascii=False)


def _cut_value(value: Any, search: Search) -> Any:
    if isinstance(value, dict):
        return {_cut_lines(key, search): _cut_value(item, search) for key, item in value.items()}
    if isinstance(value, list):
        return [_cut_value(item, search) for item in value]
    return _cut_lines(value, search) if isinstance(value, str) else value


def _cut_lines(text: str, search: Search) -> str:
    if not search.holds(text) and not search.holds(html.unescape(text)):
        return text
    lines = [CUT if search.holds(html.unescape(line)) else line for line in text.split("\n")]
    cut = "\n".join(lines)
    return CUT if search.holds(html.unescape(cut)) else cut


def _documents(text: str) -> Iterator[Any]:
    """The JSON values of a file: one, or one a line."""
    try:
        yield json.loads(text)
    except ValueError:
        for line in text.splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
