"""Dates that nobody understands are told, because which of several copies stays rests on dates.

Such a date is kept in `meta` as it is written and its document counts as undated (`sources.mapped`). So it is found
again where the ledger has no date and `meta` has the field.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.storage.records import CheckRecord


class OddDates(NamedTuple):
    """How many documents have a date that could not be understood, and what the first of them says."""

    documents: int = 0
    first: str = ""

    def plus(self, ledger: pa.Table, dated: Mapping[str, str]) -> "OddDates":
        """With those of further rows (source, kept, date, meta) of sources whose `dated` fields are these."""
        documents, first = self
        undated = ledger.filter(
            pc.and_(ledger["kept"], pc.and_(pc.is_null(ledger["date"]), pc.is_valid(ledger["meta"])))
        )
        for source, field in dated.items() if undated.num_rows else ():
            own = undated["meta"].filter(pc.equal(undated["source"], source))
            said = own.filter(pc.match_substring(own, f"{json.dumps(field, ensure_ascii=False)}:"))
            documents += len(said)
            if not first and len(said):
                first = f"{source} says {json.loads(said[0].as_py()).get(field)!r} in {field}"
        return OddDates(documents, first)


def dates_check(odd: OddDates, documents: int) -> CheckRecord:
    """Whether all dates were understood; nothing waits for it."""
    told = f"The dates of {odd.documents:,} of {documents:,} documents could not be understood."
    if odd.documents:
        told += (
            f" {odd.first}: a date is ISO 8601 or a year. These documents count as undated; meta keeps what they say."
        )
    return CheckRecord(name="dates", passed=odd.documents == 0, blocking=False, description=told)
