"""How many documents a stage kept and dropped, by source and rule: told from all decisions once, then carried on.

A refresh takes off what was decided of rows that went or are decided otherwise, and adds what is decided now, so that
telling the counts costs what changed. They stand in the record (`Record.counts`).
"""

from collections import Counter
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.counts import added
from headwater.assets.storage.records import Counts, Record
from headwater.assets.storage.tables import Positions, take_positions, take_rows

TOLD = ["kept", "rule", "stage"]  # columns of decisions that are counted
KEPT = ""  # in the place of a rule


class Recounted(NamedTuple):
    """Decisions (`TOLD`) that hold no more and that hold now, with the sources of their documents or without any."""

    gone: list[tuple[pa.Table, pa.ChunkedArray | None]]
    come: list[tuple[pa.Table, pa.ChunkedArray | None]]


class Loss(NamedTuple):
    """How many documents of a source reached a stage, and how many of them it dropped."""

    source: str
    documents: int
    dropped: int

    @property
    def share(self) -> float:
        """The part that was dropped."""
        return self.dropped / self.documents


def count_decisions(decisions: pa.Table, stage: str, sources: pa.ChunkedArray | None = None) -> Counts:
    """{source: {rule: documents}} of the documents that reached a stage; `KEPT` is the rule of those that it kept.

    Args:
        decisions: columns `TOLD`, a row for every record.
        stage: the stage that decided; what an earlier one dropped did not reach it.
        sources: of the same rows; None counts all as of one source without a name.
    """
    reached = pc.or_(decisions["kept"], pc.fill_null(pc.equal(decisions["stage"], stage), False))
    rules = pc.if_else(decisions["kept"], KEPT, decisions["rule"]).filter(reached)
    if sources is None:
        return added({}, {"": _counted(rules)})
    of = sources.filter(reached).combine_chunks()
    return {source: _counted(rules.filter(pc.equal(of, source))) for source in pc.unique(of).to_pylist()}


def _counted(rules: pa.ChunkedArray) -> dict[str, int]:
    counts = pc.value_counts(rules)
    return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))


def carried(counts: Counts, changed: Recounted, stage: str) -> Counts:
    """The counts after some decisions gave way to others."""
    result = dict(counts)
    for parts, sign in ((changed.come, 1), (changed.gone, -1)):
        for decisions, sources in parts:
            result = added(result, count_decisions(decisions, stage, sources), sign)
    return result


def changed_rows(url: str, before: Record, version: int, removed: Positions) -> Recounted:
    """What changed in a table of decisions of which rows went at some positions and others came behind them."""
    base = before.tables["decisions"]
    stayed = base.rows - len(removed)
    gone = take_positions(url, base.version, removed, TOLD)
    return Recounted([(gone, None)], [(take_rows(url, version, stayed, None, TOLD), None)])


def decision_metrics(counts: Counts) -> dict[str, Any]:
    """How many documents reached a stage, and how many left it."""
    kept = sum(rules.get(KEPT, 0) for rules in counts.values())
    reached = sum(sum(rules.values()) for rules in counts.values())
    return {"documents_in": reached, "kept": kept, "dropped": reached - kept}


def drop_reasons(counts: Counts) -> list[tuple[str, int]]:
    """(rule, documents) that a stage dropped, most frequent first."""
    reasons: Counter[str] = Counter()
    for rules in counts.values():
        reasons.update({rule: count for rule, count in rules.items() if rule != KEPT})
    return sorted(reasons.items(), key=lambda reason: (-reason[1], reason[0]))


def lost_by_source(counts: Counts) -> list[Loss]:
    """What each source lost, by their names."""
    sums = [(source, sum(rules.values()), rules.get(KEPT, 0)) for source, rules in sorted(counts.items())]
    return [Loss(source, documents, documents - kept) for source, documents, kept in sums]
