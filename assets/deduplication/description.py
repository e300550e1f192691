"""What the page of deduplicated shows: how many went and why, from which sources, and one telling pair."""

import numpy as np
import pyarrow as pa

from headwater.assets.curation.counting import decision_metrics, drop_reasons, lost_by_source
from headwater.assets.deduplication.bands import bands_and_rows, curve_axis, s_curve_points
from headwater.assets.deduplication.difference import Reaching
from headwater.assets.deduplication.options import DeduplicationOptions
from headwater.assets.deduplication.refreshing import Result
from headwater.assets.deduplication.summary import example_pair, sources_over_limit, telling_edge
from headwater.assets.deduplication.tasks import texts_of
from headwater.assets.document_ids import rows_by_id
from headwater.assets.markdown import markdown_table
from headwater.assets.plain_plots import s_curve
from headwater.assets.plots import thumbnail
from headwater.assets.stages import Outcome
from headwater.assets.storage.records import CheckRecord
from headwater.assets.storage.tables import take_positions

FIT_DRIFT = 3  # times more or fewer documents than the fit was made of fail its check


def describe(outcome: Outcome, now: Reaching, result: Result, options: DeduplicationOptions) -> None:
    """Adds metrics, tables, plots and checks to the outcome."""
    outcome.counts = result.counts
    outcome.metrics |= decision_metrics(result.counts) | {"edges": result.edges.num_rows}
    reasons = [[rule, f"{count:,}"] for rule, count in drop_reasons(result.counts)]
    outcome.markdown["drop reasons"] = markdown_table(["rule", "documents"], reasons)
    lost = lost_by_source(result.counts)
    outcome.markdown["lost by source"] = markdown_table(
        ["source", "documents", "dropped", "share"],
        [[loss.source, f"{loss.documents:,}", f"{loss.dropped:,}", f"{loss.share:.1%}"] for loss in lost],
    )
    _show_example(outcome, now, result.edges)
    if options.near is not None:
        bands, rows = bands_and_rows(options.near)
        outcome.metrics |= {"bands": bands, "rows_per_band": rows}
        axis = curve_axis(options.near, options.verifier.threshold)
        points = list(zip(*s_curve_points(options.near), strict=True))
        outcome.markdown["chance by similarity, 0 to 1"] = thumbnail(*s_curve_points(options.near))
        outcome.plots["Chance of becoming a candidate"] = s_curve(points, axis.threshold, axis.similarity)
    over = sources_over_limit(lost, options)
    description = "; ".join(over) or "No source lost more than its share."
    outcome.checks = [CheckRecord(name="lost_share", passed=not over, blocking=True, description=description)]
    if options.needs_fit:
        outcome.checks.append(_fit_drift(outcome.metrics["fit_documents"], outcome.metrics["documents_in"]))


def _fit_drift(then: int, now: int) -> CheckRecord:
    """Whether the corpus still has the size, within a factor, that it had when its fit was made."""
    passed = then / FIT_DRIFT <= now <= then * FIT_DRIFT
    told = f"What is common was told from {then:,} documents; there are {now:,} now."
    mend = "" if passed else " Give deduplication.fit.edition another number to have it told anew, by a full run."
    return CheckRecord(name="fit_drift", passed=passed, blocking=False, description=told + mend)


def _show_example(outcome: Outcome, now: Reaching, edges: pa.Table) -> None:
    telling = telling_edge(edges)
    uris = _uris(now, telling)
    example = example_pair(telling, lambda ids: texts_of(now, pa.array(ids)), uris)
    if example is None:
        return
    fence = "````"
    outcome.markdown["a near-duplicate pair"] = (
        f"`{example.uri}` resembles `{example.other_uri}`: similarity {example.similarity:.3f}, "
        f"containment {example.containment:.3f}\n\n{fence}diff\n{example.diff}\n{fence}"
    )
    outcome.metrics |= {
        "example": example.uri,
        "example_of": example.other_uri,
        "example_similarity": round(example.similarity, 4),
    }


def _uris(now: Reaching, edges: pa.Table) -> dict[str, str]:
    ids = pa.array([*edges["doc_id"].to_pylist(), *edges["other_id"].to_pylist()], pa.string())
    places = np.unique(rows_by_id(pa.chunked_array([ids]), now.ledger["doc_id"]))
    rows = take_positions(*now.view.ledger, places, ["doc_id", "uri"])
    return dict(zip(rows["doc_id"].to_pylist(), rows["uri"].to_pylist(), strict=True))
