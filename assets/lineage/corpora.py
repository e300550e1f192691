"""The tables behind a corpus as a record consumed it: each stage in the version that belongs to it."""

from collections.abc import Iterator

from headwater.assets.context import consumed_record
from headwater.assets.corpus.view import CorpusView
from headwater.assets.storage.places import Store
from headwater.assets.storage.records import Record

CORPUS_ROLE = "corpus"


def corpus_stages(store: Store, record: Record) -> dict[str, Record]:
    """The records of a corpus from any of its stages back to `raw`, by the name of the stage."""
    found = {record.asset.split("/")[1]: record}
    while "raw" not in found:
        record = consumed_record(store, record, next(iter(record.identity.options["_inputs"])))
        found[record.asset.split("/")[1]] = record
    return found


def view_at(store: Store, record: Record) -> CorpusView:
    """The kept documents of a corpus at the stage of a record."""
    stages = corpus_stages(store, record)
    place = store.place
    signals, raw = stages["signals"], stages["raw"]
    decided = record.tables.get("decisions")
    return CorpusView(
        documents=(place(signals.asset).table("documents"), signals.tables["documents"].version),
        ledger=(place(raw.asset).table("ledger"), raw.tables["ledger"].version),
        decisions=None if decided is None else (place(record.asset).table("decisions"), decided.version),
    )


def corpora_of(store: Store, record: Record) -> Iterator[Record]:
    """The corpora that a record consumed, each at its last stage."""
    for role in record.identity.inputs:
        if role == CORPUS_ROLE or role.startswith(f"{CORPUS_ROLE}:"):
            yield consumed_record(store, record, role)
