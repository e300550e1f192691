"""The order in which documents have precedence: declared date (unknown last), rank of the source, doc_id.

It depends on the final documents alone, never on the order of arrival, so that adding documents in any sequence keeps
the same ones. Dates are compared as instants: `2024`, `2024-01-01` and `2024-01-01T00:00:00Z` are the same moment.
"""

import re
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.deduplication.fit import id_hashes
from headwater.assets.key_sets import distinct

_UNKNOWN = np.iinfo(np.int64).max
_PARTIAL = re.compile(r"(\d{4})(?:-(\d{2}))?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(date: str) -> int:
    """Microseconds since 1970 of an ISO 8601 date; a year or month means its first moment, no zone means UTC.

    Raises ValueError for anything else.
    """
    if partial := _PARTIAL.fullmatch(date):
        moment = datetime(int(partial[1]), int(partial[2] or 1), 1, tzinfo=UTC)
    else:
        moment = datetime.fromisoformat(date)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _instants(ledger: pa.Table) -> npt.NDArray[np.int64]:
    """The instant of every row's date, the greatest integer for null."""
    dates = pc.dictionary_encode(ledger["date"].combine_chunks())
    values = np.empty(len(dates.dictionary) + 1, dtype=np.int64)
    values[-1] = _UNKNOWN
    for code, date in enumerate(dates.dictionary.to_pylist()):
        try:
            values[code] = instant(date)
        except ValueError:
            row = pc.index(ledger["date"], date).as_py()
            doc_id = ledger["doc_id"][row].as_py()
            raise ValueError(
                f"document {doc_id} has the date {date!r}, which is not ISO 8601; "
                "map the source's date field to e.g. 2024-05-31, or leave it out"
            ) from None
    return values[pc.fill_null(dates.indices, len(values) - 1).to_numpy(zero_copy_only=False)]


def _source_ranks(ledger: pa.Table, source_rank: dict[str, int]) -> npt.NDArray[np.int64]:
    sources = pc.dictionary_encode(ledger["source"].combine_chunks())
    names = sources.dictionary.to_pylist()
    if unknown := sorted(set(names) - set(source_rank)):
        raise ValueError(f"no rank is given for the sources {', '.join(unknown)}; known are {', '.join(source_rank)}")
    ranks = np.array([source_rank[name] for name in names], dtype=np.int64)
    return ranks[sources.indices.to_numpy(zero_copy_only=False)]


def precedence(ledger: pa.Table, source_rank: dict[str, int]) -> npt.NDArray[np.int64]:
    """Row numbers of the ledger (columns doc_id, source, date) from the first document to the last.

    Raises ValueError when a date can not be read or a source has no rank.
    """
    if len(ledger) == 0:
        return np.empty(0, dtype=np.int64)
    keys = pa.table(
        {
            "date": _instants(ledger),
            "source": _source_ranks(ledger, source_rank),
            "doc_id": ledger["doc_id"].combine_chunks(),
        }
    )
    order = pc.sort_indices(keys, [("date", "ascending"), ("source", "ascending"), ("doc_id", "ascending")])
    return order.to_numpy().astype(np.int64)


def document_order(ledger: pa.Table, source_rank: dict[str, int]) -> npt.NDArray[np.int64]:
    """The `precedence` of a ledger that must have every document once; raises ValueError for one that occurs twice."""
    order = precedence(ledger, source_rank)
    doc_ids = ledger["doc_id"].combine_chunks()
    # Hashes of 8 bytes tell nearly always; a table of all ids takes a hundred bytes for each.
    if len(distinct(id_hashes(doc_ids))) != len(doc_ids) and len(pc.unique(doc_ids)) != len(doc_ids):
        counts = pc.value_counts(doc_ids)
        twice = counts.field("values")[pc.index(pc.greater(counts.field("counts"), 1), True).as_py()]
        raise ValueError(f"document {twice} occurs more than once in the ledger; every doc_id must be unique")
    return order


def inverse(order: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The place of every row in an order of rows."""
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return places
