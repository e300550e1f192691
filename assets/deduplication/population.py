"""All documents that a refresh has to do with, under one numbering: the earlier ones by row, then the arrivals.

A document that went is still there, marked as gone, so that what a bucket was and what it is can be told from the same
members. Exact copies form a group; its root, the earliest of them, stands for it before and after the refresh.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headwater.assets.arrow_rows import rows_at
from headwater.assets.deduplication.buckets import ABSENT, Flags
from headwater.assets.deduplication.index import Index, exact_words, numbers, rows_of
from headwater.assets.deduplication.normalise import Hashes, Rows
from headwater.assets.deduplication.options import DeduplicationOptions
from headwater.assets.deduplication.order import inverse, precedence
from headwater.assets.document_ids import rows_by_id
from headwater.assets.key_sets import KeySet

_EXACT = "exact_key"
_LEDGER = ("doc_id", "source", "date")


class Documents(NamedTuple):
    """Documents: their signatures as an index, and a ledger (doc_id, source, date) that has them.

    `rows` are theirs in the ledger, in the order of the index; None: it has them alone, in that order.
    """

    signatures: Index
    ledger: pa.Table
    rows: Rows | None = None

    @property
    def number(self) -> int:
        """How many they are."""
        return len(self.ledger) if self.rows is None else len(self.rows)

    def said(self, members: Rows) -> pa.Table:
        """What the ledger says of some of them."""
        rows = members if self.rows is None else self.rows[members]
        return rows_at(self.ledger.select(_LEDGER), rows)

    def members_of(self, ids: pa.Array) -> Rows:
        """The numbers of the documents with these ids, which must be different; -1 where it is none of them."""
        found = rows_by_id(pa.chunked_array([ids]), self.ledger["doc_id"])
        if self.rows is None:
            return found
        places = np.full(len(self.ledger) + 1, ABSENT, dtype=np.int64)
        places[self.rows] = np.arange(len(self.rows))
        return places[found]


class Groups(NamedTuple):
    """Groups of exact copies among some documents (`members`, ascending numbers).

    `group` and `place` (in the order of precedence among the members) belong to members; `before` and `after`, the
    numbers of the roots, and `place_before` and `place_after` to groups, with -1 where a group does not exist.
    """

    members: Rows
    group: Rows
    place: Rows
    before: Rows
    after: Rows
    place_before: Rows
    place_after: Rows

    @property
    def changed(self) -> Flags:
        """Groups that came, went or have another root."""
        return self.before != self.after

    def of(self, members: Rows) -> Rows:
        """The groups of some of the members."""
        return self.group[np.searchsorted(self.members, members)]


class Population:
    """The documents before a refresh and those that arrive with it. Columns are read when they are needed."""

    def __init__(
        self,
        earlier: Documents,
        gone: Rows,
        arrived: Documents,
        options: DeduplicationOptions,
        source_rank: dict[str, int],
    ) -> None:
        self.earlier, self.arrived, self.options, self.source_rank = earlier, arrived, options, source_rank
        self.count, self.total = earlier.number, earlier.number + arrived.number
        self.is_gone = np.zeros(self.total, dtype=np.bool_)
        self.is_gone[gone] = True

    @property
    def moving(self) -> Rows:
        """Documents that go or arrive."""
        return np.concatenate([np.flatnonzero(self.is_gone), np.arange(self.count, self.total)])

    def is_arrival(self, members: Rows) -> Flags:
        """True for documents that arrive."""
        return members >= self.count

    def doc_ids(self, members: Rows) -> pa.Array:
        """The ids of documents."""
        return self._ledger(members)["doc_id"].combine_chunks()

    def shingles(self, members: Rows) -> npt.NDArray[np.int64]:
        """Shingles of documents; 0 where none are counted."""
        return self._pick(self._shingles, members)

    def same_text(self) -> Rows:
        """The documents that go or arrive and all exact copies of them, ascending."""
        if not self.options.exact.enabled:
            return self.moving
        moving = self._pick(self._exact, self.moving)
        alike, _ = KeySet(moving[:, 0]).find(np.ascontiguousarray(self._exact[0][:, 0]))
        return np.union1d(alike, self.moving)

    def groups(self, members: Rows) -> Groups:
        """The groups of some documents (ascending numbers), among which must be all copies of each."""
        order = precedence(self._ledger(members), self.source_rank)
        place = inverse(order)
        group = self._group_numbers(members)
        count = int(group.max(initial=-1)) + 1
        roots = []
        for chosen in (~self.is_arrival(members), ~self.is_gone[members]):
            first = np.full(count, len(order), dtype=np.int64)
            np.minimum.at(first, group[chosen], place[chosen])
            first[first == len(order)] = ABSENT
            roots.append((np.where(first >= 0, members[order[first]], ABSENT) if count else first, first))
        (before, place_before), (after, place_after) = roots
        return Groups(members, group, place, before, after, place_before, place_after)

    def sharing(self, band: str, members: Rows) -> tuple[Rows, Rows]:
        """(numbers, ascending; buckets) of all documents in a bucket of these members, which must have shingles.

        Documents without shingles are in no bucket, whatever their keys are: they are compared exactly only.
        """
        columns = numbers(self.earlier.signatures.column(band)), numbers(self.arrived.signatures.column(band))
        keys, found = KeySet(self._pick(columns, members)), []
        for column, documents, first in zip(columns, (self.earlier, self.arrived), (0, self.count), strict=True):
            rows, buckets = keys.find(column)
            compared = rows_of(documents.signatures, ["shingles"], rows)["shingles"].to_numpy() > 0
            found.append((first + rows[compared], buckets[compared]))
        (old, old_buckets), (new, new_buckets) = found
        return np.concatenate([old, new]), np.concatenate([old_buckets, new_buckets])

    def keys(self, band: str) -> Hashes:
        """The keys of a band of all documents, by number."""
        old, new = (documents.signatures.column(band) for documents in (self.earlier, self.arrived))
        return np.concatenate([numbers(old), numbers(new)])

    @cached_property
    def _exact(self) -> tuple[Hashes, Hashes]:
        old, new = (documents.signatures.column(_EXACT) for documents in (self.earlier, self.arrived))
        return exact_words(old), exact_words(new)

    @cached_property
    def _shingles(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        if self.options.near is None:
            return np.zeros(self.count, dtype=np.int64), np.zeros(self.total - self.count, dtype=np.int64)
        old, new = (documents.signatures.column("shingles") for documents in (self.earlier, self.arrived))
        return numbers(old), numbers(new)

    def _pick(self, columns: tuple[npt.NDArray, npt.NDArray], members: Rows) -> npt.NDArray:
        """Values of documents from a column of the earlier ones and one of the arrivals."""
        arrivals = self.is_arrival(members)
        picked = np.empty((len(members), *columns[0].shape[1:]), dtype=columns[0].dtype)
        picked[~arrivals] = columns[0][members[~arrivals]]
        picked[arrivals] = columns[1][members[arrivals] - self.count]
        return picked

    def _ledger(self, members: Rows) -> pa.Table:
        """Rows of the ledgers for documents in any order."""
        arrivals = self.is_arrival(members)
        old = self.earlier.said(members[~arrivals])
        new = self.arrived.said(members[arrivals] - self.count)
        rows = pa.concat_tables([old, new.cast(old.schema)]).combine_chunks()
        if np.all(arrivals[1:] >= arrivals[:-1]):
            return rows
        position = np.empty(len(members), dtype=np.int64)
        position[np.argsort(arrivals, kind="stable")] = np.arange(len(members))
        return rows.take(pa.array(position)).combine_chunks()

    def _group_numbers(self, members: Rows) -> Rows:
        """The group of each member, numbered from 0: documents with the same exact key."""
        if not self.options.exact.enabled or len(members) == 0:
            return np.arange(len(members))
        arrivals = self.is_arrival(members)
        own = ((self.earlier, members[~arrivals]), (self.arrived, members[arrivals] - self.count))
        keys = np.empty((len(members), 2), dtype=np.uint64)
        for marks, (documents, rows) in zip((~arrivals, arrivals), own, strict=True):
            keys[marks] = exact_words(rows_of(documents.signatures, [_EXACT], rows)[_EXACT])
        return alike(keys)


def alike(keys: Hashes) -> Rows:
    """Numbers from 0 that are the same for equal rows of keys (n, 2), ascending with them."""
    order = np.argsort(keys[:, 0])  # half of a key tells two apart, but for one chance in 2^64 for each pair
    halves, rest = keys[order, 0], keys[order, 1]
    if np.any((halves[1:] == halves[:-1]) & (rest[1:] != rest[:-1])):
        order = np.lexsort((keys[:, 1], keys[:, 0]))
    starts = np.any(keys[order[1:]] != keys[order[:-1]], axis=1)
    group = np.empty(len(keys), dtype=np.int64)
    group[order] = np.concatenate([[0], np.cumsum(starts)])
    return group
