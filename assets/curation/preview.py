"""What curation would do to a sample, side by side, without storing anything."""

import pyarrow as pa

from headwater.assets.curation.decide import decide
from headwater.assets.curation.measure import curate
from headwater.assets.curation.options import CurationOptions, rules_of

_CONTEXT = 30  # code points shown before the first difference


def try_rules(documents: pa.Table, ledger: pa.Table, options: CurationOptions, width: int = 160) -> pa.Table:
    """Transform, measure and decide on a sample.

    Args:
        documents: rows of the DOCUMENTS schema.
        ledger: the RAW_LEDGER rows of the same documents, in the same order.
        options: the declaration.
        width: code points shown of each text, from shortly before the first difference.

    Returns:
        For each document: doc_id, uri, changed, before, after (excerpts), then the columns of DECISIONS.
    """
    changed, signals = curate(documents, ledger, options)
    decisions = decide(signals, ledger, rules_of(options))
    pairs = list(zip(documents["text"].to_pylist(), changed["text"].to_pylist(), strict=True))
    shown = [_excerpts(before or "", after or "", width) for before, after in pairs]
    return pa.table(
        {
            "doc_id": documents["doc_id"],
            "uri": ledger["uri"],
            "changed": pa.array([before != after for before, after in pairs]),
            "before": pa.array([before for before, _ in shown], pa.string()),
            "after": pa.array([after for _, after in shown], pa.string()),
            **{name: decisions[name] for name in decisions.schema.names[1:]},
        }
    )


def _excerpts(before: str, after: str, width: int) -> tuple[str, str]:
    pairs = zip(before, after, strict=False)
    differs = next((at for at, (old, new) in enumerate(pairs) if old != new), min(len(before), len(after)))
    start = 0 if before == after else max(0, differs - _CONTEXT)
    return before[start : start + width], after[start : start + width]
