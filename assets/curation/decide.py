"""Decisions: rules over stored signals. No text is read.

The first rule that fails, in declared order, is a document's reason; `detail` names all that failed, so that one can
see what another order or a dropped rule would change.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headwater.assets.curation.rules import Rule
from headwater.assets.schemas import DECISIONS


def decide(signals: pa.Table, ledger: pa.Table, rules: Sequence[Rule]) -> pa.Table:
    """Decide which documents are kept.

    Args:
        signals: doc_id and the columns that the rules name.
        ledger: rows with doc_id and `format` (code, prose or data) of at least these documents, in any order.
        rules: flat rules in order, from `rules_of`.

    Returns:
        One row of the DECISIONS schema for each row of `signals`, in their order. For a failed bound, `value` is the
        signal and `threshold` the bound that it passed; for a list both are null and `detail` has the text.

    Raises:
        ValueError: a rule names a column that is not stored, or a document has no ledger row.
    """
    formats = _formats(signals, ledger)
    rows = signals.num_rows
    failed = np.zeros((rows, len(rules)), np.bool_)
    values, thresholds = np.full(rows, np.nan), np.full(rows, np.nan)
    first = np.full(rows, -1)
    for at, rule in enumerate(rules):
        value, bound, fails = _judge(signals, rule)
        failed[:, at] = fails & _applies(rule, formats)
        newly = failed[:, at] & (first < 0)
        first[newly], values[newly], thresholds[newly] = at, value[newly], bound[newly]
    kept = first < 0
    names = np.array([*(rule.name for rule in rules), None], object)[first]
    columns = [
        signals["doc_id"],
        pa.array(kept),
        pa.array(names, pa.string()),
        pa.array(values, from_pandas=True),
        pa.array(thresholds, from_pandas=True),
        pa.array(_details(failed, rules, signals, first), pa.string()),
    ]
    return pa.table(columns, schema=DECISIONS)


def _formats(signals: pa.Table, ledger: pa.Table) -> np.ndarray:
    places = pc.index_in(signals["doc_id"], value_set=ledger["doc_id"])
    if places.null_count:
        lost = pc.filter(signals["doc_id"], pc.is_null(places))[0].as_py()
        raise ValueError(f"document {lost} has signals but no ledger row; measure and decide on the same raw version")
    return pc.take(ledger["format"], places).to_numpy(zero_copy_only=False).astype(object)


def _applies(rule: Rule, formats: np.ndarray) -> np.ndarray:
    if rule.applies_to == "any":
        return np.ones(len(formats), np.bool_)
    return formats == rule.applies_to


def _judge(signals: pa.Table, rule: Rule) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value, bound and failure of one rule for all documents; value and bound are NaN where they do not exist."""
    if rule.signal not in signals.schema.names:
        raise ValueError(f"rule {rule.name!r} needs the signal {rule.signal!r}, which is not stored: measure it first")
    column = signals[rule.signal]
    if rule.is_list:
        nothing = np.full(len(column), np.nan)
        return nothing, nothing, _judge_list(column, rule)
    value = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    with np.errstate(invalid="ignore"):
        low, high = _outside(value, rule)
    minimum, maximum = (np.nan if bound is None else bound for bound in (rule.min, rule.max))
    return value, np.where(low, minimum, maximum), low | high


def _outside(value: np.ndarray, rule: Rule) -> tuple[np.ndarray, np.ndarray]:
    """Below the lower bound, above the upper; comparisons with NaN (undefined) are false, so that it passes."""
    none = np.zeros(len(value), np.bool_)
    below, above = (np.less_equal, np.greater_equal) if rule.exclusive else (np.less, np.greater)
    low = none if rule.min is None else below(value, rule.min)
    return low, none if rule.max is None else above(value, rule.max)


def _judge_list(column: pa.ChunkedArray, rule: Rule) -> np.ndarray:
    coded = column.combine_chunks().dictionary_encode()
    verdicts = np.array([*(rule.fails_text(value) for value in coded.dictionary.to_pylist()), rule.fails_text(None)])
    return verdicts[pc.fill_null(coded.indices, len(verdicts) - 1).to_numpy(zero_copy_only=False)]


def _details(failed: np.ndarray, rules: Sequence[Rule], signals: pa.Table, first: np.ndarray) -> np.ndarray:
    """Which rules failed, in words; the same words for the same set of failures, so each set is written once."""
    details = np.full(len(first), None, object)
    dropped = np.flatnonzero(first >= 0)
    if len(dropped):
        patterns, pattern_of = np.unique(np.packbits(failed[dropped], axis=1), axis=0, return_inverse=True)
        unpacked = np.unpackbits(patterns, axis=1, count=len(rules)).astype(np.bool_)
        texts = np.array([_describe([rule.name for rule, is_failed in zip(rules, row, strict=True) if is_failed])
                          for row in unpacked], object)  # fmt: skip
        details[dropped] = texts[pattern_of.ravel()]
    for at, rule in enumerate(rules):
        if rule.is_list:
            _add_values(details, np.flatnonzero(first == at), signals[rule.signal], rule)
    return details


def _describe(names: list[str]) -> str:
    return f"{len(names)} rule{'s' if len(names) > 1 else ''} failed: {', '.join(names)}"


def _add_values(details: np.ndarray, rows: np.ndarray, column: pa.ChunkedArray, rule: Rule) -> None:
    for row, value in zip(rows.tolist(), column.take(pa.array(rows, pa.int64())).to_pylist(), strict=True):
        details[row] += f" ({rule.signal} is {'unknown' if value is None else value})"
