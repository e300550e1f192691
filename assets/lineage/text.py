"""Where a text stands verbatim in the documents, as repaired: the very texts that were tokenized.

An index of three-character pieces, built by `headwater index text`, narrows the search to candidates, and each is read
to verify it; so what is found is exact with an index, with an old one, or with none (then every text is read). The
index stands in a version of its own beside those that records pin. A search in any version uses it for the files that
both share and reads the rest.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from headwater.assets.lineage.corpora import corpora_of, corpus_stages
from headwater.assets.lineage.history import LineageError, did_you_mean
from headwater.assets.lineage.segments import distinct_tokens, trained_segments
from headwater.assets.storage.indexes import TextIndex, build_text_index, find_rows, rows_with_text, uncovered_rows
from headwater.assets.storage.places import Place, Store
from headwater.assets.storage.records import Record

REGISTER = "indexes/text.json"
_POSITIONS = 100  # told of one document
_IDS = 512
_NO_TEXTS = "No corpus is materialized up to its signals: there are no texts to search."


@dataclass(frozen=True)
class Occurrence:
    """A document that contains the text. `positions` are characters from its beginning (the first 100 are told).

    `fate` is `train` or `held_out` for a kept document, else the stage and rule that dropped it.
    """

    corpus: str
    doc_id: str
    source: str | None
    uri: str | None
    fate: str
    count: int
    positions: tuple[int, ...]


@dataclass(frozen=True)
class Searched:
    """How one corpus was searched: documents in all, those that no index covers and were read, and the time."""

    corpus: str
    version: str
    documents: int
    scanned: int
    seconds: float


@dataclass(frozen=True)
class TextSearch:
    """Where a text was looked for and found."""

    text: str
    checkpoint: str | None
    searched: tuple[Searched, ...]
    found: tuple[Occurrence, ...]

    @property
    def occurrences(self) -> int:
        """How often the text stands in all documents together; places may overlap."""
        return sum(document.count for document in self.found)

    @property
    def trained(self) -> int:
        """Documents among them that were kept for training."""
        return sum(document.fate == "train" for document in self.found)


def find_text(store: Store, text: str, checkpoint: Record | None = None) -> TextSearch:
    """Every document that contains a text: of the corpora that a checkpoint was trained on, or of all current ones.

    Raises:
        LineageError: the text is empty, or no corpus is materialized.
    """
    if not text:
        raise LineageError("An empty text stands everywhere; give a passage.")
    corpora = _corpora(store, checkpoint)
    if not corpora:
        raise LineageError(_NO_TEXTS)
    searched, found = [], []
    for corpus in corpora:
        how, occurrences = _search(store, corpus, text)
        searched.append(how)
        found += occurrences
    name = None if checkpoint is None else checkpoint.asset
    once = {(o.corpus, o.doc_id): o for o in reversed(found)}  # versions of one corpus come newest first
    ordered = sorted(once.values(), key=lambda o: (o.corpus, -o.count, o.uri or "", o.doc_id))
    return TextSearch(text, name, tuple(searched), tuple(ordered))


def _corpora(store: Store, checkpoint: Record | None) -> list[Record]:
    """Corpora at the last stage of theirs that exists, each version once."""
    if checkpoint is not None:
        tokens = reversed(distinct_tokens(trained_segments(store, checkpoint)))
        return [corpus for record in tokens for corpus in corpora_of(store, record)]
    found = []
    for asset in store.assets():
        if asset.endswith("/signals"):
            name = asset.split("/")[0]
            stages = (store.place(f"{name}/{stage}").record() for stage in ("deduplicated", "curated", "signals"))
            found.append(next(record for record in stages if record is not None))
    return found


def _search(store: Store, corpus: Record, text: str) -> tuple[Searched, list[Occurrence]]:
    started = time.perf_counter()
    stages = corpus_stages(store, corpus)
    place, signals = store.place(stages["signals"].asset), stages["signals"]
    url, version = place.table("documents"), signals.tables["documents"].version
    index = text_index(place)
    number = index.version if index else None
    positions: dict[str, tuple[int, ...]] = {}
    try:
        scanned = uncovered_rows(url, version, number)
        for batch in rows_with_text(url, version, text, ["doc_id", "text"], number):
            for doc_id, content in zip(batch["doc_id"].to_pylist(), batch["text"].to_pylist(), strict=True):
                if places := tuple(places_of(text, content)):
                    positions[doc_id] = places
    except FileNotFoundError as error:
        raise LineageError(
            f"The texts of {signals.asset} at version {version} were cleaned up or withdrawn: they cannot be searched."
        ) from error
    found = list(_occurrences(store, corpus, stages["raw"], positions))
    seconds = round(time.perf_counter() - started, 3)
    return Searched(place.asset.split("/")[0], signals.digest, signals.rows("documents"), scanned, seconds), found


def places_of(text: str, content: str) -> Iterator[int]:
    """Every place at which a text stands in another, overlapping ones included."""
    place = content.find(text)
    while place >= 0:
        yield place
        place = content.find(text, place + 1)


def _occurrences(
    store: Store, corpus: Record, raw: Record, positions: dict[str, tuple[int, ...]]
) -> Iterator[Occurrence]:
    ids = list(positions)
    for first in range(0, len(ids), _IDS):
        few = ids[first : first + _IDS]
        url, version = store.place(raw.asset).table("ledger"), raw.tables["ledger"].version
        origins = {r["doc_id"]: r for r in find_rows(url, version, "doc_id", few).to_pylist()}
        fates = _fates(store, corpus, few)
        for doc_id in few:
            origin, places = origins.get(doc_id, {}), positions[doc_id]
            name, fate = raw.asset.split("/")[0], fates.get(doc_id) or origin.get("split", "unknown")
            told = (origin.get("source"), origin.get("uri"), fate, len(places), places[:_POSITIONS])
            yield Occurrence(name, doc_id, *told)


def _fates(store: Store, corpus: Record, ids: list[str]) -> dict[str, str]:
    """Why documents were dropped; kept ones are left out."""
    if "decisions" not in corpus.tables:
        return {}
    url, version = store.place(corpus.asset).table("decisions"), corpus.tables["decisions"].version
    rows = find_rows(url, version, "doc_id", ids, ["doc_id", "kept", "stage", "rule"]).to_pylist()
    return {row["doc_id"]: f"dropped by {row['stage']}: {row['rule']}" for row in rows if not row["kept"]}


def text_index(place: Place) -> TextIndex | None:
    """The index of an asset's texts, if one was built."""
    text = place.read_text(f"{place.root}/{REGISTER}")
    return TextIndex.from_json(text) if text else None


def build_indexes(store: Store, corpus: str = "") -> Iterator[tuple[str, TextIndex]]:
    """Indexes the texts of a corpus, or of all: (its name, the index).

    Raises:
        LineageError: no corpus of that name is materialized.
        StoreError: a run is writing its texts.
    """
    known = [asset.split("/")[0] for asset in store.assets() if asset.endswith("/signals")]
    if corpus and corpus not in known:
        raise LineageError(f"There is no corpus '{corpus}' with texts. {did_you_mean(corpus, known)}")
    if not known:
        raise LineageError(_NO_TEXTS)
    for name in [corpus] if corpus else known:
        place = store.place(f"{name}/signals")
        with place.lease():
            record = place.record()
            if record is not None and record.rows("documents"):
                yield name, _build(place, record)


def _build(place: Place, record: Record) -> TextIndex:
    started = time.perf_counter()
    version, size = build_text_index(place.table("documents"), record.tables["documents"].version)
    index = TextIndex(version, record.rows("documents"), 0.0, size)
    index = replace(index, seconds=round(time.perf_counter() - started, 3))
    place.write_text(f"{place.root}/{REGISTER}", index.to_json())
    return index
